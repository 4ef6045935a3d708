"""Where a network looked: Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) at the last maps before its head."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from frostline.network.build import Network
from frostline.network.cuts import Cut, Traced
from frostline.network.pooling import channel_axis
from frostline.network.splitting import Split, split

GLOW = (255, 140, 0)
AT_ONCE = 8
"""Pictures whose heat maps are computed together, for the sake of memory."""


def heat_maps(network: Network, traced: Traced, pixels_NCHW: Tensor, classes: Sequence[int]) -> Tensor | None:
    """Give how much each place spoke for a class.

    Args:
        network: any.
        traced: its graphs.
        pixels_NCHW: uint8 pictures as it sees them.
        classes: one for each picture, by number.

    Returns:
        float32 (pictures, height, width) from 0 to 1, on the CPU, as large as the maps; None where it has none.
    """
    cut = _last_maps(traced)
    if cut is None:
        return None
    divided = split(traced, cut)
    divided.evaluating.eval()
    axis = 1 + channel_axis(cut.shapes[0], network.preprocess.input_shape)
    parts = [slice(start, start + AT_ONCE) for start in range(0, len(classes), AT_ONCE)]
    return torch.cat([_spoken(network, divided, axis, pixels_NCHW[part], classes[part]) for part in parts])


def _spoken(network: Network, divided: Split, axis: int, pixels_NCHW: Tensor, classes: Sequence[int]) -> Tensor:
    """The maps of a few pictures; `axis` is that of the channels."""
    device = next(network.module.parameters()).device
    with torch.no_grad():
        main, *others = divided.prefix(network.preprocess.normalise(pixels_NCHW.to(device)))
    main = main.detach().requires_grad_()
    logits_NK = divided.evaluating(main, *others)
    of_class_N = logits_NK[torch.arange(len(classes)), torch.tensor(classes)]
    (gradient,) = torch.autograd.grad(of_class_N.sum(), main)
    places = [i for i in range(1, main.dim()) if i != axis]
    spoken = (gradient.mean(dim=places, keepdim=True) * main.detach()).sum(dim=axis).relu()
    maps = _as_square(spoken) if spoken.dim() == 2 else spoken
    return (maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)).float().cpu()


def as_light(heat: np.ndarray, side: int) -> Image.Image:
    """Draw a heat map (height, width), from 0 to 1, as light to add to its picture: black where nothing spoke.

    Args:
        heat: one map.
        side: of the square that is drawn, in pixels.
    """
    strength = Image.fromarray((255 * heat).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    light = np.asarray(strength, dtype=np.float32)[..., None] / 255 * np.array(GLOW, dtype=np.float32)
    return Image.fromarray(light.astype(np.uint8))


def _last_maps(traced: Traced) -> Cut | None:
    """The last cut at which a picture still has places."""
    return next((cut for cut in reversed(traced.cuts) if cut.position and _has_places(cut.shapes[0])), None)


def _has_places(shape: tuple[int, ...]) -> bool:
    """Maps of more than one point, or tokens that make a square, with a class token before them or without."""
    if len(shape) == 3:
        return shape[1] > 1
    return len(shape) == 2 and shape[0] > 1 and any(math.isqrt(n) ** 2 == n for n in (shape[0], shape[0] - 1))


def _as_square(spoken_NT: Tensor) -> Tensor:
    side = math.isqrt(spoken_NT.shape[1])
    return spoken_NT[:, -side * side :].reshape(len(spoken_NT), side, side)
