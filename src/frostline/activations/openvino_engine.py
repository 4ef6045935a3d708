"""The frozen prefix by OpenVINO, on x86 CPUs: convolution, BatchNorm and ReLU in one, one stream of work per core.

Pictures are computed in small requests, each by one core, while the next ones are decoded; so a row does not depend on
the pictures that share its batch, nor on their number.
"""

import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from io import BytesIO
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from frostline.activations.compiled import Shelf
from frostline.activations.engines import TorchEngine
from frostline.activations.store import Values
from frostline.data.preprocess import Preprocess
from frostline.errors import CacheError
from frostline.files import digest_bytes
from frostline.hardware import Computer, cpu_name
from frostline.sealed import digest_tensors

REQUEST = 2
"""Pictures that one core computes at once."""
PRECISIONS = {"fp32": "f32", "bf16": "bf16"}
COMPARED = 4
"""Pictures on which its values are compared with torch's."""
FLOOR, TIMES = 1e-4, 3.0
"""How far from torch's values in float32 its own may be, as relative difference (Euclidean norms): the floor, and so
many times as far as torch's are in the run's precision, which in float32 is nothing."""


def is_installed() -> bool:
    """Tell whether OpenVINO can be imported; looks, and does not import it."""
    return find_spec("openvino") is not None


class Unsuited(CacheError):
    """OpenVINO cannot compute this network, or computes something else."""


class _Pictures(nn.Module):
    """From pixels to what crosses the cut."""

    def __init__(self, prefix: nn.Module, preprocess: Preprocess) -> None:
        super().__init__()
        self.prefix, self.preprocess = prefix, preprocess

    def forward(self, pixels: Tensor) -> Values:
        values: Values = self.prefix(self.preprocess.normalise(pixels))
        return values


@dataclass(frozen=True, slots=True)
class Kept:
    """Where compiled networks are kept, and a digest of what this one computes, its weights left out."""

    shelf: Shelf
    graph: str


@dataclass(slots=True)
class _Batch:
    """A batch under way."""

    values: list[np.ndarray]
    missing: int
    """Rows not collected yet."""


class OpenVinoEngine:
    """A prefix compiled for this CPU, when the first pictures come.

    Args:
        plain: the same prefix as torch computes it, on the CPU; gives the values' types.
        precision: fp32 or bf16.
        kept: where it is looked for before it is compiled, and kept for later processes.
    """

    def __init__(self, plain: TorchEngine, precision: str, kept: "Kept | None" = None) -> None:
        self._plain, self._precision, self._kept = plain, precision, kept
        self._compiled: Any = None
        self._dtypes: tuple[torch.dtype, ...] = ()

    @property
    def fabric(self) -> Computer:
        """The device, which is the CPU, and the precision."""
        return self._plain.fabric

    @property
    def kind(self) -> str:
        """OpenVINO."""
        return "openvino"

    @property
    def name(self) -> str:
        """OpenVINO with its version."""
        return openvino_name()

    @property
    def shares_cores(self) -> bool:
        """Yes: each request is one core's."""
        return True

    def run(self, batches: Iterable[Tensor]) -> Iterator[Values]:
        """Give each batch's values.

        Raises:
            Unsuited: the network cannot be converted, or its values are too far from torch's.
        """
        rest = iter(batches)
        first = next(rest, None)
        if first is None:
            return
        if self._compiled is None:
            self._compile_or_take(first)
        yield from self._run(chain([first], rest))

    def _compile_or_take(self, pixels: Tensor) -> None:
        if self._kept is None:
            self._prepare(pixels)
            return
        shelf, name = self._kept.shelf, self._identity(self._kept.graph, pixels)
        if not self._take(shelf.take(name)):
            self._prepare(pixels)
            content = BytesIO()
            self._compiled.export_model(content)
            names = [str(dtype).removeprefix("torch.") for dtype in self._dtypes]
            shelf.put(name, content.getvalue(), {"dtypes": names})

    def _take(self, found: tuple[dict[str, Any], bytes] | None) -> bool:
        """Take the compiled network as an earlier process kept it; tell whether it can be used."""
        if found is None:
            return False
        facts, content = found
        try:
            self._compiled = core().import_model(BytesIO(content), "CPU", _settings(self._precision))
        except RuntimeError:  # OpenVINO's own objections
            return False
        self._dtypes = tuple(getattr(torch, name) for name in facts["dtypes"])
        return True

    def _identity(self, graph: str, pixels: Tensor) -> str:
        """Digest everything that the compiled network depends on."""
        weights, preprocess = digest_tensors(self._plain.prefix.state_dict()), asdict(self._plain.preprocess)
        what = graph, weights, preprocess, tuple(pixels.shape[1:]), REQUEST
        how = _settings(self._precision), cpu_name(), torch.__version__, openvino_name()
        return digest_bytes(repr((what, how)).encode())

    def _prepare(self, pixels: Tensor) -> None:
        """Compile, and compare with torch on some pictures of a batch."""
        few, prefix, preprocess = pixels[:COMPARED], self._plain.prefix, self._plain.preprocess
        self._compiled = _compile(_Pictures(prefix, preprocess).eval(), few, self._precision)
        rounded = next(self._plain.run([few]))
        self._dtypes = tuple(value.dtype for value in rounded)
        with torch.no_grad():
            exact = prefix(preprocess.normalise(few))
        for ours, theirs, true in zip(next(self._run([few])), rounded, exact, strict=True):
            difference, bound = relative_difference(ours, true), FLOOR + TIMES * relative_difference(theirs, true)
            if not difference <= bound:
                self._compiled = None
                raise Unsuited(
                    f"OpenVINO is {difference:.2g} from torch, at most {bound:.2g} is allowed; use --engine torch"
                )

    def _run(self, batches: Iterable[Tensor]) -> Iterator[Values]:
        """Keep every core supplied with requests; collect them in the order in which they were made.

        Without callbacks: a thread of OpenVINO's that waits to call Python can block the end of the compiled network.
        """
        free = [self._compiled.create_infer_request() for _ in range(2 * torch.get_num_threads())]
        busy: deque[tuple[Any, _Batch, int]] = deque()
        under_way: deque[_Batch] = deque()
        try:
            for pixels in batches:
                under_way.append(self._empty(len(pixels)))
                for start in range(0, len(pixels), REQUEST):
                    if not free:
                        free.append(_collect(*busy.popleft()))
                    busy.append((_start(free.pop(), pixels[start : start + REQUEST]), under_way[-1], start))
                while under_way and under_way[0].missing == 0:
                    yield self._typed(under_way.popleft())
            while busy:
                _collect(*busy.popleft())
            yield from map(self._typed, under_way)
        finally:
            for request, _, _ in busy:
                request.wait()

    def _empty(self, count: int) -> "_Batch":
        shapes = [tuple(output.shape)[1:] for output in self._compiled.outputs]
        return _Batch([np.empty((count, *shape), dtype=np.float32) for shape in shapes], count)

    def _typed(self, batch: "_Batch") -> Values:
        values = map(torch.from_numpy, batch.values)
        return tuple(value.to(dtype) for value, dtype in zip(values, self._dtypes, strict=True))


def openvino_name() -> str:
    """OpenVINO with its version; does not import it."""
    return f"openvino {version('openvino')}"


def _start(request: Any, pixels: Tensor) -> Any:
    """Give a request its pictures, and set it going; where they are few, the places left hold older ones."""
    request.get_input_tensor().data[: len(pixels)] = pixels.numpy()
    request.start_async()
    return request


def _collect(request: Any, batch: _Batch, start: int) -> Any:
    """Copy a request's values to their rows, when it is done."""
    request.wait()
    count = min(REQUEST, len(batch.values[0]) - start)
    for i, value in enumerate(batch.values):
        value[start : start + count] = request.get_output_tensor(i).data[:count]
    batch.missing -= count
    return request


def _compile(module: nn.Module, sample: Tensor, precision: str) -> Any:
    """Convert and compile for requests of one size."""
    openvino = import_openvino()
    pixels = sample[:1].expand(REQUEST, *sample.shape[1:]).contiguous()
    try:
        traced = _trace(module, pixels)
        model = openvino.convert_model(traced, example_input=pixels, input=[tuple(pixels.shape)])
        return core().compile_model(model, "CPU", _settings(precision))
    except Exception as error:  # whatever its converter meets in a network that it does not know
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise Unsuited(f"OpenVINO cannot compute this network ({reason}); use --engine torch") from error


def _settings(precision: str) -> dict[str, Any]:
    threads = torch.get_num_threads()
    return {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": threads,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
    }


@cache
def core() -> Any:
    """OpenVINO's registry of devices, one for the whole process.

    On processors with AMX each one's CPU plugin replaces the stack on which a thread handles signals, and puts back
    the earlier one at its end; where several live and do not end in reverse order, that one is freed already, and the
    next signal ends the process.
    """
    return import_openvino().Core()


def _trace(module: nn.Module, pixels: Tensor) -> Any:
    """Write down what a module computes; attention in its parts, for torch's fused one is not known elsewhere."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer warns of its own retirement, and of constants
            return torch.jit.trace(module, (pixels,), check_trace=False)  # type: ignore[no-untyped-call]
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def import_openvino() -> Any:
    """Import OpenVINO, but not the package by which it tells its makers over the network of each import and use."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # so that importing it fails
    return import_module("openvino")


def relative_difference(value: Tensor, true: Tensor) -> float:
    """Euclidean norm of the difference over that of the true value."""
    return float((value.float() - true.float()).norm() / true.float().norm().clamp_min(1e-12))
