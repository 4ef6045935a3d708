"""A model card: what a bundle says of itself, without building its network."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from frostline.bundle import MOST_HEADER, check_header
from frostline.columns import printable
from frostline.data.pictures import first_few
from frostline.data.preprocess import Preprocess
from frostline.errors import BundleError
from frostline.files import RunFolder
from frostline.sealed import MODEL_FORMAT, read_sealed

SHOWN_CLASSES = 20


@dataclass(frozen=True, slots=True)
class Card:
    """What a bundle holds, how it was made and how good it was."""

    path: Path
    classes: tuple[str, ...]
    preprocess: Preprocess
    network: Mapping[str, Any]
    """Name of the model, its head and what else it was built with."""
    facts: Mapping[str, Any]
    """As training wrote them: weights, plan, accuracy, versions, seed."""
    format: int
    """Version of the file's format."""
    parameters: int
    """Numbers in its tensors, running statistics included."""
    bytes: int

    @classmethod
    def read(cls, path: Path) -> "Card":
        """Read the card of a bundle, or of a run's best weights; every digest is checked.

        Raises:
            BundleError: there is no sound model.
        """
        file = RunFolder(path).best if path.is_dir() else path
        if not file.is_file():
            raise BundleError(f"no model at {path}; give a run folder that has finished, or a bundle")
        values, tensors = read_sealed(file, kind="model", newest=MODEL_FORMAT, most_header=MOST_HEADER)
        header = check_header(values, file)
        return cls(
            path=file,
            classes=tuple(header.classes),
            preprocess=Preprocess.from_json(header.preprocess.model_dump()),
            network=header.network.model_dump(),
            facts=values["facts"],
            format=values["format"],
            parameters=sum(tensor.numel() for tensor in tensors.values()),
            bytes=file.stat().st_size,
        )

    @property
    def model(self) -> str:
        """Name of the network."""
        return str(self.network["model"])

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "model": self.model,
            "classes": list(self.classes),
            "input": list(self.preprocess.input_shape),
            "preprocess": asdict(self.preprocess),
            "parameters": self.parameters,
            "bytes": self.bytes,
            "format": self.format,
            "network": dict(self.network),
            "facts": dict(self.facts),
        }

    def rows(self) -> list[tuple[str, str]]:
        """What people want to know, as names and texts; what the bundle does not tell is left out."""
        shape, facts = self.preprocess.input_shape, self.facts
        told = [
            ("network", f"{self.model}, head {self.network.get('head', 'linear')}"),
            ("classes", f"{len(self.classes)}: {first_few(self.classes, SHOWN_CLASSES)}"),
            ("input", f"{'x'.join(map(str, shape))}, {_framing(self.preprocess)}"),
            ("normalised", f"mean {_numbers(self.preprocess.mean)}, deviation {_numbers(self.preprocess.std)}"),
            ("size", f"{self.parameters:,} numbers, {self.bytes / 1e6:.1f} MB, format {self.format}"),
            *[(name, _measured(facts, name)) for name in ("val", "test")],
            ("temperature", f"{facts['temperature']:.3g}" if "temperature" in facts else ""),
            ("test views", facts.get("test_views", "")),
            ("started from", facts.get("weights", "")),
            ("plan", facts.get("plan", "")),
            ("pictures", _counted(facts.get("counts", {}))),
            ("trained with", _made_with(facts)),
        ]
        return [(name, printable(str(text))) for name, text in told if text]

    def markdown(self) -> str:
        """Write a model card for a hub: a YAML head that machines read, and a text for people."""
        tags = ["image-classification", "frostline", "transfer-learning"]
        head = ["---", "library_name: frostline", "pipeline_tag: image-classification", f"tags: [{', '.join(tags)}]"]
        rows = [f"| {name} | {_escaped(text)} |" for name, text in self.rows()]
        return "\n".join(
            [
                *[*head, "---", "", f"# {self.model}: {len(self.classes)} classes of pictures", ""],
                *["| | |", "| --- | --- |", *rows, ""],
                *["```python", "import frostline", "", f'model = frostline.load("{self.path.name}")'],
                *['print(model.predict("picture.jpg")[0].top)', "```", ""],
                "Probabilities are calibrated on validation pictures by one temperature (arXiv 1706.04599). The model "
                "names one of its classes whatever it is shown; answers below a threshold are better left to people.",
                "",
            ]
        )


def _framing(preprocess: Preprocess) -> str:
    if preprocess.squash:
        return f"squashed ({preprocess.interpolation})"
    return f"shorter side to {preprocess.resize}, centre cropped ({preprocess.interpolation})"


def _measured(facts: Mapping[str, Any], name: str) -> str:
    accuracy = facts.get("accuracy", {}).get(name)
    if accuracy is None:
        return ""
    interval = facts.get("interval", {}).get(name)
    return f"accuracy {accuracy:.1%}" + (f" ({interval[0]:.1%} to {interval[1]:.1%} at 95%)" if interval else "")


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if name in ("train", "val", "test") and count)


def _made_with(facts: Mapping[str, Any]) -> str:
    versions = facts.get("versions", {})
    parts = [f"{name} {versions[name]}" for name in ("frostline", "torch") if name in versions]
    parts += [f"{name} {facts[name]}" for name in ("precision", "seed") if name in facts]
    return ", ".join(parts)


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


def _escaped(text: str) -> str:
    """Keep a class name from being read as Markdown or HTML."""
    for character in "\\|*_`<>[]":
        text = text.replace(character, f"\\{character}")
    return text
