"""Eight bits: static quantisation of an ONNX file, by ONNX Runtime's own tool."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def quantise(exact: Path, path: Path, calibration: Sequence[np.ndarray]) -> None:
    """Write a file whose weights have eight bits per channel, and whose activations have eight bits.

    Args:
        exact: the ONNX file in float32.
        path: of the new one.
        calibration: inputs (batch, channels, size, size) on which the range of each activation is found.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        prepared = Path(folder) / exact.name
        quant_pre_process(exact, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            path,
            _reader(prepared, calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def _reader(path: Path, calibration: Sequence[np.ndarray]) -> Any:
    """Give the inputs one batch at a time, by the name that the file has for them."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader

    name = onnx.load(path, load_external_data=False).graph.input[0].name

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # untyped
        def __init__(self) -> None:
            self.rest: Iterator[np.ndarray] = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            """Give the next batch, or None after the last."""
            inputs = next(self.rest, None)
            return None if inputs is None else {name: inputs}

    return Reader()
