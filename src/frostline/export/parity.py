"""Whether an exported file says what the model says, on real pictures."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import Tensor

from frostline.data.loader import decoded, framed
from frostline.defaults import MAX_PIXELS
from frostline.export.formats import Format, Run
from frostline.predictor import Predictor

AT_ONCE = 8
TIMED, ROUNDS = 16, 5
"""Pictures, and how often each side is timed on them, in turn."""
MOST_DIFFERENCE = 1e-4
"""Of a probability, in float32."""
MOST_LOSS = 0.01
"""Of accuracy, by int8: one point."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture, encoded or as pixels, and the place of its class where it is known."""

    content: bytes | np.ndarray
    label: int | None = None


@dataclass(frozen=True, slots=True)
class Parity:
    """What came of the comparison."""

    pictures: int
    largest_difference: float
    """Of a probability."""
    agreement: float
    """Share of the pictures that have the same first class."""
    accuracy: tuple[float, float] | None
    """Of the model and of the exported file; None where no label is known."""
    times_faster: float | None = None
    """The exported file than the same format in float32; None where it was not timed."""

    def fault(self, is_int8: bool) -> str:
        """Say in a phrase why the file must not be used; "" where it may."""
        if not is_int8:
            if self.largest_difference <= MOST_DIFFERENCE and self.agreement == 1:
                return ""
            said = f"its probabilities differ by up to {self.largest_difference:.2g} ({MOST_DIFFERENCE:g} is allowed)"
            return (
                said if self.agreement == 1 else f"{said}, the first class on {1 - self.agreement:.1%} of the pictures"
            )
        before, after = self.accuracy or (1.0, self.agreement)
        if round(before - after, 9) <= MOST_LOSS:  # 0.95 - 0.94 is a little more than 0.01
            return ""
        return f"its accuracy falls from {before:.1%} to {after:.1%} (one point is allowed)"


def compare(predictor: Predictor, run: Run, format: Format, samples: Sequence[Sample]) -> Parity:
    """Show the same pictures to the model and to an exported file.

    Args:
        predictor: in float32, by torch.
        run: the exported file.
        format: its format.
        samples: at least one.
    """
    ours, theirs = [], []
    for some in _batches(samples):
        pixels = _framed(predictor, some)
        ours += [row.numpy() for batch in predictor.probabilities([pixels], len(pixels)) for row in batch]
        theirs += list(np.concatenate([run(one) for one in _inputs(predictor, format, some, pixels)]))
    expected, got = np.stack(ours), np.stack(theirs)
    agrees = expected.argmax(axis=1) == got.argmax(axis=1)
    return Parity(
        len(samples), float(np.abs(expected - got).max()), float(agrees.mean()), _accuracy(samples, expected, got)
    )


def times_faster(run: Run, exact: Run, inputs: np.ndarray) -> float:
    """Time two files in turn on the same inputs (batch, ...); give the ratio of the medians."""
    seconds: dict[Run, list[float]] = {run: [], exact: []}
    for _ in range(ROUNDS + 1):  # the first is a warm-up
        for one, taken in seconds.items():
            start = time.perf_counter()
            one(inputs)
            taken.append(time.perf_counter() - start)
    return median(seconds[exact][1:]) / median(seconds[run][1:])


def inputs_of(predictor: Predictor, samples: Sequence[Sample]) -> Iterator[np.ndarray]:
    """Give the normalised inputs (batch, channels, size, size) of pictures."""
    for some in _batches(samples):
        yield predictor.preprocess.normalise(_framed(predictor, some)).numpy()


def _batches(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    for start in range(0, len(samples), AT_ONCE):
        yield samples[start : start + AT_ONCE]


def _framed(predictor: Predictor, samples: Sequence[Sample]) -> Tensor:
    pixels = [framed(one.content, predictor.preprocess, max_pixels=MAX_PIXELS) for one in samples]
    return torch.from_numpy(np.stack(pixels))


def _inputs(predictor: Predictor, format: Format, samples: Sequence[Sample], pixels: Tensor) -> Iterator[np.ndarray]:
    """What the exported file is given: the normalised batch, or each picture in its own size."""
    if format.takes == "input":
        yield predictor.preprocess.normalise(pixels).numpy()
        return
    for one in samples:
        picture = np.asarray(decoded(one.content, predictor.preprocess, max_pixels=MAX_PIXELS))
        yield picture.reshape(1, *picture.shape[:2], predictor.preprocess.channels)


def _accuracy(samples: Sequence[Sample], expected: np.ndarray, got: np.ndarray) -> tuple[float, float] | None:
    if any(one.label is None for one in samples):
        return None
    labels = np.array([one.label for one in samples])
    return float((expected.argmax(axis=1) == labels).mean()), float((got.argmax(axis=1) == labels).mean())
