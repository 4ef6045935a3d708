"""Digests of pictures that were decoded without error before, so that a later run need not decode them to know."""

from pathlib import Path

import PIL
from filelock import FileLock

from frostline.data.damage import CHECKS
from frostline.files import atomic_write

_DIGEST_BYTES = 32
_RECORD_BYTES = 2 * _DIGEST_BYTES


def read_known(cache_dir: Path, *, channels: int, max_pixels: int) -> dict[bytes, bytes]:
    """Give the digests (32 bytes each) of what proved good under the same decoder and limits, each with its pixels'."""
    path = _path(cache_dir, channels, max_pixels)
    content = path.read_bytes() if path.is_file() else b""
    whole = len(content) - len(content) % _RECORD_BYTES
    records = (content[i : i + _RECORD_BYTES] for i in range(0, whole, _RECORD_BYTES))
    return {record[:_DIGEST_BYTES]: record[_DIGEST_BYTES:] for record in records}


def write_known(cache_dir: Path, known: dict[bytes, bytes], *, channels: int, max_pixels: int) -> None:
    """Add digests to those on disk."""
    path = _path(cache_dir, channels, max_pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        before = read_known(cache_dir, channels=channels, max_pixels=max_pixels)
        if not known.keys() <= before.keys():
            content = b"".join(digest + pixels for digest, pixels in sorted((before | known).items()))
            atomic_write(path, lambda temporary: _write(temporary, content))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _path(cache_dir: Path, channels: int, max_pixels: int) -> Path:
    return cache_dir / "checked" / f"pillow-{PIL.__version__}-{CHECKS}-{channels}-{max_pixels}.pixels"
