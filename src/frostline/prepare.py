"""What comes before training: open the data, build the network, resolve the plan; and price it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from frostline.activations.choosing import Engines
from frostline.activations.compute import Pictures
from frostline.budget import networks_to_try, with_default_budget, with_shared_settings, within_budget
from frostline.config import TrainConfig
from frostline.data.frames import Frames
from frostline.data.index import Index, build_index, class_names
from frostline.data.known import read_known, write_known
from frostline.data.loader import default_workers
from frostline.data.pictures import Source
from frostline.data.sources import open_source
from frostline.data.views import centre_shape, parse_views
from frostline.errors import ConfigError, PlanError
from frostline.files import default_cache_dir, usable_cache
from frostline.hardware import make_fabric, put_on
from frostline.inspection import copies_in
from frostline.network.build import Network, NetworkSpec, build
from frostline.network.cuts import Traced
from frostline.network.heads import DepthHead
from frostline.network.smallnet import SmallNet
from frostline.network.splitting import split
from frostline.network.weights import Loaded, load_weights
from frostline.plan.grammar import parse_stages
from frostline.plan.price import StagePrice
from frostline.plan.schedules import parse_schedule
from frostline.plan.stages import ParameterCounts, Stage, count_parameters, resolve_plan, start_training_mode
from frostline.progress import Reporter, Silent
from frostline.report.events import check_tensorboard
from frostline.stopwatch import Stopwatch
from frostline.training.order import base_requests
from frostline.training.pricing import price_of
from frostline.training.task import Task
from frostline.units import parse_bytes

WHITENED = 1000
"""Pictures from which a network's whitening stem is computed."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A task, and where its starting weights came from."""

    task: Task
    loaded: Loaded


def prepare(
    config: TrainConfig, fabric: Fabric, reporter: Reporter, watch: Stopwatch, *, index: Index | None = None
) -> Prepared:
    """Open the data, build the network, resolve the plan; what is wrong with the settings shows before any long work.

    Args:
        config: the run's.
        fabric: device and precision.
        reporter: told of the pictures.
        watch: notes what checking them takes.
        index: of the data, where another network was prepared for them before.

    Raises:
        UsageError: of the kind that fits.
    """
    views = parse_views(config.augment)
    parse_schedule(config.schedule)
    parse_stages(config.stages or "head:1")
    parse_bytes(config.cache_limit)
    if config.log == "tensorboard":
        check_tensorboard()
    reporter = reporter if fabric.is_global_zero else Silent()
    home = config.cache_dir or default_cache_dir()
    cache_dir = usable_cache(home, reporter.warn)
    source = open_source(config.data, cache_dir=home)
    classes = class_names(source)
    network = build(NetworkSpec.from_config(config, len(classes)), init=config.init, seed=config.seed)
    loaded = load_weights(network, config.weights, allow_missing=config.allow_missing, classes=classes)
    put_on(network.module, fabric.device)
    traced = network.trace()
    plan = resolve_plan(config, traced)
    _check_sizes(plan, network, traced)
    if index is None:
        with watch.span("audit"):
            index = _index(config, source, cache_dir, reporter)
    workers = default_workers() if config.workers is None else config.workers
    frames = Frames(len(source.pictures), centre_shape(network.preprocess))
    pictures = Pictures(source, network.preprocess, config.max_pixels, workers, config.batch_size, frames)
    if isinstance(network.module, SmallNet) and config.weights == "none":
        _whiten(network.module, pictures, index)
    _check_batches(config, index, fabric, [split(traced, stage.cut).suffix for stage in plan], network.head)
    is_linear = isinstance(network.module.get_submodule(network.head), DepthHead)
    fits_head = is_linear and any(key.startswith(network.head) for key in loaded.fresh)
    engines = Engines(config.engine, network.preprocess, fabric, cache_dir)
    task = Task(
        config, index, network, traced, plan, views, pictures, engines, cache_dir, fabric, reporter, fits_head, watch
    )
    return Prepared(task, loaded)


def _check_sizes(plan: Sequence[Stage], network: Network, traced: Traced) -> None:
    """Refuse sizes that the network cannot compute: some are built for one size alone."""
    for name, size in [(stage.name, stage.size) for stage in plan if stage.size is not None]:
        whole = split(traced, traced.before("all")).evaluating.eval()
        device = next(network.module.parameters()).device
        try:
            with torch.no_grad():
                whole(torch.zeros(1, network.preprocess.channels, size, size, device=device))
        except (RuntimeError, ValueError, AssertionError):
            raise PlanError(
                f"{name}: {network.spec.model} cannot compute pictures of {size} pixels; leave /{size} out, and "
                f"{network.preprocess.size} are used"
            ) from None


def _whiten(network: SmallNet, pictures: Pictures, index: Index) -> None:
    """Compute the stem from some training pictures, spread over all."""
    images = index.of("train")
    count = min(WHITENED, len(images))
    some = [images[i * len(images) // count] for i in range(count)]
    (pixels,) = pictures.load([base_requests(some)])
    network.whiten(pictures.preprocess.normalise(pixels))


def _check_batches(
    config: TrainConfig, index: Index, fabric: Fabric, suffixes: Sequence[torch.nn.Module], head: str
) -> None:
    """Refuse batches that leave a process without a picture, or BatchNorm with a single one."""
    share = min(config.batch_size, index.counts()["train"]) // fabric.world_size
    trains_statistics = any(start_training_mode(suffix, config, head) for suffix in suffixes)
    if share < (2 if trains_statistics else 1):
        reason = "BatchNorm cannot train on a single picture" if share else "every process needs one"
        raise ConfigError(
            f"--batch-size {config.batch_size} is {share} pictures for each of {fabric.world_size} processes, and "
            f"{reason}; raise it to {2 * fabric.world_size} or more, or add pictures"
        )


def prepare_within_budget(config: TrainConfig, fabric: Fabric, reporter: Reporter, watch: Stopwatch) -> Prepared:
    """Prepare; where a budget is to choose, choose what the settings leave open.

    Raises:
        UsageError: of the kind that fits.
    """
    config = with_default_budget(config)
    if config.budget is None:
        return prepare(config, fabric, reporter, watch)
    index, models = None, networks_to_try(config)
    for model in models:
        offered = with_shared_settings(config.model_copy(update={"model": model}))
        prepared = prepare(offered, fabric, reporter, watch, index=index)
        index = prepared.task.index
        with watch.span("budget"):
            task = within_budget(prepared.task, watch.total, must=model == models[-1])
        if task is not None:
            break
    assert task is not None  # of the last one
    return replace(prepared, task=task)


def price_plan(config: TrainConfig, reporter: Reporter, watch: Stopwatch) -> list[tuple[StagePrice, ParameterCounts]]:
    """Price every stage; nothing is trained or stored."""
    fabric = make_fabric(config.device, config.precision)
    task, prices = prepare_within_budget(config, fabric, reporter, watch).task, []
    for stage in task.plan:
        counts = count_parameters(task.network.module, split(task.traced, stage.cut))
        prices.append((price_of(task, stage), counts))
    return prices


def _index(config: TrainConfig, source: Source, cache_dir: Path, reporter: Reporter) -> Index:
    limits = {"channels": config.channels, "max_pixels": config.max_pixels}
    known = read_known(cache_dir, **limits)
    before = len(known)
    copies = None
    if config.drop_leaks:
        copies = copies_in(config.data, reporter, device=config.device, cache_dir=cache_dir)
    index = build_index(
        source,
        **limits,
        max_damaged=config.max_damaged,
        val=config.val,
        test=config.test,
        seed=config.seed,
        workers=default_workers() if config.workers is None else config.workers,
        known_good=known,
        reporter=reporter,
        copies=copies,
    )
    if len(known) > before:
        with suppress(OSError):  # the next run looks at them again
            write_known(cache_dir, known, **limits)
    return index
