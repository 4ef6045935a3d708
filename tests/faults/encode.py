"""Picture files written by hand, byte by byte, where no library would write them so."""

import struct
import zlib

import numpy as np

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Passes of an interlaced PNG: first column and row, and the steps from each to the next."""


def png_chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header(width, height, *, bits=8, colour=2, compression=0, filtering=0, interlaced=0):
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, compression, filtering, interlaced))


def png_rows(pixels, filter_type=0):
    """Raw rows (height, bytes) with their filter bytes, compressed."""
    return zlib.compress(b"".join(bytes([filter_type]) + row.tobytes() for row in pixels))


def png(pixels, *, header=None, before=b"", data=None, after=b"", end=True, **options):
    """A PNG of pixels (height, width) or (height, width, 3); any part can be given otherwise."""
    height, width = pixels.shape[:2]
    colour = 0 if pixels.ndim == 2 else 2
    header = png_header(width, height, **{"colour": colour, **options}) if header is None else header
    data = png_rows(pixels) if data is None else data
    idat = png_chunk(b"IDAT", data)
    return PNG_MAGIC + header + before + idat + after + (png_chunk(b"IEND", b"") if end else b"")


def interlaced_png(pixels):
    passes = [pixels[top::down, left::right] for left, top, right, down in ADAM7]
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for part in passes if part.size for row in part))
    return png(pixels, data=data, interlaced=1)


def png_chunks(content):
    """Split a PNG into (name, data)."""
    place, found = len(PNG_MAGIC), []
    while place < len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        found.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 16: 8}
_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}


def tiff(data, tags, *, order="<", big=False, next_page=0):
    """A TIFF of one page.

    Args:
        data: list of strips or tiles, as bytes.
        tags: tag to (type, values); where the strips lie and how long they are is filled in unless given.
        order: "<" or ">".
        big: write BigTIFF.
        next_page: where the file says that another page begins.
    """
    start = 16 if big else 8
    offsets = [start + sum(map(len, data[:i])) for i in range(len(data))]
    wide = 16 if big else 4
    where = (324, 325) if 322 in tags else (273, 279)
    filled = {where[0]: (wide, offsets), where[1]: (wide, [len(part) for part in data])} | tags
    word = "Q" if big else "I"
    place = start + sum(map(len, data))
    directory_size = (8 if big else 2) + len(filled) * (20 if big else 12) + (8 if big else 4)
    entries, extra = b"", b""
    for tag, (kind, values) in sorted(filled.items()):
        packed = struct.pack(f"{order}{len(values)}{_CODES[kind]}", *values)
        if len(packed) > (8 if big else 4):
            entry = struct.pack(f"{order}{word}", place + directory_size + len(extra))
            extra += packed
        else:
            entry = packed.ljust(8 if big else 4, b"\0")
        entries += struct.pack(f"{order}HH{word}", tag, kind, len(values)) + entry
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 43 if big else 42)
    head += struct.pack(f"{order}HHQ", 8, 0, place) if big else struct.pack(f"{order}I", place)
    count = struct.pack(f"{order}{'Q' if big else 'H'}", len(filled))
    return head + b"".join(data) + count + entries + struct.pack(f"{order}{word}", next_page) + extra


def tiff_tags(width, height, *, bits=(8,), photometric=1, compression=1, rows=None, sample_format=1, **_):
    return {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, list(bits)),
        259: (3, [compression]),
        262: (3, [photometric]),
        277: (3, [len(bits)]),
        278: (4, [height if rows is None else rows]),
        339: (3, [sample_format] * len(bits)),
    }


def grey_tiff(values, *, order="<", big=False, next_page=0, change=None, **options):
    """A TIFF of one strip from values (height, width) of any number type."""
    height, width = values.shape
    bits = values.dtype.itemsize * 8
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = tiff_tags(width, height, bits=(bits,), sample_format=kind, **options) | (change or {})
    data = [values.astype(values.dtype.newbyteorder(order)).tobytes()]
    return tiff(data, tags, order=order, big=big, next_page=next_page)


def bmp(pixels, *, top_down=False, width=None, height=None, bits=24, compression=0, data=None, header_size=40):
    """A BMP of pixels (height, width, 3)."""
    rows = pixels if top_down else pixels[::-1]
    raw = b"".join(row[:, ::-1].tobytes() + b"\0" * (-3 * len(row) % 4) for row in rows) if data is None else data
    height = (-pixels.shape[0] if top_down else pixels.shape[0]) if height is None else height
    width = pixels.shape[1] if width is None else width
    info = struct.pack("<IiiHHIIiiII", header_size, width, height, 1, bits, compression, len(raw), 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(raw), 0, 0, 54) + info + raw


def run_length_bmp(indices, palette):
    """A BMP of palette indices (height, width), packed in runs (RLE8)."""
    height, width = indices.shape
    data = b""
    for row in indices[::-1]:
        ends = [*(np.flatnonzero(np.diff(row)) + 1).tolist(), width]
        starts = [0, *ends[:-1]]
        data += b"".join(bytes([end - start, row[start]]) for start, end in zip(starts, ends, strict=True)) + b"\0\0"
    data += b"\0\1"
    colours = b"".join(bytes([*colour[::-1], 0]) for colour in palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 2835, 2835, len(palette), 0)
    start = 54 + len(colours)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + colours + data


def jpeg_segments(content):
    """Split a JPEG into (marker, whole segment); the last one holds all from the first scan on."""
    place, found = 2, []
    while content[place + 1] != 0xDA:
        length = 2 + struct.unpack(">H", content[place + 2 : place + 4])[0]
        found.append((content[place + 1], content[place : place + length]))
        place += length
    return [*found, (0xDA, content[place:])]


def jpeg_without(content, *markers):
    return b"\xff\xd8" + b"".join(segment for marker, segment in jpeg_segments(content) if marker not in markers)


def jpeg_with(content, marker, data):
    """Put a segment in after the start."""
    return content[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data + content[2:]


def jpeg_frame(content):
    """Where the frame header begins."""
    place = 2
    for marker, segment in jpeg_segments(content):
        if marker in range(0xC0, 0xD0) and marker not in {0xC4, 0xC8, 0xCC}:
            return place
        place += len(segment)
    raise AssertionError("no frame")


def changed(content, place, new):
    return content[:place] + new + content[place + len(new) :]
