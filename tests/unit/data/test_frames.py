"""Centres kept in memory: by every forked process, within a limit, never where nothing is kept."""

import multiprocessing
import pickle

import numpy as np
import pytest
import torch

from frostline.data import loader
from frostline.data.frames import Frames
from frostline.data.loader import Request, digest_content, load
from frostline.data.pictures import Picture
from frostline.data.preprocess import Preprocess

SHAPE = (4, 4, 3)
PREPROCESS = Preprocess(size=8, resize=8)


def _pixels(value: int) -> np.ndarray:
    return np.full(SHAPE, value, dtype=np.uint8)


def test_what_is_kept_is_found() -> None:
    frames = Frames(3, SHAPE)
    frames.keep(1, _pixels(7))
    np.testing.assert_array_equal(frames.get(1), _pixels(7))
    assert frames.get(0) is None
    assert frames.get(2) is None


def test_only_the_first_that_fit_are_kept() -> None:
    frames = Frames(5, SHAPE, limit=2 * (48 + 1))
    for position in range(5):
        frames.keep(position, _pixels(position))
    assert [frames.get(position) is not None for position in range(5)] == [True, True, False, False, False]


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="processes are not forked here")
def test_a_forked_process_keeps_for_all() -> None:
    frames = Frames(2, SHAPE)
    process = multiprocessing.get_context("fork").Process(target=frames.keep, args=(1, _pixels(9)))
    process.start()
    process.join()
    np.testing.assert_array_equal(frames.get(1), _pixels(9))


def test_sent_elsewhere_it_is_empty() -> None:
    frames = Frames(2, SHAPE)
    frames.keep(0, _pixels(1))
    sent = pickle.loads(pickle.dumps(frames))
    sent.keep(0, _pixels(1))
    assert sent.get(0) is None


class _Source:
    """Forty pictures; counts what is read of it."""

    name = "made"
    classes = None
    ignored = ()

    def __init__(self) -> None:
        draw = np.random.default_rng(0)
        self.content = draw.integers(0, 256, (40, 10, 12, 3), dtype=np.uint8)
        self.pictures = [Picture(str(i), "a") for i in range(40)]
        self.reads = 0

    def read(self, position: int) -> np.ndarray:
        self.reads += 1
        return self.content[position]


def _requests(source: _Source, view: str) -> list[list[Request]]:
    made = [Request(i, digest_content(source.content[i]), view) for i in range(40)]
    return [made[:20], made[20:]]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("view", ["base", "mirror", "mirror+pad:2@0-1", "random-0-1"])
def test_views_are_the_same_with_it_and_without(view: str, workers: int) -> None:
    source, frames = _Source(), Frames(40, (8, 8, 3))
    requests = _requests(source, view)
    expected = list(load(source, PREPROCESS, requests, max_pixels=10**4, workers=0))
    for _ in range(2):
        found = list(load(source, PREPROCESS, requests, max_pixels=10**4, workers=workers, frames=frames))
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))


def test_the_second_epoch_reads_nothing() -> None:
    source, frames = _Source(), Frames(40, (8, 8, 3))
    for view, reads in (("base", 40), ("mirror", 40), ("base+cutout:3@0-2", 40), ("random-0-3", 80)):
        list(load(source, PREPROCESS, _requests(source, view), max_pixels=10**4, workers=0, frames=frames))
        assert source.reads == reads


@pytest.mark.parametrize(("view", "started"), [("base", [2, 0]), ("mirror+pad:2@0-1", [2, 0]), ("random-0-1", [2, 2])])
def test_workers_are_started_while_there_is_something_to_decode(
    monkeypatch: pytest.MonkeyPatch, view: str, started: list[int]
) -> None:
    asked, plain = [], loader.run_in_workers

    def noting(dataset: object, batches: object, workers: int, **options: object) -> object:
        asked.append(workers)
        return plain(dataset, batches, workers, **options)

    monkeypatch.setattr(loader, "run_in_workers", noting)
    source, frames = _Source(), Frames(40, (8, 8, 3))
    for _ in range(2):
        list(load(source, PREPROCESS, _requests(source, view), max_pixels=10**4, workers=2, frames=frames))
    assert asked == started
