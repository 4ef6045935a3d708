"""Views: the deterministic variants of a picture that training shows in turn.

A view is a function of (picture, view name) alone, so its activations can be stored. Image i shows, in epoch e, view
`(start_i + e) mod V` (alternating flip, arXiv 2404.00498, for V = 2). What is drawn anew in every epoch (`random`, and
all of `changes`) makes a view of its own each time, named after seed and epoch.
"""

import re
from dataclasses import dataclass

import numpy as np
from PIL import Image

from frostline.data.changes import ALLOWED, move, parse_change
from frostline.data.preprocess import Preprocess
from frostline.errors import ConfigError
from frostline.randomness import seed_of

BASE = "base"
MIRROR = "mirror"
CENTRED = {
    **{BASE: (False, 0), MIRROR: (True, 0)},
    **{"base-up": (False, -1), "mirror-up": (True, -1), "base-down": (False, 1), "mirror-down": (True, 1)},
}
"""Views of the centre: whether mirrored, and by how many pixels then moved down and right, edges reflected."""
TEST_VIEWS = {"none": (BASE,), "flip": (BASE, MIRROR), "flip+shift": tuple(CENTRED)}
"""Views whose logits are averaged, by the name of the setting (after arXiv 2404.00498, section 3.5)."""
SPARE = 2
"""How many times the pixels that it is resized to a picture keeps, where a JPEG is decoded at a part of its size: at
twice, resizing still decides what is seen."""
_SCALE = (0.08, 1.0)
_ASPECT = (3 / 4, 4 / 3)
_TRIES = 10


@dataclass(frozen=True, slots=True)
class Views:
    """Which views training shows."""

    text: str
    names: tuple[str, ...]
    """All of them; empty where they are drawn anew in every epoch."""
    turns: tuple[str, ...]
    """What is shown in turn before anything is drawn; empty for `random`."""
    changes: tuple[str, ...] = ()
    """Drawn anew on top, in this order."""

    @property
    def can_be_stored(self) -> bool:
        """Whether there are finitely many."""
        return bool(self.names)

    def of(self, digest: str, *, seed: int, epoch: int) -> str:
        """Name the view that a picture shows in an epoch.

        Args:
            digest: of the picture's content, hexadecimal.
            seed: of the run.
            epoch: counted over all stages.
        """
        view = f"random-{seed}-{epoch}"
        if self.turns:
            start = int(digest[:8], 16) + seed_of(seed, "first view") % len(self.turns)
            view = self.turns[(start + epoch) % len(self.turns)]
        return "+".join([view, *self.changes]) + (f"@{seed}-{epoch}" if self.changes else "")


def parse_views(text: str) -> Views:
    """Read `none`, `flip`, `crops:K` or `random`, and changes joined to it by `+`, such as `flip+pad:4+cutout:8`.

    Raises:
        ConfigError: anything else.
    """
    first, *rest = text.split("+")
    known: dict[str, tuple[str, ...]] = {"none": (BASE,), "flip": (BASE, MIRROR), "random": ()}
    match = re.fullmatch(r"crops:([1-9]\d{0,2})", first)
    if match:
        known[first] = tuple(f"crop-{number}" for number in range(int(match[1])))
    if first not in known:
        raise ConfigError(
            f"--augment {text!r} is not known; allowed are none, flip, crops:K (K from 1 to 999), random; and "
            f"joined to one of these by +, {ALLOWED}"
        )
    for change in rest:
        parse_change(change)
    return Views(text, () if rest else known[first], known[first], tuple(rest))


def is_centred(view: str) -> bool:
    """Tell whether a view shows the centre, mirrored or not, whatever is drawn on top."""
    return _framing(view) in CENTRED


def shorter_side(view: str, preprocess: Preprocess) -> int | None:
    """How many pixels the shorter side of a picture must have for a view: None are all, for it may enlarge a part."""
    side = preprocess.size if preprocess.squash else preprocess.resize
    return SPARE * side if is_centred(view) else None


def show(picture: Image.Image, view: str, digest: str, preprocess: Preprocess) -> np.ndarray:
    """Give a view of a decoded picture: uint8 (channels, size, size).

    Resizing and cropping are one step with antialiasing. A view is named by how the picture is framed (one of
    `CENTRED`, or a seeded random resized crop, flipped every other time, scale 0.08 to 1, aspect 3/4 to 4/3, arXiv
    1409.4842), and by the changes on top, whose draws its whole name seeds.
    """
    if is_centred(view):
        return show_centre(centre(picture, preprocess), view, digest, preprocess)
    box, mirrored = _random_box(picture.size, seed_of(digest, _framing(view)))
    pixels = _resize(picture, box, preprocess)
    return _change(pixels[:, ::-1] if mirrored else pixels, view, digest, preprocess)


def centre(picture: Image.Image, preprocess: Preprocess) -> np.ndarray:
    """Give the centre of a decoded picture: uint8 (size, size), or (size, size, 3) where it has colours."""
    return _resize(picture, _centre_box(picture.size, preprocess), preprocess)


def centre_shape(preprocess: Preprocess) -> tuple[int, ...]:
    """Shape of what `centre` gives."""
    channels, height, width = preprocess.input_shape
    return (height, width) if channels == 1 else (height, width, channels)


def show_centre(pixels: np.ndarray, view: str, digest: str, preprocess: Preprocess) -> np.ndarray:
    """Give a centred view: as `show` does, from what `centre` gave."""
    mirrored, shift = CENTRED[_framing(view)]
    pixels = pixels[:, ::-1] if mirrored else pixels
    return _change(move(pixels, shift, shift) if shift else pixels, view, digest, preprocess)


def _framing(view: str) -> str:
    return view.partition("@")[0].partition("+")[0]


def _resize(picture: Image.Image, box: tuple[float, float, float, float], preprocess: Preprocess) -> np.ndarray:
    side = (preprocess.size, preprocess.size)
    return np.asarray(picture.resize(side, Image.Resampling[preprocess.interpolation.upper()], box=box))


def _change(pixels: np.ndarray, view: str, digest: str, preprocess: Preprocess) -> np.ndarray:
    """Apply what a view draws on top; give (channels, size, size)."""
    for number, change in enumerate(view.partition("@")[0].split("+")[1:]):
        pixels = parse_change(change, preprocess.mean)(np.ascontiguousarray(pixels), seed_of(digest, view, number))
    planes = pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(planes)


def _centre_box(size: tuple[int, int], preprocess: Preprocess) -> tuple[float, float, float, float]:
    """The part of the picture that is left when its shorter side becomes `resize` and the centre is cropped."""
    width, height = size
    if preprocess.squash:
        return 0, 0, width, height
    side = preprocess.size / preprocess.resize * min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _random_box(size: tuple[int, int], seed: int) -> tuple[tuple[float, float, float, float], bool]:
    width, height = size
    draw = np.random.default_rng(seed)
    mirrored = bool(draw.random() < 0.5)
    for _ in range(_TRIES):
        area = width * height * draw.uniform(*_SCALE)
        aspect = np.exp(draw.uniform(*np.log(_ASPECT)))
        w, h = float(np.sqrt(area * aspect)), float(np.sqrt(area / aspect))
        if w <= width and h <= height:
            left, top = draw.uniform(0, width - w), draw.uniform(0, height - h)
            return (left, top, left + w, top + h), mirrored
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return (left, top, left + side, top + side), mirrored
