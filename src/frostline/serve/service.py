"""The model at work for requests: pictures decoded in threads, computed in batches, told in plain values."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

import torch
from torch import Tensor

from frostline.errors import DecodeError
from frostline.predictor import Predictor
from frostline.serve.answers import Answer, Likely, Picture
from frostline.serve.batcher import Batcher
from frostline.serve.heat import draw_heat_maps
from frostline.serve.limits import Room
from frostline.serve.metrics import Metrics
from frostline.serve.refusals import Refusal, come_back, status_of
from frostline.serve.settings import Settings
from frostline.serve.uploads import Upload

T = TypeVar("T")

MANY = 100_000
"""Pictures that a server expects, for the choice of an engine."""
BODIES = 8
"""As many of the largest bodies are held in memory at once."""
WARM = 16
"""Pictures that the network computes before the first request."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One picture as the network saw it."""

    pixels: Tensor
    """uint8 (channels, size, size)."""
    probabilities: Tensor
    """float32 (classes,)."""


class Service:
    """A predictor, warmed up, with what it needs to answer many at once.

    Args:
        predictor: the model.
        settings: limits and defaults.

    Raises:
        ConfigError, CacheError: the engine that was asked for cannot compute it.
    """

    def __init__(self, predictor: Predictor, settings: Settings) -> None:
        self.predictor, self.settings, self.metrics = predictor, settings, Metrics()
        self.is_stopping = False
        self.engine, self._pace = _warm_up(predictor)
        self.batcher = Batcher(
            lambda batches: predictor.probabilities(batches, MANY), observe=self.metrics.batches.observe
        )
        self.threads = ThreadPoolExecutor(settings.workers, "decode")
        self._painter = ThreadPoolExecutor(1, "heat maps")
        self.bodies = Room(BODIES * settings.max_body, "too many large requests at once", lambda: 1.0)
        self.queue = Room(settings.queue, f"{settings.queue} pictures wait already", self._backlog_seconds)
        self.metrics.waiting.set_function(lambda: self.queue.taken)

    @property
    def is_ready(self) -> bool:
        """Whether a request would be served."""
        return self.batcher.is_alive and not self.is_stopping

    def close(self) -> None:
        """Finish what was begun."""
        self.is_stopping = True
        for pool in (self.threads, self._painter):
            pool.shutdown(cancel_futures=True)
        self.batcher.stop()

    async def answer(self, uploads: Sequence[Upload], topk: int, heat_map: bool) -> Answer:
        """Name what is in pictures.

        Raises:
            Refusal: 413, 415 or 422 where none of them can be read, 429 where too many wait, 503 while stopping.
        """
        if not self.is_ready:
            raise come_back(503, "the server is stopping; ask again later", 5)
        with self.queue.take(len(uploads)):
            seen = await asyncio.gather(*(self._look(upload.content) for upload in uploads))
            _refuse_where_none_is_sound(seen)
            maps = iter(await self._heat_maps(seen) if heat_map else [])
        return Answer(
            pictures=[
                _unread(upload, one)
                if isinstance(one, DecodeError)
                else self._told(upload, one.probabilities, topk, next(maps, None))
                for upload, one in zip(uploads, seen, strict=True)
            ]
        )

    async def _look(self, content: bytes) -> Seen | DecodeError:
        """Decode a picture and compute it."""
        self.batcher.coming += 1
        try:
            pixels = await self.in_thread(lambda: self.predictor.frame(content, max_pixels=self.settings.max_pixels))
        except DecodeError as error:
            self.metrics.pictures.labels("not read").inc()
            return error
        finally:
            self.batcher.coming -= 1
        return Seen(pixels, await asyncio.wrap_future(self.batcher.submit(pixels)))

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run something in one of the threads that decode."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)

    async def _heat_maps(self, seen: Sequence[Seen | DecodeError]) -> list[str | None]:
        """Draw, for each sound picture, what spoke for its most probable class."""
        sound = [one for one in seen if isinstance(one, Seen)]
        pixels, best = [one.pixels for one in sound], [int(one.probabilities.argmax()) for one in sound]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._painter, draw_heat_maps, self.predictor, pixels, best)

    def _told(self, upload: Upload, probabilities: Tensor, topk: int, heat_map: str | None) -> Picture:
        top = self.predictor.top(probabilities, topk)
        is_unsure = top[0][1] < self.settings.threshold
        self.metrics.pictures.labels("unsure" if is_unsure else "sure").inc()
        self.metrics.classes.labels(top[0][0]).inc()
        likely = [Likely.model_validate({"class": name, "probability": probability}) for name, probability in top]
        return Picture(name=upload.name, top=likely, unsure=is_unsure, error="", heat_map=heat_map)

    def _backlog_seconds(self) -> float:
        return self.queue.taken * self._pace


def _unread(upload: Upload, error: DecodeError) -> Picture:
    return Picture(name=upload.name, top=[], unsure=False, error=str(error), heat_map=None)


def _refuse_where_none_is_sound(seen: Sequence[Seen | DecodeError]) -> None:
    first = seen[0]
    if isinstance(first, DecodeError) and not any(isinstance(one, Seen) for one in seen):
        raise Refusal(status_of(first), str(first))


def _warm_up(predictor: Predictor) -> tuple[str, float]:
    """Choose the engine, and have every part computed once: the first request must not wait for any.

    Returns:
        The engine's name, and seconds per picture.
    """
    pixels = torch.zeros((WARM, *predictor.preprocess.input_shape), dtype=torch.uint8)
    engine = predictor.settle(pixels, MANY)
    start = perf_counter()
    list(predictor.probabilities([pixels], WARM))
    seconds = (perf_counter() - start) / WARM
    draw_heat_maps(predictor, list(pixels[:1]), [0])
    return engine, seconds
