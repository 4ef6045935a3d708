"""Measure trained models after the run: on the run's own sealed split, or on other pictures."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import Tensor

from frostline.activations.compute import Pictures
from frostline.data.loader import default_workers
from frostline.data.pictures import Picture, first_few
from frostline.data.sources import open_source
from frostline.errors import DataError
from frostline.evaluation.again import RunPictures
from frostline.evaluation.metrics import measure
from frostline.evaluation.reads import note_read
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
    read = note_read(run.reads, "evaluate", metrics.accuracy, (request.digest for request in requests))
    reporter.warn(f"look {read.number} at the test split (test_reads.csv); what is chosen by it needs a new test")
    return {"split": split, **metrics.to_json(), "read": asdict(read)}


def evaluate_on(data: str, predictor: Predictor, reporter: Reporter) -> dict[str, Any]:
    """Measure on other pictures: their test split where they have one, else all.

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
    return {"split": split or "all", **measure(rows, truth[is_sound], predictor.classes).to_json()}


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
