"""Resizing in the exported graph against Pillow's own, to the last bit."""

import numpy as np
import pytest
import torch
from PIL import Image

from frostline.data.preprocess import Preprocess
from frostline.data.views import centre
from frostline.export.resampling import frame

SIZES = [
    (50, 40),
    (40, 50),
    (33, 97),
    (97, 33),
    (32, 32),
    (36, 36),
    (7, 5),
    (1, 60),
    (200, 31),
    (66, 100),
    (65, 100),
    (67, 100),
]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos", "nearest"])
@pytest.mark.parametrize(("resize", "squash"), [(32, False), (37, False), (32, True)])
def test_framing_is_pillows_to_the_last_bit(interpolation, resize, squash):
    preprocess = Preprocess(size=32, resize=resize, squash=squash, interpolation=interpolation)
    draw = np.random.default_rng(0)
    for width, height in SIZES:
        picture = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
        expected = centre(Image.fromarray(picture), preprocess).transpose(2, 0, 1)
        got = frame(torch.from_numpy(picture).permute(2, 0, 1)[None].float(), preprocess)[0].numpy()
        np.testing.assert_array_equal(got, expected, err_msg=f"{width}x{height}")


def test_extremes_stay_grey_levels():
    preprocess = Preprocess(size=32, resize=32, interpolation="lanczos")
    halves = np.zeros((90, 70, 3), dtype=np.uint8)
    halves[:, 35:] = 255
    got = frame(torch.from_numpy(halves).permute(2, 0, 1)[None].float(), preprocess)[0].numpy()
    np.testing.assert_array_equal(got, centre(Image.fromarray(halves), preprocess).transpose(2, 0, 1))
    assert (got.min(), got.max()) == (0, 255)
