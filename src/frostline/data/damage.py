"""Damage that Pillow's decoders do not tell of: data that end early, made up with black or grey, and wrong checksums.

What is dear to prove is proved only where a sign of it is there.
"""

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

CHECKS = 1
"""Version of these checks: what passed fewer of them is not known to be good."""
_END_OF_JPEG, _FILLING = b"\xff\xd9", b"\x5a" * 256
_GREYS = (127, 128)
"""What libjpeg gives for blocks that have no data, in every channel; inks are turned round."""
_PNG_START, _AT_ONCE = 8, 1 << 20
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Of a PNG's pixel, by its colour type."""
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of an interlaced PNG: first column and row, and the steps to the next ones."""


def hidden_damage(loaded: Image.Image, tiles: Sequence[Any], content: bytes, shorter: int | None) -> str:
    """Say in what way a picture that was decoded without error is damaged after all; "" where it is sound.

    Args:
        loaded: the picture, as Pillow gave it.
        tiles: what it consisted of before it was loaded.
        content: the file.
        shorter: side that the picture had to keep, as `decode` takes it.
    """
    match loaded.format:
        case "JPEG" | "MPO":
            return _jpeg(loaded, content, shorter)
        case "PNG":
            return _png(loaded, content)
        case "TIFF":
            return _tiff(loaded, tiles)
    return ""


def _jpeg(loaded: Image.Image, content: bytes, shorter: int | None) -> str:
    """Look at the last pixel; bytes put in before the end mark change what is seen only where data were missing."""
    last = loaded.getpixel((loaded.width - 1, loaded.height - 1))
    values = last if isinstance(last, tuple) else (last,)
    end = content.rfind(_END_OF_JPEG)
    if end < 0 or any(value not in _GREYS for value in values):
        return ""
    with Image.open(io.BytesIO(content[:end] + _FILLING + content[end:]), formats=["JPEG"]) as filled:
        if shorter is not None:
            filled.draft(None, (shorter, shorter))
        if np.array_equal(np.asarray(filled), np.asarray(loaded)):
            return ""
    return "its data end before its last row"


def _png(loaded: Image.Image, content: bytes) -> str:
    """Check the data's checksums, as Pillow does not; where the last row is empty, count the bytes that there are."""
    for name, data, checksum in _png_chunks(content):
        if name == b"IDAT" and zlib.crc32(data, zlib.crc32(name)) != checksum:
            return "a checksum does not fit its data"
    header = next(data for name, data, _ in _png_chunks(content) if name == b"IHDR")
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header[:13])
    if not interlaced and np.asarray(loaded.crop((0, height - 1, width, height))).any():
        return ""
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    wanted = 0
    for left, top, step_x, step_y in passes:
        columns, rows = -(-(width - left) // step_x), -(-(height - top) // step_y)
        wanted += rows * (1 + (columns * bits * _SAMPLES[colour] + 7) // 8) if columns > 0 and rows > 0 else 0
    return "" if _holds(content, wanted) else "its data end before its last row"


def _holds(content: bytes, wanted: int) -> bool:
    """Tell whether a PNG's data unpack to as many bytes."""
    unpacker, count = zlib.decompressobj(), 0
    for packed in (data for name, data, _ in _png_chunks(content) if name == b"IDAT"):
        rest: bytes | memoryview = packed
        while rest and count < wanted:
            count += len(unpacker.decompress(rest, _AT_ONCE))
            rest = unpacker.unconsumed_tail
    return count + len(unpacker.flush()) >= wanted


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, memoryview, int]]:
    """Yield name, data and checksum (-1 where it is cut off) of each chunk, up to the last."""
    place, name = _PNG_START, b""
    while place + 8 <= len(content) and name != b"IEND":
        length, name = struct.unpack(">I4s", content[place : place + 8])
        data = memoryview(content)[place + 8 : place + 8 + length]
        checksum = content[place + 8 + length : place + 12 + length]
        yield name, data, int.from_bytes(checksum, "big") if len(checksum) == 4 else -1
        place += 12 + length


def _tiff(loaded: Image.Image, tiles: Sequence[Any]) -> str:
    """Add up what the strips or tiles cover."""
    covered = sum((right - left) * (bottom - top) for _, (left, top, right, bottom), *_ in tiles)
    return "" if covered >= _area(loaded) else "its strips do not cover it"


def _area(picture: Image.Image) -> int:
    return picture.width * picture.height
