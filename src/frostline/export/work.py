"""Export a model: write the file beside its place, show it real pictures, and only then put it there."""

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from frostline.errors import ConfigError, DataError, ExportError
from frostline.export.examples import example_suffixes, write_examples
from frostline.export.formats import FORMATS, Format, Job, Run, facts_of
from frostline.export.parity import TIMED, Parity, Sample, compare, inputs_of, times_faster
from frostline.modelcard import Card
from frostline.predictor import Predictor

CHECKED, CHECKED_INT8, CALIBRATED = 64, 1000, 256
"""Pictures at most: of the comparison, of the comparison of int8 (whose accuracy counts), of the calibration."""


CARD = ".md"


@dataclass(frozen=True, slots=True)
class Exported:
    """A model in another format."""

    path: Path
    format: str
    files: tuple[Path, ...]
    """All that was written, the model first."""
    parity: Parity


@dataclass(frozen=True, slots=True)
class Samples:
    """Real pictures."""

    checking: Sequence[Sample]
    calibrating: Sequence[Sample]
    """Others, where there are others."""


def find_format(name: str) -> Format:
    """Give a format by its name.

    Raises:
        ConfigError: there is none of that name, or what it needs is not installed.
    """
    if name not in FORMATS:
        raise ConfigError(f"--format {name!r} is not known; allowed are {', '.join(FORMATS)}")
    FORMATS[name].check_installed(name)
    return FORMATS[name]


def export_model(predictor: Predictor, card: Card, name: str, out: Path, samples: Samples) -> Exported:
    """Export a model and check the file.

    Args:
        predictor: of the model, in float32, by torch, on the CPU.
        card: of the model.
        name: of the format.
        out: the new file.
        samples: to check it with, and for int8 to calibrate it with.

    Raises:
        ConfigError: `out` has another ending than the format's files; it or what comes with it is there already or
            cannot be written; or what the format needs is not installed.
        DataError: there is no picture to check it with.
        ExportError: the format cannot express the network, or the file fails the check; it is not left.
    """
    format = find_format(name)
    if not samples.checking:
        raise DataError("no picture to check the export with; give some with --data")
    _check_free(out, name)
    with _folder_beside(out) as folder:
        drafts, scratch = Path(folder) / "drafts", Path(folder) / "scratch"
        for one in (drafts, scratch):
            one.mkdir()
        draft, job = drafts / out.name, _job(predictor, card, format, samples, scratch)
        _write(format, name, job, draft)
        run = format.open(draft)
        parity = compare(predictor, run, format, samples.checking)
        if fault := parity.fault(format.is_int8):
            raise ExportError(
                f"{name} does not say what the model says: {fault}; no file was left, choose another --format"
            )
        if format.is_int8:
            parity = replace(parity, times_faster=_times_faster(run, name, job, samples))
        write_examples(draft, name, card.classes, card.preprocess.channels)
        draft.with_suffix(CARD).write_text(card.markdown(), encoding="utf-8")
        files = _place(draft, out)
    return Exported(out, name, files, parity)


def _check_free(out: Path, name: str) -> None:
    """Check that the model and what comes with it take no other file's place."""
    suffix = FORMATS[name].suffix
    if out.suffix != suffix:
        raise ConfigError(f"--out {out} does not end in {suffix}, as a file of --format {name} does")
    for file in files_of(out, name):
        if file.exists():
            raise ConfigError(f"{file} exists already; give another --out, or remove it first")


def files_of(out: Path, name: str) -> list[Path]:
    """All that an export in a format writes, the model first."""
    suffixes = (FORMATS[name].suffix, *FORMATS[name].parts, CARD, *example_suffixes(name))
    return [out.with_suffix(suffix) for suffix in suffixes]


def _job(predictor: Predictor, card: Card, format: Format, samples: Samples, scratch: Path) -> Job:
    values = card.to_json()
    facts = facts_of(card.classes, values["preprocess"], {k: v for k, v in values.items() if k != "preprocess"})
    calibrating = (samples.calibrating or samples.checking)[:CALIBRATED] if format.is_int8 else ()
    return Job(predictor, facts, list(inputs_of(predictor, calibrating)), scratch)


def _write(format: Format, name: str, job: Job, draft: Path) -> None:
    try:
        format.write(job, draft)
    except Exception as error:  # whatever an exporter meets in a network that it does not know
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ExportError(f"{name} cannot express this network ({reason[:200]}); choose another --format") from error


def _times_faster(run: Run, name: str, job: Job, samples: Samples) -> float:
    """How many times faster int8 is than the same format in float32."""
    plain = FORMATS[name.removesuffix("-int8")]
    exact = job.scratch / f"exact{plain.suffix}"
    if not exact.exists():
        plain.write(job, exact)
    inputs = np.concatenate(list(inputs_of(job.predictor, samples.checking[:TIMED])))
    return times_faster(run, plain.open(exact), inputs)


def _folder_beside(out: Path) -> tempfile.TemporaryDirectory[str]:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=out.parent, prefix=".export-")
    except OSError as error:
        raise ConfigError(f"cannot write to {out.parent}: {error.strerror or error}; give another --out") from None


def _place(draft: Path, out: Path) -> tuple[Path, ...]:
    """Move what was written to its place; the model comes last, so that where it is all is there."""
    written = sorted(draft.parent.iterdir(), key=lambda file: file == draft)
    for file in written:
        os.replace(file, out.parent / file.name)
    return tuple(out.parent / file.name for file in reversed(written))


def samples_of(pairs: Iterable[tuple[Any, str]], classes: Sequence[str]) -> list[Sample]:
    """Give labelled pictures as samples.

    Raises:
        DataError: a class that the model does not know.
    """
    places = {name: place for place, name in enumerate(classes)}
    some = []
    for content, label in pairs:
        if label not in places:
            raise DataError(f"the model does not know class {label}; give pictures of the classes that it knows")
        some.append(Sample(content, places[label]))
    return some
