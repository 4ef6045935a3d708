"""What a training works on, gathered once; and how a stage of it gets its frozen activations."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from frostline.activations.choosing import Engines
from frostline.activations.compute import Pictures, fill, row_bytes
from frostline.activations.engines import Engine
from frostline.activations.feed import DirectFeed, Feed, SparedFeed, StoredFeed
from frostline.activations.housekeeping import prune_stores, store_home
from frostline.activations.key import StoreKey, key_of, row_id
from frostline.activations.store import DiskStore, RamStore, Store, copy_to_ram
from frostline.config import TrainConfig
from frostline.data.frames import Frames
from frostline.data.index import Image, Index
from frostline.data.loader import Request
from frostline.data.views import TEST_VIEWS, Views, centre_shape
from frostline.errors import CacheError
from frostline.hardware import precision_name
from frostline.network.build import Network
from frostline.network.cuts import Traced
from frostline.network.splitting import Split
from frostline.plan.price import RAM_LIMIT, Timing
from frostline.plan.stages import Stage
from frostline.plan.timeleft import TimeLeft
from frostline.progress import Reporter
from frostline.stopwatch import Stopwatch
from frostline.training.history import History
from frostline.training.order import all_requests, base_requests
from frostline.units import parse_bytes

SAMPLE_PICTURES = 16
"""Decoded at most to time a stage."""


@dataclass(slots=True)
class Tally:
    """What the activations of a run came to."""

    rows: set[bytes] = field(default_factory=set)
    """Rows that the run used, each with the key of its store."""
    computed: int = 0
    """Rows among them that were not stored before."""
    engine: str = ""
    """What computed the rows read last, with its version."""
    bytes: int = 0
    seconds: float = 0.0
    """Spent computing."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a stage's frozen layers come from."""

    engine: Engine
    choice: str
    """Kept in ram, on disk, or off: computed anew."""


@dataclass(frozen=True, slots=True)
class Feeds:
    """Where a stage's batches come from; one and the same feed where all its pictures are of one size."""

    training: Feed
    measuring: Feed


@dataclass(frozen=True, slots=True)
class Timed:
    """What timing a stage's parts for a moment gave."""

    timing: Timing
    row_bytes: int


@dataclass(slots=True)
class LastStore:
    """The store opened last, by the digest of its key: a stage, a fit and the evaluation often share one."""

    digest: str = ""
    store: Store | None = None
    is_full: bool = False
    """Whether the disk took no more, or gave nothing, so that the rest of the run does without it."""


@dataclass(frozen=True, slots=True)
class Sized:
    """What a task has of its own where it shows its pictures in another size."""

    network: Network
    """The same module, with another preprocessing."""
    pictures: Pictures
    engines: Engines
    last_store: LastStore = field(default_factory=LastStore)
    timed: dict[tuple[str, str, bool], Timed] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """Everything that stages have in common."""

    config: TrainConfig
    index: Index
    network: Network
    traced: Traced
    plan: tuple[Stage, ...]
    views: Views
    pictures: Pictures
    engines: Engines
    cache_dir: Path
    fabric: Fabric
    reporter: Reporter
    fits_head: bool
    """Whether the head starts from a logistic regression: it is new, linear, and on pretrained layers."""
    watch: Stopwatch = field(default_factory=Stopwatch)
    tally: Tally = field(default_factory=Tally)
    last_store: LastStore = field(default_factory=LastStore)
    timed: dict[tuple[str, str, bool], Timed] = field(default_factory=dict)
    """By cut, engine, and whether what the engine gives was stored before."""
    sized: dict[int, Sized] = field(default_factory=dict)
    """By the side of the pictures."""
    deadline: float = math.inf
    """When to end, on `time.monotonic`'s clock."""
    last_epoch: float = math.inf
    """Counted over all stages; what the plan has after it is left out."""
    log: Callable[[History, TimeLeft], None] = lambda *_: None
    """Called after each epoch with the history and what is left."""

    def train_images(self) -> list[Image]:
        """Pictures to train on."""
        return self.index.of("train")

    def val_images(self) -> list[Image]:
        """Pictures to choose by."""
        return self.index.of("val")


def at_size(task: Task, size: int | None) -> Task:
    """Give the task as it shows its pictures in another size (side in pixels); None is the network's own."""
    if size is None or size == task.network.preprocess.size:
        return task
    if size not in task.sized:
        preprocess = task.network.preprocess.at_size(size)
        frames = Frames(len(task.pictures.source.pictures), centre_shape(preprocess))
        task.sized[size] = Sized(
            replace(task.network, preprocess=preprocess),
            replace(task.pictures, preprocess=preprocess, frames=frames),
            replace(task.engines, preprocess=preprocess, made={}),
        )
    own = task.sized[size]
    return replace(
        task,
        network=own.network,
        pictures=own.pictures,
        engines=own.engines,
        last_store=own.last_store,
        timed=own.timed,
    )


def stage_requests(task: Task) -> list[Request]:
    """Every view of training and validation pictures that a stage can ask for; none for random views."""
    return training_requests(task) + measuring_requests(task)


def training_requests(task: Task) -> list[Request]:
    """Every view of training pictures that a stage can ask for; none for random views."""
    return all_requests(task.train_images(), task.views) if task.views.can_be_stored else []


def measuring_requests(task: Task) -> list[Request]:
    """Every view of validation pictures that is worth storing; none beside random views."""
    return test_requests(task, task.val_images()) if task.views.can_be_stored else []


def test_requests(task: Task, images: list[Image]) -> list[Request]:
    """Every view that measuring asks for, those of one picture together."""
    views = TEST_VIEWS[task.config.test_views]
    return [Request(image.position, image.digest, view) for image in images for view in views]


def engine_of(task: Task, split: Split, kind: str | None = None) -> Engine:
    """Give what computes a split's frozen layers; `kind` settles which, where it is not chosen yet."""
    return task.engines.of(split, lambda: sample_of(task), lambda: _work(task), kind)


def _work(task: Task) -> int:
    """How many pictures the frozen layers see: each stored view once, or all of them in every epoch of the plan."""
    shown = sum(stage.epochs for stage in task.plan) * (len(task.train_images()) + len(task.val_images()))
    return len(stage_requests(task)) or shown


def sample_of(task: Task) -> Tensor:
    """A batch of pixels (batch, channels, height, width): some pictures, repeated where a batch takes more."""
    count = min(SAMPLE_PICTURES, task.config.batch_size)
    (pixels,) = task.pictures.load([base_requests(task.train_images()[:count])])
    return repeated(pixels, task.config.batch_size)


def repeated(value: Tensor, rows: int) -> Tensor:
    """Give so many rows, the same again where there are fewer."""
    return value[torch.arange(rows) % len(value)]


def open_feeds(task: Task, stage: Stage, split: Split, origin: Origin) -> Feeds:
    """Make the feeds of a stage, computing and storing the rows that are missing; as `open_feed` does each."""
    shown = at_size(task, stage.size)
    if shown is task:
        feed = open_feed(task, split, origin, stage_requests(task))
        return Feeds(feed, feed)
    own = replace(origin, engine=engine_of(shown, split, origin.engine.kind))
    training = open_feed(shown, split, own, training_requests(task))
    return Feeds(training, open_feed(task, split, origin, measuring_requests(task)))


def open_feed(task: Task, split: Split, origin: Origin, requests: Sequence[Request]) -> Feed:
    """Make the feed of a stage, computing and storing the rows that are missing.

    Args:
        task: the run's.
        split: the stage's.
        origin: of its frozen layers.
        requests: all that will be asked of the feed.

    Raises:
        CacheError: nothing can be stored, and it was not left to us to choose.
    """
    if origin.choice == "off" or not requests:
        return DirectFeed(origin.engine, task.pictures, task.fabric)
    if task.last_store.is_full and origin.choice == "disk":
        return _without_disk(task, split, origin, requests)
    start, rows = time.perf_counter(), [row_id(request) for request in requests]
    may_do_without = task.config.feature_cache == "auto" and origin.choice == "disk"
    with task.watch.span("activations"):
        try:
            store = open_store(task, split, origin)
            computed = fill(store, requests, origin.engine, task.pictures, task.reporter)
            per_row = row_bytes(store.read(rows[:1]))
            if isinstance(store, DiskStore):
                prune_stores(task.cache_dir, parse_bytes(task.config.cache_limit), keep=store.folder)
                if may_do_without and per_row * len(set(rows)) <= RAM_LIMIT:
                    store = copy_to_ram(store, rows)
        except CacheError as error:
            if not may_do_without:
                raise
            return _without_disk(task, split, origin, requests, error)
    fresh = {task.last_store.digest.encode() + row for row in rows} - task.tally.rows
    task.tally.rows |= fresh
    task.tally.engine = origin.engine.name
    task.tally.bytes += per_row * len(fresh)
    task.tally.computed += computed
    task.tally.seconds += time.perf_counter() - start if computed else 0.0
    feed = StoredFeed(store, task.fabric)
    if not may_do_without or not isinstance(store, DiskStore):
        return feed
    direct = DirectFeed(origin.engine, task.pictures, task.fabric)
    return SparedFeed(feed, direct, lambda error: _give_up_disk(task, error))


def _give_up_disk(task: Task, error: CacheError) -> None:
    task.reporter.warn(f"{str(error).partition(';')[0]}; going on without the disk")
    task.last_store.is_full, task.last_store.store = True, None


def _without_disk(
    task: Task, split: Split, origin: Origin, requests: Sequence[Request], error: CacheError | None = None
) -> Feed:
    """Make a feed that stores in memory what fits there, and else computes every time; told once in a run."""
    if error is not None:
        _give_up_disk(task, error)
    with torch.no_grad():
        sample = origin.engine.run([sample_of(task)])
    fits = row_bytes(next(iter(sample))) * len(requests) <= RAM_LIMIT
    return open_feed(task, split, replace(origin, choice="ram" if fits else "off"), requests)


def store_key(task: Task, split: Split, engine: Engine) -> StoreKey:
    """What a split's activations depend on."""
    return key_of(split, task.pictures.preprocess, precision_name(task.fabric), engine.name)


def open_store(task: Task, split: Split, origin: Origin) -> Store:
    """Open the store of a split's activations."""
    key, last = store_key(task, split, origin.engine), task.last_store
    if last.store is None or last.digest != key.digest():
        last.store = RamStore() if origin.choice == "ram" else DiskStore(store_home(task.cache_dir), key, task.reporter)
        last.digest = key.digest()
    return last.store
