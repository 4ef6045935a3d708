import io

import numpy as np
import pytest
import torch
from PIL import Image

from frostline.data import loader
from frostline.data.decode import decode
from frostline.data.loader import EXAMINED_AT_ONCE, Request, digest_content, load, read
from frostline.data.pictures import Picture
from frostline.data.preprocess import Preprocess
from frostline.errors import DataError

PREPROCESS = Preprocess(size=8, resize=8)


class Counting:
    """A source of three pictures in memory that counts how often it is read."""

    def __init__(self):
        draw = np.random.default_rng(0)
        self.pixels = [draw.integers(0, 256, (12, 12, 3), dtype=np.uint8) for _ in range(3)]
        self.pictures = [Picture(f"{i}.png", "a") for i in range(3)]
        self.reads = []

    def read(self, position):
        self.reads.append(position)
        return self.pixels[position]

    def request(self, position, view):
        return Request(position, digest_content(self.pixels[position]), view)


def loaded(source, batches):
    return [batch.numpy() for batch in load(source, PREPROCESS, batches, max_pixels=10_000, workers=0)]


def test_views_of_one_picture_are_made_from_one_decoding():
    source = Counting()
    views = ("base", "mirror")
    together = [[source.request(i, view) for i in range(3) for view in views]]
    (got,) = loaded(source, together)
    assert source.reads == [0, 1, 2]
    apart = [[source.request(i, view)] for view in views for i in range(3)]
    one_by_one = np.concatenate(loaded(source, apart))
    assert source.reads[3:] == 2 * [0, 1, 2]
    assert (got.reshape(3, 2, 3, 8, 8) == one_by_one.reshape(2, 3, 3, 8, 8).swapaxes(0, 1)).all()


def test_crops_are_made_from_all_pixels_and_the_centre_from_as_many_as_it_needs(monkeypatch):
    source, shorter = Counting(), []
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (80, 100, 3), dtype=np.uint8)).save(buffer, "JPEG")
    source.pixels[0] = buffer.getvalue()
    monkeypatch.setattr(loader, "decode", lambda *a, **how: shorter.append(how["shorter"]) or decode(*a, **how))
    views = ["base", "crop-0", "crop-1", "mirror"]
    (together,) = loaded(source, [[source.request(0, view) for view in views]])
    assert shorter == [16, None, 16]
    (backwards,) = loaded(source, [[source.request(0, view) for view in reversed(views)]])
    assert (backwards[::-1] == together).all()


def test_a_picture_that_has_changed_is_told():
    source = Counting()
    request = source.request(1, "base")
    source.pixels[1] = source.pixels[2]
    with pytest.raises(DataError, match=r"1\.png has changed since this run examined it; start the run again"):
        loaded(source, [[request]])


def test_reading_gives_damages_and_the_pixels_of_the_rest():
    source = Counting()
    (bases,) = loaded(source, [[source.request(i, "base") for i in (0, 2)]])
    source.reads, source.pixels[1] = [], b"not a picture"
    ((damages, pixels),) = read(source, PREPROCESS, max_pixels=1000, workers=0)
    assert source.reads == [0, 1, 2]
    assert [bool(damage) for damage in damages] == [False, True, False]
    assert (pixels.numpy() == bases).all()
    ((damages, pixels),) = read(source, PREPROCESS, max_pixels=1000, workers=0, positions=[1])
    assert (len(damages), pixels.shape, pixels.dtype) == (1, (0, 3, 8, 8), torch.uint8)


def test_reading_goes_through_a_source_in_batches():
    source = Counting()
    positions = [0, 1, 2] * EXAMINED_AT_ONCE
    batches = list(read(source, PREPROCESS, max_pixels=1000, workers=0, positions=positions))
    assert [len(pixels) for _, pixels in batches] == 3 * [EXAMINED_AT_ONCE]
    assert source.reads == positions
