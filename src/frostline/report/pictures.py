"""Small copies of a run's pictures for its report, as the network sees them, and what spoke for its answers."""

import base64
import io
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from frostline.activations.compute import Pictures
from frostline.bundle import load_model
from frostline.data.preprocess import Preprocess
from frostline.errors import DataError
from frostline.evaluation.again import RunPictures
from frostline.evaluation.heatmaps import as_light, heat_maps
from frostline.files import RunFolder
from frostline.network.build import Network
from frostline.network.cuts import Traced

SIDE = 168
QUALITY = 80


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture and its heat map, as data URLs; no heat map is an empty one."""

    picture: str
    heat: str


@dataclass(frozen=True, slots=True)
class Seer:
    """The network that looks, its graphs, and the classes that it knows."""

    network: Network
    traced: Traced
    classes: tuple[str, ...]

    @classmethod
    def load(cls, run: RunFolder) -> "Seer":
        """With the best weights of a run."""
        model = load_model(run.best)
        return cls(model.network, model.network.trace(for_training=False), model.classes)


def show_pictures(run: RunFolder, seer: Seer, asked: Sequence[tuple[str, str]]) -> dict[str, Shown]:
    """Read pictures again and see where the network looked.

    Args:
        run: of the pictures.
        seer: what looks, with the run's best weights.
        asked: path and the class to speak for; of a path asked for twice, the first counts.

    Returns:
        By path; nothing of those that are not there any more.
    """
    wanted: dict[str, str] = {}
    for path, name in asked:
        wanted.setdefault(path, name)
    if not wanted:
        return {}
    found = _pixels(run, list(wanted), seer.network.preprocess)
    if not found:
        return {}
    classes, pixels = [seer.classes.index(wanted[path]) for path in found], torch.stack(list(found.values()))
    maps = heat_maps(seer.network, seer.traced, pixels, classes)
    heats = ["" for _ in classes] if maps is None else [_heat_url(one.numpy()) for one in maps]
    return {path: Shown(_picture_url(one), heat) for path, one, heat in zip(found, pixels, heats, strict=True)}


def _pixels(run: RunFolder, paths: Sequence[str], preprocess: Preprocess) -> dict[str, Tensor]:
    """Give pixels (channels, size, size) of the pictures that are still there, unchanged."""
    found: dict[str, Tensor] = {}
    with suppress(DataError):  # DATA as a whole is gone
        again = RunPictures.open(run)
        pictures = Pictures(again.source, preprocess, again.config.max_pixels, workers=0)
        for path in paths:
            with suppress(DataError):
                (pixels,) = pictures.load([again.requests([path])])
                found[path] = pixels[0]
    return found


def _picture_url(pixels: Tensor) -> str:
    picture = Image.fromarray(pixels.permute(1, 2, 0).squeeze(-1).numpy()).convert("RGB")
    return _url(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC), "jpeg", quality=QUALITY)


def _heat_url(heat: np.ndarray) -> str:
    return _url(as_light(heat, SIDE), "jpeg", quality=QUALITY)


def _url(picture: Image.Image, kind: str, **options: int) -> str:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
