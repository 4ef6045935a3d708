"""`--budget`: choose network, views, depth of the thaw and epochs so that a whole run takes about as long as it may.

Trainings are offered in a fixed order, from what gives most to what costs least: a deep thaw, shallower ones, a head on
many stored views, a head on few; of one kind, from most epochs to fewest. All are sketched from a few timings. A kind
whose shortest might fit is priced as every plan is, and the first that fits by its price is taken. Validation then
chooses among its epochs, the fitted head's included, so that a thaw that does not help costs time alone. Networks are
tried from the most accurate one at hand; one is taken where there is time for a thaw or several crops, the default one
in any case.
"""

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch

from frostline.config import TrainConfig
from frostline.data.views import TEST_VIEWS, parse_views
from frostline.network.at_hand import networks_at_hand
from frostline.network.splitting import split
from frostline.network.summary import layer_rows
from frostline.plan.price import PROBE_PICTURES, time_suffix
from frostline.plan.stages import freeze, resolve_plan, training_graph
from frostline.training.pricing import price_of, time_stage
from frostline.training.task import Task, engine_of, sample_of
from frostline.units import parse_seconds

DEFAULT_BUDGET = "3m"
"""Of a run that is told neither stages, nor epochs, nor a time."""
TRIED = 2
"""Networks to try before the default one: each costs some seconds."""
LEAST_TO_TRY = 60.0
"""Seconds of a budget below which only the default network is tried."""
SHARED = {"head": "multi", "test_views": "flip"}
"""Settings of every offer on pretrained weights."""
THAW = {
    "augment": "flip",
    "label_smoothing": 0.1,
    "mixup": 0.2,
    "ema": 0.98,
    "layer_decay": 0.9,
    "schedule": "cosine:1",
}
"""Further settings of those that thaw: the recipe faces-best's, and an epoch in which the rate rises."""
THAW_RATE = 1e-3
SHARES = (0.6, 0.3, 0.15)
"""Shares of the network's multiply-accumulates that a thaw may train."""
EPOCHS = range(40, 3, -1)
"""Thawed epochs to offer, most first."""
HEAD_EPOCHS = 2
"""Before a thaw, of a head that is not fitted."""
SCRATCH_EPOCHS = (200, 150, 100, 75, 50, 40, 30, 20, 15, 10, 7, 5, 3, 2, 1)
FEW_VIEWS = ("flip", "none")
VIEWS = ("crops:8", "crops:4", *FEW_VIEWS)
USED = 0.9
"""Share of the budget to plan with, for prices are not exact."""
SLACK = 1.3
"""Kinds whose shortest takes up to so many times what is left, by its sketch, are priced: sketches are rough."""
END_SECONDS = 4.0
"""For what comes after the last evaluation: figures, files, the end of the process."""
FIT_SECONDS = 2.0
"""For the logistic regression from which a head starts."""
STEP_PASSES = 3
"""Of a training step, one forward and two backward."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A training, and about how long it takes from now to the end."""

    settings: Mapping[str, Any]
    share: float
    """Of the network's work, what its last stage trains."""
    seconds: float = 0.0

    @property
    def is_poor(self) -> bool:
        """Whether a head is all that trains, on few views."""
        return not self.share and self.settings.get("augment") in FEW_VIEWS

    def __str__(self) -> str:
        flags = ((f"--{name.replace('_', '-')}", str(value)) for name, value in self.settings.items())
        return shlex.join(chain.from_iterable(flags))


@dataclass(frozen=True, slots=True)
class Speeds:
    """Seconds per picture."""

    decode: float
    forward: float
    """Of the network below its head, by the run's engine."""
    head: float
    """Of a step that trains the head."""
    whole: float
    """Of a step that trains all of the network."""


def with_default_budget(config: TrainConfig) -> TrainConfig:
    """Give a run that has no plan a time; change nothing where there are stages, epochs or a budget.

    Raises:
        ConfigError: the budget is not understood.
    """
    if config.budget is None and config.stages is None and config.epochs is None:
        return config.model_copy(update={"budget": DEFAULT_BUDGET})
    if config.budget is not None:
        parse_seconds(config.budget)
    return config


def networks_to_try(config: TrainConfig) -> list[str]:
    """Networks for a budget, best first: the one that is set, or some at hand and then the default one."""
    assert config.budget is not None
    is_set = "model" in config.model_fields_set or config.weights != "imagenet" or config.channels != 3
    if is_set or parse_seconds(config.budget) < LEAST_TO_TRY:
        return [config.model]
    found = networks_at_hand()
    return [*found[: found.index(config.model)][:TRIED], config.model]


def with_shared_settings(config: TrainConfig) -> TrainConfig:
    """Give what all offers share to the settings that the user left open; without a budget, change nothing."""
    if config.budget is None or config.weights == "none":
        return config
    return config.model_copy(update={n: value for n, value in SHARED.items() if n not in config.model_fields_set})


def within_budget(task: Task, elapsed: float, *, must: bool = True) -> Task | None:
    """Give a task the best plan that its budget has time for, and a deadline; tells what was chosen.

    Args:
        task: prepared from `with_shared_settings`.
        elapsed: seconds since the run began.
        must: choose something in any case; otherwise None is given where there is time for few views only.
    """
    assert task.config.budget is not None
    budget, start = parse_seconds(task.config.budget), time.monotonic() - elapsed
    speeds = _time(task)
    kinds = [[replace(offer, seconds=_sketch(task, offer, speeds)) for offer in kind] for kind in _offers(task)]
    offers = list(chain.from_iterable(kinds))
    chosen = task.fabric.broadcast(_choose(task, kinds, start + USED * budget, speeds))  # clocks differ
    whole = time.monotonic() - start + chosen.seconds
    model = task.config.model
    if not must and (whole > budget or chosen.is_poor):
        task.reporter.say(f"budget {task.config.budget}: {model} is too slow for it")
        return None
    task.reporter.say(f"budget {task.config.budget}: --model {model} {chosen}, about {whole:.0f} s in all")
    if whole > budget:
        task.reporter.warn(f"nothing fits in {task.config.budget}; this takes least")
    dearer = chosen.seconds / next(offer.seconds for offer in offers if offer.settings == chosen.settings)
    more = _first_that_fits(offers, (2 * USED * budget - elapsed) / dearer)
    if more.settings != chosen.settings:
        task.reporter.say(f"twice the budget would buy {more}")
    return replace(_offered(task, chosen), deadline=start + budget - END_SECONDS - _evaluation(task, speeds))


def _choose(task: Task, kinds: Sequence[Sequence[Offer]], deadline: float, speeds: Speeds) -> Offer:
    """Price those of kinds that might fit, until one does; the last offer takes least."""
    for kind in kinds:
        if kind[-1].seconds > SLACK * (deadline - time.monotonic()) and kind is not kinds[-1]:
            continue
        for offer in kind:
            priced = replace(offer, seconds=_price(_offered(task, offer), offer, speeds))
            if time.monotonic() + priced.seconds <= deadline:
                return priced
    return priced


def _first_that_fits(offers: Sequence[Offer], seconds: float) -> Offer:
    return next((offer for offer in offers if offer.seconds <= seconds), offers[-1])


def _offers(task: Task) -> Iterator[list[Offer]]:
    """What to try, best first, in kinds that differ in epochs alone; what the user set is left out."""
    for kind in _all_offers(task):
        yield [replace(offer, settings=_left_open(task, offer)) for offer in kind]


def _left_open(task: Task, offer: Offer) -> dict[str, Any]:
    return {name: value for name, value in offer.settings.items() if name not in task.config.model_fields_set}


def _all_offers(task: Task) -> Iterator[list[Offer]]:
    if task.config.weights == "none":
        yield [Offer({"stages": f"all:{epochs}"}, 1.0) for epochs in SCRATCH_EPOCHS]
        return
    start = "" if task.fits_head else f"head:{HEAD_EPOCHS}, "
    for part, share in _thaws(task).items():
        yield [Offer({**THAW, "stages": f"{start}{part}:{epochs}@{THAW_RATE:g}"}, share) for epochs in EPOCHS]
    yield from ([Offer({"augment": views, "stages": "head:10"}, 0.0)] for views in VIEWS)


def _thaws(task: Task) -> dict[str, float]:
    """The parts to thaw from, deepest first, with the share of the network's work that each trains."""
    rows = layer_rows(task.network.module, task.network.preprocess.input_shape)
    total = sum(row.macs for row in rows)
    shares: dict[str, float] = {}
    for part in task.traced.parts():
        path = task.network.aliases.get(part, part)
        start = next((i for i, row in enumerate(rows) if f"{row.name}.".startswith(f"{path}.")), len(rows))
        shares[part] = sum(row.macs for row in rows[start:]) / total
    fitting = [[part for part in shares if 0 < shares[part] <= most and part != "head"] for most in SHARES]
    chosen = [max(parts, key=shares.__getitem__) for parts in fitting if parts]
    return {part: shares[part] for part in chosen}


def _time(task: Task) -> Speeds:
    """Time what sketches are made of."""
    whole = split(task.traced, task.traced.before("all"))
    freeze(task.network.module, whole)
    pixels = task.network.preprocess.normalise(sample_of(task)[:PROBE_PICTURES].to(task.fabric.device))
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    step, _ = time_suffix(whole, training_graph(whole, task.config, task.network.head), [pixels], task.fabric)
    below = split(task.traced, task.traced.before("head"))
    freeze(task.network.module, below)
    timing = time_stage(task, below, engine_of(task, below)).timing
    return Speeds(timing.decode, timing.prefix, timing.train, step)


def _sketch(task: Task, offer: Offer, speeds: Speeds) -> float:
    """Estimate the rest of a run, as if work were spread over a network as its multiply-accumulates are."""
    offered = _offered(task, offer)
    train, val = len(task.train_images()), len(task.val_images()) * len(TEST_VIEWS[offered.config.test_views])
    total = _beside_stages(offered, offer, speeds)
    for stage in offered.plan:
        share = 0.0 if stage.part == "head" else offer.share
        frozen = speeds.decode + (1 - share) * speeds.forward
        step = max(speeds.head, share * speeds.whole)
        shown = stage.epochs * (train + val)
        stored = len(offered.views.names) * train + val if offered.views.can_be_stored and share < 1 else shown
        total += min(stored, shown) * frozen + stage.epochs * step * (train + val / STEP_PASSES)
    return total


def _price(task: Task, offer: Offer, speeds: Speeds) -> float:
    """Price the rest of a run as the command `plan` does."""
    return _beside_stages(task, offer, speeds) + sum(price_of(task, stage).seconds for stage in task.plan)


def _beside_stages(task: Task, offer: Offer, speeds: Speeds) -> float:
    """Seconds of the head's fit, of measuring and of the end; a thaw's layers run once for the fit (ADR 24)."""
    shown = len(task.train_images()) + len(task.val_images())
    fit = FIT_SECONDS + shown * offer.share * speeds.whole / STEP_PASSES if task.fits_head else 0.0
    return END_SECONDS + _evaluation(task, speeds) + fit


def _evaluation(task: Task, speeds: Speeds) -> float:
    """Seconds to measure the test pictures, which no stage has seen."""
    views = len(TEST_VIEWS[task.config.test_views])
    return len(task.index.of("test")) * (speeds.decode + views * speeds.forward)


def _offered(task: Task, offer: Offer) -> Task:
    config = task.config.model_copy(update={**offer.settings, "budget": None})
    return replace(task, config=config, views=parse_views(config.augment), plan=resolve_plan(config, task.traced))
