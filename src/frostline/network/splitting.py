"""Split a traced network at a cut into a frozen prefix and a suffix that share its parameters."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from frostline.data.preprocess import Preprocess
from frostline.errors import ModelError
from frostline.hardware import Computer
from frostline.network.cuts import Cut, Traced, keys_of
from frostline.network.tracing import Flow


@dataclass(frozen=True, slots=True)
class Split:
    """The two halves of a network.

    `prefix` takes pictures (batch, channels, height, width) and gives the tuple of tensors that cross the cut; it is
    a fixed function of each picture: evaluation graph, parameterless modules of its own. `suffix` (training graph) and
    `evaluating` (evaluation graph) take those tensors and give logits (batch, classes).
    """

    cut: Cut
    prefix: fx.GraphModule
    suffix: fx.GraphModule
    evaluating: fx.GraphModule

    @property
    def is_whole(self) -> bool:
        """Whether the cut lies at the input, so that nothing is frozen."""
        return self.cut.position == 0


def split(traced: Traced, cut: Cut) -> Split:
    """Split at a cut; the halves hold the network's own parameters and buffers."""
    evaluating, training = traced.evaluating, traced.training
    prefix_graph = _extract(evaluating, inputs=[evaluating.nodes[0].name], outputs=cut.values)
    prefix = fx.GraphModule(traced.module, prefix_graph, "Prefix")
    _own_parameterless_modules(prefix)
    names = _matching(evaluating, training, cut.values)
    suffix = fx.GraphModule(traced.module, _extract(training, inputs=names, outputs=None), "Suffix")
    evaluated = fx.GraphModule(traced.module, _extract(evaluating, inputs=cut.values, outputs=None), "Suffix")
    prefix.eval()
    return Split(cut, prefix, suffix, evaluated)


def between(traced: Traced, lower: Cut, upper: Cut) -> fx.GraphModule:
    """Give the layers between two cuts, as they evaluate; they hold the network's own parameters and buffers.

    They take what crosses the lower cut and give the tuple of tensors that cross the upper one.
    """
    graph = _extract(traced.evaluating, inputs=lower.values, outputs=upper.values)
    return fx.GraphModule(traced.module, graph, "Between")


def _matching(evaluating: Flow, training: Flow, values: Sequence[str]) -> list[str]:
    """Names in the training graph of the evaluation graph's nodes, matched by module and operation."""
    wanted = {node.name: key for node, key in keys_of(evaluating).items()}
    found = {key: node.name for node, key in keys_of(training).items()}
    return [found[wanted[name]] for name in values]


def _extract(flow: Flow, *, inputs: Sequence[str], outputs: Sequence[str] | None) -> fx.Graph:
    """Copy the part of a graph that leads from the input nodes to the outputs (None: the graph's own)."""
    by_name = {node.name: node for node in flow.nodes}
    sources = [by_name[name] for name in inputs]
    ends = [by_name[name] for name in outputs] if outputs is not None else [flow.nodes[-1]]
    start = max(flow.position[node] for node in sources)
    needed = _needed(flow, sources, ends, start)
    graph = fx.Graph()
    copies: dict[fx.Node, Any] = {node: graph.placeholder(node.name) for node in sources}
    for node in flow.nodes:
        if node in copies or node not in needed:
            continue
        if _is_plain_from_above(flow, node, start):
            copies[node] = _restate(graph, copies[sources[0]], *flow.values[node])
        else:
            copies[node] = graph.node_copy(node, lambda source: copies[source])
    if outputs is not None:
        graph.output(tuple(copies[node] for node in ends))
    graph.lint()
    return graph


def _needed(flow: Flow, sources: Sequence[fx.Node], ends: Sequence[fx.Node], start: int) -> set[fx.Node]:
    needed: set[fx.Node] = set()
    pending = list(ends)
    while pending:
        node = pending.pop()
        if node in needed:
            continue
        needed.add(node)
        if node not in sources and not _is_plain_from_above(flow, node, start):
            pending.extend(node.all_input_nodes)
    return needed


def _is_plain_from_above(flow: Flow, node: fx.Node, start: int) -> bool:
    """Tell whether a node is a size or the like, taken from a tensor that the cut leaves behind."""
    return 0 < start >= flow.position[node] and node in flow.from_input and not flow.carries(node)


def _restate(graph: fx.Graph, row: fx.Node, two: Any, three: Any) -> Any:
    """Express a plain value, known for batches of two and of three, by the batch size of `row`."""
    if isinstance(two, tuple):
        return tuple(_restate(graph, row, *pair) for pair in zip(two, three, strict=True))
    if two == three:
        return two
    if isinstance(two, int) and two % 2 == 0 and two * 3 == three * 2:
        batch = graph.call_method("size", (row, 0))
        return batch if two == 2 else graph.call_function(_times, (batch, two // 2))
    raise ModelError(
        f"a value of {two!r} for two pictures and {three!r} for three crosses the cut; choose another stage"
    )


def _times(a: int, b: int) -> int:
    return a * b


def _own_parameterless_modules(prefix: fx.GraphModule) -> None:
    """Give the prefix its own copy of modules without parameters, so that `suffix.train()` cannot reach them."""
    for node in prefix.graph.nodes:
        if node.op == "call_module":
            module = prefix.get_submodule(node.target)
            if not any(True for _ in module.parameters()) and not any(True for _ in module.buffers()):
                prefix.set_submodule(node.target, copy.deepcopy(module))


def apply_prefix(prefix: nn.Module, pixels: Tensor, preprocess: Preprocess, fabric: Computer) -> tuple[Tensor, ...]:
    """Run a frozen prefix on pixels: evaluation mode, no gradients, the run's precision.

    Stored and direct training both come through here, so their activations are the same.

    Args:
        prefix: of a split, or a whole network; on fabric's device.
        pixels: uint8 (batch, channels, height, width), any device.
        preprocess: normalisation.
        fabric: device and precision.

    Returns:
        The tensors that cross the cut, on the device.
    """
    with torch.no_grad(), fabric.autocast():
        pictures = preprocess.normalise(pixels.to(fabric.device, non_blocking=True))
        values: tuple[Tensor, ...] = prefix(pictures.contiguous(memory_format=torch.channels_last))
    return values
