import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from frostline.data.preprocess import Preprocess
from frostline.data.views import BASE, TEST_VIEWS, parse_views, show
from frostline.errors import ConfigError
from frostline.files import digest_bytes
from frostline.predictor import seen

DIGESTS = st.binary(max_size=4).map(digest_bytes)
DIGEST, OTHER = digest_bytes(b"one"), digest_bytes(b"other")
PLAIN = Preprocess(size=32, resize=40)


def picture(width=80, height=40, mode="RGB"):
    depth = 3 if mode == "RGB" else 1
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, depth), dtype=np.uint8)
    return Image.fromarray(pixels.squeeze() if depth == 1 else pixels), pixels


@given(
    text=st.sampled_from(["none", "flip", "crops:1", "crops:3", "crops:8"]),
    digest=DIGESTS,
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 1000),
)
def test_every_v_epochs_show_each_view_once(text, digest, seed, epoch):
    views = parse_views(text)
    shown = [views.of(digest, seed=seed, epoch=epoch + i) for i in range(len(views.names))]
    assert sorted(shown) == sorted(views.names)
    assert views.of(digest, seed=seed, epoch=epoch + len(views.names)) == shown[0]


def test_pictures_do_not_all_show_the_same_view():
    views = parse_views("flip")
    shown = [views.of(digest_bytes(bytes([i])), seed=0, epoch=0) for i in range(64)]
    assert 16 < shown.count("mirror") < 48


def test_the_first_view_depends_on_the_seed():
    views = parse_views("crops:8")
    assert len({views.of(DIGEST, seed=seed, epoch=0) for seed in range(20)}) > 3


@pytest.mark.parametrize(
    ("text", "names"),
    [("none", ("base",)), ("flip", ("base", "mirror")), ("crops:2", ("crop-0", "crop-1")), ("random", ())],
)
def test_names(text, names):
    views = parse_views(text)
    assert (views.names, views.can_be_stored) == (names, bool(names))


def test_what_is_drawn_anew_cannot_be_stored_but_keeps_its_turns():
    views = parse_views("flip+pad:4+cutout:8")
    assert not views.can_be_stored
    shown = [views.of(DIGEST, seed=1, epoch=epoch) for epoch in range(4)]
    assert len(set(shown)) == 4
    assert (
        {view.partition("+")[0] for view in shown[:2]} == {"base", "mirror"} == {v.partition("+")[0] for v in shown[2:]}
    )
    assert all(view.endswith(f"+pad:4+cutout:8@1-{epoch}") for epoch, view in enumerate(shown))


def test_a_shift_moves_the_picture_and_reflects_its_border():
    image, _ = picture(32, 32)
    plain = show(image, "base", DIGEST, Preprocess(size=32, resize=32))
    padded = np.pad(plain, [(0, 0), (3, 3), (3, 3)], mode="reflect")
    windows = {padded[:, y : y + 32, x : x + 32].tobytes(): (y, x) for y in range(7) for x in range(7)}
    places = [
        windows[show(image, f"base+pad:3@0-{epoch}", DIGEST, Preprocess(size=32, resize=32)).tobytes()]
        for epoch in range(60)
    ]
    assert {y for y, _ in places} == {x for _, x in places} == set(range(7))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_views_measured_on_are_the_same_made_from_a_picture_or_from_its_pixels(mode):
    image, _ = picture(48, 40, mode)
    preprocess = PLAIN if mode == "RGB" else PLAIN.in_grey()
    plain = show(image, BASE, DIGEST, preprocess)
    views = {view: show(image, view, DIGEST, preprocess) for view in TEST_VIEWS["flip+shift"]}
    for view, pixels in views.items():
        made = seen(torch.tensor(plain)[None], view)[0].numpy()
        assert (made == pixels).all(), view
    assert len({pixels.tobytes() for pixels in views.values()}) == 6
    assert (views["base-down"][:, 1:, 1:] == plain[:, :-1, :-1]).all()
    assert (views["mirror-up"][:, :-1, :-1] == views["mirror"][:, 1:, 1:]).all()


def test_cutout_hides_one_square_with_the_mean():
    image, _ = picture(32, 32)
    preprocess = Preprocess(size=32, resize=32, mean=(0.2, 0.4, 0.6))
    plain = show(image, "base", DIGEST, preprocess)
    for epoch in range(20):
        shown = show(image, f"base+cutout:8@0-{epoch}", DIGEST, preprocess)
        rows, columns = np.nonzero((shown != plain).any(axis=0))
        assert 0 < len(rows) <= 64
        assert rows.max() - rows.min() < 8
        assert columns.max() - columns.min() < 8
        assert (np.rint(255 * np.array(preprocess.mean)) == shown[:, rows, columns].T).all()


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_change_is_a_function_of_its_name(mode):
    image, _ = picture(40, 40, mode)
    preprocess = PLAIN if mode == "RGB" else PLAIN.in_grey()
    for view in ("mirror+pad:4@0-1", "base+randaugment@0-1", "base+randaugment:3:15+cutout:4@2-1", "crop-1+pad:2@0-1"):
        state = torch.random.get_rng_state()
        one, again = (show(image, view, DIGEST, preprocess) for _ in range(2))
        other = show(image, view, OTHER, preprocess)
        assert one.shape == (preprocess.channels, 32, 32)
        assert (one == again).all()
        assert (one != other).any(), view
        assert torch.equal(torch.random.get_rng_state(), state), "torch's own state is left alone"


@pytest.mark.parametrize(
    "text",
    [
        "flip+pad",
        "pad:4",
        "flip+pad:0",
        "flip+cutout:x",
        "flip+",
        "none+randaugment:2:9:1",
        "none+randaugment:2:31",
        "none+randaugment:0",
    ],
)
def test_a_change_that_is_not_known_is_refused(text):
    with pytest.raises(ConfigError, match="allowed are"):
        parse_views(text)


def test_random_views_never_come_back():
    views = parse_views("random")
    names = {views.of(DIGEST, seed=seed, epoch=epoch) for seed in range(3) for epoch in range(20)}
    assert len(names) == 60


@pytest.mark.parametrize(
    "text", ["", "flips", "crops", "crops:0", "crops:-1", "crops:1000", "crops:2.5", "NONE", "crops:٣x"]
)
def test_other_words_are_refused(text):
    with pytest.raises(ConfigError, match=r"allowed are none, flip, crops:K .*random"):
        parse_views(text)


def test_base_is_the_centre_of_a_picture_that_is_not_square():
    image, pixels = picture(80, 40)  # shorter side 40 = resize, so nothing is scaled: the centre 32x32 is cut out
    expected = pixels[4:36, 24:56].transpose(2, 0, 1)
    np.testing.assert_array_equal(show(image, "base", DIGEST, PLAIN), expected)
    upright = image.transpose(Image.Transpose.TRANSPOSE)
    np.testing.assert_array_equal(show(upright, "base", DIGEST, PLAIN), expected.transpose(0, 2, 1))


def test_base_is_scaled_by_the_shorter_side():
    image, _ = picture(30, 20)
    big = image.resize((300, 200), Image.Resampling.NEAREST)
    nearest = Preprocess(size=16, resize=20, interpolation="nearest")
    np.testing.assert_array_equal(show(big, "base", "", nearest), show(image, "base", "", nearest))


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_mirror_is_the_mirrored_base(mode):
    image, _ = picture(50, 41, mode)
    base, mirror = (show(image, view, DIGEST, PLAIN) for view in ("base", "mirror"))
    assert base.shape == mirror.shape == (3 if mode == "RGB" else 1, 32, 32)
    assert base.dtype == np.uint8
    assert base.flags.c_contiguous
    assert mirror.flags.c_contiguous
    np.testing.assert_array_equal(mirror, base[:, :, ::-1])
    assert not np.array_equal(mirror, base)


@pytest.mark.parametrize("view", ["base", "mirror", "crop-0", "crop-7", "random-0-3"])
def test_a_view_is_a_function_of_picture_and_name(view):
    image, _ = picture()
    np.testing.assert_array_equal(show(image, view, DIGEST, PLAIN), show(image.copy(), view, DIGEST, PLAIN))


def test_crops_differ_by_view_and_by_picture():
    image, _ = picture()
    shown = [show(image, f"crop-{i}", digest, PLAIN).tobytes() for i in range(5) for digest in (DIGEST, OTHER)]
    assert len(set(shown)) == 10
    assert show(image, "base", DIGEST, PLAIN).tobytes() == show(image, "base", OTHER, PLAIN).tobytes()


def test_half_of_the_crops_are_mirrored():
    ramp = Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (200, 1)))
    falling = [
        bool(view[0, 0, 0] > view[0, 0, -1]) for view in (show(ramp, f"crop-{i}", DIGEST, PLAIN) for i in range(100))
    ]
    assert 30 < sum(falling) < 70


@given(
    width=st.integers(1, 60),
    height=st.integers(1, 60),
    view=st.sampled_from(["base", "mirror", "crop-0", "crop-1", "random-1-1"]),
    digest=DIGESTS,
)
def test_any_size_gives_a_view_of_nothing_but_the_picture(width, height, view, digest):
    shown = show(Image.new("RGB", (width, height), (10, 200, 30)), view, digest, PLAIN)
    assert shown.shape == (3, 32, 32)
    assert (shown == np.array([10, 200, 30], dtype=np.uint8)[:, None, None]).all()


@pytest.mark.parametrize("size", [(1, 500), (500, 1)])
def test_no_crop_leaves_a_thin_picture(size):
    for number in range(20):
        assert show(Image.new("L", size, 7), f"crop-{number}", DIGEST, PLAIN).min() == 7
