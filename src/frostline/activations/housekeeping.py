"""List, verify and prune the stores under one home."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from frostline.activations.shards import SUFFIX, is_intact
from frostline.activations.store import KEY_FILE, USED_FILE


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """One store on disk."""

    folder: Path
    cut: str
    bytes: int
    """Of all its files; a store without shards has some too."""
    shards: int
    last_used: float
    """Seconds since the epoch."""


def store_home(cache_dir: Path) -> Path:
    """Where all stores lie."""
    return cache_dir / "activations"


def list_stores(cache_dir: Path) -> list[StoreInfo]:
    """Give the stores, most recently used first."""
    home = store_home(cache_dir)
    folders = [path.parent for path in home.glob(f"*/{KEY_FILE}")] if home.is_dir() else []
    return sorted(map(_info, folders), key=lambda info: info.last_used, reverse=True)


def verify_stores(cache_dir: Path) -> list[Path]:
    """Check every shard against its digest and remove those that are damaged; give the removed ones."""
    damaged = [path for path in _shards(store_home(cache_dir)) if not is_intact(path)]
    for path in damaged:
        path.unlink(missing_ok=True)
    return damaged


def prune_stores(cache_dir: Path, limit: int, *, keep: Path | None = None) -> list[StoreInfo]:
    """Remove the least recently used stores until at most `limit` bytes remain; give the removed ones.

    Open stores go on working: their files vanish only when closed. `keep` and stores being filled are never removed.
    """
    stores = list_stores(cache_dir)
    total = sum(store.bytes for store in stores)
    removed = []
    for store in reversed(stores):
        if total > limit and store.folder != keep and _remove(store.folder):
            total -= store.bytes
            removed.append(store)
    return removed


def _remove(folder: Path) -> bool:
    try:
        with FileLock(folder / "filling.lock", blocking=False):
            shutil.rmtree(folder, ignore_errors=True)
    except Timeout:
        return False
    return True


def _info(folder: Path) -> StoreInfo:
    key = json.loads((folder / KEY_FILE).read_text(encoding="utf-8"))
    size = sum(path.stat().st_size for path in folder.iterdir())
    shards = len(list(folder.glob(f"*{SUFFIX}")))
    used = folder / USED_FILE
    return StoreInfo(folder, key["cut"], size, shards, used.stat().st_mtime if used.is_file() else 0.0)


def _shards(home: Path) -> list[Path]:
    return sorted(path for path in home.glob(f"*/*{SUFFIX}") if not path.name.startswith((".", "pending")))
