"""List, verify and prune the stores under one home."""

import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from frostline.activations.key import KEY_FILE, read_key
from frostline.activations.shards import Shard, open_sound, shard_paths
from frostline.activations.store import USED_FILE
from frostline.errors import CacheError

_STORE_NAME = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """One store on disk."""

    folder: Path
    cut: str
    """Empty where its `key.json` is damaged, so that nothing tells what the store is of."""
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
    return sorted(map(_info, _folders(cache_dir)), key=lambda info: info.last_used, reverse=True)


def verify_stores(cache_dir: Path) -> list[Path]:
    """Check every store's key and every shard; remove what is damaged or foreign, and give the paths of that.

    A store whose key is damaged goes as a whole, unless it is being filled.
    """
    removed = []
    for folder in sorted(_folders(cache_dir)):
        if read_key(folder) is not None:
            removed += _remove_unsound(folder)
        elif _remove(folder):
            removed.append(folder)
    return removed


def _remove_unsound(folder: Path) -> list[Path]:
    removed: list[Path] = []
    first: Shard | None = None
    for path in shard_paths(folder):
        try:
            shard = open_sound(path, like=first, keep_open=False)
            first = first or shard
        except FileNotFoundError:  # pruned meanwhile
            continue
        except (CacheError, OSError):  # unsound, or the disk does not give it
            path.unlink(missing_ok=True)
            removed.append(path)
    return removed


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
    except (Timeout, OSError):  # in use, or on a disk that can only be read
        return False
    return True


def _folders(cache_dir: Path) -> list[Path]:
    folders = (path.parent for path in store_home(cache_dir).glob(f"*/{KEY_FILE}"))
    return [folder for folder in folders if _STORE_NAME.fullmatch(folder.name)]


def _info(folder: Path) -> StoreInfo:
    key, used = read_key(folder), folder / USED_FILE
    return StoreInfo(
        folder,
        cut=str(key["cut"]) if key else "",
        bytes=sum(state.st_size for state in map(_state, _within(folder)) if state),
        shards=len(shard_paths(folder)),
        last_used=state.st_mtime if (state := _state(used)) else 0.0,
    )


def _within(folder: Path) -> list[Path]:
    """What lies in a store; nothing where another process has removed it meanwhile."""
    with suppress(OSError):
        return list(folder.iterdir())
    return []


def _state(path: Path) -> os.stat_result | None:
    """Size and times of a file; None where another process has put it in place or removed it meanwhile."""
    with suppress(OSError):
        return path.stat()
    return None
