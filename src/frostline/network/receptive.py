"""Receptive fields: how far around it a value looks at the picture, along a network's graph.

The usual recurrence (arXiv 1603.07285, chapter 5): a window of `kernel` positions, `dilation` apart, on a map whose
neighbours lie `jump` pixels apart, adds (kernel - 1) * dilation * jump pixels; its stride multiplies the jump. Where
branches meet, the largest counts. Statistics of normalisation layers are left out, as is usual.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from frostline.network.tracing import Flow, TensorShape, operation_of

Pair = tuple[float, float]

MOVING = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
ADAPTIVE = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
WINDOWS = {
    "conv2d": ("weight", "bias", "stride", "padding", "dilation"),
    "max_pool2d": ("kernel_size", "stride", "padding", "dilation"),
    "avg_pool2d": ("kernel_size", "stride"),
}
"""Functions that move a window over a map, and their arguments after the first."""
MIXING = ("attention", "matmul", "bmm", "einsum")
"""Parts of the names of functions that let every position see every other."""


@dataclass(frozen=True, slots=True)
class Field:
    """What part of the picture a value depends on: pixels by height and width."""

    size: Pair = (1.0, 1.0)
    jump: Pair = (1.0, 1.0)
    """Pixels from one value of the map to its neighbour."""

    @property
    def side(self) -> float:
        """The longer side in pixels; infinite where it is the whole picture, NaN where it is not known."""
        return _most(self.size)

    def seen_through(self, kernel: Pair, stride: Pair, dilation: Pair = (1.0, 1.0)) -> "Field":
        """Give the field of a window on the map."""
        size = [s + (k - 1) * d * j for s, k, d, j in zip(self.size, kernel, dilation, self.jump, strict=True)]
        return Field((size[0], size[1]), (self.jump[0] * stride[0], self.jump[1] * stride[1]))


WHOLE = Field((math.inf, math.inf))
UNKNOWN = Field((math.nan, math.nan))
"""Behind a block that the graph does not look into."""


def fields_of(module: nn.Module, flow: Flow) -> dict[fx.Node, Field]:
    """Give the field of every value that depends on the picture.

    Args:
        module: owner of the layers.
        flow: traced from it.
    """
    fields: dict[fx.Node, Field] = {}
    for node in flow.nodes:
        if node.op == "placeholder" and node is flow.nodes[0]:
            fields[node] = Field()
        sources = [source for source in node.all_input_nodes if source in fields]
        if sources and flow.carries(node):  # a size is no picture
            fields[node] = _through(module, flow, sources[0], node, _union([fields[source] for source in sources]))
    return fields


def _union(fields: Sequence[Field]) -> Field:
    return Field(_largest([field.size for field in fields]), _largest([field.jump for field in fields]))


def _largest(pairs: Sequence[Pair]) -> Pair:
    return _most([pair[0] for pair in pairs]), _most([pair[1] for pair in pairs])


def _most(values: Sequence[float]) -> float:
    """Give the largest; nothing is larger than the whole picture, and beside the unknown all else is unknown."""
    return math.inf if math.inf in values else math.nan if any(map(math.isnan, values)) else max(values)


def _through(module: nn.Module, flow: Flow, source: fx.Node, node: fx.Node, field: Field) -> Field:
    """Give the field after one node; `field` is that of all it reads, `source` the first of them."""
    if field.size == WHOLE.size:
        return WHOLE
    before, after = _spatial(flow, source), _spatial(flow, node)
    if node.op == "call_module":
        layer = module.get_submodule(str(node.target))
        if isinstance(layer, MOVING):
            stride = layer.stride if layer.stride is not None else layer.kernel_size
            return field.seen_through(_pair(layer.kernel_size), _pair(stride), _pair(getattr(layer, "dilation", 1)))
        if isinstance(layer, ADAPTIVE) and before and after:
            return _adapted(field, before, after)
        if isinstance(layer, nn.MultiheadAttention) or (isinstance(layer, nn.Linear) and not _has_places(flow, node)):
            return WHOLE
        if any(isinstance(part, (*MOVING, *ADAPTIVE, nn.Linear)) for part in list(layer.modules())[1:]):
            return UNKNOWN
    elif (name := operation_of(node)) in WINDOWS:
        return _under_window(flow, field, dict(zip(WINDOWS[name], node.args[1:], strict=False)) | dict(node.kwargs))
    elif "adaptive" in name and before and after:
        return _adapted(field, before, after)
    elif any(part in name for part in MIXING) or (name == "linear" and not _has_places(flow, node)):
        return WHOLE
    return WHOLE if _reduces(flow, source, node) else field


def _under_window(flow: Flow, field: Field, named: Mapping[str, Any]) -> Field:
    """Give the field of a convolution or a pooling that is a function, from its arguments."""
    if "weight" in named:  # a convolution with weights made on the way, such as standardised ones
        kernel, default = flow.values[named["weight"]][0].shape[2:], 1
    else:
        kernel = default = named["kernel_size"]
    return field.seen_through(_pair(kernel), _pair(named.get("stride") or default), _pair(named.get("dilation", 1)))


def _adapted(field: Field, before: tuple[int, int], after: tuple[int, int]) -> Field:
    """Give the field of adaptive pooling: the largest of its windows; all where one value is left."""
    if after == (1, 1):
        return WHOLE
    kernel = [
        max(math.ceil((i + 1) * n / m) - i * n // m for i in range(m)) for n, m in zip(before, after, strict=True)
    ]
    return field.seen_through((kernel[0], kernel[1]), (before[0] / after[0], before[1] / after[1]))


def _reduces(flow: Flow, source: fx.Node, node: fx.Node) -> bool:
    """Tell whether an operation sums up all places of a map or a row of tokens (means, class tokens)."""
    before, after = flow.values[source][0], flow.values[node][0]
    if not isinstance(before, TensorShape) or not isinstance(after, TensorShape) or len(before.shape) < 3:
        return False
    is_flat = len(after.shape) == 2 or _spatial(flow, node) == (1, 1)
    return is_flat and math.prod(after.shape) < math.prod(before.shape)


def _has_places(flow: Flow, node: fx.Node) -> bool:
    """Tell whether a linear layer works on each place by itself: on tokens, or maps with channels last."""
    value = flow.values[node][0]
    return isinstance(value, TensorShape) and len(value.shape) > 2


def _spatial(flow: Flow, node: fx.Node) -> tuple[int, int] | None:
    value = flow.values[node][0]
    return (value.shape[2], value.shape[3]) if isinstance(value, TensorShape) and len(value.shape) == 4 else None


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])
