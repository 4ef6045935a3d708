import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from blake3 import blake3
from filelock import FileLock

from frostline.activations.housekeeping import list_stores, prune_stores, store_home, verify_stores
from frostline.activations.key import StoreKey
from frostline.activations.store import DiskStore
from frostline.progress import Silent
from frostline.tables import stores_table


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


def spoil(folder, content=b"{"):
    (folder / "key.json").write_bytes(content)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"layout": 2}', b"[" * 10_000, b"\xff\xfe", b"1" * 10**5]
)
def test_a_store_whose_key_is_damaged_is_listed_verified_and_pruned(stores, tmp_path, content):
    spoil(stores[1], content)
    assert cuts(list_stores(tmp_path)) == ["", "c", "a"]
    assert "? (key.json is damaged)" in stores_table(list_stores(tmp_path))
    assert verify_stores(tmp_path) == [stores[1]]
    assert not stores[1].exists()
    assert verify_stores(tmp_path) == []
    spoil(stores[0], content)
    assert cuts(prune_stores(tmp_path, 0)) == ["", "c"]


def test_a_key_that_is_another_store_s_is_damaged(stores, tmp_path):
    spoil(stores[1], (stores[0] / "key.json").read_bytes())
    assert cuts(list_stores(tmp_path)) == ["", "c", "a"]
    assert verify_stores(tmp_path) == [stores[1]]


def test_verify_leaves_a_store_with_a_damaged_key_while_it_is_filled(stores, tmp_path):
    spoil(stores[1])
    with FileLock(stores[1] / "filling.lock"):
        assert verify_stores(tmp_path) == []
    assert stores[1].exists()


def test_a_folder_that_is_not_named_like_a_store_is_never_touched(stores, tmp_path):
    mine = store_home(tmp_path) / "mine"
    mine.mkdir()
    spoil(mine)
    (mine / "x.safetensors").write_bytes(b"mine")
    assert len(list_stores(tmp_path)) == 3
    assert verify_stores(tmp_path) == []
    prune_stores(tmp_path, 0)
    assert (mine / "x.safetensors").read_bytes() == b"mine"


def test_the_store_of_an_earlier_version_is_sound(stores, tmp_path):
    """Its key had other fields; its shards did not name it, and nothing reads them any more."""
    fields = {"layout": 1, "cut": "z"}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    folder = store_home(tmp_path) / blake3(text.encode()).hexdigest(length=16)
    folder.mkdir()
    spoil(folder, json.dumps(fields, indent=1).encode())
    assert "z" in cuts(list_stores(tmp_path))
    assert verify_stores(tmp_path) == []


def test_verify_removes_what_is_a_shard_of_another_store(stores, tmp_path):
    (foreign,) = stores[0].glob("*.safetensors")
    copy = Path(shutil.copy(foreign, stores[1]))
    assert verify_stores(tmp_path) == [copy]
    assert len(list(stores[1].glob("*.safetensors"))) == 2


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
