"""Pictures with what spoke for their first class laid over them as light, one file for each."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageChops

from frostline.data.pictures import Source
from frostline.errors import ConfigError, DecodeError, UsageError
from frostline.evaluation.heatmaps import as_light
from frostline.predictor import Prediction, Predictor

AT_ONCE = 64
"""Pictures that are held in memory at once."""
QUALITY = 90


def make_folder(folder: Path) -> None:
    """Make the folder of the drawings, which must hold nothing yet: a drawing takes no other file's place.

    Raises:
        UsageError: it holds files, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_empty = next(folder.iterdir(), None) is None
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror or error}; give another folder") from None
    if not is_empty:
        raise UsageError(f"--heat-maps {folder} holds files already; give a new folder")


def draw_heat_maps(predictor: Predictor, source: Source, predictions: Sequence[Prediction], folder: Path) -> int:
    """Draw a JPEG for each picture that was read, named after it and numbered where names repeat.

    Args:
        predictor: that made the predictions.
        source: of the pictures.
        predictions: one for each of its pictures.
        folder: of the drawings, as `make_folder` made it.

    Returns:
        How many were drawn.

    Raises:
        ConfigError: the network has no maps to look at.
        UsageError: the folder cannot be written to.
    """
    sound = [place for place, one in enumerate(predictions) if not one.error]
    try:
        names = _names([predictions[place].path for place in sound])
        for start in range(0, len(sound), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            _draw(predictor, source, predictions, sound[some], [folder / name for name in names[some]])
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror or error}; give another folder") from None
    return len(sound)


def _draw(
    predictor: Predictor,
    source: Source,
    predictions: Sequence[Prediction],
    places: Sequence[int],
    files: Sequence[Path],
) -> None:
    try:
        pixels = torch.stack([predictor.frame(source.read(place)) for place in places])
    except DecodeError as error:
        raise UsageError(f"a picture cannot be read any more: {error}; predict again") from None
    classes = [predictor.classes.index(predictions[place].top[0][0]) for place in places]
    maps = predictor.heat_maps(pixels, classes)
    if maps is None:
        raise ConfigError("this network has no maps before its head, so there is no heat map to draw")
    for picture, heat, file in zip(pixels, maps, files, strict=True):
        plain = Image.fromarray(picture.permute(1, 2, 0).squeeze(-1).numpy()).convert("RGB")
        light = as_light(np.asarray(heat), plain.width)
        ImageChops.screen(plain, light).save(file, "jpeg", quality=QUALITY)


def _names(paths: Iterable[str]) -> list[str]:
    taken: set[str] = set()
    names = []
    for path in paths:
        stem, number = Path(path).stem or "picture", 1
        name = f"{stem}.jpg"
        while name in taken:
            number += 1
            name = f"{stem}-{number}.jpg"
        taken.add(name)
        names.append(name)
    return names
