"""The price of a run's stages: their parts timed on the run's own pictures."""

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress

from frostline.activations.compute import row_bytes
from frostline.activations.engines import Engine
from frostline.activations.housekeeping import store_home
from frostline.activations.key import row_id
from frostline.activations.store import Values
from frostline.data.loader import Request
from frostline.data.views import is_centred
from frostline.errors import CacheError
from frostline.network.splitting import Split, split
from frostline.plan.price import (
    Part,
    StagePrice,
    Timing,
    Workload,
    price_stage,
    seconds_per_picture,
    time_suffix,
    time_update,
)
from frostline.plan.stages import Stage, freeze, training_graph
from frostline.training.task import (
    SAMPLE_PICTURES,
    Origin,
    Task,
    Timed,
    at_size,
    engine_of,
    measuring_requests,
    open_store,
    repeated,
    sample_of,
    stage_requests,
    store_key,
    training_requests,
)
from frostline.units import parse_bytes


def price_of(task: Task, stage: Stage, kind: str | None = None) -> StagePrice:
    """Freeze a stage's layers, time its parts for a moment and choose where the frozen ones come from.

    Args:
        task: the run's.
        stage: one of its plan's.
        kind: of the engine, where that is settled; it is settled by this otherwise.
    """
    divided = split(task.traced, stage.cut)
    freeze(task.network.module, divided)
    engine = engine_of(task, divided, kind)
    train, val, shown = len(task.train_images()), len(task.val_images()), at_size(task, stage.size)
    if shown is task:
        parts = [_part(task, divided, engine, stage_requests(task), train, val)]
    else:
        small = engine_of(shown, divided, engine.kind)
        parts = [
            _part(shown, divided, small, training_requests(task), train, 0),
            _part(task, divided, engine, measuring_requests(task), 0, val),
        ]
    return price_stage(stage, divided, parts, mode=task.config.feature_cache, room=_room(task))


def _part(task: Task, split: Split, engine: Engine, requests: Sequence[Request], train: int, val: int) -> Part:
    """What so many pictures of one size cost."""
    missing = _missing(task, split, engine, requests)
    timed = time_stage(task, split, engine, [] if missing else requests)
    decoded_once = bool(task.views.turns) and all(map(is_centred, task.views.turns))
    return Part(Workload(train, val, len(requests), missing, decoded_once), timed.timing, timed.row_bytes)


def time_stage(task: Task, split: Split, engine: Engine, stored: Sequence[Request] = ()) -> Timed:
    """Time a stage's parts, once in a run; where rows are stored, what computes them is left out."""
    what = split.cut.name, engine.name, bool(stored)
    before = task.timed.get(what) or task.timed.get((*what[:2], False))  # timed with what is left out: as good
    if before is not None:
        return before
    rows = _some_rows(task, split, engine, stored)
    values, decode, prefix = (rows, 0.0, 0.0) if rows else _time_frozen(task, engine)
    training = training_graph(split, task.config, task.network.head)
    train, evaluate = time_suffix(split, training, [value.to(task.fabric.device) for value in values], task.fabric)
    trainable = sum(parameter.numel() for parameter in split.suffix.parameters())
    train += time_update(task.config, trainable, task.fabric) / task.config.batch_size
    task.timed[what] = Timed(Timing(decode, prefix, train, evaluate), row_bytes(values))
    return task.timed[what]


def _some_rows(task: Task, split: Split, engine: Engine, stored: Sequence[Request]) -> Values:
    """A batch of what is stored; nothing where nothing is, or the disk does not give it: the stage will tell."""
    rows = [row_id(request) for request in stored[: task.config.batch_size]]
    with suppress(CacheError):
        return open_store(task, split, Origin(engine, "disk")).read(rows) if rows else ()
    return ()


def _time_frozen(task: Task, engine: Engine) -> tuple[Values, float, float]:
    """Decode and compute some pictures; give a batch of values, and seconds per picture of both parts."""
    start = time.perf_counter()
    pixels = sample_of(task)
    decode = (time.perf_counter() - start) / min(len(pixels), SAMPLE_PICTURES) / max(1, task.pictures.workers)
    computed: list[Values] = []

    def compute(count: int) -> None:
        computed[:] = engine.run([pixels[:count]])

    prefix = seconds_per_picture(compute, len(pixels), task.fabric)
    return tuple(repeated(value, len(pixels)) for value in computed[0]), decode, prefix


def are_kept(task: Task, split: Split, engine: Engine, requests: Sequence[Request]) -> bool:
    """Tell whether all the requested rows are there."""
    return not _missing(task, split, engine, requests)


def _missing(task: Task, split: Split, engine: Engine, requests: Sequence[Request]) -> int:
    """How many of the requested rows are neither in the store opened last nor on disk."""
    rows = {row_id(request) for request in requests}
    if not rows or split.is_whole or task.last_store.is_full or task.config.feature_cache == "off":
        return len(rows)
    key, last = store_key(task, split, engine).digest(), task.last_store
    is_open = last.store is not None and last.digest == key
    is_on_disk = task.config.feature_cache != "ram" and (store_home(task.cache_dir) / key).is_dir()
    if not is_open and not is_on_disk:
        return len(rows)
    with suppress(CacheError):  # the stage will tell
        store = open_store(task, split, Origin(engine, "disk"))
        return sum(row not in store for row in rows)
    return len(rows)


def _room(task: Task) -> int:
    """Bytes that a store may take: the limit set, and nine tenths of what the disk has left."""
    task.cache_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(task.cache_dir).free
    return min(parse_bytes(task.config.cache_limit), int(free * 0.9))
