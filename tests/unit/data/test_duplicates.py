import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageFilter

from frostline.data.duplicates import CERTAIN, near_pairs, same_pixels

SIDE = 64


def scene(seed, size=(240, 180)):
    """A picture of its own: coloured blobs on a slope of light."""
    draw = np.random.default_rng(seed)
    noise = Image.fromarray(draw.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    return noise.resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))


def small(picture):
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


ALTERED = {
    "smaller": lambda p: p.resize((120, 90)),
    "mirrored": lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "brighter": lambda p: ImageEnhance.Brightness(p).enhance(1.3),
    "cropped": lambda p: p.crop((0, 9, 216, 171)),
    "blurred": lambda p: p.filter(ImageFilter.GaussianBlur(1)),
}


def pairs_of(pictures, features=None):
    """Pairs found; without features of a network the small pictures alone propose them."""
    if features is None:
        features = torch.eye(len(pictures))
    return near_pairs(np.stack([small(picture) for picture in pictures]), features)


@pytest.mark.parametrize("kind", ALTERED)
def test_an_altered_copy_is_found_and_nothing_else(kind):
    pictures = [scene(seed) for seed in range(6)]
    features = torch.eye(8)[[*range(6), 2]]  # a network takes the copy for the same
    (pair,) = pairs_of([*pictures, ALTERED[kind](pictures[2])], features)
    assert (pair.first, pair.second) == (2, 6)
    assert pair.score >= CERTAIN


def test_a_network_may_propose_what_the_small_picture_does_not():
    """A corner crop in the dark: other at a glance, the same once it is laid on its place."""
    one = scene(0)
    other = one.crop((24, 18, 240, 180))
    features = torch.zeros(4, 3)
    features[0], features[3] = torch.tensor([3.0, 0, 0]), torch.tensor([3.0, 0.1, 0])
    found = pairs_of([one, scene(1), scene(2), other], features)
    assert [(pair.first, pair.second) for pair in found] == [(0, 3)]


def test_what_a_network_proposes_is_not_believed():
    assert pairs_of([scene(0), scene(1)], torch.ones(2, 3)) == []


def test_blank_pictures_are_like_no_other():
    blank = Image.new("RGB", (50, 50), "white")
    assert pairs_of([blank, Image.new("RGB", (60, 40), "black"), scene(0)]) == []


def test_same_pixels_come_in_groups():
    assert same_pixels(["a", "b", "a", "", "", "a", "b", "c"]) == [[0, 2, 5], [1, 6]]
