"""Eight bits: static quantisation of an ONNX file, by ONNX Runtime's own tool; both ends stay in float32."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

QUANTISED = ("Conv", "Gemm", "MatMul", "Add", "Concat", "MaxPool", "AveragePool", "GlobalAveragePool", "Relu", "Clip")
LINEAR = ("Gemm", "MatMul")
LEADING_TO_IT = (
    "Sub",
    "Mul",
    "Concat",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Transpose",
    "ReduceMean",
    "GlobalAveragePool",
)
"""What stands between the last maps and the last linear layer."""


def quantise(exact: Path, path: Path, calibration: Sequence[np.ndarray]) -> None:
    """Write a file whose weights have eight bits per channel, and whose activations have eight bits.

    The first convolution, the last linear layer and what leads to that from the last maps stay as they are: they cost
    little, and the answer hangs on them. A range is the mean, over the batches, of least and greatest values, so that
    one odd picture does not stretch it.

    Args:
        exact: the ONNX file in float32.
        path: of the new one.
        calibration: inputs (batch, channels, size, size) on which the range of each activation is found.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        prepared = Path(folder) / exact.name
        quant_pre_process(exact, prepared, skip_symbolic_shape=True)
        model = onnx.load(prepared)
        quantize_static(
            prepared,
            path,
            _reader(model.graph.input[0].name, calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_exclude=[*_first(model.graph), *_head(model.graph)],
            extra_options={"CalibMovingAverage": True},
        )


def _first(graph: Any) -> list[str]:
    """Name of the first convolution, where there is one."""
    return [node.name for node in graph.node if node.op_type == "Conv"][:1]


def _head(graph: Any) -> list[str]:
    """Names of the last linear layer and of what leads to it from the last maps."""
    producers = {output: node for node in graph.node for output in node.output}
    waiting = [node for node in graph.node if node.op_type in LINEAR][-1:]
    names = []
    while waiting:
        node = waiting.pop()
        names.append(node.name)
        before = [producers[name] for name in node.input if name in producers]
        waiting += [one for one in before if one.op_type in LEADING_TO_IT]
    return names


def _reader(name: str, calibration: Sequence[np.ndarray]) -> Any:
    """Give the inputs one batch at a time, by the name that the file has for them."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped
        def __init__(self) -> None:
            self.rest: Iterator[np.ndarray] = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            """Give the next batch, or None after the last."""
            inputs = next(self.rest, None)
            return None if inputs is None else {name: inputs}

    return Reader()
