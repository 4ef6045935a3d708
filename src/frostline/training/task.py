"""What a training works on, gathered once; and how a stage of it gets its frozen activations."""

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from frostline.activations.choosing import Engines
from frostline.activations.compute import Pictures, fill, row_bytes
from frostline.activations.engines import Engine
from frostline.activations.feed import DirectFeed, Feed, StoredFeed
from frostline.activations.housekeeping import prune_stores, store_home
from frostline.activations.key import StoreKey, key_of, row_id
from frostline.activations.store import DiskStore, RamStore, Store, Values, copy_to_ram
from frostline.config import TrainConfig, parse_bytes
from frostline.data.index import Image, Index
from frostline.data.loader import Request
from frostline.data.views import TEST_VIEWS, Views, is_centred
from frostline.hardware import precision_name
from frostline.network.build import Network
from frostline.network.cuts import Traced
from frostline.network.splitting import Split, split
from frostline.plan.price import (
    RAM_LIMIT,
    StagePrice,
    Timing,
    Workload,
    price_stage,
    seconds_per_picture,
    time_suffix,
    time_update,
)
from frostline.plan.stages import Stage, freeze, training_graph
from frostline.progress import Reporter
from frostline.stopwatch import Stopwatch
from frostline.training.history import History
from frostline.training.order import all_requests, base_requests

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
class Timed:
    """What timing a stage's parts for a moment gave."""

    timing: Timing
    row_bytes: int


@dataclass(slots=True)
class LastStore:
    """The store opened last, by the digest of its key: a stage, a fit and the evaluation often share one."""

    digest: str = ""
    store: Store | None = None


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
    timed: dict[tuple[str, str], Timed] = field(default_factory=dict)
    """By cut and engine."""
    deadline: float = math.inf
    """When to end, on `time.monotonic`'s clock."""
    log: Callable[[History], None] = lambda _: None
    """Called with the history after each epoch."""

    def train_images(self) -> list[Image]:
        """Pictures to train on."""
        return self.index.of("train")

    def val_images(self) -> list[Image]:
        """Pictures to choose by."""
        return self.index.of("val")


def stage_requests(task: Task) -> list[Request]:
    """Every view of training and validation pictures that a stage can ask for; none for random views."""
    if not task.views.can_be_stored:
        return []
    return all_requests(task.train_images(), task.views) + test_requests(task, task.val_images())


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
    return _repeated(pixels, task.config.batch_size)


def _repeated(value: Tensor, rows: int) -> Tensor:
    return value[torch.arange(rows) % len(value)]


def price_of(task: Task, stage: Stage, kind: str | None = None) -> StagePrice:
    """Freeze a stage's layers, time its parts for a moment and choose where the frozen ones come from.

    Args:
        task: the run's.
        stage: one of its plan's.
        kind: of the engine, where that is settled; it is settled by this otherwise.
    """
    divided = split(task.traced, stage.cut)
    freeze(task.network.module, divided)
    engine, requests = engine_of(task, divided, kind), stage_requests(task)
    missing = _missing(task, divided, engine, requests)
    timed = time_stage(task, divided, engine, [] if missing else requests)
    decoded_once = bool(task.views.turns) and all(map(is_centred, task.views.turns))
    work = Workload(len(task.train_images()), len(task.val_images()), len(requests), missing, decoded_once)
    mode = task.config.feature_cache
    return price_stage(stage, divided, work, timed.timing, timed.row_bytes, mode=mode, room=_room(task))


def time_stage(task: Task, split: Split, engine: Engine, stored: Sequence[Request] = ()) -> Timed:
    """Time a stage's parts, once in a run; where rows are stored, what computes them is left out."""
    what = split.cut.name, engine.name
    if what in task.timed:
        return task.timed[what]
    if stored:
        rows = [row_id(request) for request in stored[: task.config.batch_size]]
        values, decode, prefix = _open_store(task, split, Origin(engine, "disk")).read(rows), 0.0, 0.0
    else:
        values, decode, prefix = _time_frozen(task, engine)
    training = training_graph(split, task.config, task.network.head)
    train, evaluate = time_suffix(split, training, [value.to(task.fabric.device) for value in values], task.fabric)
    trainable = sum(parameter.numel() for parameter in split.suffix.parameters())
    train += time_update(task.config, trainable, task.fabric) / task.config.batch_size
    timed = Timed(Timing(decode, prefix, train, evaluate), row_bytes(values))
    if not stored:
        task.timed[what] = timed
    return timed


def _time_frozen(task: Task, engine: Engine) -> tuple[Values, float, float]:
    """Decode and compute some pictures; give a batch of values, and seconds per picture of both parts."""
    start = time.perf_counter()
    pixels = sample_of(task)
    decode = (time.perf_counter() - start) / min(len(pixels), SAMPLE_PICTURES) / max(1, task.pictures.workers)
    computed: list[Values] = []

    def compute(count: int) -> None:
        computed[:] = engine.run([pixels[:count]])

    prefix = seconds_per_picture(compute, len(pixels), task.fabric)
    return tuple(_repeated(value, len(pixels)) for value in computed[0]), decode, prefix


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
    store = _open_store(task, split, origin)
    start = time.perf_counter()
    with task.watch.span("activations"):
        computed = fill(store, requests, origin.engine, task.pictures, task.reporter)
        rows = [row_id(request) for request in requests]
        per_row = row_bytes(store.read(rows[:1]))
        if isinstance(store, DiskStore):
            prune_stores(task.cache_dir, parse_bytes(task.config.cache_limit), keep=store.folder)
            if task.config.feature_cache == "auto" and per_row * len(set(rows)) <= RAM_LIMIT:
                store = copy_to_ram(store, rows)
    fresh = {task.last_store.digest.encode() + row for row in rows} - task.tally.rows
    task.tally.rows |= fresh
    task.tally.engine = origin.engine.name
    task.tally.bytes += per_row * len(fresh)
    task.tally.computed += computed
    task.tally.seconds += time.perf_counter() - start if computed else 0.0
    return StoredFeed(store, task.fabric)


def _key(task: Task, split: Split, engine: Engine) -> StoreKey:
    return key_of(split, task.pictures.preprocess, precision_name(task.fabric), engine.name)


def _open_store(task: Task, split: Split, origin: Origin) -> Store:
    key, last = _key(task, split, origin.engine), task.last_store
    if last.store is None or last.digest != key.digest():
        last.store = RamStore() if origin.choice == "ram" else DiskStore(store_home(task.cache_dir), key, task.reporter)
        last.digest = key.digest()
    return last.store


def _missing(task: Task, split: Split, engine: Engine, requests: Sequence[Request]) -> int:
    """How many of the requested rows are not on disk yet."""
    rows = {row_id(request) for request in requests}
    if not rows or split.is_whole or task.config.feature_cache in {"ram", "off"}:
        return len(rows)
    if not (store_home(task.cache_dir) / _key(task, split, engine).digest()).is_dir():
        return len(rows)
    store = _open_store(task, split, Origin(engine, "disk"))
    return sum(row not in store for row in rows)


def _room(task: Task) -> int:
    """Bytes that a store may take: the limit set, and nine tenths of what the disk has left."""
    task.cache_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(task.cache_dir).free
    return min(parse_bytes(task.config.cache_limit), int(free * 0.9))
