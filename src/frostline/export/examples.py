"""Examples that come with an exported file: how to use it from Python, and in a browser."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

PYTHON = {
    "onnx": "example_input.py.txt",
    "onnx-uint8": "example_pictures.py.txt",
    "onnx-int8": "example_input.py.txt",
    "openvino": "example_openvino.py.txt",
    "openvino-int8": "example_openvino.py.txt",
    "torch": "example_torch.py.txt",
}
BROWSER = ("onnx-uint8",)
"""Formats that take pictures as they are, so that a page needs nothing but the pixels."""


def example_suffixes(name: str) -> list[str]:
    """Endings of the examples of a format."""
    return [".example.py", *([".example.html"] if name in BROWSER else [])]


def write_examples(model: Path, name: str, classes: Sequence[str], channels: int) -> None:
    """Write the examples of a format beside an exported file: MODEL.example.py, and for a browser MODEL.example.html.

    Args:
        model: the exported file.
        name: of its format.
        classes: in the order of the probabilities.
        channels: of its pictures.
    """
    python = model.with_suffix(".example.py")
    text = _template(PYTHON[name]).replace("EXAMPLE", python.name).replace("MODEL", json.dumps(model.name))
    python.write_text(text, encoding="utf-8")
    if name in BROWSER:
        text = _template("example.html.txt").replace("MODEL", _in_script(model.name))
        text = text.replace("CLASS_NAMES", _in_script(list(classes))).replace("COLOURS", str(channels))
        model.with_suffix(".example.html").write_text(text, encoding="utf-8")


def _template(name: str) -> str:
    return (files("frostline.export") / name).read_text(encoding="utf-8")


def _in_script(value: object) -> str:
    """Write a value down where it can end neither a script nor a comment."""
    return json.dumps(value).replace("<", "\\u003c")
