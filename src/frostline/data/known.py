"""Digests of pictures that were decoded without error before, so that a later run need not decode them to know."""

from pathlib import Path

import PIL
from filelock import FileLock

from frostline.data.damage import CHECKS
from frostline.files import atomic_write

_DIGEST_BYTES = 32


def read_known(cache_dir: Path, *, channels: int, max_pixels: int) -> set[bytes]:
    """Give the digests (32 bytes each) that proved good under the same decoder and limits."""
    path = _path(cache_dir, channels, max_pixels)
    content = path.read_bytes() if path.is_file() else b""
    whole = len(content) - len(content) % _DIGEST_BYTES
    return {content[i : i + _DIGEST_BYTES] for i in range(0, whole, _DIGEST_BYTES)}


def write_known(cache_dir: Path, known: set[bytes], *, channels: int, max_pixels: int) -> None:
    """Add digests to those on disk."""
    path = _path(cache_dir, channels, max_pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        before = read_known(cache_dir, channels=channels, max_pixels=max_pixels)
        if not known <= before:
            content = b"".join(sorted(before | known))
            atomic_write(path, lambda temporary: _write(temporary, content))


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _path(cache_dir: Path, channels: int, max_pixels: int) -> Path:
    return cache_dir / "checked" / f"pillow-{PIL.__version__}-{CHECKS}-{channels}-{max_pixels}.digests"
