import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from frostline.data.decode import decode
from frostline.errors import ConfigError, DecodeError, RefusedError

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encode(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def array(content, **options):
    return np.asarray(decode(content, **options))


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(*, bits, colour, rows, extra=b"", size=None):
    """A PNG written by hand; `rows` are the raw bytes of each row."""
    width, height = size
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def tiff(values, *, bits, sample_format=1, photometric=1):
    """A one-strip little-endian TIFF of grey samples, written by hand."""
    height, width = values.shape
    data = values.tobytes()
    tags = [
        *((256, width), (257, height), (258, bits), (259, 1), (262, photometric)),
        *((273, 8), (277, 1), (278, height), (279, len(data)), (339, sample_format)),
    ]
    ifd = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + ifd + struct.pack("<I", 0)


def noise(size=24):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8))


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_give_the_same_pixels(kind, options):
    picture = noise()
    decoded = decode(encode(picture, kind, **options))
    assert decoded.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(decoded), np.asarray(picture))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
def test_compressed_tiff(compression):
    picture = noise()
    np.testing.assert_array_equal(array(encode(picture, "TIFF", compression=compression)), np.asarray(picture))


def test_jpeg_is_close_and_has_the_right_channels():
    content = encode(Image.new("RGB", (16, 8), (200, 100, 50)), "JPEG", quality=95)
    assert np.abs(array(content).astype(int) - (200, 100, 50)).max() <= 3
    assert array(content).shape == (8, 16, 3)
    assert array(content, channels=1).shape == (8, 16)


def gradient(width, height):
    columns, rows = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([columns, rows, (columns + rows) / 2], axis=-1).astype(np.uint8))


@pytest.mark.parametrize(
    ("shorter", "size"), [(None, (400, 320)), (161, (400, 320)), (160, (200, 160)), (80, (100, 80)), (1, (50, 40))]
)
def test_a_jpeg_is_decoded_at_a_part_of_its_size(shorter, size):
    decoded = decode(encode(gradient(400, 320), "JPEG", quality=95), shorter=shorter)
    assert decoded.size == size
    difference = np.asarray(decoded, dtype=int) - np.asarray(gradient(400, 320).resize(size, Image.Resampling.BOX))
    assert np.abs(difference).max() <= 8


def test_other_formats_stay_as_they_are():
    content = encode(noise(64), "PNG")
    np.testing.assert_array_equal(array(content, shorter=1), np.asarray(noise(64)))
    np.testing.assert_array_equal(array(np.asarray(noise(64)), shorter=1), np.asarray(noise(64)))


def test_a_part_of_a_turned_picture_is_turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encode(gradient(400, 320), "JPEG", quality=95, exif=exif)
    assert decode(content, shorter=100).size == (160, 200)


@pytest.mark.parametrize("shorter", [None, 1, 40])
def test_a_cut_jpeg_is_noticed_at_every_size(shorter):
    content = encode(noise(320), "JPEG")
    with pytest.raises(DecodeError, match="truncated JPEG"):
        decode(content[: len(content) * 9 // 10], shorter=shorter)


def test_mpo_gives_its_first_picture():
    first, second = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)
    content = encode(first, "MPO", save_all=True, append_images=[second], quality=95)
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.format == "MPO"
    assert np.abs(array(content).astype(int) - RED).max() <= 3


def test_gif_gives_its_first_frame():
    frames = [Image.new("RGB", (4, 4), RED), Image.new("RGB", (4, 4), BLUE)]
    content = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (array(content) == RED).all()


def test_grey_becomes_rgb_and_stays_grey():
    pixels = np.array([[0, 7], [128, 255]], np.uint8)
    content = encode(Image.fromarray(pixels), "PNG")
    np.testing.assert_array_equal(array(content, channels=1), pixels)
    np.testing.assert_array_equal(array(content), np.stack([pixels] * 3, axis=2))


def test_colour_to_grey_by_luma():
    # ITU-R 601: 0.299, 0.587 and 0.114 of 255
    content = encode(Image.fromarray(np.array([[RED, GREEN, BLUE]], np.uint8)), "PNG")
    assert array(content, channels=1).tolist() == [[76, 150, 29]]


def test_one_bit():
    content = png(bits=1, colour=0, size=(4, 1), rows=[b"\xa0"])  # 1010
    assert array(content, channels=1).tolist() == [[255, 0, 255, 0]]
    assert decode(content).mode == "RGB"


def test_palette():
    content = png(bits=8, colour=3, size=(3, 1), rows=[b"\2\0\1"], extra=chunk(b"PLTE", bytes([*RED, *GREEN, *BLUE])))
    assert array(content).tolist() == [[list(BLUE), list(RED), list(GREEN)]]


def test_palette_with_transparency_over_white():
    # entry 0 is transparent, entry 1 half: 0.5 of green + 0.5 of white, entry 2 opaque
    extra = chunk(b"PLTE", bytes([*RED, *GREEN, *BLUE])) + chunk(b"tRNS", bytes([0, 128]))
    row = array(png(bits=8, colour=3, size=(3, 1), rows=[b"\0\1\2"], extra=extra))[0].tolist()
    assert row == [list(WHITE), [127, 255, 127], list(BLUE)]


def test_transparent_gif_over_white():
    picture = Image.new("P", (2, 1))
    picture.putpalette([*RED, *BLUE])
    picture.putpixel((1, 0), 1)
    assert array(encode(picture, "GIF", transparency=0)).tolist() == [[list(WHITE), list(BLUE)]]


def test_alpha_over_white():
    # alpha 51 is one fifth: 0.2 * colour + 0.8 * 255
    content = encode(Image.fromarray(np.array([[[255, 0, 100, 51], [9, 9, 9, 0]]], np.uint8)), "PNG")
    assert array(content).tolist() == [[[255, 204, 224], list(WHITE)]]


def test_grey_alpha_over_white():
    bands = np.array([[[0, 100, 3]], [[51, 255, 0]]], np.uint8)
    content = encode(Image.merge("LA", [Image.fromarray(band) for band in bands]), "PNG")
    assert array(content, channels=1).tolist() == [[204, 100, 255]]


@pytest.mark.parametrize(
    ("bits", "colour", "row", "key", "want"),
    [
        (8, 0, b"\x05\x06", b"\0\x05", [[255, 255, 255], [6, 6, 6]]),
        (8, 2, b"\1\2\3\4\5\6", b"\0\1\0\2\0\3", [[255, 255, 255], [4, 5, 6]]),
        (1, 0, b"\x40", b"\0\0", [[255, 255, 255], [255, 255, 255]]),
        (16, 0, b"\x01\x01\x02\x02", b"\x01\x01", [[255, 255, 255], [2, 2, 2]]),
    ],
    ids=["grey", "rgb", "one-bit", "sixteen-bit"],
)
def test_png_colour_key_is_white(bits, colour, row, key, want):
    content = png(bits=bits, colour=colour, size=(2, 1), rows=[row], extra=chunk(b"tRNS", key))
    assert array(content).tolist() == [want]


def test_cmyk_jpeg():
    # Pillow's rule without a colour profile: red = (255 - cyan) * (255 - black) / 255
    content = encode(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG", quality=100)
    assert np.abs(array(content).astype(int) - (0, 255, 255)).max() <= 3
    content = encode(Image.new("CMYK", (8, 8), (0, 0, 0, 255)), "JPEG", quality=100)
    assert array(content).max() <= 3


def test_ycck_jpeg():
    # Stored upside down, as Adobe does: Y is 255 - 200, Cb and Cr are 128, K is 255. Y stands for equal inks of 55.
    content = bytearray(encode(Image.new("CMYK", (8, 8), (200, 127, 127, 0)), "JPEG", quality=100))
    content[content.index(b"Adobe") + 11] = 2  # the transform: YCCK
    assert np.abs(array(bytes(content)).astype(int) - 200).max() <= 3


def test_cmyk_tiff():
    content = encode(Image.new("CMYK", (2, 2), (0, 255, 0, 0)), "TIFF")
    assert (array(content) == (255, 0, 255)).all()


SIXTEEN = [0, 257, 32768, 65535]
EIGHT = [0, 1, 128, 255]  # value * 255 / 65535, rounded: 127.502 is 128


def test_sixteen_bit_grey_png_is_scaled():
    content = png(bits=16, colour=0, size=(4, 1), rows=[struct.pack(">4H", *SIXTEEN)])
    assert array(content, channels=1).tolist() == [EIGHT]
    assert array(content)[0, 2].tolist() == [128, 128, 128]


def test_sixteen_bit_grey_tiff_is_scaled():
    values = np.array([SIXTEEN], "<u2")
    assert array(tiff(values, bits=16), channels=1).tolist() == [EIGHT]
    assert array(tiff(values, bits=16, photometric=0), channels=1).tolist() == [[255, 254, 127, 0]]  # white is zero


def test_big_endian_sixteen_bit_tiff_is_scaled():
    content = encode(Image.fromarray(np.array([SIXTEEN], ">u2")), "TIFF")
    assert array(content, channels=1).tolist() == [EIGHT]


def test_twelve_bit_tiff_is_scaled_by_its_own_peak():
    packed = np.frombuffer(bytes([0xFF, 0xF8, 0x00]), np.uint8)  # 4095 and 2048
    content = bytearray(tiff(packed.reshape(1, 3), bits=12))
    width = content.index(struct.pack("<HHII", 256, 4, 1, 3))
    content[width + 8 : width + 12] = struct.pack("<I", 2)
    assert array(bytes(content), channels=1).tolist() == [[255, 128]]


def test_sixteen_bit_rgb_png():
    content = png(bits=16, colour=2, size=(1, 1), rows=[struct.pack(">3H", 65535, 32768, 0)])
    assert array(content).tolist() == [[[255, 128, 0]]]


def test_thirty_two_bit_integers():
    assert array(tiff(np.array([SIXTEEN], "<i4"), bits=32, sample_format=2), channels=1).tolist() == [EIGHT]
    for outside in (65536, -1):
        with pytest.raises(DecodeError, match="allowed is 0 to 65535"):
            decode(tiff(np.array([[0, outside]], "<i4"), bits=32, sample_format=2))


@pytest.mark.parametrize(("values", "want"), [([0, 0.5, 1], [0, 128, 255]), ([0, 1, 254.6], [0, 1, 255])])
def test_floats(values, want):
    content = tiff(np.array([values], "<f4"), bits=32, sample_format=3)
    assert array(content, channels=1).tolist() == [want]


@pytest.mark.parametrize("outside", [-0.1, 256, np.nan, np.inf])
def test_floats_of_unknown_range_are_refused(outside):
    with pytest.raises(DecodeError, match="0 to 1 or 0 to 255"):
        decode(tiff(np.array([[0, outside]], "<f4"), bits=32, sample_format=3))


# A 3x2 picture with six different pixels, as the camera stored it and as it must be shown.
STORED = [[1, 2, 3], [4, 5, 6]]
SHOWN = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("orientation", SHOWN)
def test_orientation_is_applied_exactly_once(orientation, kind):
    exif = Image.Exif()
    exif[274] = orientation
    content = encode(Image.fromarray(np.array(STORED, np.uint8)), kind, exif=exif)
    assert array(content, channels=1).tolist() == SHOWN[orientation]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", SHOWN)
def test_orientation_of_lossy_formats(orientation, kind):
    exif = Image.Exif()
    exif[274] = orientation
    blocks = np.kron(np.array(STORED, np.uint8) * 40, np.ones((16, 16), np.uint8))
    content = encode(Image.fromarray(blocks), kind, exif=exif, quality=95)
    assert np.rint(array(content, channels=1)[8::16, 8::16] / 40).tolist() == SHOWN[orientation]


@pytest.mark.parametrize(
    "damage", [b"\0" * 40, b"\xff" * 40, b"II*\0\xff\xff\xff\xff" + b"\x12" * 30, b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_damaged_exif_does_not_matter(damage):
    content = encode(Image.new("RGB", (8, 4), RED), "JPEG", exif=b"Exif\0\0" + damage)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert decode(content).size == (8, 4)
    assert not seen


def test_exif_that_is_no_exif_does_not_matter():
    content = png(bits=8, colour=0, size=(2, 1), rows=[b"\1\2"], extra=chunk(b"eXIf", b"nonsense" * 4))
    assert array(content, channels=1).tolist() == [[1, 2]]


def test_senseless_orientation_is_upright():
    exif = Image.Exif()
    exif[274] = 77
    assert decode(encode(Image.new("RGB", (8, 4)), "JPEG", exif=exif)).size == (8, 4)


def attempt(content):
    """The pixels, or None after a DecodeError of one line; any other error fails the test."""
    try:
        return array(content)
    except DecodeError as error:
        reason = str(error)
    assert "\n" not in reason
    return None


TRUNCATED = {
    "JPEG": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "PNG": ("PNG", {}),
    "GIF": ("GIF", {}),
    "BMP": ("BMP", {}),
    "WebP": ("WEBP", {}),
    "TIFF": ("TIFF", {}),
    "LZW": ("TIFF", {"compression": "tiff_lzw"}),
}


@pytest.mark.parametrize("case", TRUNCATED)
def test_truncated_pictures_fail_or_are_whole(case):
    kind, options = TRUNCATED[case]
    content = encode(noise(), kind, **options)
    whole = array(content)
    for length in range(0, len(content), 37):
        got = attempt(content[:length])
        if got is not None:  # only the end mark was cut off
            assert length > len(content) * 0.9
            np.testing.assert_array_equal(got, whole)


@pytest.mark.parametrize(("kind", "named"), [("JPEG", "JPEG"), ("PNG", "PNG"), ("GIF", "GIF"), ("BMP", "BMP")])
def test_truncation_is_called_so(kind, named):
    content = encode(noise(), kind)
    with pytest.raises(DecodeError, match=f"truncated {named}"):
        decode(content[: len(content) * 3 // 4])


def test_pillow_is_left_strict():
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_empty_file():
    with pytest.raises(DecodeError, match=r"^empty file$"):
        decode(b"")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize("content", [EPS, b"P6 1 1 255 abc", b"<svg/>", b"%PDF-1.7", b"just text", b"RIFF____WAVEfmt "])
def test_other_formats_are_refused(content):
    with pytest.raises(RefusedError, match="not a picture in an allowed format"):
        decode(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\0" * 100, "nothing but zero bytes"),
        *((start, "the beginning") for start in (b"\x89", b"R", b"RIFF\1\0\0\0WE")),
    ],
)
def test_what_says_nothing_of_its_format_is_damaged(content, reason):
    with pytest.raises(DecodeError, match=reason) as told:
        decode(content)
    assert not isinstance(told.value, RefusedError)


def test_icon_is_refused():
    with pytest.raises(RefusedError, match="not a picture in an allowed format"):
        decode(encode(noise(16), "ICO"))


def test_damaged_header():
    with pytest.raises(DecodeError, match="damaged or truncated PNG: its header"):
        decode(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)


def test_wrong_checksum_in_png():
    content = bytearray(encode(noise(), "PNG"))
    content[60] ^= 0xFF
    with pytest.raises(DecodeError, match="PNG"):
        decode(bytes(content))


def test_random_damage_raises_nothing_but_decode_errors():
    rng = np.random.default_rng(1)
    contents = [encode(noise(), kind) for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")]
    for number in range(240):
        content = np.frombuffer(contents[number % len(contents)], np.uint8).copy()
        content[rng.integers(0, min(200, len(content)), 3)] = rng.integers(0, 256, 3)
        attempt(content.tobytes())


def test_too_many_pixels_are_refused_before_decoding():
    content = encode(Image.new("1", (100, 101)), "PNG")
    assert decode(content, max_pixels=10_100).size == (100, 101)
    with pytest.raises(RefusedError, match="100x101 pixels are more than the 10,099 allowed"):
        decode(content, max_pixels=10_099)


@pytest.mark.parametrize("side", [12_000, 20_000])
def test_bomb(side):
    """Only the header is there; Pillow warns of the first size and refuses the second by itself."""
    content = png(bits=8, colour=0, size=(side, side), rows=[])
    with pytest.raises(RefusedError, match="pixels"):
        decode(content)


def test_pixels():
    grey = np.array([[1, 2, 3]], np.uint8)
    np.testing.assert_array_equal(array(grey, channels=1), grey)
    assert array(grey).tolist() == [[[1, 1, 1], [2, 2, 2], [3, 3, 3]]]
    colour = np.asarray(noise())[:, ::-1]  # not contiguous
    np.testing.assert_array_equal(array(colour), colour)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8), np.zeros((3, 2, 2), np.uint8), np.zeros((0, 2), np.uint8)],
)
def test_other_arrays_are_refused(pixels):
    with pytest.raises(DecodeError, match="allowed is uint8, HxW or HxWx3"):
        decode(pixels)


def test_pixels_beyond_the_limit():
    with pytest.raises(DecodeError, match="3x2 pixels are more"):
        decode(np.zeros((2, 3), np.uint8), max_pixels=5)


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(ConfigError, match="channels=4"):
        decode(np.zeros((2, 2), np.uint8), channels=4)
