"""Heat maps for answers: light to lay over what the network saw of a picture, as the URL of a PNG."""

import io
from base64 import b64encode
from collections.abc import Sequence

import torch
from torch import Tensor

from frostline.evaluation.heatmaps import as_light
from frostline.predictor import Predictor

SIDE = 224
"""Of the light, in pixels."""


def draw_heat_maps(predictor: Predictor, pixels: Sequence[Tensor], classes: Sequence[int]) -> list[str | None]:
    """Draw what spoke for a class in each picture.

    Args:
        predictor: the model.
        pixels: uint8 (channels, size, size) of each picture.
        classes: one for each, by number.

    Returns:
        A data URL for each: black where nothing spoke. None where the network has no maps.
    """
    maps = predictor.heat_maps(torch.stack(list(pixels)), classes)
    return [None for _ in pixels] if maps is None else [_as_url(heat) for heat in maps]


def _as_url(heat: Tensor) -> str:
    file = io.BytesIO()
    as_light(heat.numpy(), SIDE).save(file, "PNG")
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode()}"
