"""Measure trained models after the run: on the run's own sealed split, or on other pictures."""

from pathlib import Path
from typing import Any

import numpy as np

from frostline.activations.compute import Pictures
from frostline.bundle import MAX_PIXELS, Predictor
from frostline.config import make_config, read_yaml
from frostline.data.loader import Request, default_workers
from frostline.data.pictures import Source, first_few
from frostline.data.sources import open_source
from frostline.data.splitfile import read_split
from frostline.data.views import BASE
from frostline.errors import DataError
from frostline.evaluation.metrics import measure
from frostline.files import RunFolder, default_cache_dir
from frostline.progress import Reporter


def evaluate_own(run: RunFolder, reporter: Reporter) -> dict[str, Any]:
    """Measure on the run's test split, or its validation split where it has none.

    Raises:
        DataError: a picture has changed or gone since the run.
    """
    config = make_config(**read_yaml(run.config))
    source = open_source(config.data, cache_dir=config.cache_dir or default_cache_dir())
    rows = read_split(run.split)
    split = "test" if any(row["split"] == "test" for row in rows) else "val"
    wanted = {row["path"]: row["digest"] for row in rows if row["split"] == split}
    places = {picture.path: place for place, picture in enumerate(source.pictures)}
    gone = [path for path in wanted if path not in places]
    if gone:
        raise DataError(
            f"{len(gone)} pictures of the run are gone: {first_few(gone)}; put them back, or give other DATA"
        )
    requests = [Request(places[path], digest, BASE) for path, digest in wanted.items()]
    return {"split": split, **_measure(Predictor(run.path), source, requests, config.max_pixels, reporter)}


def evaluate_on(model: Path, data: str, reporter: Reporter) -> dict[str, Any]:
    """Measure on other pictures: their test split where they have one, else all.

    Raises:
        DataError: a label that the model does not know.
    """
    predictor = Predictor(model)
    source = open_source(data, cache_dir=default_cache_dir())
    splits = {picture.split for picture in source.pictures}
    split = "test" if "test" in splits else None
    findings = predictor.examine(source, default_workers())
    damaged = sum(bool(found.damage) for found in findings)
    if damaged:
        reporter.warn(f"left out {damaged} of {len(findings)} pictures: damaged")
    requests = [
        Request(place, found.digest, BASE)
        for place, found in enumerate(findings)
        if not found.damage and (split is None or source.pictures[place].split == split)
    ]
    return {"split": split or "all", **_measure(predictor, source, requests, MAX_PIXELS, reporter)}


def _measure(
    predictor: Predictor, source: Source, requests: list[Request], max_pixels: int, reporter: Reporter
) -> dict[str, Any]:
    place_of = {name: place for place, name in enumerate(predictor.classes)}
    labels = [source.pictures[request.position].label for request in requests]
    unknown = sorted(set(labels) - set(place_of))
    if unknown:
        raise DataError(
            f"the model does not know class {first_few(unknown)}; it knows {first_few(predictor.classes, 10)}"
        )
    pictures = Pictures(source, predictor.preprocess, max_pixels, default_workers())
    rows = []
    with reporter.bar(len(requests), "evaluating") as advance:
        for row in predictor.probabilities(pictures, requests):
            rows.append(row.numpy())
            advance(1)
    truth = np.array([place_of[label] for label in labels])
    return measure(np.stack(rows), truth, predictor.classes).to_json()
