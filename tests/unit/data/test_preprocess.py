import json
from dataclasses import asdict

import pytest
import torch

from frostline.data.preprocess import Preprocess


def test_normalise_by_hand():
    preprocess = Preprocess(size=1, resize=1, mean=(0.5, 0.0, 1.0), std=(0.5, 0.25, 2.0))
    pixels = torch.tensor([255, 51, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    expected = torch.tensor([(1 - 0.5) / 0.5, 0.2 / 0.25, -1 / 2.0]).view(1, 3, 1, 1)
    got = preprocess.normalise(pixels)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected)


def test_the_share_that_the_crop_keeps_stays():
    assert Preprocess().at_size(112) == Preprocess(size=112, resize=128)
    assert Preprocess().at_size(224) == Preprocess()
    assert Preprocess(size=224, resize=224).at_size(37).resize == 37


def test_the_crop_never_leaves_the_picture():
    assert all(Preprocess(size=224, resize=225).at_size(size).resize >= size for size in range(8, 300))


def test_grey_is_the_mean_of_the_colours():
    grey = Preprocess(mean=(0.1, 0.2, 0.6), std=(0.2, 0.3, 0.4)).in_grey()
    assert (grey.mean, grey.std) == (pytest.approx((0.3,)), pytest.approx((0.3,)))
    assert (grey.channels, grey.input_shape) == (1, (1, 224, 224))


def test_colour_shape():
    assert Preprocess(size=64, resize=70).input_shape == (3, 64, 64)


def test_it_travels_as_json():
    preprocess = Preprocess(size=96, resize=100, interpolation="bicubic", mean=(0.1,), std=(0.7,))
    assert Preprocess.from_json(json.loads(json.dumps(asdict(preprocess)))) == preprocess
