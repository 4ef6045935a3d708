"""Kept BatchNorm, multiplied into the convolution before it.

A BatchNorm that keeps its statistics is y = (x - mean) * weight / sqrt(var + eps) + bias, channel by channel, and so is
part of what a convolution can do. Folded, each map is written once instead of twice, forward and backward; the
parameters stay the two layers' own and get the same gradients. The weights are multiplied anew in every step, so this
is done only where a batch's maps are larger than they.
"""

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

Pair = tuple[int, int]


def fold(suffix: fx.GraphModule) -> fx.GraphModule:
    """Give a graph that computes the same with every BatchNorm folded that is in evaluation mode now.

    Args:
        suffix: in the modes that it will train in; it and its parameters are shared, not changed.
    """
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    pairs = {norm: convolution for norm in suffix.graph.nodes if (convolution := _folds_into(suffix, norm))}
    left_out = set(pairs.values())
    for node in suffix.graph.nodes:
        if node in pairs:
            copies[node] = _folded_node(suffix, graph, pairs[node], node, copies)
        elif node not in left_out:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.lint()
    return fx.GraphModule(suffix, graph, "Suffix")


def _folds_into(suffix: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The convolution that a kept BatchNorm alone reads; None where the node is anything else."""
    if node.op != "call_module" or not isinstance(norm := suffix.get_submodule(str(node.target)), nn.BatchNorm2d):
        return None
    before = node.args[0]
    if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
        return None
    convolution = suffix.get_submodule(str(before.target))
    is_plain = isinstance(convolution, nn.Conv2d) and type(convolution).forward is nn.Conv2d.forward
    is_plain = is_plain and convolution.padding_mode == "zeros"
    is_known = type(norm) is nn.BatchNorm2d or type(norm).__name__ == "BatchNormAct2d"
    is_kept = is_known and not norm.training and norm.track_running_stats and norm.affine
    return before if is_plain and is_kept else None


def _folded_node(
    suffix: fx.GraphModule, graph: fx.Graph, before: fx.Node, node: fx.Node, copies: dict[fx.Node, fx.Node]
) -> fx.Node:
    convolution, norm = (suffix.get_submodule(str(part.target)) for part in (before, node))
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    held = [f"{before.target}.weight", f"{before.target}.bias"]
    held += [f"{node.target}.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    tensors = [None if convolution.bias is None and name == held[1] else graph.get_attr(name) for name in held]
    places = (convolution.stride, convolution.padding, convolution.dilation, convolution.groups)
    out = graph.call_function(_convolve, (copies[before.all_input_nodes[0]], *tensors, norm.eps, *places))
    for part in ("drop", "act"):  # timm's BatchNorm that activates too
        if hasattr(norm, part):
            out = graph.call_module(f"{node.target}.{part}", (out,))
    return out


def _convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    norm_weight: Tensor,
    norm_bias: Tensor,
    mean: Tensor,
    var: Tensor,
    eps: float,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> Tensor:
    positions = len(x) * (x.shape[2] // stride[0]) * (x.shape[3] // stride[1])
    if positions < weight[0].numel():
        out = torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
        return functional.batch_norm(out, mean, var, norm_weight, norm_bias, training=False, eps=eps)
    scale = norm_weight * torch.rsqrt(var + eps)
    shift = norm_bias - mean * scale if bias is None else norm_bias + (bias - mean) * scale
    return torch.conv2d(x, weight * scale.view(-1, 1, 1, 1), shift, stride, padding, dilation, groups)
