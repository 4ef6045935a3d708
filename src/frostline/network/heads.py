"""New heads: what replaces a pretrained network's classifier, and the head that reads several depths."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from frostline.errors import ModelError
from frostline.network.cuts import INPUT, Cut, Traced
from frostline.network.pooling import channel_axis
from frostline.network.tracing import path_of

DEPTH_HEAD = "depth_head"
MOST_TAPS = 8
HIDDEN = 512


class DepthHead(nn.Module):
    """A linear layer on standardised, average-pooled activations: of the last depth, or of several, concatenated.

    Standardised, because channels differ a hundredfold in size, on which gradient steps of one size do badly. Several
    depths: after Head2Toe (arXiv 2201.03529). A depth that is not used has scale 0.

    Args:
        widths: channels of each depth.
        classes: number of outputs.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, widths: Sequence[int], classes: int) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.register_buffer("mean", torch.zeros(sum(widths)))
        self.register_buffer("scale", torch.ones(sum(widths)))
        self.linear = nn.Linear(sum(widths), classes)

    def forward(self, *pooled: Tensor) -> Tensor:
        """Give logits (batch, classes) from one float32 (batch, width) tensor per depth."""
        logits: Tensor = self.linear((torch.cat(pooled, dim=1) - self.mean) * self.scale)
        return logits


class MlpHead(nn.Module):
    """BatchNorm, a hidden layer, ReLU, dropout and a linear layer on the last depth, average-pooled.

    It reads what a linear head reads, so one pass serves both.

    Args:
        width: channels of the depth.
        classes: number of outputs.
        dropout: of the hidden layer.
    """

    def __init__(self, width: int, classes: int, dropout: float) -> None:
        super().__init__()
        hidden = (nn.BatchNorm1d(width), nn.Linear(width, HIDDEN), nn.ReLU(), nn.Dropout(dropout))
        self.layers = nn.Sequential(*hidden, nn.Linear(HIDDEN, classes))

    def forward(self, pooled: Tensor) -> Tensor:
        """Give logits (batch, classes) from a float32 (batch, width) tensor."""
        logits: Tensor = self.layers(pooled)
        return logits


def find_head(module: nn.Module, classes: int) -> str:
    """Qualified name of the layer that gives the logits: the last Linear or Conv2d with one output per class.

    Raises:
        ModelError: there is none.
    """
    heads = [
        str(path)
        for path, part in module.named_modules()
        if (isinstance(part, nn.Linear) and part.out_features == classes)
        or (isinstance(part, nn.Conv2d) and part.out_channels == classes)
    ]
    if not heads:
        raise ModelError(f"{type(module).__name__} has no layer with one output per class; choose another network")
    return heads[-1]


def drop_hidden_layers(module: nn.Module, head: str, classes: int) -> str:
    """Make the head one Linear on what entered its classifier, where the classifier has hidden Linear layers.

    Returns:
        The head's qualified name afterwards.
    """
    parent_path, _, _ = head.rpartition(".")
    parent = module.get_submodule(parent_path)
    linears = [i for i, part in enumerate(parent.children()) if isinstance(part, nn.Linear)]
    if not isinstance(parent, nn.Sequential) or len(linears) < 2:
        return head
    kept = list(parent.children())[: linears[0]]
    first = parent[linears[0]]
    assert isinstance(first, nn.Linear)
    module.set_submodule(parent_path, nn.Sequential(*kept, nn.Linear(first.in_features, classes)))
    return f"{parent_path}.{len(kept)}"


def choose_taps(traced: Traced) -> tuple[str, ...]:
    """Choose the depths of a multi-depth head in a network whose own head is the identity.

    The last cut before each change of shape, of those at most two modules deep (so that a block's inside is left out);
    where no layer with parameters lies between two of them, the later. A network that never changes its shape (a
    transformer) gives four, evenly spaced. At most the eight deepest.
    """
    inner = [cut for cut in traced.cuts if cut.name != INPUT]
    cuts = [cut for cut in inner if cut.name.count(".") <= 1]
    ends = [cut for cut, after in zip(cuts, [*cuts[1:], None], strict=True) if not after or after.shapes != cut.shapes]
    taps: list[Cut] = []
    for cut in ends:
        if taps and not _has_parameters_between(traced, taps[-1], cut):
            taps.pop()
        taps.append(cut)
    if len(taps) < 4:
        taps = [inner[round((i + 1) * (len(inner) - 1) / 4)] for i in range(3)] + taps[-1:]
    return tuple(cut.name for cut in taps[-MOST_TAPS:])


def tap_widths(traced: Traced, taps: Sequence[str], input_shape: tuple[int, int, int]) -> tuple[int, ...]:
    """Channels of each tap."""
    shapes = [traced.cut(tap).shapes[0] for tap in taps]
    return tuple(shape[channel_axis(shape, input_shape)] for shape in shapes)


def _has_parameters_between(traced: Traced, above: Cut, below: Cut) -> bool:
    nodes = traced.evaluating.nodes[above.position + 1 : below.position + 1]
    called = [traced.module.get_submodule(path_of(node)) for node in nodes if node.op == "call_module"]
    return any(True for module in called for _ in module.parameters())
