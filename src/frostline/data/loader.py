"""Read and decode pictures in worker processes, in the order asked for; the number of workers changes no result."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from frostline.data.decode import decode
from frostline.data.frames import Frames
from frostline.data.pictures import Source
from frostline.data.preprocess import Preprocess
from frostline.data.views import BASE, centre, is_centred, shorter_side, show, show_centre
from frostline.data.workers import run_in_workers
from frostline.errors import DataError, DecodeError, RefusedError
from frostline.files import digest_bytes

T = TypeVar("T")

EXAMINED_AT_ONCE = 32
CHECKED_SIDE = 64
"""Pixels of the shorter side with which a JPEG is checked: enough to tell pictures apart, and quicker than all."""

PIECE = 8
"""Pictures that a thread makes at a time."""
EASY = 5000
"""As many pictures, all in memory, are framed in the process itself: quicker than to start workers every epoch."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What examining a picture found."""

    digest: str
    """Of its content."""
    damage: str
    """Empty where there is none."""
    pixels: str = ""
    """Digest of the decoded picture; of a large JPEG, as the check decodes it: smaller."""
    is_refused: bool = False
    """Whether the picture is not damaged, but not allowed."""


@dataclass(frozen=True, slots=True)
class Request:
    """One view of one picture."""

    position: int
    digest: str
    view: str


def default_workers() -> int:
    """One process per core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def digest_content(content: bytes | np.ndarray) -> str:
    """Digest encoded bytes, or pixels with their shape."""
    if isinstance(content, bytes):
        return digest_bytes(content)
    return digest_bytes(repr((content.shape, str(content.dtype))).encode() + np.ascontiguousarray(content).tobytes())


def examine(
    source: Source, *, channels: int, max_pixels: int, workers: int, known_good: Mapping[bytes, bytes]
) -> Iterator[list[Finding]]:
    """Digest every picture and decode those not known to be good, a batch at a time, in the source's order."""
    examiner = _Examiner(source, channels, max_pixels, known_good)
    positions = range(len(source.pictures))
    batches = [list(positions[i : i + EXAMINED_AT_ONCE]) for i in range(0, len(positions), EXAMINED_AT_ONCE)]
    yield from run_in_workers(examiner, batches, workers, total=len(positions), max_pixels=max_pixels)


def read(
    source: Source, preprocess: Preprocess, *, max_pixels: int, workers: int, positions: Sequence[int] | None = None
) -> Iterator[tuple[list[str], Tensor]]:
    """Read every picture once, a batch at a time, in the source's order, whether it is sound or not.

    Args:
        source: of the pictures.
        preprocess: how they are framed.
        max_pixels: of a picture that is not refused.
        workers: decoding processes.
        positions: of the pictures wanted; None are all.

    Returns:
        For each batch the damage of every picture ("" where there is none), and of the sound ones the pixels of the
        centre, uint8 (sound, channels, size, size).
    """
    wanted = range(len(source.pictures)) if positions is None else positions
    batches = [list(wanted[i : i + EXAMINED_AT_ONCE]) for i in range(0, len(wanted), EXAMINED_AT_ONCE)]
    reader = _Reader(source, preprocess, max_pixels)
    yield from run_in_workers(reader, batches, workers, total=len(wanted), max_pixels=max_pixels)


def framed(content: bytes | np.ndarray, preprocess: Preprocess, *, max_pixels: int) -> np.ndarray:
    """Decode one picture and give its centre as a network sees it: uint8 (channels, size, size).

    Raises:
        DecodeError: it is damaged, or not allowed.
    """
    return show(decoded(content, preprocess, max_pixels=max_pixels), BASE, "", preprocess)


def decoded(content: bytes | np.ndarray, preprocess: Preprocess, *, max_pixels: int) -> Image.Image:
    """Decode one picture as `framed` does, before it is framed; a large JPEG comes smaller, for a part of the work.

    Raises:
        DecodeError: it is damaged, or not allowed.
    """
    return _decode_for(BASE, content, preprocess, max_pixels)


def load(
    source: Source,
    preprocess: Preprocess,
    batches: Sequence[Sequence[Request]],
    *,
    max_pixels: int,
    workers: int,
    frames: Frames | None = None,
    beside: bool = True,
) -> Iterator[Tensor]:
    """Give each batch of views as uint8 (batch, channels, size, size).

    Args:
        source: of the pictures.
        preprocess: how they are framed.
        batches: the views wanted.
        max_pixels: of a picture that is not refused.
        workers: decoding processes, or threads.
        frames: where centres are looked for, and kept for the next time.
        beside: decode the next batches in processes while a batch is used; else decode each in threads when it is
            asked for. Two that share the cores wait for each other: where torch computes on the CPU, every layer ends
            with its slowest thread, and a thread that a decoder displaced holds up all.

    Raises:
        DataError: a picture has changed, or cannot be read any more, since it was examined.
    """
    viewer = _Viewer(source, preprocess, max_pixels, frames)
    if not beside:
        yield from _load_in_turns(viewer, batches, max(1, workers))
        return
    total = sum(map(len, batches))
    needs_workers = total > EASY or not _are_at_hand(batches, frames)
    workers = workers if needs_workers else 0
    yield from run_in_workers(viewer, batches, workers, total=total, max_pixels=max_pixels)


def _load_in_turns(viewer: "_Viewer", batches: Sequence[Sequence[Request]], threads: int) -> Iterator[Tensor]:
    """Make each batch in threads, when it is asked for."""
    with ThreadPoolExecutor(threads) as pool:
        for batch in batches:
            pieces = [batch[i : i + PIECE] for i in range(0, len(batch), PIECE)]
            yield torch.cat(list(pool.map(lambda piece: copy(viewer).__getitems__(piece), pieces)))


def _are_at_hand(batches: Sequence[Sequence[Request]], frames: Frames | None) -> bool:
    """Tell whether every picture is kept in memory, so that nothing has to be decoded."""
    if frames is None:
        return False
    return all(is_centred(one.view) and frames.get(one.position) is not None for batch in batches for one in batch)


class _Examiner(Dataset[Any]):
    """Takes positions, gives findings."""

    def __init__(self, source: Source, channels: int, max_pixels: int, known_good: Mapping[bytes, bytes]) -> None:
        self.source, self.channels, self.max_pixels, self.known_good = source, channels, max_pixels, known_good

    def __getitems__(self, positions: Sequence[int]) -> list[Finding]:
        return [self._find(position) for position in positions]

    def _find(self, position: int) -> Finding:
        digest = ""
        try:
            content = self.source.read(position)
            digest = digest_content(content)
            known = self.known_good.get(bytes.fromhex(digest))
            return Finding(digest, "", known.hex() if known else self._pixels(content))
        except DecodeError as error:
            return Finding(digest, str(error), is_refused=isinstance(error, RefusedError))

    def _pixels(self, content: bytes | np.ndarray) -> str:
        picture = decode(content, channels=self.channels, max_pixels=self.max_pixels, shorter=CHECKED_SIDE)
        return digest_content(np.asarray(picture))


class _Reader(Dataset[Any]):
    """Takes positions, gives their damages and the pixels of the sound ones."""

    def __init__(self, source: Source, preprocess: Preprocess, max_pixels: int) -> None:
        self.source, self.preprocess, self.max_pixels = source, preprocess, max_pixels

    def __getitems__(self, positions: Sequence[int]) -> tuple[list[str], Tensor]:
        damages: list[str] = []
        pixels = np.empty((len(positions), *self.preprocess.input_shape), dtype=np.uint8)
        for position in positions:
            try:
                content = self.source.read(position)
                pixels[damages.count("")] = framed(content, self.preprocess, max_pixels=self.max_pixels)
                damages.append("")
            except DecodeError as error:
                damages.append(str(error))
        return damages, torch.from_numpy(pixels[: damages.count("")])


class _Viewer(Dataset[Any]):
    """Takes requests, gives a tensor; views of one picture that follow each other are made from one decoding."""

    def __init__(self, source: Source, preprocess: Preprocess, max_pixels: int, frames: Frames | None) -> None:
        self.source, self.preprocess, self.max_pixels, self.frames = source, preprocess, max_pixels, frames
        self.last: tuple[object, Any] | None = None

    def __getitems__(self, requests: Sequence[Request]) -> Tensor:
        return torch.from_numpy(np.stack([self._view(request) for request in requests]))

    def _view(self, request: Request) -> np.ndarray:
        if is_centred(request.view):
            return show_centre(self._once(request, self._centre), request.view, request.digest, self.preprocess)
        return show(self._once(request, self._decode), request.view, request.digest, self.preprocess)

    def _once(self, request: Request, make: Callable[[Request], T]) -> T:
        wanted = request.position, request.digest, make
        if self.last is None or self.last[0] != wanted:
            self.last = wanted, make(request)
        made: T = self.last[1]
        return made

    def _centre(self, request: Request) -> np.ndarray:
        kept = self.frames.get(request.position) if self.frames else None
        if kept is None:
            kept = centre(self._decode(request), self.preprocess)
            if self.frames:
                self.frames.keep(request.position, kept)
        return kept

    def _decode(self, request: Request) -> Image.Image:
        path = self.source.pictures[request.position].path
        try:
            content = self.source.read(request.position)
            if digest_content(content) != request.digest:
                raise DataError(f"{path} has changed since this run examined it; start the run again")
            return _decode_for(request.view, content, self.preprocess, self.max_pixels)
        except DecodeError as error:
            raise DataError(f"{path} cannot be read any more ({error}); start the run again") from None


def _decode_for(view: str, content: bytes | np.ndarray, preprocess: Preprocess, max_pixels: int) -> Image.Image:
    shorter = shorter_side(view, preprocess)
    return decode(content, channels=preprocess.channels, max_pixels=max_pixels, shorter=shorter)
