import os

import pytest
import torch
from filelock import FileLock

from frostline.activations.housekeeping import list_stores, prune_stores, store_home, verify_stores
from frostline.activations.key import StoreKey
from frostline.activations.store import DiskStore
from frostline.progress import Silent


def make(cache, cut, *, used, rows=(1,)):
    """Write a store that was last used at a time."""
    key = StoreKey(weights="w", graph="g", cut=cut, preprocess="p", precision="fp32", engine="e")
    store = DiskStore(store_home(cache), key, Silent())
    for row in rows:
        store.add([row.to_bytes(16, "big")], (torch.full((1, 100), float(row)),))
        store.flush()
    os.utime(store.folder / "used", (used, used))
    return store.folder


@pytest.fixture
def stores(tmp_path):
    """Three stores of one, two and one shards; the second was used last."""
    return [make(tmp_path, "a", used=100), make(tmp_path, "b", used=300, rows=(1, 2)), make(tmp_path, "c", used=200)]


def test_no_cache_holds_no_stores(tmp_path):
    assert list_stores(tmp_path / "none") == []
    assert verify_stores(tmp_path / "none") == []
    assert prune_stores(tmp_path / "none", 0) == []


def test_the_most_recently_used_stands_first(stores, tmp_path):
    listed = list_stores(tmp_path)
    assert [(info.cut, info.shards, info.last_used) for info in listed] == [("b", 2, 300), ("c", 1, 200), ("a", 1, 100)]
    assert [info.folder for info in listed] == [stores[1], stores[2], stores[0]]
    assert listed[0].bytes == sum(path.stat().st_size for path in stores[1].iterdir())


def test_opening_a_store_uses_it(stores, tmp_path):
    key = StoreKey(weights="w", graph="g", cut="a", preprocess="p", precision="fp32", engine="e")
    DiskStore(store_home(tmp_path), key, Silent())
    assert list_stores(tmp_path)[0].cut == "a"


def test_other_folders_are_not_stores(stores, tmp_path):
    (store_home(tmp_path) / "mine").mkdir()
    assert len(list_stores(tmp_path)) == 3
    prune_stores(tmp_path, 0)
    assert (store_home(tmp_path) / "mine").is_dir()


def test_verify_removes_what_is_damaged_and_nothing_else(stores, tmp_path):
    assert verify_stores(tmp_path) == []
    shards = sorted(stores[1].glob("*.safetensors"))
    content = bytearray(shards[0].read_bytes())
    content[-1] ^= 1
    shards[0].write_bytes(content)
    assert verify_stores(tmp_path) == [shards[0]]
    assert sorted(stores[1].glob("*.safetensors")) == shards[1:]
    assert verify_stores(tmp_path) == []


def test_verify_leaves_what_is_being_written(stores, tmp_path):
    half = stores[0] / "pending.safetensors"
    half.write_bytes(b"half")
    assert verify_stores(tmp_path) == []
    assert half.exists()


def cuts(infos):
    return [info.cut for info in infos]


def test_a_store_without_shards_is_pruned_too(tmp_path):
    folder = make(tmp_path, "a", used=100)
    for shard in folder.glob("*.safetensors"):
        shard.unlink()
    assert cuts(prune_stores(tmp_path, 0)) == ["a"]
    assert not folder.exists()


def test_prune_removes_the_least_recently_used_first(stores, tmp_path):
    total = sum(info.bytes for info in list_stores(tmp_path))
    assert prune_stores(tmp_path, total) == []
    assert cuts(prune_stores(tmp_path, total - 1)) == ["a"]
    assert not stores[0].exists()
    assert cuts(prune_stores(tmp_path, 1)) == ["c", "b"]
    assert list_stores(tmp_path) == []


def test_prune_keeps_the_store_in_use(stores, tmp_path):
    assert cuts(prune_stores(tmp_path, 0, keep=stores[0])) == ["c", "b"]
    assert cuts(list_stores(tmp_path)) == ["a"]


def test_prune_keeps_a_store_that_is_being_filled(stores, tmp_path):
    with FileLock(stores[2] / "filling.lock"):
        assert cuts(prune_stores(tmp_path, 0)) == ["a", "b"]
    assert cuts(list_stores(tmp_path)) == ["c"]
    assert list(stores[2].glob("*.safetensors"))
