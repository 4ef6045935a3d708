"""Cuts: the places where a network can be split in two, found by liveness in its graph.

A cut lies after a node when, of all tensors computed from the picture, only that node's value is still needed. Pooled
"taps" of a multi-depth head are let through beside it. Sizes and other plain values do not count: the suffix computes
them anew. A parameter used on both sides of a place makes it unfit, for it would be frozen and trained at once.
"""

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, fx, nn

from frostline.errors import PlanError
from frostline.network.pooling import average_pool, channel_axis
from frostline.network.tracing import Flow, TensorShape, drop_unused, flow_of, operation_of, path_of, trace

INPUT = "input"


@dataclass(frozen=True, slots=True)
class Cut:
    """A place to split the network.

    `values` are the names of the graph nodes whose tensors cross it, the main one first, then the taps;
    `shapes` are theirs without the batch axis.
    """

    name: str
    position: int
    values: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Traced:
    """A network as two matching graphs (evaluation, training) and the cuts that both of them have."""

    module: nn.Module
    evaluating: Flow
    training: Flow
    cuts: tuple[Cut, ...]
    taps: tuple[str, ...] = ()
    head: str = ""
    aliases: Mapping[str, str] | None = None

    def cut(self, name: str) -> Cut:
        """Give the cut of that name.

        Raises:
            PlanError: there is none; lists those that exist.
        """
        for cut in self.cuts:
            if cut.name == name:
                return cut
        raise PlanError(f"no cut is called {name!r}; there are {', '.join(cut.name for cut in self.cuts)}")

    def before(self, part: str) -> Cut:
        """Give the last cut before the first layer of a part of the network.

        Args:
            part: `all`, `head`, an alias such as `block5`, or a module's qualified name such as `layer4.0`.

        Raises:
            PlanError: no such part; lists those that exist.
        """
        if part == "all":
            return self.cuts[0]
        first = self._first_position(part)
        return [cut for cut in self.cuts if cut.position < first][-1]

    def _first_position(self, part: str) -> int:
        path = self.head if part == "head" else (self.aliases or {}).get(part, part)
        nodes = self.evaluating.nodes
        inside = [i for i, node in enumerate(nodes) if f"{path_of(node)}.".startswith(f"{path}.") and path]
        if not inside:
            raise PlanError(self._no_such_part(part))
        first = inside[0]
        while part == "head" and _is_dropout(self.module, nodes[first - 1]):
            first -= 1  # the head's own dropout belongs to what a head stage trains
        return first

    def _no_such_part(self, part: str) -> str:
        known = self.parts()
        close = difflib.get_close_matches(part, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"no part of the network is called {part!r}: {hint}there are {', '.join(known)}"

    def parts(self) -> list[str]:
        """Names that a stage may start at: `all`, aliases, modules with parameters two levels deep, `head`."""
        used = {path_of(node) for node in self.evaluating.nodes}
        names = ["all", *(self.aliases or {})]
        for path, module in self.module.named_modules():
            deep = path.count(".") + 1
            holds = any(True for _ in module.parameters())
            if path and deep <= 2 and holds and any(f"{name}.".startswith(f"{path}.") for name in used):
                names.append(path)
        return [*names, "head"]


def trace_network(
    module: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    head: str = "",
    aliases: Mapping[str, str] | None = None,
    taps: Sequence[str] = (),
    tapped_head: str = "",
    for_training: bool = True,
) -> Traced:
    """Trace a network and find its cuts.

    Args:
        module: any classifier that torch.fx can trace; its parameters are shared, not copied.
        input_shape: one picture, (channels, height, width).
        head: qualified name of the last layer, which the part `head` stands for.
        aliases: further names for parts.
        taps: names of cuts whose average-pooled values feed the module `tapped_head`, in this order.
        tapped_head: qualified name of the module that takes the pooled taps and gives the logits.
        for_training: whether it is going to train; otherwise the graph for evaluation stands for both.

    Raises:
        ModelError: the network cannot be traced.
    """
    flows = [flow_of(module, trace(module, training=mode), input_shape) for mode in (False, True)[: 1 + for_training]]
    if taps:
        plain = Traced(module, flows[0], flows[-1], _common_cuts(module, flows[0], flows[-1], ()))
        tapped = [plain.cut(tap) for tap in taps]
        flows = [flow_of(module, _tap(flow, tapped, tapped_head), input_shape) for flow in flows]
    evaluating, training = flows[0], flows[-1]
    cuts = _common_cuts(module, evaluating, training, _tap_nodes(evaluating))
    return Traced(module, evaluating, training, cuts, tuple(taps), tapped_head or head, aliases)


def _tap(flow: Flow, cuts: Sequence[Cut], head: str) -> fx.Graph:
    """Insert the pooling of each cut's value and make the tapped head the graph's output."""
    picture = flow.values[flow.nodes[0]][0].shape
    by_name = {node.name: node for node in flow.nodes}
    graph, pooled = flow.graph, []
    for cut in cuts:
        node = by_name[cut.values[0]]
        axis = channel_axis(cut.shapes[0], picture)
        with graph.inserting_after(node):
            tap = graph.call_function(average_pool, (node, axis))
        tap.meta["tap"] = cut.name
        pooled.append(tap)
    output = flow.nodes[-1]
    with graph.inserting_before(output):
        logits = graph.create_node("call_module", head, tuple(pooled))
    output.args = (logits,)
    drop_unused(graph)
    return graph


def _tap_nodes(flow: Flow) -> tuple[fx.Node, ...]:
    return tuple(node for node in flow.nodes if node.meta.get("tap"))


def _common_cuts(module: nn.Module, evaluating: Flow, training: Flow, taps: Sequence[fx.Node]) -> tuple[Cut, ...]:
    """Cuts of the evaluation graph that the training graph has too, at the same place of the same module."""
    in_training = set(_crossings(module, training, _tap_nodes(training)).values())
    names = _names(evaluating)
    node_of = {key: node for node, key in keys_of(evaluating).items()}
    cuts = []
    for position, keys in _crossings(module, evaluating, taps).items():
        if keys in in_training:
            nodes = [node_of[key] for key in keys]
            shapes = tuple(_shape(evaluating, node) for node in nodes)
            cuts.append(Cut(names[position], position, tuple(node.name for node in nodes), shapes))
    return tuple(cuts)


Key = tuple[str, str, int]
"""(module, operation, how many times before): the same in both graphs, where node numbers may differ."""


def keys_of(flow: Flow) -> dict[fx.Node, Key]:
    """Name every node by its place in the network, so that it can be found in the other graph."""
    seen: Counter[tuple[str, str]] = Counter()
    keys = {}
    for node in flow.nodes:
        place = (path_of(node), operation_of(node))
        keys[node] = (*place, seen[place])
        seen[place] += 1
    return keys


def _crossings(module: nn.Module, flow: Flow, taps: Sequence[fx.Node]) -> dict[int, tuple[Key, ...]]:
    """For each position where the graph can be cut, the nodes whose values cross: the main one, then the taps."""
    keys, crossings = keys_of(flow), {}
    alive: set[fx.Node] = set()
    spanned = _spanned_positions(module, flow)
    for position, node in enumerate(flow.nodes):
        if flow.carries(node):
            alive.add(node)
        alive = {value for value in alive if flow.last_use(value) > position}
        main = [value for value in alive if value not in taps]
        if node not in alive or len(main) > 1 or position in spanned:
            continue
        if all(flow.is_row(value) for value in alive):
            crossing = [*main, *(tap for tap in taps if tap in alive)]
            crossings[position] = tuple(keys[value] for value in crossing)
    return crossings


def _spanned_positions(module: nn.Module, flow: Flow) -> set[int]:
    """Positions between two uses of one parameter."""
    first: dict[int, int] = {}
    spanned: set[int] = set()
    for position, node in enumerate(flow.nodes):
        for parameter in _parameters(module, flow, node):
            spanned.update(range(first.setdefault(id(parameter), position), position))
    return spanned


def _parameters(module: nn.Module, flow: Flow, node: fx.Node) -> list[Tensor]:
    """Parameters that a node reads: its module's, and those behind inputs that do not depend on the picture.

    A module's buffers count too: training moves BatchNorm's statistics, with or without parameters beside them.
    """
    if node not in flow.from_input:
        return []
    found: list[Tensor] = []
    if node.op == "call_module":
        called = module.get_submodule(str(node.target))
        found += [*called.parameters(), *called.buffers()]
    pending, visited = [source for source in node.all_input_nodes if source not in flow.from_input], set()
    while pending:
        source = pending.pop()
        if source in visited:
            continue
        visited.add(source)
        pending.extend(source.all_input_nodes)
        if source.op == "call_module":
            found.extend(module.get_submodule(str(source.target)).parameters())
        elif source.op == "get_attr":
            value = _attribute(module, str(source.target))
            if isinstance(value, nn.Parameter):
                found.append(value)
    return found


def _attribute(module: nn.Module, path: str) -> object:
    owner, _, name = path.rpartition(".")
    return getattr(module.get_submodule(owner), name)


def _names(flow: Flow) -> list[str]:
    """A unique, readable name per position: the outermost module that ends there, else module and operation."""
    last = {}
    for position, node in enumerate(flow.nodes):
        for path in _ancestors(path_of(node)):
            last[path] = position
    names: list[str] = []
    taken: Counter[str] = Counter()
    for position, node in enumerate(flow.nodes):
        ended = [path for path in _ancestors(path_of(node)) if last[path] == position]
        name = f"pool({tap})" if (tap := node.meta.get("tap")) else ended[0] if ended else _operation_name(node)
        taken[name] += 1
        names.append(name if taken[name] == 1 else f"{name}#{taken[name]}")
    names[0] = INPUT
    return names


def _operation_name(node: fx.Node) -> str:
    path, operation = path_of(node), operation_of(node)
    return operation if not path or operation == path else f"{path}.{operation}"


def _ancestors(path: str) -> list[str]:
    """`a.b.c` gives a, a.b, a.b.c."""
    parts = path.split(".") if path else []
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _shape(flow: Flow, node: fx.Node) -> tuple[int, ...]:
    value = flow.values[node][0]
    assert isinstance(value, TensorShape)
    return value.shape[1:]


def _is_dropout(module: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(module.get_submodule(str(node.target)), nn.modules.dropout._DropoutNd)
    return operation_of(node) in {"dropout", "dropout_"}
