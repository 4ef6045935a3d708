"""Resizing and cropping as Pillow does it for 8-bit pictures, to the last bit, in operations that every runtime knows.

Each output pixel is a weighted mean of the input's: a filter stretched by the scale, its weights rounded to whole
numbers of 2^-22. Rows and columns take turns, and grey levels are rounded after each; from Pillow 13 a tall picture's
columns come first.
"""

import math

import PIL
import torch
from torch import Tensor

from frostline.data.preprocess import Preprocess

SUPPORTS = {"bilinear": 1.0, "bicubic": 2.0, "lanczos": 3.0}
"""Pixels that a filter reaches on either side of its centre, where nothing is made smaller."""
UNIT, HALF = 2.0**22, 2.0**11
"""A weight of one, and where weights are divided so that the products and sums of both parts are whole in float32."""
CHOOSES_ORDER = int(PIL.__version__.partition(".")[0]) >= 13


def frame(values_NCHW: Tensor, preprocess: Preprocess) -> Tensor:
    """Give the square centre of pictures as a network sees it: float32 (batch, channels, size, size), whole levels.

    Args:
        values_NCHW: float32 grey levels, whole numbers from 0 to 255, of any height and width.
        preprocess: how they are framed.
    """
    height, width = values_NCHW.shape[2], values_NCHW.shape[3]
    (top, bottom), (left, right) = centre_box(height, width, preprocess)
    rows_SH = weights(height, top, bottom, preprocess)
    columns_SW = weights(width, left, right, preprocess)
    across_first = _resample(_resample(values_NCHW, columns_SW).mT, rows_SH).mT
    if not CHOOSES_ORDER:
        return across_first
    down_first = _resample(_resample(values_NCHW.mT, rows_SH).mT, columns_SW)
    is_tall = torch.scalar_tensor(height) > preprocess.size
    is_tall = is_tall & (torch.scalar_tensor(2 * width) < torch.scalar_tensor(height + preprocess.size))
    return torch.where(is_tall, down_first, across_first)


def centre_box(height: int, width: int, preprocess: Preprocess) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Give the part of a picture that is seen: (top, bottom), (left, right), float32, in pixels."""
    sides = [torch.scalar_tensor(length, dtype=torch.float64) for length in (height, width)]
    side = _double(preprocess.size / preprocess.resize) * torch.minimum(*sides)
    starts = [torch.zeros_like(side) if preprocess.squash else (length - side) / 2 for length in sides]
    ends = sides if preprocess.squash else [start + side for start in starts]
    (top, left), (bottom, right) = ([edge.float() for edge in edges] for edges in (starts, ends))
    return (top, bottom), (left, right)


def weights(length: int, start: Tensor, end: Tensor, preprocess: Preprocess) -> Tensor:
    """Give the weight of each pixel of a row or column, for each that it is resized to.

    Args:
        length: of the row or column, in pixels.
        start: where the part begins that is seen.
        end: where it ends.
        preprocess: size and filter.

    Returns:
        float64 (size, length): whole numbers of 2^-22.
    """
    scale = (end - start).double() / preprocess.size
    centres_S1 = (start.double() + (torch.arange(preprocess.size).double() + 0.5) * scale)[:, None]
    places_1L = torch.arange(length).double()[None, :]
    if preprocess.interpolation == "nearest":
        return (places_1L == centres_S1.floor()).double() * UNIT
    values_SL = _filter(preprocess.interpolation, (places_1L - centres_S1 + 0.5) * (1 / scale.clamp_min(1.0)))
    shares_SL = values_SL / values_SL.sum(dim=1, keepdim=True)
    return (shares_SL.abs() * UNIT + 0.5).floor() * shares_SL.sign()


def _filter(name: str, x: Tensor) -> Tensor:
    """Value of a filter at distances x: a triangle, Keys' cubic with a = -0.5, or Lanczos' windowed sinc with a = 3."""
    distance, support = x.abs(), SUPPORTS[name]
    if name == "bilinear":
        return (1 - distance).clamp_min(0.0)
    if name == "bicubic":
        near = (1.5 * distance - 2.5) * distance * distance + 1
        far = -0.5 * (((distance - 5) * distance + 8) * distance - 4)
        return torch.where(distance < 1, near, torch.where(distance < support, far, torch.zeros_like(x)))
    return torch.where(distance < support, _sinc(x) * _sinc(x / support), torch.zeros_like(x))


def _sinc(x: Tensor) -> Tensor:
    angle = _double(math.pi) * torch.where(x == 0, torch.ones_like(x), x)
    return torch.where(x == 0, torch.ones_like(x), angle.sin() / angle)


def _double(value: float) -> Tensor:
    """A number in float64; beside a tensor, exporters write plain ones down in float32."""
    return torch.tensor(value, dtype=torch.float64)


def _resample(values_L: Tensor, weights_SL: Tensor) -> Tensor:
    """Weigh the last axis, and round half up to grey levels: float32 (..., L) to (..., S)."""
    high_SL = (weights_SL / HALF).floor()
    low_SL = weights_SL - high_SL * HALF
    sums_S = (values_L @ high_SL.float().T).double() * HALF + (values_L @ low_SL.float().T).double()
    return (sums_S / UNIT + 0.5).floor().clamp(0.0, 255.0).float()
