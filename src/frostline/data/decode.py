"""Bytes or pixels in, one upright 8-bit picture out, or a DecodeError that says why not."""

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
from PIL import (
    Image,
    TiffImagePlugin,  # noqa: F401  registers TIFF; otherwise Image.open imports every plugin it has
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401  registers WebP, likewise
)

from frostline.data.damage import hidden_damage
from frostline.errors import ConfigError, DecodeError, RefusedError, TooLargeError

ALLOWED = "JPEG, PNG, WebP, BMP, TIFF, GIF"

# Pillow's decoders run on bytes that anybody may have made; these are the exceptions seen to come out of them
# when the bytes are damaged. KeyboardInterrupt and our own errors are not among them.
DECODER_ERRORS: tuple[type[Exception], ...] = (
    OSError,  # truncated data, libtiff, libwebp
    EOFError,  # a frame is missing
    SyntaxError,  # Pillow's own word for a broken header
    ValueError,  # sizes, modes, text chunks beyond Pillow's limits
    TypeError,
    LookupError,  # KeyError and IndexError: tags, palettes and tables that are not there
    AttributeError,
    ArithmeticError,  # OverflowError and ZeroDivisionError: sizes, rational tags
    AssertionError,
    RuntimeError,  # NotImplementedError: compressions that Pillow knows but does not read
    MemoryError,  # a header that promises more than there is
    struct.error,
    zlib.error,
    Image.DecompressionBombError,  # caught before all others: such a picture is refused
)

_MODES = {1: "L", 3: "RGB"}
_FORMATS = tuple(name.upper() for name in ALLOWED.split(", "))
_MAGIC = (  # for messages; what is a picture is up to Pillow
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),  # with addresses of 64 bits
    (b"MM\0+", "TIFF"),
    (b"GIF8", "GIF"),
)
_WEBP_START = 12
"""Bytes: RIFF, a length, WEBP."""
_SIXTEEN_BITS = 65535
_EXIF_ORIENTATION, _TIFF_BITS, _TIFF_PHOTOMETRIC = 0x0112, 258, 262
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(
    content: bytes | np.ndarray, *, channels: int = 3, max_pixels: int = 50_000_000, shorter: int | None = None
) -> Image.Image:
    """Decode one picture to 8 bits, upright, transparency over white.

    Args:
        content: an encoded file (the format is told from the bytes alone), or uint8 pixels HxW or HxWx3.
        channels: 3 for mode "RGB", 1 for mode "L".
        max_pixels: a larger picture is refused before it is decoded; Pillow's own limit holds as well.
        shorter: pixels that the shorter side has to keep; a JPEG is then decoded at the half, quarter or eighth that
            still has them, which saves most of the work on large ones. None is the full size.

    Raises:
        RefusedError: the picture may be sound but is not allowed; the reason on one line, without a path.
        DecodeError: the picture is damaged; likewise.
    """
    if channels not in _MODES:
        raise ConfigError(f"channels={channels}: a picture has 1 (grey) or 3 (RGB) channels; pass one of these")
    if isinstance(content, np.ndarray):
        picture = _from_pixels(content, max_pixels)
    else:
        picture = _from_bytes(content, max_pixels, shorter)
    try:
        return picture if picture.mode == _MODES[channels] else picture.convert(_MODES[channels])
    except MemoryError as error:
        raise DecodeError(_reason("picture", error)) from error


def format_of(content: bytes) -> str:
    """Tell an allowed format by a file's first bytes; empty where it is none."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    return next((name for magic, name in _MAGIC if content.startswith(magic)), "")


def _from_pixels(pixels: np.ndarray, max_pixels: int) -> Image.Image:
    is_picture = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    if pixels.dtype != np.uint8 or not is_picture or pixels.size == 0:
        raise RefusedError(f"pixels are {pixels.dtype} of shape {pixels.shape}; allowed is uint8, HxW or HxWx3")
    _check_size(pixels.shape[1], pixels.shape[0], max_pixels)
    return Image.fromarray(np.ascontiguousarray(pixels))


def _from_bytes(content: bytes, max_pixels: int, shorter: int | None) -> Image.Image:
    if not content:
        raise DecodeError("empty file")
    _silence_pillow()
    kind = format_of(content)
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as opened:
            _check_size(*opened.size, max_pixels)
            if shorter is not None:
                opened.draft(None, (shorter, shorter))  # JPEG alone can; others stay as they are
            tiles = list(opened.tile)
            opened.load()  # Pillow is lazy: only here does a truncated file show
            if reason := hidden_damage(opened, tiles, content, shorter):
                raise DecodeError(f"damaged {kind or 'picture'}: {reason}")
            return _upright(_to_eight_bits(opened), _orientation(opened))
    except UnidentifiedImageError as error:
        raise _unidentified(content, kind) from error
    except Image.DecompressionBombError as error:
        raise TooLargeError(_reason(kind or "picture", error)) from error
    except DECODER_ERRORS as error:
        raise DecodeError(_reason(kind or "picture", error)) from error


def _unidentified(content: bytes, kind: str) -> DecodeError:
    """Tell the damaged header of a known format from another format."""
    if kind:
        return DecodeError(f"damaged or truncated {kind}: its header cannot be read")
    if len(content) < _WEBP_START and any(magic.startswith(content[:4]) for magic in (b"RIFF", *dict(_MAGIC))):
        return DecodeError(f"truncated: {len(content)} bytes are the beginning of a picture at most")
    if not any(content):
        return DecodeError("damaged: the file holds nothing but zero bytes")
    return RefusedError(f"not a picture in an allowed format ({ALLOWED})")


def _silence_pillow() -> None:
    """Put a filter for Pillow's own modules in front of all others.

    `catch_warnings` would swap the filter list of the whole process, which races as soon as two threads decode.
    Nothing is lost: what matters in these warnings (bombs, damage) becomes a DecodeError.
    """
    ours: dict[str, Any] = {"action": "ignore", "module": r"PIL\."}
    front = warnings.filters[0] if warnings.filters else None
    if not (front and front[0] == "ignore" and getattr(front[3], "pattern", None) == ours["module"]):
        warnings.filterwarnings(**ours)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise TooLargeError(f"{width}x{height} pixels are more than the {max_pixels:,} allowed; scale the picture down")
    if width * height == 0:
        raise RefusedError(f"{width}x{height} pixels: the picture is empty")


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    """Convert any mode that the allowed formats give to "L" or "RGB"."""
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        return _from_integers(picture)
    if picture.mode == "F":
        return _from_floats(np.asarray(picture))
    if picture.has_transparency_data:
        picture = picture.convert("LA") if picture.mode == "La" else picture  # "La" has no way to "RGBA" of its own
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture.convert("RGBA")).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def _from_integers(picture: Image.Image) -> Image.Image:
    """Scale 12-bit, 16-bit and 32-bit grey; Pillow's own conversion clips it to white."""
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > _SIXTEEN_BITS:
        raise RefusedError(
            f"integer pixels from {values.min()} to {values.max()}; allowed is 0 to {_SIXTEEN_BITS}: "
            "save the picture with 8 or 16 bits"
        )
    tags: Any = getattr(picture, "tag_v2", {})
    peak = 4095 if tuple(tags.get(_TIFF_BITS, ())) == (12,) else _SIXTEEN_BITS
    grey = (values * 255 + peak // 2) // peak
    if tags.get(_TIFF_PHOTOMETRIC) == 0:  # white is zero; Pillow inverts such pictures only up to 8 bits
        grey = 255 - grey
    grey[values == picture.info.get("transparency", -1)] = 255
    return Image.fromarray(grey.astype(np.uint8))


def _from_floats(values: np.ndarray) -> Image.Image:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):  # false for NaN too
        raise RefusedError(
            f"floating-point pixels from {low:g} to {high:g}; allowed is 0 to 1 or 0 to 255: "
            "save the picture with 8 or 16 bits"
        )
    return Image.fromarray(np.rint(values * 255 if high <= 1 else values).astype(np.uint8))


def _orientation(picture: Image.Image) -> int:
    """Read the EXIF orientation of a loaded picture; 1 (upright) where there is none or the block is damaged.

    Pillow turns a TIFF while loading it and then drops the tag, so nothing is turned twice.
    """
    try:
        value = picture.getexif().get(_EXIF_ORIENTATION, 1)
    except DECODER_ERRORS:
        return 1
    return value if isinstance(value, int) else 1


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    method = _TRANSPOSITIONS.get(orientation)
    return picture if method is None else picture.transpose(method)


def _reason(kind: str, error: Exception) -> str:
    text = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, Image.DecompressionBombError):
        return f"too many pixels: {text}"
    if isinstance(error, MemoryError):
        return f"{kind} that needs more memory than decoding may take"
    is_cut = isinstance(error, EOFError) or "truncated" in text.lower()
    return f"{'truncated' if is_cut else 'damaged'} {kind}: {text}"
