"""A network as a graph: traced once for evaluation and once for training, with the shape of every value in it.

Tracing bakes in what `self.training` was (functional dropout, stochastic depth), so the frozen prefix is taken from the
evaluation graph and the trained suffix from the training graph.
"""

import copy
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from frostline.errors import ModelError


@dataclass(frozen=True, slots=True)
class TensorShape:
    """What a tensor in the graph looks like, batch axis included."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class Tracer(fx.Tracer):
    """`torch.fx` tracing that keeps timm's no-trace parts and parameterless modules (Dropout, DropPath) as one node."""

    def __init__(self) -> None:
        self._leaves, functions = _untraceable_parts()
        super().__init__(autowrap_functions=functions, param_shapes_constant=True)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Tell whether a module stays one node."""
        plain = not list(m.children()) and not list(m.parameters(recurse=False))
        return plain or isinstance(m, self._leaves) or super().is_leaf_module(m, module_qualified_name)


def _untraceable_parts() -> tuple[tuple[type, ...], tuple[Any, ...]]:
    if "timm" not in sys.modules:  # no timm network can be there either; importing it costs a second
        return (), ()
    from timm.models import _features_fx as parts

    return tuple(parts.get_notrace_modules()), tuple(parts.get_notrace_functions())


@dataclass(frozen=True, slots=True)
class Flow:
    """One graph in execution order, with what each node's value is for a batch of two and of three pictures.

    Two batch sizes tell apart what depends on the batch size from what is constant.
    """

    graph: fx.Graph
    nodes: tuple[fx.Node, ...]
    position: dict[fx.Node, int]
    values: dict[fx.Node, tuple[Any, Any]]
    from_input: set[fx.Node] = field(default_factory=set)

    def carries(self, node: fx.Node) -> bool:
        """Tell whether the node's value holds tensors computed from the pictures."""
        return node in self.from_input and node.op != "output" and any(_tensors(self.values[node][0]))

    def last_use(self, node: fx.Node) -> int:
        """Position of the last node that reads this one (its own where nothing does)."""
        return max((self.position[user] for user in node.users), default=self.position[node])

    def is_row(self, node: fx.Node) -> bool:
        """Tell whether the value is one floating-point tensor with a row per picture."""
        two, three = self.values[node]
        return (
            isinstance(two, TensorShape)
            and two.dtype.is_floating_point
            and len(two.shape) >= 2
            and (two.shape[0], three.shape[0]) == (2, 3)
            and two.shape[1:] == three.shape[1:]
        )


def trace(module: nn.Module, *, training: bool) -> fx.Graph:
    """Record the module's graph in the given mode; the module's own mode is left as it was.

    Raises:
        ModelError: control flow depends on the pictures, or the like.
    """
    modes = {part: part.training for part in module.modules()}
    module.train(training)
    try:
        graph = Tracer().trace(module)
    except Exception as error:  # any network's own code runs here, and anything may come out of it
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{type(module).__name__} cannot be traced ({reason}); choose a network whose forward pass "
            "does not branch on its input"
        ) from error
    finally:
        for part, mode in modes.items():
            part.training = mode
    _refuse_lost_changes(module, graph)
    drop_unused(graph)
    return graph


def _refuse_lost_changes(module: nn.Module, graph: fx.Graph) -> None:
    """Refuse an in-place change whose result nobody reads: it would be erased as unused, and with it its effect."""
    for node in graph.nodes:
        if not node.users and _changes_in_place(module, node):
            raise ModelError(
                f"{type(module).__name__} changes a tensor in place ({operation_of(node)}) and drops the result, which "
                "cannot be split; write x = relu(x), not relu(x)"
            )


def _changes_in_place(module: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        return bool(getattr(module.get_submodule(str(node.target)), "inplace", False))
    name = operation_of(node)
    return bool(node.kwargs.get("inplace")) or (name.endswith("_") and not name.endswith("__"))


def drop_unused(graph: fx.Graph) -> None:
    """Erase the nodes that the output does not depend on, assertions on shapes among them."""
    for node in reversed(graph.nodes):
        if not node.users and node.op not in {"placeholder", "output"}:
            graph.erase_node(node)


def flow_of(module: nn.Module, graph: fx.Graph, input_shape: tuple[int, ...]) -> Flow:
    """Find the shape of every value in the graph, at no arithmetic cost.

    Args:
        module: owner of the parameters.
        graph: traced from it.
        input_shape: one picture, (channels, height, width).
    """
    replica = fx.GraphModule(_on_meta(module), graph).eval()
    probes = []
    for batch in (2, 3):
        probe = _Probe(replica)
        probe.run(torch.empty(batch, *input_shape, device="meta"))
        probes.append(probe.seen)
    nodes = tuple(graph.nodes)
    names = {node.name: node for node in nodes}
    values = {node: (probes[0][name], probes[1][name]) for name, node in names.items()}
    flow = Flow(graph, nodes, {node: i for i, node in enumerate(nodes)}, values)
    for node in nodes:
        if node.op == "placeholder" or any(source in flow.from_input for source in node.all_input_nodes):
            flow.from_input.add(node)
    return flow


def path_of(node: fx.Node) -> str:
    """Qualified name of the module that a node belongs to ("" at the top)."""
    if node.op == "call_module":
        return str(node.target)
    stack = node.meta.get("nn_module_stack") or {}
    return str(next(reversed(stack.values()))[0]) if stack else ""


def operation_of(node: fx.Node) -> str:
    """Short name of what a node does, such as `relu`, `add` or `layer1.0.conv1`."""
    target = node.target
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))


SAME_SHAPE = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm),
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Hardtanh, nn.SiLU, nn.GELU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid),
    *(nn.Dropout, nn.Identity),
)
"""Layers that give what they take, as far as shape and type go; running them on meta tensors takes long."""


class _Probe(fx.Interpreter):
    """Runs a graph on meta tensors and notes what each value looks like."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.seen: dict[str, Any] = {}

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a layer, or say at once what it gives."""
        if isinstance(self.fetch_attr(target), SAME_SHAPE) and len(args) == 1 and isinstance(args[0], Tensor):
            return torch.empty_like(args[0])
        return super().call_module(target, args, kwargs)

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.seen[n.name] = _describe(value)
        return value


def _describe(value: Any) -> Any:
    if isinstance(value, Tensor):
        return TensorShape(tuple(value.shape), value.dtype)
    if isinstance(value, tuple | list):
        return tuple(_describe(part) for part in value)
    if isinstance(value, dict):
        return {key: _describe(part) for key, part in value.items()}
    return value


def _tensors(value: Any) -> Iterator[TensorShape]:
    if isinstance(value, TensorShape):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))


def _on_meta(module: nn.Module) -> nn.Module:
    """Copy a module's structure with every tensor on the meta device; no weight is copied."""
    memo: dict[int, Any] = {}
    for part in module.modules():
        held = [*part.parameters(recurse=False), *part.buffers(recurse=False), *vars(part).values()]
        for tensor in held:
            if isinstance(tensor, Tensor):
                memo[id(tensor)] = torch.empty_like(tensor, device="meta")
    return copy.deepcopy(module, memo)
