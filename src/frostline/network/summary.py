"""What each layer of a network puts out, holds and costs, found without computing a single value."""

import copy
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer, for one image."""

    name: str
    """Its name in `named_modules`; empty for the network itself."""
    kind: str
    """Name of its class."""
    output_shape: tuple[int, ...]
    """Shape of its first output, without the batch axis; of the first call where the layer is called again."""
    parameters: int
    """Numbers that it holds and that no earlier row has counted."""
    macs: int
    """Multiply-accumulates of all its calls: convolutions, linear layers, attention. 0 for any other layer."""


def layer_rows(module: nn.Module, input_shape: tuple[int, int, int]) -> list[LayerRow]:
    """List the layers that an image passes, in the order of their first call.

    A row is a layer without parts, or one that holds parameters besides those of its parts: a transformer with a class
    token, timm's BatchNorm with a built-in activation. `nn.MultiheadAttention` is one row, its parts included. A layer
    that is not called has no row, even if its parent uses its weights (the projections of torchvision's Swin).
    Elementwise work (activation, normalisation, addition), pooling, and matrix products that are no layer (as in timm's
    attention) cost no MACs here.

    The network runs once, in eval mode, on a copy that has shapes but no data (torch's meta device): nothing of the
    size of the weights is allocated, and the module given is not touched.

    Args:
        module: network or part of one, on any device.
        input_shape: (channels, height, width) of the image.
    """
    twin = _without_data(module).eval()
    names = {layer: name for name, layer in twin.named_modules() if _has_row(layer)}
    rows: dict[nn.Module, LayerRow] = {}  # in the order of the first call
    counted: set[Tensor] = set()

    def enter(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if layer not in rows:
            new = set(layer.parameters(recurse=isinstance(layer, nn.MultiheadAttention))) - counted
            counted.update(new)
            rows[layer] = LayerRow(names[layer], type(layer).__name__, (), sum(p.numel() for p in new), 0)

    def leave(layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        row = rows[layer]
        shape = row.output_shape or _shape(layer, output)
        rows[layer] = replace(row, output_shape=shape, macs=row.macs + _macs(layer, inputs, named, output))

    for layer in names:
        layer.register_forward_pre_hook(enter)
        layer.register_forward_hook(leave, with_kwargs=True)

    dtype = next((p.dtype for p in twin.parameters() if p.is_floating_point()), torch.float32)
    with torch.no_grad(), torch.device("meta"):  # tensors made inside a forward are meta too
        twin(torch.zeros(1, *input_shape, dtype=dtype))
    return list(rows.values())


def _without_data(module: nn.Module) -> nn.Module:
    """Copy a module; its parameters and buffers become meta tensors, and those it shares stay shared."""
    memo: dict[int, Tensor] = {}  # deepcopy takes from here what it would otherwise copy
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), requires_grad=False)
    for buffer in module.buffers():
        memo[id(buffer)] = buffer.detach().to("meta")
    return copy.deepcopy(module, memo)


def _has_row(layer: nn.Module) -> bool:
    has_parts = next(layer.children(), None) is not None
    holds_parameters = next(layer.parameters(recurse=False), None) is not None
    return holds_parameters or not has_parts


def _shape(layer: nn.Module, output: Any) -> tuple[int, ...]:
    first = output[0] if isinstance(output, tuple | list) else output
    if not isinstance(first, Tensor):
        return ()
    batch_axis = 1 if isinstance(layer, nn.MultiheadAttention) and not layer.batch_first and first.ndim == 3 else 0
    return (*first.shape[:batch_axis], *first.shape[batch_axis + 1 :])


def _macs(layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> int:
    """Count the multiply-accumulates of one call."""
    if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        per_output = layer.in_channels // layer.groups * prod(layer.kernel_size)  # padding counts as if it were image
        return int(output.numel()) * per_output
    if isinstance(layer, nn.Linear):
        return int(output.numel()) * layer.in_features
    if isinstance(layer, nn.MultiheadAttention):
        arguments = dict(zip(("query", "key", "value"), inputs, strict=False)) | named
        return _attention_macs(layer, arguments["query"], arguments["key"])
    return 0


def _attention_macs(layer: nn.MultiheadAttention, query: Tensor, key: Tensor) -> int:
    """Count the four projections and the two products softmax(QK)V of arXiv 1706.03762, section 3.2."""
    channels: int = layer.embed_dim
    token_axis = 1 if layer.batch_first and query.ndim == 3 else 0
    num_queries, num_keys = query.shape[token_axis], key.shape[token_axis]
    batch = query.numel() // (num_queries * channels)
    projections = num_queries * 2 * channels + num_keys * int(
        layer.kdim + layer.vdim
    )  # query and output; key and value
    products = 2 * num_queries * num_keys  # the heads share the channels, so their number does not matter
    return batch * channels * (projections + products)
