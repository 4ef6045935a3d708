"""A network's layers as a tree: every block with what lies in it, its cost and how far it looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import fx, nn

from frostline.network.build import Network
from frostline.network.receptive import Field, fields_of
from frostline.network.summary import LayerRow, layer_rows
from frostline.network.tracing import Flow, TensorShape, path_of

ITSELF = "(itself)"


@dataclass(frozen=True, slots=True)
class OutlineRow:
    """A block or a layer; a block counts all that lies in it."""

    depth: int
    name: str
    """As in `named_modules`, or an alias such as block3; `(itself)` is what the network holds outside of its layers."""
    kind: str
    output_shape: tuple[int, ...]
    field: float
    """Side of the receptive field in pixels; infinite for the whole picture, 0 for none of it, NaN if not known."""
    parameters: int
    macs: int


@dataclass(slots=True)
class _Part:
    """A node of the tree."""

    name: str
    own: LayerRow | None = None
    parts: "dict[str, _Part]" = field(default_factory=dict)
    is_alias: bool = False


def outline(network: Network) -> list[OutlineRow]:
    """List blocks and layers in the order of their first call, each block before what lies in it.

    Layers that do nothing (`nn.Identity`) are left out.
    """
    traced = network.trace()
    layers = [row for row in layer_rows(network.module, network.preprocess.input_shape) if row.kind != "Identity"]
    if traced.taps:
        layers.append(_tapped_head(network))
    looks = _Looks(network.module, traced.evaluating)
    rows: list[OutlineRow] = []
    for part in _tree(layers, network.aliases or {}).parts.values():
        rows += _rows(part, 0, looks)
    return rows


def _tapped_head(network: Network) -> LayerRow:
    """The head on pooled depths, which the network's own `forward` does not call."""
    head = network.module.get_submodule(network.head)
    macs = sum(layer.in_features * layer.out_features for layer in head.modules() if isinstance(layer, nn.Linear))
    parameters = sum(parameter.numel() for parameter in head.parameters())
    return LayerRow(network.head, type(head).__name__, (network.spec.classes,), parameters, macs)


def _tree(layers: list[LayerRow], aliases: Mapping[str, str]) -> _Part:
    """Arrange layers under the blocks that their names tell, and under aliases, which start at a layer and go on."""
    root, starts = _Part(""), {path: alias for alias, path in aliases.items()}
    under: dict[str, str] = {}
    for row in layers:
        place, path = root, ""
        for piece in row.name.split("."):
            parent, path = path, f"{path}.{piece}" if path else piece
            if path in starts:
                under[parent] = starts[path]
            if alias := under.get(parent):
                place = place.parts.setdefault(alias, _Part(alias, is_alias=True))
            place = place.parts.setdefault(path, _Part(path))
        place.own = row
    return root


class _Looks:
    """Fields and shapes of layers and blocks, read from the graph."""

    def __init__(self, module: nn.Module, flow: Flow) -> None:
        self.module, self.flow = module, flow
        self.fields = fields_of(module, flow)
        self.first: dict[str, fx.Node] = {}
        self.last: dict[str, fx.Node] = {}
        for node in flow.nodes:
            path = path_of(node)
            if flow.carries(node) and path:
                self.first.setdefault(str(node.target), node)
                pieces = path.split(".")
                for i in range(len(pieces)):
                    self.last[".".join(pieces[: i + 1])] = node

    def side(self, node: fx.Node | None) -> float:
        return self.fields.get(node, Field((0, 0))).side if node else 0

    def of_layer(self, path: str) -> float:
        """Of a layer's first call; of what it lies in, where the graph does not see it."""
        while path and path not in self.last:
            path = path.rpartition(".")[0]
        return self.side(self.first.get(path) or self.last.get(path))

    def of_output(self) -> float:
        return self.side(self.flow.nodes[-1].all_input_nodes[0])

    def of_block(self, path: str) -> tuple[str, tuple[int, ...], float, int]:
        """Class, shape of the output, field and parameters, also of layers in it that are never called themselves."""
        node, block = self.last.get(path), self.module.get_submodule(path)
        value = self.flow.values[node][0] if node else None
        shape = value.shape[1:] if isinstance(value, TensorShape) else ()
        return (
            type(block).__name__,
            shape,
            self.side(node) if node else self.of_layer(path),
            sum(parameter.numel() for parameter in block.parameters()),
        )


def _rows(part: _Part, depth: int, looks: _Looks) -> list[OutlineRow]:
    below = [row for inner in part.parts.values() for row in _rows(inner, depth + 1, looks)]
    direct = [row for row in below if row.depth == depth + 1]
    own = part.own
    macs = sum(row.macs for row in direct) + (own.macs if own else 0)
    if part.is_alias:
        kind, shape, side = "", direct[-1].output_shape, direct[-1].field
        parameters = sum(row.parameters for row in direct)
    elif own and not below:
        kind, shape, parameters = own.kind, own.output_shape, own.parameters
        side = looks.of_layer(part.name) if part.name else looks.of_output()
    else:
        kind, shape, side, parameters = looks.of_block(part.name)
        shape = shape or direct[-1].output_shape
    return [OutlineRow(depth, part.name or ITSELF, kind, shape, side, parameters, macs), *below]
