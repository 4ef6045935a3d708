"""The formats that a model can be exported to: how each is written, and how it is run."""

import json
import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from frostline.activations.openvino_engine import core, import_openvino
from frostline.errors import ConfigError
from frostline.export.graph import FromInput, FromPictures
from frostline.predictor import Predictor

OPSET = 18
"""Of ONNX: known to every runtime since 2023."""
INPUT, PICTURES, OUTPUT = "input", "pictures", "probabilities"
Facts = Mapping[str, str]
Run = Callable[[np.ndarray], np.ndarray]
"""From inputs (batch, ...) to probabilities (batch, classes), both of them arrays."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be exported."""

    predictor: Predictor
    """In float32, by torch, on the CPU."""
    facts: Facts
    """What travels with the model where the format has a place for it: classes, preprocess and card as JSON."""
    calibration: Sequence[np.ndarray]
    """Inputs (batch, channels, size, size) by which the ranges of int8 are found; empty for other formats."""
    scratch: Path
    """Folder for what is made on the way."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format."""

    suffix: str
    takes: Literal["input", "pictures"]
    """What it computes from: the normalised input, or pictures as they are."""
    needs: tuple[str, ...]
    """Packages beyond frostline's own."""
    write: Callable[[Job, Path], None]
    open: Callable[[Path], Run]
    is_int8: bool = False
    parts: tuple[str, ...] = ()
    """Endings of further files that the model is made of."""

    def check_installed(self, name: str) -> None:
        """Check that its packages are there; looks, and does not import them.

        Raises:
            ConfigError: one is missing; names what to install.
        """
        missing = [package for package in self.needs if find_spec(package) is None]
        if missing:
            extras = "export,openvino" if _RUNTIME in self.needs else "export"
            advice = f"pip install 'frostline[{extras}]'"
            raise ConfigError(f"--format {name} needs {', '.join(missing)}, which is not installed; {advice}")


def write_onnx(job: Job, path: Path) -> None:
    """ONNX from the normalised input."""
    shutil.copyfile(_exact_onnx(job), path)


def _exact_onnx(job: Job) -> Path:
    """Give the ONNX file from which other formats are made; it is written once."""
    path = job.scratch / "exact.onnx"
    if not path.exists():
        example = torch.zeros(2, *job.predictor.preprocess.input_shape)
        _write_onnx(FromInput(job.predictor), example, INPUT, ("batch",), job.facts, path)
    return path


def write_onnx_uint8(job: Job, path: Path) -> None:
    """ONNX from pictures of any size."""
    preprocess = job.predictor.preprocess
    example = torch.zeros(2, preprocess.resize + 1, preprocess.resize + 3, preprocess.channels, dtype=torch.uint8)
    _write_onnx(FromPictures(job.predictor), example, PICTURES, ("batch", "height", "width"), job.facts, path)


def _write_onnx(
    module: nn.Module, example: Tensor, name: str, dynamic: Sequence[str], facts: Facts, path: Path
) -> None:
    import onnx

    shapes = {axis: torch.export.Dim(text) for axis, text in enumerate(dynamic)}
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            input_names=[name],
            output_names=[OUTPUT],
            dynamic_shapes=(shapes,),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, dict(facts))
    onnx.save_model(model, path)


def write_onnx_int8(job: Job, path: Path) -> None:
    """ONNX with weights and activations in eight bits, ranges found on calibration pictures."""
    import onnx

    from frostline.export.quantise import quantise

    quantise(_exact_onnx(job), path, job.calibration)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, dict(job.facts))
    onnx.save_model(model, path)


def open_onnx(path: Path) -> Run:
    """Run a file by ONNX Runtime, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(inputs: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(None, {name: inputs})[0])

    return run


def write_openvino(job: Job, path: Path) -> None:
    """OpenVINO's IR, by way of ONNX: an .xml, and a .bin beside it."""
    _convert(_exact_onnx(job), job.facts, path)


def write_openvino_int8(job: Job, path: Path) -> None:
    """OpenVINO's IR of the int8 ONNX."""
    between = job.scratch / "int8.onnx"
    write_onnx_int8(job, between)
    _convert(between, job.facts, path)


def _convert(onnx_file: Path, facts: Facts, path: Path) -> None:
    openvino = import_openvino()
    model = openvino.convert_model(onnx_file)
    for name, text in facts.items():
        model.set_rt_info(text, ["frostline", name])
    openvino.save_model(model, path, compress_to_fp16=False)


def open_openvino(path: Path) -> Run:
    """Run a file by OpenVINO, on the CPU, in the precision that it was written in."""
    compiled = core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(inputs: np.ndarray) -> np.ndarray:
        return np.asarray(compiled(inputs)[0])

    return run


def write_torch(job: Job, path: Path) -> None:
    """A program of torch.export: loads where torch is, without the network's code."""
    example = torch.zeros(2, *job.predictor.preprocess.input_shape)
    with torch.no_grad(), _quiet():
        shapes = ({0: torch.export.Dim("batch")},)
        program = torch.export.export(FromInput(job.predictor).eval(), (example,), dynamic_shapes=shapes)
        torch.export.save(program, path, extra_files={f"{name}.json": text for name, text in job.facts.items()})


def open_torch(path: Path) -> Run:
    """Run a program of torch.export."""
    with _quiet():
        module = torch.export.load(path).module()

    def run(inputs: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(module(torch.from_numpy(inputs)).numpy())

    return run


@contextmanager
def _quiet() -> Any:
    """Drop the warnings by which exporters tell of their own plans."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


_ONNX, _RUNTIME = ("onnx", "onnxscript", "onnxruntime"), "openvino"
FORMATS = {
    "onnx": Format(".onnx", "input", _ONNX, write_onnx, open_onnx),
    "onnx-uint8": Format(".onnx", "pictures", _ONNX, write_onnx_uint8, open_onnx),
    "onnx-int8": Format(".onnx", "input", _ONNX, write_onnx_int8, open_onnx, is_int8=True),
    "openvino": Format(".xml", "input", (*_ONNX, _RUNTIME), write_openvino, open_openvino, parts=(".bin",)),
    "openvino-int8": Format(
        ".xml", "input", (*_ONNX, _RUNTIME), write_openvino_int8, open_openvino, is_int8=True, parts=(".bin",)
    ),
    "torch": Format(".pt2", "input", (), write_torch, open_torch),
}


def facts_of(classes: Sequence[str], preprocess: Mapping[str, Any], card: Mapping[str, Any]) -> Facts:
    """What travels with an exported model, each as JSON."""
    values = {"classes": list(classes), "preprocess": preprocess, "card": card}
    return {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
