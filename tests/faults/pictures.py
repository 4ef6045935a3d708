"""Damaged, strange and hostile picture files, each with what has to become of it.

All are made here: `cases()` gives those whose names look like pictures', `surroundings()` what else a folder may hold.
A few hundred small files, written in under two seconds.
"""

import gzip
import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from encode import (
    PNG_MAGIC,
    bmp,
    changed,
    grey_tiff,
    interlaced_png,
    jpeg_frame,
    jpeg_segments,
    jpeg_with,
    jpeg_without,
    png,
    png_chunk,
    png_chunks,
    png_header,
    png_rows,
    run_length_bmp,
    tiff,
    tiff_tags,
)
from PIL import Image

WIDTH, HEIGHT = 48, 32
EXACT, CLOSE, ROUGH = 0, 6, 16
"""Tolerances: of lossless formats, of good JPEG, of colours that take a detour."""
USED, SKIPPED, REFUSED, IGNORED = ("used",), ("skipped",), ("refused",), ("ignored",)
LEFT_OUT, USED_OR_SKIPPED, ANY = ("skipped", "refused"), ("used", "skipped"), ("used", "skipped", "refused")
"""What may happen where there is no telling, above all for bits turned in packed data: never a crash or a hang."""


@dataclass(frozen=True, eq=False)
class Case:
    """One file."""

    name: str
    """Of the file, with its suffix."""
    kind: str
    """Sort of trouble, for counting."""
    content: bytes
    outcomes: tuple[str, ...]
    """Those that are right."""
    pixels: np.ndarray | None = None
    """uint8 (height, width, 3) that it shows when it is used; None where nobody can say."""
    tolerance: int = EXACT
    """Largest difference of a value."""
    is_convention: bool = False
    """Whether the pixels follow a rule of frostline's own, such as transparency over white."""


def cases() -> list[Case]:
    """Give every case; names are unique."""
    parts = (
        *(_sound, _modes, _transparency, _sixteen_bits, _floats, _inks, _orientations, _many_frames, _extras),
        *(_wrong_suffixes, _cut, _short, _bytes_changed, _headers, _png_damage, _jpeg_damage, _tiff_damage),
        *(_bombs, _foreign, _impostors),
    )
    found = [case for part in parts for case in part()]
    assert len({case.name for case in found}) == len(found)
    return found


def scene(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A smooth picture without symmetry, uint8 (height, width, 3): all four corners differ."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = 20 * np.sin(6 * x + 4 * y)
    return np.clip(np.stack([30 + 190 * x, 40 + 150 * y + waves, 220 - 120 * x - 60 * y], 2), 0, 255).astype(np.uint8)


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    """Write pixels by Pillow."""
    picture = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _grey() -> np.ndarray:
    return scene()[:, :, 0]


def _rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[:, :, None], 3, axis=2)


def _indices() -> np.ndarray:
    return ((np.arange(HEIGHT)[:, None] // 8 + np.arange(WIDTH)[None, :] // 8) % 4).astype(np.uint8)


PALETTE = np.array([[220, 30, 40], [20, 160, 60], [40, 60, 210], [250, 220, 20]], np.uint8)


def _palette_picture() -> Image.Image:
    picture = Image.fromarray(_indices(), "P")
    picture.putpalette(PALETTE.tobytes())
    return picture


def _quality() -> dict[str, Any]:
    return {"quality": 97, "subsampling": 0}


def _forms() -> Iterator[tuple[str, str, bytes, np.ndarray, int]]:
    """Name, suffix, content, pixels and tolerance of each way to write a sound picture."""
    pixels, indexed = scene(), PALETTE[_indices()]
    yield "jpeg", "jpg", encoded(pixels, "JPEG", **_quality()), pixels, CLOSE
    yield "jpeg-progressive", "jpg", encoded(pixels, "JPEG", progressive=True, **_quality()), pixels, CLOSE
    yield "jpeg-grey", "jpeg", encoded(_grey(), "JPEG", quality=97), _rgb(_grey()), CLOSE
    yield "jpeg-thinned", "jfif", encoded(pixels, "JPEG", quality=95, subsampling=2), pixels, ROUGH
    yield "jpeg-restarts", "jpe", encoded(pixels, "JPEG", restart_marker_rows=1, **_quality()), pixels, CLOSE
    yield "png", "png", encoded(pixels, "PNG"), pixels, EXACT
    yield "png-interlaced", "png", interlaced_png(pixels), pixels, EXACT
    yield "png-grey-interlaced", "png", interlaced_png(_grey()), _rgb(_grey()), EXACT
    yield "png-palette", "png", encoded(_palette_picture(), "PNG"), indexed, EXACT
    yield "webp", "webp", encoded(pixels, "WEBP", quality=97), pixels, ROUGH
    yield "webp-lossless", "webp", encoded(pixels, "WEBP", lossless=True), pixels, EXACT
    yield "bmp", "bmp", encoded(pixels, "BMP"), pixels, EXACT
    yield "bmp-top-down", "bmp", bmp(pixels, top_down=True), pixels, EXACT
    yield "bmp-runs", "bmp", run_length_bmp(_indices(), PALETTE.tolist()), indexed, EXACT
    yield "tiff", "tif", encoded(pixels, "TIFF"), pixels, EXACT
    yield "tiff-lzw", "tiff", encoded(pixels, "TIFF", compression="tiff_lzw"), pixels, EXACT
    yield "tiff-deflate", "tif", encoded(pixels, "TIFF", compression="tiff_deflate"), pixels, EXACT
    yield "tiff-packbits", "tif", encoded(pixels, "TIFF", compression="packbits"), pixels, EXACT
    yield "tiff-jpeg", "tif", encoded(pixels, "TIFF", compression="jpeg", quality=97), pixels, ROUGH
    yield "gif", "gif", encoded(_palette_picture(), "GIF"), indexed, EXACT
    yield "gif-interlaced", "gif", encoded(_palette_picture(), "GIF", interlace=1), indexed, EXACT


def _sound() -> Iterator[Case]:
    for name, suffix, content, pixels, tolerance in _forms():
        yield Case(f"sound-{name}.{suffix}", "sound", content, USED, pixels, tolerance)
    for width, height in ((1, 1), (1, 200), (200, 1), (3, 5)):
        pixels = scene(width, height)
        for suffix, kind in (("png", "PNG"), ("bmp", "BMP"), ("tif", "TIFF")):
            name = f"sound-{width}x{height}.{suffix}"
            yield Case(name, "tiny", encoded(pixels, kind), USED, pixels, is_convention=True)
    yield Case("sound-upper-case.PNG", "sound", encoded(scene(), "PNG"), USED, scene())
    tiles = [scene()[top : top + 16, left : left + 16] for top in (0, 16) for left in (0, 16, 32)]
    tags = tiff_tags(WIDTH, HEIGHT, bits=(8, 8, 8), photometric=2) | {322: (3, [16]), 323: (3, [16])}
    del tags[278]
    yield Case("sound-tiff-tiles.tif", "sound", tiff([t.tobytes() for t in tiles], tags), USED, scene())
    planes = [scene()[:, :, channel].tobytes() for channel in range(3)]
    tags = tiff_tags(WIDTH, HEIGHT, bits=(8, 8, 8), photometric=2) | {284: (3, [2])}
    yield Case("sound-tiff-planes.tif", "sound", tiff(planes, tags), USED, scene())
    strips = [scene()[top : top + 5].tobytes() for top in range(0, HEIGHT, 5)]
    tags = tiff_tags(WIDTH, HEIGHT, bits=(8, 8, 8), photometric=2, rows=5)
    yield Case("sound-tiff-strips.tif", "sound", tiff(strips, tags), USED, scene())
    yield Case("sound-bigtiff.tif", "sound", grey_tiff(_grey(), big=True), USED, _rgb(_grey()))
    yield Case("sound-tiff-big-endian.tif", "sound", grey_tiff(_grey(), order=">"), USED, _rgb(_grey()))


def _modes() -> Iterator[Case]:
    bits = (_indices() % 2 * 255).astype(np.uint8)
    one_bit = Image.fromarray(bits).convert("1")
    for suffix, kind in (("png", "PNG"), ("tif", "TIFF"), ("bmp", "BMP"), ("gif", "GIF")):
        yield Case(f"mode-one-bit.{suffix}", "modes", encoded(one_bit, kind), USED, _rgb(bits))
    fax = encoded(one_bit, "TIFF", compression="group4")
    yield Case("mode-fax.tif", "modes", fax, USED, _rgb(bits))
    yield Case("mode-grey.bmp", "modes", encoded(_grey(), "BMP"), USED, _rgb(_grey()))
    inverted = grey_tiff(255 - _grey(), photometric=0)
    yield Case("mode-white-is-zero.tif", "modes", inverted, USED, _rgb(_grey()))
    halves = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    halves[:, WIDTH // 2 :, 0] = 255  # lightness; a and b are 0
    expected = _rgb(halves[:, :, 0])
    tags = tiff_tags(WIDTH, HEIGHT, bits=(8, 8, 8), photometric=8)
    yield Case("mode-lab.tif", "modes", tiff([halves.tobytes()], tags), USED, expected, CLOSE)
    dots = "".join("01"[(x + y) % 2] + "," for y in range(1) for x in range(8))
    yield Case("mode-text-like-xbm.png", "foreign", f"#define x_width 8\n{{{dots}}}".encode(), REFUSED)


def _over_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha[:, :, None].astype(float) / 255
    return np.rint(pixels * share + 255 * (1 - share)).astype(np.uint8)


def _transparency() -> Iterator[Case]:
    alpha = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
    clear = Image.fromarray(np.dstack([scene(), alpha]))
    seen = _over_white(scene(), alpha)
    for suffix, kind, options in (("png", "PNG", {}), ("tif", "TIFF", {})):
        content = encoded(clear, kind, **options)
        yield Case(f"transparent-rgba.{suffix}", "transparency", content, USED, seen, 1, True)
    content = encoded(clear, "WEBP", lossless=True, exact=True)
    yield Case("transparent-rgba.webp", "transparency", content, USED, seen, 1, True)
    grey = Image.merge("LA", [Image.fromarray(_grey()), Image.fromarray(alpha)])
    grey_seen = _over_white(_rgb(_grey()), alpha)
    yield Case("transparent-grey.png", "transparency", encoded(grey, "PNG"), USED, grey_seen, 1, True)
    mapped = PALETTE[_indices()].copy()
    mapped[_indices() == 1] = 255
    for suffix, kind in (("png", "PNG"), ("gif", "GIF")):
        content = encoded(_palette_picture(), kind, transparency=1)
        yield Case(f"transparent-palette.{suffix}", "transparency", content, USED, mapped, EXACT, True)
    keyed = scene()
    key = keyed[0, 0].copy()
    content = png(keyed, before=png_chunk(b"tRNS", struct.pack(">3H", *key.tolist())))
    keyed = np.where((keyed == key).all(axis=2, keepdims=True), np.uint8(255), keyed)
    yield Case("transparent-colour-key.png", "transparency", content, USED, keyed, EXACT, True)


def _sixteen_bits() -> Iterator[Case]:
    eight = _grey()
    wide = eight.astype(np.uint16) * 257
    yield Case("bits-16-grey.png", "16 bits", png(wide.astype(">u2"), bits=16), USED, _rgb(eight))
    for name, order in (("little", "<"), ("big", ">")):
        yield Case(f"bits-16-{name}.tif", "16 bits", grey_tiff(wide, order=order), USED, _rgb(eight))
    yield Case("bits-16-white-is-zero.tif", "16 bits", grey_tiff(65535 - wide, photometric=0), USED, _rgb(eight))
    colours = scene().astype(">u2") * 257
    content = png(colours.astype(">u2"), bits=16)
    yield Case("bits-16-colour.png", "16 bits", content, USED, scene())
    yield Case("bits-32-of-16.tif", "16 bits", grey_tiff(wide.astype(np.int32)), USED, _rgb(eight))
    yield Case("bits-32-beyond.tif", "16 bits", grey_tiff(wide.astype(np.int32) * 9), REFUSED)
    yield Case("bits-32-negative.tif", "16 bits", grey_tiff(wide.astype(np.int32) - 9999), REFUSED)


def _floats() -> Iterator[Case]:
    share = _grey().astype(np.float32) / 255
    yield Case("float-to-1.tif", "floats", grey_tiff(share), USED, _rgb(_grey()), 1)
    yield Case("float-to-255.tif", "floats", grey_tiff(_grey().astype(np.float32)), USED, _rgb(_grey()))
    for name, value in (("nan", np.nan), ("infinite", np.inf), ("negative", -1.0), ("beyond", 5000.0)):
        spoilt = share.copy()
        spoilt[3, 5] = value
        yield Case(f"float-{name}.tif", "floats", grey_tiff(spoilt), REFUSED)


def _inks() -> Iterator[Case]:
    rgb = scene()
    picture = Image.merge("CMYK", [*Image.fromarray(255 - rgb).split(), Image.new("L", (WIDTH, HEIGHT), 0)])
    marked = encoded(picture, "JPEG", **_quality())
    yield Case("inks-adobe.jpg", "inks", marked, USED, rgb, CLOSE)
    yield Case("inks-unmarked.jpg", "inks", jpeg_without(marked, 0xEE), USED)
    yield Case("inks.tif", "inks", encoded(picture, "TIFF"), USED, rgb, 1)


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """What a picture shows, stored with an orientation: by the definition of its first row and column."""
    swapped = pixels.swapaxes(0, 1) if orientation >= 5 else pixels
    flips = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}.get(orientation, ())
    return np.ascontiguousarray(np.flip(swapped, flips))


def _orientations() -> Iterator[Case]:
    for suffix, kind, options, tolerance in (
        ("jpg", "JPEG", _quality(), CLOSE),
        ("png", "PNG", {}, EXACT),
        ("tif", "TIFF", {}, EXACT),
        ("webp", "WEBP", {"lossless": True}, EXACT),
    ):
        for orientation in range(1, 9):
            exif = Image.Exif()
            exif[0x0112] = orientation
            content = encoded(scene(), kind, exif=exif, **options)
            name = f"orientation-{orientation}.{suffix}"
            yield Case(name, "orientation", content, USED, _turned(scene(), orientation), tolerance)
    for value in (0, 9, 65535):
        exif = Image.Exif()
        exif[0x0112] = value
        content = encoded(scene(), "JPEG", exif=exif, **_quality())
        yield Case(f"orientation-senseless-{value}.jpg", "orientation", content, USED, scene(), CLOSE)


def _many_frames() -> Iterator[Case]:
    first, others = _palette_picture(), [Image.fromarray(np.full((HEIGHT, WIDTH), v, np.uint8)) for v in (1, 2, 3)]
    for other in others:
        other.putpalette(PALETTE.tobytes())
    moving = {"save_all": True, "append_images": others}
    yield Case("frames.gif", "frames", encoded(first, "GIF", **moving), USED, PALETTE[_indices()])
    start = Image.fromarray(scene())
    rest = {"save_all": True, "append_images": [Image.new("RGB", start.size, c) for c in ("red", "blue")]}
    yield Case("frames.png", "frames", encoded(start, "PNG", **rest), USED, scene())
    yield Case("frames.webp", "frames", encoded(start, "WEBP", lossless=True, **rest), USED, scene())
    yield Case("frames.tif", "frames", encoded(start, "TIFF", **rest), USED, scene())
    yield Case("frames-mpo.jpg", "frames", encoded(start, "MPO", **_quality(), **rest), USED, scene(), CLOSE)
    content = encoded(first, "GIF", save_all=True, append_images=(others * 700)[:2000], duration=20)
    yield Case("frames-2000.gif", "frames", content, USED, PALETTE[_indices()])
    yield Case("frames-second-cut.gif", "frames", encoded(first, "GIF", **moving)[:-20], USED, PALETTE[_indices()])
    yield Case(
        "frames-page-in-a-circle.tif", "frames", grey_tiff(_grey(), next_page=8 + _grey().size), USED, _rgb(_grey())
    )


def _extras() -> Iterator[Case]:
    """What surrounds the pixels may be damaged: the pixels are none the worse."""
    pixels = scene()
    jpeg, plain = encoded(pixels, "JPEG", **_quality()), encoded(pixels, "PNG")
    noise = np.random.default_rng(0).bytes(300)
    blocks = {
        "zeros": b"\0" * 40,
        "ones": b"\xff" * 40,
        "noise": noise,
        "offset-beyond": b"II*\0\xff\xff\xff\xff" + b"\x12" * 30,
        "count-beyond": b"MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\x03" * 4,
        "circle": b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
    }
    for name, block in blocks.items():
        content = jpeg_with(jpeg, 0xE1, b"Exif\0\0" + block)
        yield Case(f"extra-exif-{name}.jpg", "metadata", content, USED, pixels, CLOSE)
        content = png(pixels, before=png_chunk(b"eXIf", block))
        yield Case(f"extra-exif-{name}.png", "metadata", content, USED, pixels)
        content = encoded(pixels, "WEBP", lossless=True, exif=b"Exif\0\0" + block)
        yield Case(f"extra-exif-{name}.webp", "metadata", content, USED, pixels)
    for name, profile in (("noise", noise), ("empty", b""), ("long", noise * 300)):
        content = jpeg_with(jpeg, 0xE2, b"ICC_PROFILE\0\x01\x01" + profile[:60000])
        yield Case(f"extra-icc-{name}.jpg", "metadata", content, USED, pixels, CLOSE)
        content = png(pixels, before=png_chunk(b"iCCP", b"x\0\0" + zlib.compress(profile)))
        yield Case(f"extra-icc-{name}.png", "metadata", content, USED, pixels)
        tags = tiff_tags(WIDTH, HEIGHT, bits=(8, 8, 8), photometric=2) | {34675: (1, list(profile[:200] or b"\0"))}
        yield Case(f"extra-icc-{name}.tif", "metadata", tiff([pixels.tobytes()], tags), USED, pixels)
    broken = png(pixels, before=png_chunk(b"iCCP", b"x\0\0no stream"))
    yield Case("extra-icc-not-packed.png", "metadata", broken, USED_OR_SKIPPED, pixels)
    yield Case("extra-comment.jpg", "metadata", jpeg_with(jpeg, 0xFE, noise * 100), USED, pixels, CLOSE)
    many = jpeg
    for _ in range(500):
        many = jpeg_with(many, 0xEF, noise)
    yield Case("extra-500-segments.jpg", "metadata", many, USED, pixels, CLOSE)
    yield Case("extra-zip-behind.jpg", "metadata", jpeg + _zip(), USED, pixels, CLOSE)
    yield Case("extra-page-behind.png", "metadata", plain + b"<html><script>alert(1)</script>", USED, pixels)
    yield Case("extra-second-behind.jpg", "metadata", jpeg + encoded(255 - pixels, "JPEG"), USED, pixels, CLOSE)
    gif = encoded(_palette_picture(), "GIF")
    yield Case("extra-script-behind.gif", "metadata", gif + b"*/=1;alert(1);//", USED, PALETTE[_indices()])


def _wrong_suffixes() -> Iterator[Case]:
    turned = {
        "jpeg": "png",
        "png": "jpg",
        "webp": "jpg",
        "bmp": "png",
        "tiff": "jpg",
        "gif": "jpeg",
        "png-palette": "gif",
    }
    for name, _, content, pixels, tolerance in _forms():
        if name in turned:
            yield Case(f"misnamed-{name}.{turned[name]}", "wrong suffix", content, USED, pixels, tolerance)


def _cut() -> Iterator[Case]:
    """The beginning of a file, as a copy or download that broke off leaves it."""
    for name, suffix, content, _, _ in _forms():
        for percent in (10, 35, 60, 85):
            cut = content[: len(content) * percent // 100]
            yield Case(f"cut-{name}-{percent}.{suffix}", "cut", cut, SKIPPED)
    for name, suffix, content, pixels, tolerance in _forms():
        yield Case(f"cut-{name}-last.{suffix}", "cut", content[:-1], USED_OR_SKIPPED, pixels, tolerance)
        zeros = content[: len(content) // 3] + b"\0" * (len(content) - len(content) // 3)
        sure = {"jpeg", "jpeg-grey", "png", "png-interlaced", "png-grey-interlaced", "png-palette", "webp-lossless"}
        yield Case(f"cut-{name}-zeros.{suffix}", "zeros", zeros, SKIPPED if name in sure else ANY)


def _short() -> Iterator[Case]:
    for suffix in ("jpg", "png", "webp", "bmp", "tif", "gif"):
        yield Case(f"short-empty.{suffix}", "cut", b"", SKIPPED)
    yield Case("short-zeros.jpg", "zeros", b"\0" * 5000, SKIPPED)
    starts = {
        "jpg": b"\xff\xd8\xff",
        "png": PNG_MAGIC,
        "webp": b"RIFF\0\0",
        "bmp": b"BM",
        "tif": b"II*\0",
        "gif": b"GIF89a",
    }
    for suffix, start in starts.items():
        yield Case(f"short-start.{suffix}", "cut", start, SKIPPED)
        yield Case(f"short-start-and-zeros.{suffix}", "zeros", start + b"\0" * 300, LEFT_OUT)
        yield Case(f"short-start-and-noise.{suffix}", "noise", start + np.random.default_rng(1).bytes(3000), LEFT_OUT)
        yield Case(f"short-one-byte.{suffix}", "cut", start[:1], SKIPPED)
    noise = np.random.default_rng(2).bytes(4000)
    yield Case("short-noise.jpg", "noise", b"\x01" + noise, REFUSED)


def _bytes_changed() -> Iterator[Case]:
    """Single bytes turned round; a checksum notices, other formats have none."""
    for name, suffix, content, _, _ in _forms():
        first = changed(content, 0, bytes([content[0] ^ 0xFF]))
        yield Case(f"changed-{name}-first.{suffix}", "changed", first, LEFT_OUT)
        for percent in (20, 50, 80):
            place = len(content) * percent // 100
            spoilt = changed(content, place, bytes([content[place] ^ 0x55]))
            sure = SKIPPED if name.startswith("png") else ANY
            yield Case(f"changed-{name}-{percent}.{suffix}", "changed", spoilt, sure)
    draw = np.random.default_rng(3)
    for name, suffix, content, _, _ in _forms():
        spoilt = np.frombuffer(content, np.uint8).copy()
        spoilt[draw.integers(0, min(60, len(spoilt)), 4)] = draw.integers(0, 256, 4)
        yield Case(f"changed-{name}-header.{suffix}", "changed", spoilt.tobytes(), ANY)


def _headers() -> Iterator[Case]:
    """Headers that promise another size."""
    pixels = scene()
    jpeg = encoded(pixels, "JPEG", **_quality())
    size = jpeg_frame(jpeg) + 5
    for name, height, width, outcomes in (
        ("twice-as-high", 2 * HEIGHT, WIDTH, SKIPPED),
        ("twice-as-wide", HEIGHT, 2 * WIDTH, SKIPPED),
        ("no-height", 0, WIDTH, LEFT_OUT),
        ("no-width", HEIGHT, 0, LEFT_OUT),
        ("huge", 65500, 65500, REFUSED),
    ):
        content = changed(jpeg, size, struct.pack(">HH", height, width))
        yield Case(f"size-{name}.jpg", "wrong size", content, outcomes)
    for name, width, height, outcomes in (
        ("twice-as-high", WIDTH, 2 * HEIGHT, SKIPPED),
        ("twice-as-wide", 2 * WIDTH, HEIGHT, SKIPPED),
        ("no-height", WIDTH, 0, LEFT_OUT),
        ("no-width", 0, HEIGHT, LEFT_OUT),
        ("huge", 2**31 - 1, 2**31 - 1, LEFT_OUT),
    ):
        yield Case(f"size-{name}.png", "wrong size", png(pixels, header=png_header(width, height)), outcomes)
    yield Case("size-twice-as-high-black.png", "wrong size", png(pixels * 0, header=png_header(WIDTH, 99)), SKIPPED)
    yield Case("size-right-and-black.png", "sound", png(pixels * 0), USED, pixels * 0)
    for name, width, height, outcomes in (
        ("twice-as-high", WIDTH, 2 * HEIGHT, SKIPPED),
        ("twice-as-wide", 2 * WIDTH, HEIGHT, SKIPPED),
        ("no-width", 0, HEIGHT, LEFT_OUT),
        ("huge", 40000, 40000, REFUSED),
        ("negative-width", -WIDTH, HEIGHT, LEFT_OUT),
    ):
        yield Case(f"size-{name}.bmp", "wrong size", bmp(pixels, width=width, height=height), outcomes)
    yield Case("size-7-bits.bmp", "wrong size", bmp(pixels, bits=7), SKIPPED)
    yield Case("size-unknown-packing.bmp", "wrong size", bmp(pixels, compression=99), SKIPPED)
    for name, width, height, outcomes in (
        ("twice-as-high", WIDTH, 2 * HEIGHT, SKIPPED),
        ("twice-as-wide", 2 * WIDTH, HEIGHT, SKIPPED),
        ("no-height", WIDTH, 0, LEFT_OUT),
        ("huge", 100_000, 100_000, REFUSED),
    ):
        change = {256: (4, [width]), 257: (4, [height])}
        yield Case(f"size-{name}.tif", "wrong size", grey_tiff(_grey(), change=change), outcomes)
    gif = encoded(_palette_picture(), "GIF")
    yield Case("size-huge.gif", "wrong size", changed(gif, 6, b"\xff\xff\xff\xff"), REFUSED)
    frame = gif.index(b",\0\0\0\0")
    taller = changed(changed(gif, 8, struct.pack("<H", 64)), frame + 7, struct.pack("<H", 64))
    yield Case("size-twice-as-high.gif", "wrong size", taller, SKIPPED)
    webp = encoded(pixels, "WEBP", lossless=True)
    yield Case("size-riff-too-long.webp", "wrong size", changed(webp, 4, struct.pack("<I", 2**31)), LEFT_OUT)
    yield Case("size-riff-too-short.webp", "wrong size", changed(webp, 4, struct.pack("<I", 20)), ANY)


def _png_damage() -> Iterator[Case]:
    pixels = scene()
    rows = pixels.reshape(HEIGHT, -1)
    good = png_rows(rows)
    pieces = b"".join(png_chunk(b"IDAT", good[i : i + 7]) for i in range(0, len(good), 7))
    header = png_header(WIDTH, HEIGHT)
    end = png_chunk(b"IEND", b"")
    yield Case("png-many-pieces.png", "sound", PNG_MAGIC + header + pieces + end, USED, pixels)
    yield Case("png-no-end.png", "png", png(pixels, end=False), USED_OR_SKIPPED, pixels)
    yield Case("png-no-header.png", "png", png(pixels, header=b""), SKIPPED)
    yield Case("png-two-headers.png", "png", png(pixels, header=2 * header), ANY)
    yield Case("png-no-data.png", "png", PNG_MAGIC + header + end, SKIPPED)
    yield Case("png-empty-data.png", "png", png(pixels, data=b""), SKIPPED)
    yield Case("png-half-the-rows.png", "png", png(pixels, data=png_rows(rows[: HEIGHT // 2])), SKIPPED)
    yield Case("png-interlaced-half.png", "png", png(pixels, data=png_rows(rows[: HEIGHT // 2]), interlaced=1), SKIPPED)
    yield Case("png-too-many-rows.png", "png", png(pixels, data=png_rows(np.concatenate([rows, rows]))), ANY, pixels)
    yield Case("png-unknown-filter.png", "png", png(pixels, data=png_rows(rows, 9)), SKIPPED)
    yield Case("png-not-packed.png", "png", png(pixels, data=rows.tobytes()), SKIPPED)
    yield Case("png-wrong-sum.png", "png", png(pixels, data=good[:-4] + b"\0\0\0\0"), ANY, pixels)
    yield Case("png-palette-missing.png", "png", png(_indices(), colour=3), ANY)
    yield Case("png-3-bits.png", "png", png(pixels, bits=3), SKIPPED)
    yield Case("png-colour-1.png", "png", png(pixels, colour=1), SKIPPED)
    yield Case("png-interlacing-2.png", "png", png(pixels, interlaced=2), ANY)
    yield Case("png-packing-1.png", "png", png(pixels, compression=1), ANY, pixels)
    yield Case("png-unknown-critical.png", "png", png(pixels, before=png_chunk(b"ABCD", b"x")), ANY, pixels)
    negative = PNG_MAGIC + header + b"\xff\xff\xff\xffIDAT" + good
    yield Case("png-negative-length.png", "png", negative, SKIPPED)
    swapped = b"".join(png_chunk(*one) for one in reversed(png_chunks(png(pixels))))
    yield Case("png-backwards.png", "png", PNG_MAGIC + swapped, SKIPPED)
    spoilt = changed(png(pixels), 29, b"\0\0\0\0")
    yield Case("png-header-sum.png", "png", spoilt, SKIPPED)
    text = png(pixels, before=b"\0\0\0\x05tEXta\0bcd\0\0\0\0")
    yield Case("png-text-sum.png", "png", text, USED_OR_SKIPPED, pixels)


def _jpeg_damage() -> Iterator[Case]:
    pixels = scene()
    jpeg = encoded(pixels, "JPEG", **_quality())
    scan = len(jpeg) - len(jpeg_segments(jpeg)[-1][1])
    for percent in (20, 50, 80):
        place = scan + 20 + (len(jpeg) - scan - 20) * percent // 100
        content = jpeg[:place].rstrip(b"\xff") + b"\xff\xd9"
        yield Case(f"jpeg-ended-at-{percent}.jpg", "jpeg", content, SKIPPED)
        lost = jpeg[:place] + jpeg[place + 60 :]
        yield Case(f"jpeg-60-bytes-lost-at-{percent}.jpg", "jpeg", lost, ANY)
        zeros = changed(jpeg, place, b"\0" * 60)[: len(jpeg) - 2] + b"\xff\xd9"
        yield Case(f"jpeg-60-zeros-at-{percent}.jpg", "jpeg", zeros, ANY)
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    yield Case("jpeg-all-grey.jpg", "sound", encoded(grey, "JPEG", **_quality()), USED, grey, CLOSE)
    progressive = encoded(pixels, "JPEG", progressive=True, **_quality())
    yield Case("jpeg-progressive-ended.jpg", "jpeg", progressive[: len(progressive) // 2] + b"\xff\xd9", ANY)
    yield Case("jpeg-no-end.jpg", "jpeg", jpeg[:-2], USED_OR_SKIPPED, pixels, CLOSE)
    yield Case("jpeg-no-tables.jpg", "jpeg", jpeg_without(jpeg, 0xDB), SKIPPED)
    yield Case("jpeg-no-codes.jpg", "jpeg", jpeg_without(jpeg, 0xC4), ANY)
    yield Case("jpeg-no-frame.jpg", "jpeg", jpeg_without(jpeg, 0xC0), SKIPPED)
    yield Case("jpeg-no-scan.jpg", "jpeg", jpeg[:scan] + b"\xff\xd9", SKIPPED)
    frame = jpeg_frame(jpeg)
    for name, marker in (("lossless", 0xC3), ("arithmetic", 0xC9), ("hierarchical", 0xC5)):
        content = changed(jpeg, frame + 1, bytes([marker]))
        yield Case(f"jpeg-called-{name}.jpg", "jpeg", content, ANY)
    yield Case("jpeg-12-bits.jpg", "jpeg", changed(jpeg, frame + 4, b"\x0c"), LEFT_OUT)
    yield Case("jpeg-9-components.jpg", "jpeg", changed(jpeg, frame + 9, b"\x09"), LEFT_OUT)
    yield Case("jpeg-sampling-0.jpg", "jpeg", changed(jpeg, frame + 11, b"\0"), LEFT_OUT)
    yield Case("jpeg-table-15.jpg", "jpeg", changed(jpeg, frame + 12, b"\x0f"), LEFT_OUT)
    yield Case("jpeg-line-before.jpg", "jpeg", b"\r\n" + jpeg, REFUSED)
    yield Case("jpeg-as-text.jpg", "jpeg", jpeg.decode("latin-1").encode(), LEFT_OUT)
    yield Case("jpeg-line-ends.jpg", "jpeg", jpeg.replace(b"\n", b"\r\n"), ANY)
    length = changed(jpeg, 4, b"\xff\xff")
    yield Case("jpeg-segment-too-long.jpg", "jpeg", length, SKIPPED)


def _tiff_damage() -> Iterator[Case]:
    grey = _grey()
    for name, change, outcomes in (
        ("strip-beyond", {273: (4, [10**6])}, SKIPPED),
        ("strip-in-the-header", {273: (4, [0])}, ANY),
        ("strip-of-4-gigabytes", {279: (4, [2**32 - 1])}, USED_OR_SKIPPED),
        ("strip-empty", {279: (4, [0])}, USED_OR_SKIPPED),
        ("rows-without-end", {278: (4, [2**32 - 1])}, USED_OR_SKIPPED),
        ("rows-0", {278: (4, [0])}, ANY),
        ("unknown-packing", {259: (3, [9999])}, SKIPPED),
        ("called-packed", {259: (3, [5])}, SKIPPED),
        ("called-deflate", {259: (3, [8])}, SKIPPED),
        ("unknown-colours", {262: (3, [999])}, LEFT_OUT),
        ("5-bits", {258: (3, [5])}, LEFT_OUT),
        ("64000-samples", {277: (3, [64000])}, LEFT_OUT),
        ("orientation-99", {274: (3, [99])}, USED),
    ):
        pixels = _rgb(grey) if outcomes in (USED, USED_OR_SKIPPED) else None
        yield Case(f"tiff-{name}.tif", "tiff", grey_tiff(grey, change=change), outcomes, pixels)
    half = [grey[: HEIGHT // 2].tobytes()]
    tags = tiff_tags(WIDTH, HEIGHT, rows=HEIGHT // 2)
    yield Case("tiff-strip-missing.tif", "tiff", tiff(half, tags), SKIPPED)
    many = tiff([b"\0"] * 20000, tiff_tags(WIDTH, 20000, rows=1))
    yield Case("tiff-20000-strips.tif", "tiff", many, ANY)
    directory = struct.pack("<I", 2**31)
    yield Case("tiff-directory-beyond.tif", "tiff", changed(grey_tiff(grey), 4, directory), SKIPPED)
    endless = b"II*\0\x08\0\0\0" + struct.pack("<H", 65535) + b"\xfe\0\x04\0\x01\0\0\0\0\0\0\0" * 20
    yield Case("tiff-65535-tags.tif", "tiff", endless, SKIPPED)


def _bombs() -> Iterator[Case]:
    """Small files that unpack to much."""
    nothing = np.zeros((0, 1), np.uint8)
    for side, name in ((9000, "81-million"), (20_000, "400-million"), (60_000, "3-billion")):
        content = png(nothing, header=png_header(side, side, bits=1, colour=0), data=b"")
        yield Case(f"bomb-{name}-promised.png", "bomb", content, REFUSED)
    rows = zlib.compress(bytes((1 + 9000 // 8) * 9000))
    content = png(nothing, header=png_header(9000, 9000, bits=1, colour=0), data=rows)
    yield Case("bomb-81-million.png", "bomb", content, REFUSED)
    rows = zlib.compress((b"\0" + b"\xff" * 500) * 4000)
    white = np.broadcast_to(np.uint8(255), (4000, 4000, 3))
    content = png(nothing, header=png_header(4000, 4000, bits=1, colour=0), data=rows)
    yield Case("large-16-million.png", "sound", content, USED, white)
    packed = {259: (3, [8]), 256: (4, [20_000]), 257: (4, [20_000]), 278: (4, [20_000])}
    content = tiff([zlib.compress(bytes(10**6))], tiff_tags(20_000, 20_000) | packed)
    yield Case("bomb-400-million.tif", "bomb", content, REFUSED)
    for name, chunk in (("text", b"zTXt"), ("profile", b"iCCP")):
        bomb = png(scene(), before=png_chunk(chunk, b"x\0\0" + zlib.compress(bytes(30_000_000))))
        yield Case(f"bomb-{name}.png", "bomb", bomb, USED_OR_SKIPPED, scene())
    screen = changed(encoded(_palette_picture(), "GIF"), 6, struct.pack("<HH", 20_000, 20_000))
    yield Case("bomb-400-million.gif", "bomb", screen, REFUSED)
    yield Case("bomb-900-million.bmp", "bomb", bmp(scene(), width=30_000, height=30_000), REFUSED)
    runs = run_length_bmp(_indices(), PALETTE.tolist())
    yield Case("bomb-runs.bmp", "bomb", changed(runs, 18, struct.pack("<ii", 7000, 7000)), LEFT_OUT)
    vp8l = b"VP8L" + struct.pack("<I", 10) + b"\x2f\xff\xff\xff\x0f" + b"\0" * 5
    yield Case("bomb-268-million.webp", "bomb", b"RIFF" + struct.pack("<I", 4 + len(vp8l)) + b"WEBP" + vp8l, LEFT_OUT)


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("evil.py", "print('ran')")
    return buffer.getvalue()


def _documents() -> dict[str, bytes]:
    """Contents that are no allowed picture, by the suffix that fits them."""
    small = Image.fromarray(scene())
    array = io.BytesIO()
    np.save(array, scene())
    shown = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 32\n%%EndComments\n(run) print\nshowpage\n%%EOF\n"
    tga = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, WIDTH, HEIGHT, 24, 32) + scene()[:, :, ::-1].tobytes()
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"><rect width="9" height="9"/></svg>'
    )
    psd = b"8BPS\0\1" + b"\0" * 6 + struct.pack(">HIIHH", 3, HEIGHT, WIDTH, 8, 3) + b"\0" * 14 + scene().tobytes()
    return {
        "eps": shown,
        "ps": b"%!PS\nnewpath 0 0 moveto 9 9 lineto stroke showpage\n",
        "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF",
        "svg": svg.encode(),
        "ico": encoded(small, "ICO"),
        "icns": encoded(small.resize((32, 32)), "ICNS"),
        "psd": psd,
        "pcx": encoded(small, "PCX"),
        "tga": tga,
        "ppm": encoded(small, "PPM"),
        "dds": encoded(small, "DDS"),
        "sgi": encoded(small, "SGI"),
        "fits": b"SIMPLE  =                    T".ljust(2880),
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 200,
        "avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1" + b"\0" * 200,
        "mp4": b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41" + b"\0" * 400,
        "webm": b"\x1aE\xdf\xa3\x9fB\x86\x81\x01" + b"\0" * 300,
        "jp2": b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjp2 " + b"\0" * 200,
        "exr": b"v/1\x01\x02\0\0\0channels\0" + b"\0" * 200,
        "wav": b"RIFF" + struct.pack("<I", 300) + b"WAVEfmt " + b"\0" * 288,
        "avi": b"RIFF" + struct.pack("<I", 300) + b"AVI LIST" + b"\0" * 288,
        "zip": _zip(),
        "gz": gzip.compress(scene().tobytes(), mtime=0),
        "txt": b"no picture, only words\n" * 30,
        "json": json.dumps({"image": None, "also": list(range(40))}).encode(),
        "html": b"<!DOCTYPE html><html><head><title>404 Not Found</title></head><body>not here</body></html>",
        "py": b"import os\nos.system('touch /tmp/ran')\n",
        "pkl": pickle.dumps({"weights": list(range(50))}),
        "npy": array.getvalue(),
        "exe": b"MZ\x90\0" + b"\0" * 400,
        "so": b"\x7fELF\x02\x01\x01" + b"\0" * 400,
        "git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
    }


def _foreign() -> Iterator[Case]:
    """Other formats under a picture's name: never opened as what they are."""
    for suffix, content in _documents().items():
        yield Case(f"foreign-{suffix}.jpg", "foreign", content, REFUSED)
    for suffix in ("eps", "html", "heic", "zip"):
        yield Case(f"foreign-{suffix}.png", "foreign", _documents()[suffix], REFUSED)


def _impostors() -> Iterator[Case]:
    """Other content behind an allowed format's first bytes."""
    for suffix, start in (
        ("jpg", b"\xff\xd8\xff\xe0"),
        ("png", PNG_MAGIC),
        ("gif", b"GIF89a"),
        ("bmp", b"BM"),
        ("tif", b"II*\0"),
    ):
        yield Case(f"impostor-page.{suffix}", "impostor", start + _documents()["html"], SKIPPED)
        yield Case(f"impostor-eps.{suffix}", "impostor", start + _documents()["eps"], SKIPPED)
    yield Case("impostor-prose.bmp", "impostor", b"BMW is a maker of cars and motorcycles in Munich.\n" * 9, SKIPPED)
    riff = b"RIFF" + struct.pack("<I", 400) + b"WEBP" + _documents()["html"] * 5
    yield Case("impostor-page.webp", "impostor", riff, SKIPPED)


def surroundings(root: Path, folder: str) -> dict[str, str]:
    """Put beside the pictures what else folders hold.

    Args:
        root: of DATA.
        folder: a class folder in it.

    Returns:
        Path of each file, relative to the root, and its outcome.
    """
    picture = encoded(scene(), "PNG")
    hidden = [f"{folder}/._sound-png.png", f"{folder}/.DS_Store", f"{folder}/Thumbs.db", f"{folder}/desktop.ini"]
    hidden += [".git/config", ".git/objects/ab/cdef", f"{folder}/.thumbnails/large/a.png", f"__MACOSX/{folder}/._a.jpg"]
    hidden += [f"{folder}/.ipynb_checkpoints/1.png", ".hidden.jpg"]
    plain = ["README.md", "loose.png", f"{folder}/notes.txt", f"{folder}/labels.csv", f"{folder}/no-suffix"]
    plain += [f"{folder}/document.{suffix}" for suffix in _documents()]
    for path in [*hidden, *plain]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(picture)
    outcomes = dict.fromkeys([*hidden, *plain], "ignored")
    return outcomes | _links(root, folder, picture)


def _links(root: Path, folder: str, picture: bytes) -> dict[str, str]:
    """Links that lead somewhere, nowhere and in circles, and a pipe that would make its reader wait for ever."""
    elsewhere = root.parent / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    for name in ("far.png", "deep/x.png"):
        (elsewhere / name).write_bytes(picture)
    (root / folder / "linked").symlink_to(elsewhere)
    (elsewhere / "deep" / "up").symlink_to(elsewhere)
    (root / folder / "loop").symlink_to(root)
    (root / folder / "self.png").symlink_to(root / folder / "self.png")
    (root / folder / "dead.png").symlink_to(root / "gone.png")
    (root / folder / "file-link.png").symlink_to(elsewhere / "far.png")
    os.mkfifo(root / folder / "pipe.jpg")
    used = [f"{folder}/linked/far.png", f"{folder}/linked/deep/x.png", f"{folder}/file-link.png"]
    ignored = [f"{folder}/self.png", f"{folder}/dead.png", f"{folder}/pipe.jpg"]
    return dict.fromkeys(used, "used") | dict.fromkeys(ignored, "ignored")
