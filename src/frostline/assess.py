"""Measure trained models after the run: on the run's own sealed split, or on other pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from frostline.activations.compute import Pictures
from frostline.data.loader import default_workers, digest_content
from frostline.data.pictures import Picture, Source, first_few
from frostline.data.sources import open_source
from frostline.data.splitfile import read_split
from frostline.errors import DataError
from frostline.evaluation.again import RunPictures
from frostline.evaluation.metrics import measure
from frostline.evaluation.reads import Read, note_read
from frostline.files import RunFolder, default_cache_dir
from frostline.predictor import Predictor
from frostline.progress import Reporter


def evaluate_own(run: RunFolder, predictor: Predictor, reporter: Reporter) -> dict[str, Any]:
    """Measure on the run's test split, or its validation split where it has none.

    Raises:
        DataError: a picture has changed or gone since the run.
    """
    again = RunPictures.open(run)
    split = "test" if again.paths("test") else "val"
    requests = again.requests(again.paths(split))
    pictures = Pictures(again.source, predictor.preprocess, again.config.max_pixels, default_workers())
    batches = [requests[i : i + pictures.at_once] for i in range(0, len(requests), pictures.at_once)]
    truth = _truth([again.source.pictures[request.position] for request in requests], predictor.classes)
    probabilities = _probabilities(predictor, pictures.load(batches), len(requests), reporter)
    metrics = measure(probabilities, truth, predictor.classes)
    if split == "val":
        return {"split": split, **metrics.to_json()}
    read = _noted(run, "evaluate", metrics.accuracy, (request.digest for request in requests), reporter)
    return {"split": split, **metrics.to_json(), "read": asdict(read)}


def evaluate_on(data: str, predictor: Predictor, run: RunFolder | None, reporter: Reporter) -> dict[str, Any]:
    """Measure on other pictures: their test split where they have one, else all.

    Pictures of the run's own test split may be among them, under whatever names: that is a look at it.

    Args:
        data: as for training.
        predictor: what is measured.
        run: that made it; None for a bundle.
        reporter: takes progress.

    Raises:
        DataError: a label that the model does not know, or no picture that can be read.
    """
    source = open_source(data, cache_dir=default_cache_dir())
    splits = {picture.split for picture in source.pictures}
    split = "test" if "test" in splits else None
    positions = [i for i, picture in enumerate(source.pictures) if split is None or picture.split == split]
    truth = _truth([source.pictures[position] for position in positions], predictor.classes)
    damages: list[str] = []
    batches = predictor.sound(source, damages, positions=positions)
    rows = _probabilities(predictor, batches, len(positions), reporter)
    is_sound = np.array([not damage for damage in damages])
    if damaged := int((~is_sound).sum()):
        reporter.warn(f"left out {damaged} of {len(damages)} pictures: damaged")
    truth, sound = truth[is_sound], [position for position, is_good in zip(positions, is_sound, strict=True) if is_good]
    measured = {"split": split or "all", **measure(rows, truth, predictor.classes).to_json()}
    own = _of_own_test(run, source, sound) if run is not None else {}
    if run is not None and own:
        is_right = rows.argmax(axis=1) == truth
        read = _noted(run, f"evaluate {Path(data).name}", float(is_right[list(own)].mean()), own.values(), reporter)
        measured["read"] = asdict(read)
    return measured


def _of_own_test(run: RunFolder, source: Source, positions: Sequence[int]) -> dict[int, str]:
    """Give the digests of the pictures that are in the run's test split, by their place among the positions."""
    sealed = {row["digest"] for row in read_split(run.split) if row["split"] == "test"}
    digests = (digest_content(source.read(position)) for position in (positions if sealed else ()))
    return {place: digest for place, digest in enumerate(digests) if digest in sealed}


def _noted(run: RunFolder, by: str, accuracy: float, digests: Iterable[str], reporter: Reporter) -> Read:
    """Note a look at the test split, and say so."""
    read = note_read(run.reads, by, accuracy, digests)
    reporter.warn(f"look {read.number} at the test split (test_reads.csv); what is chosen by it needs a new test")
    return read


def _truth(pictures: Sequence[Picture], classes: Sequence[str]) -> np.ndarray:
    """Give the place of each picture's class.

    Raises:
        DataError: a class that the model does not know.
    """
    place_of = {name: place for place, name in enumerate(classes)}
    unknown = sorted({picture.label for picture in pictures} - set(place_of))
    if unknown:
        raise DataError(f"the model does not know class {first_few(unknown)}; it knows {first_few(classes, 10)}")
    return np.array([place_of[picture.label] for picture in pictures])


def _probabilities(predictor: Predictor, batches: Iterable[Tensor], count: int, reporter: Reporter) -> np.ndarray:
    """Give the probabilities (pictures, classes) of batches of pixels.

    Raises:
        DataError: there is none.
    """
    rows = []
    with reporter.bar(count, "evaluating") as advance:
        for batch in predictor.probabilities(batches, count):
            rows.append(batch.numpy())
            advance(len(batch))
    if not rows:
        raise DataError("no picture could be read; give JPEG, PNG, WebP, BMP, TIFF or GIF files")
    return np.concatenate(rows)
