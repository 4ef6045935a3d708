from contextlib import contextmanager

import numpy as np
import pytest
import torch
from PIL import Image

from frostline.activations.compute import Pictures, fill, row_bytes
from frostline.activations.engines import TorchEngine
from frostline.activations.feed import DirectFeed, SparedFeed, StoredFeed
from frostline.activations.key import key_of, row_id
from frostline.activations.store import DiskStore, RamStore
from frostline.data.loader import Request
from frostline.data.sources import open_source
from frostline.errors import CacheError, DataError
from frostline.files import digest_file
from frostline.hardware import make_fabric
from frostline.network.build import NetworkSpec, build
from frostline.network.splitting import split
from frostline.progress import Silent

COUNT = 10


class Counting:
    """A reporter that counts pictures, and may interrupt after so many."""

    def __init__(self, interrupt_after=None):
        self.bars, self.done, self.interrupt_after = [], 0, interrupt_after

    def say(self, text):
        pass

    def warn(self, text):
        pass

    @contextmanager
    def bar(self, total, what):
        self.bars.append(total)

        def advance(count):
            self.done += count
            if self.interrupt_after is not None and self.done >= self.interrupt_after:
                raise KeyboardInterrupt

        yield advance


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A source of pictures, requests for two views of each, and a small network's prefix."""
    root = tmp_path_factory.mktemp("pictures")
    draw = np.random.default_rng(0)
    for number in range(COUNT):
        folder = root / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    source = open_source(str(root), cache_dir=root)
    network = build(NetworkSpec(model="resnet18", classes=2, width=0.125, image_size=16))
    traced = network.trace()
    divided = split(traced, traced.before("layer2"))
    digests = [digest_file(root / picture.path) for picture in source.pictures]
    requests = [Request(i, digest, view) for view in ("base", "mirror") for i, digest in enumerate(digests)]
    engine = TorchEngine(divided.prefix, network.preprocess, make_fabric("cpu", "fp32"))
    return divided, requests, Pictures(source, network.preprocess, 10**6, 0, at_once=4), engine


def direct(world, requests):
    _, _, pictures, engine = world
    return next(DirectFeed(engine, pictures, engine.fabric).batches([requests]))


def test_all_rows_are_computed_once(world):
    _, requests, pictures, engine = world
    store, reporter = RamStore(), Counting()
    assert fill(store, requests, engine, pictures, reporter) == 20
    assert (reporter.bars, reporter.done) == ([20], 20)
    (stored,) = store.read([row_id(request) for request in requests])
    (expected,) = direct(world, requests)
    torch.testing.assert_close(stored, expected)
    assert not torch.equal(stored[:10], stored[10:]), "a mirrored picture differs"
    again = Counting()
    assert fill(store, requests, engine, pictures, again) == 0
    assert again.bars == []


def test_only_missing_rows_are_computed(world):
    _, requests, pictures, engine = world
    store, reporter = RamStore(), Counting()
    fill(store, requests[:7], engine, pictures, Silent())
    assert fill(store, requests[3:12], engine, pictures, reporter) == 5
    assert reporter.done == 5
    torch.testing.assert_close(store.read([row_id(r) for r in requests[:12]]), direct(world, requests[:12]))


def test_pictures_of_the_same_content_share_a_row(world):
    _, requests, pictures, engine = world
    reporter = Counting()
    assert fill(RamStore(), [*requests[:3], requests[0]], engine, pictures, reporter) == 3


def test_an_interrupted_pass_keeps_what_it_finished_and_goes_on(world, tmp_path):
    divided, requests, pictures, engine = world
    key = key_of(divided, pictures.preprocess, "fp32", engine.name)
    store = DiskStore(tmp_path, key, Silent())
    with pytest.raises(KeyboardInterrupt):
        fill(store, requests, engine, pictures, Counting(interrupt_after=8))
    store = DiskStore(tmp_path, key, Silent())
    assert [row_id(request) in store for request in requests] == [True] * 8 + [False] * 12
    reporter = Counting()
    assert fill(store, requests, engine, pictures, reporter) == 12
    assert reporter.done == 12
    torch.testing.assert_close(store.read([row_id(r) for r in requests]), direct(world, requests))


def test_a_picture_that_changed_stops_the_pass_and_the_lock_is_free_again(world, tmp_path):
    divided, requests, pictures, engine = world
    store = DiskStore(tmp_path, key_of(divided, pictures.preprocess, "fp32", engine.name), Silent())
    wrong = [*requests[:4], Request(5, "0" * 64, "base")]
    with pytest.raises(DataError, match="has changed since"):
        fill(store, wrong, engine, pictures, Silent())
    assert fill(store, requests[:6], engine, pictures, Silent()) == 2


def test_feeds_give_the_same(world, tmp_path):
    """The suffix cannot tell stored rows from computed ones."""
    divided, requests, pictures, engine = world
    store = DiskStore(tmp_path, key_of(divided, pictures.preprocess, "fp32", engine.name), Silent())
    fill(store, requests, engine, pictures, Silent())
    stored, computed = StoredFeed(store, engine.fabric), DirectFeed(engine, pictures, engine.fabric)
    assert (stored.is_stored, computed.is_stored) == (True, False)
    batches = [requests[15:3:-3], requests[:2]]
    for ours, theirs in zip(stored.batches(batches), computed.batches(batches), strict=True):
        torch.testing.assert_close(ours, theirs)
        assert all(value.is_contiguous(memory_format=torch.channels_last) for value in (*ours, *theirs))


def test_a_feed_whose_disk_fails_goes_on_computing_and_tells_once(world, tmp_path, monkeypatch):
    divided, requests, pictures, engine = world
    store = DiskStore(tmp_path, key_of(divided, pictures.preprocess, "fp32", engine.name), Silent())
    fill(store, requests, engine, pictures, Silent())
    stored, computed = StoredFeed(store, engine.fabric), DirectFeed(engine, pictures, engine.fabric)
    told, batches = [], [requests[0:4], requests[4:8], requests[8:12]]
    feed = SparedFeed(stored, computed, told.append)
    read, reads = DiskStore.read, []

    def fail(self, rows):
        reads.append(rows)
        if len(reads) > 1:
            raise CacheError("cannot read it")
        return read(self, rows)

    monkeypatch.setattr(DiskStore, "read", fail)
    for _ in range(2):
        torch.testing.assert_close(list(feed.batches(batches)), list(computed.batches(batches)))
    assert list(map(str, told)) == ["cannot read it"]
    assert (len(reads), feed.is_stored) == (2, False)


def test_bytes_of_a_row():
    assert row_bytes((torch.zeros(3, 2, 5), torch.zeros(3, 7, dtype=torch.bfloat16))) == 2 * 5 * 4 + 7 * 2
