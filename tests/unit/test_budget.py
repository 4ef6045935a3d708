import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from safetensors.torch import save_file

from frostline import api, budget
from frostline import prepare as prepare_module
from frostline.budget import EPOCHS, Speeds, with_shared_settings, within_budget
from frostline.config import make_config
from frostline.errors import ConfigError
from frostline.hardware import make_fabric
from frostline.network.build import NetworkSpec, build
from frostline.network.splitting import split
from frostline.network.summary import layer_rows
from frostline.plan.grammar import parse_stages
from frostline.prepare import prepare
from frostline.progress import Silent
from frostline.stopwatch import Stopwatch
from frostline.training.loop import run_plan

SPEEDS = Speeds(decode=0.001, forward=0.004, head=0.0001, whole=0.02)
NETWORK = {"model": "resnet18", "width": 0.125}
SMALL = {"image_size": 32, "precision": "fp32", "device": "cpu", "workers": 0, "engine": "torch"}


class Told(Silent):
    """Keeps what a run says."""

    def __init__(self):
        self.lines, self.warnings = [], []

    def say(self, text):
        self.lines.append(text)

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture(autouse=True)
def pretrained(tmp_path, monkeypatch):
    """A small network's weights, which stand for pretrained ones."""
    file = tmp_path / "weights.safetensors"
    save_file(build(NetworkSpec(classes=2, **NETWORK)).module.state_dict(), file)
    monkeypatch.setitem(SMALL, "weights", str(file))


def prepared(data, **settings):
    told = Told()
    config = with_shared_settings(make_config(data=str(data), **{**SMALL, **NETWORK, **settings}))
    return prepare(config, make_fabric("cpu", "fp32"), told, Stopwatch()).task, told


@pytest.fixture
def untimed(monkeypatch):
    """Prices are what sketches say, and choosing takes no time: nothing hangs on how busy the machine is."""
    monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setattr(budget, "_time", lambda _: SPEEDS)
    monkeypatch.setattr(budget, "_price", budget._sketch)


def share_of(task):
    return budget._thaws(task).get(task.plan[-1].part, 0.0)


def chosen(data, seconds, **settings):
    task, told = prepared(data, budget=seconds, **settings)
    return within_budget(task, 0.0), told


def test_more_time_buys_more(tiny_folder, untimed):
    """From a head on the pictures as they are, over more views, to a thaw that gets longer and deeper."""
    plans = []
    for seconds in ("0.01s", "4.9s", "7s", "8s", "10s", "1h"):
        task, _ = chosen(tiny_folder, seconds)
        plans.append((task.config.augment, *(stage.part for stage in task.plan), task.plan[-1].epochs))
    assert plans[0] == ("none", "head", 10)
    thaw, *_ = budget._thaws(task)
    assert plans[-1] == ("flip", thaw, EPOCHS[0])
    work = [work_of(task) for task in (chosen(tiny_folder, seconds)[0] for seconds in ("0.01s", "8s", "1h"))]
    assert work == sorted(work)
    assert len(set(plans)) >= 4


def work_of(task):
    return budget._sketch(task, budget.Offer({}, share_of(task)), SPEEDS)


def test_what_was_chosen_is_told_and_what_more_would_buy(tiny_folder, untimed):
    task, told = chosen(tiny_folder, "7s")
    assert task.config.budget is None
    assert told.lines[0].startswith("budget 7s: --model resnet18 --augment ")
    assert f"--stages {task.config.stages}, about " in told.lines[0].replace("'", "")
    assert told.lines[1].startswith("twice the budget would buy --augment flip")
    _, told = chosen(tiny_folder, "1h")
    assert len(told.lines) == 1
    assert told.warnings == []


@pytest.mark.parametrize(("seconds", "takes"), [("0.01s", False), ("4.9s", False), ("1h", True)])
def test_a_network_beside_the_default_one_needs_time_for_more_than_few_views(tiny_folder, untimed, seconds, takes):
    task, told = prepared(tiny_folder, budget=seconds)
    found = within_budget(task, 0.0, must=False)
    assert (found is not None) == takes
    assert told.warnings == []
    if not takes:
        assert told.lines == [f"budget {seconds}: resnet18 is too slow for it"]


@pytest.fixture
def at_hand(monkeypatch):
    monkeypatch.setattr(budget, "networks_at_hand", lambda: ["a", "b", "c", "efficientnet_lite0", "d"])


def test_networks_are_tried_from_the_best(at_hand):
    assert budget.networks_to_try(make_config(data="x", budget="60s")) == ["a", "b", "efficientnet_lite0"]


@pytest.mark.parametrize("set_by_user", [{"budget": "59s"}, {"weights": "none"}, {"model": "efficientnet_lite0"}])
def test_what_leaves_no_choice_of_networks(at_hand, set_by_user):
    config = make_config(data="x", **{"budget": "1h", **set_by_user})
    assert budget.networks_to_try(config) == ["efficientnet_lite0"]


def test_where_no_plan_is_given_some_minutes_are():
    assert budget.with_default_budget(make_config(data="x")).budget == budget.DEFAULT_BUDGET
    for plan in ({"stages": "head:3"}, {"epochs": 3}, {"budget": "1m"}):
        config = make_config(data="x", **plan)
        assert budget.with_default_budget(config) == config


def test_the_better_network_is_taken_where_there_is_time(tiny_folder, tmp_path, monkeypatch):
    tried = []
    real = prepare_module.prepare

    def small(config, *args, index=None):
        tried.append((config.model, index is not None))
        return real(config.model_copy(update={**NETWORK, **SMALL}), *args, index=index)

    monkeypatch.setattr(prepare_module, "networks_to_try", lambda _: ["first", "second"])
    monkeypatch.setattr(prepare_module, "prepare", small)
    for answers, expected in [([None, "task"], ["first", "second"]), (["task"], ["first"])]:
        tried.clear()
        given = iter(answers)
        monkeypatch.setattr(
            prepare_module, "within_budget", lambda task, *_, given=given, **__: next(given) and replace(task)
        )
        config = make_config(data=str(tiny_folder), budget="1h", cache_dir=tmp_path)
        prepare_module.prepare_within_budget(config, make_fabric("cpu", "fp32"), Silent(), Stopwatch())
        assert tried == [(name, i > 0) for i, name in enumerate(expected)], "pictures are checked once"


def test_too_little_is_said(tiny_folder, untimed):
    _, told = chosen(tiny_folder, "0.01s")
    assert told.warnings == ["nothing fits in 0.01s; this takes least"]


def test_what_the_user_sets_stays(tiny_folder, untimed):
    task, told = chosen(tiny_folder, "1h", augment="crops:2", ema=0.5, head="linear")
    assert "--augment" not in told.lines[0]
    assert (task.config.augment, task.config.ema, task.config.head) == ("crops:2", 0.5, "linear")
    assert task.config.mixup == budget.THAW["mixup"]
    assert task.views.names == ("crop-0", "crop-1")


@pytest.mark.parametrize(("head", "starts"), [("multi", "layer"), ("mlp", "head:2, layer")])
def test_a_head_that_is_not_fitted_trains_before_the_thaw(tiny_folder, untimed, head, starts):
    task, _ = chosen(tiny_folder, "1h", head=head)
    assert task.config.stages.startswith(starts)


@pytest.mark.parametrize(("times", "thaws"), [(0.9, True), (1.0, False)])
def test_a_price_corrects_a_sketch_that_is_too_dear(tiny_folder, untimed, monkeypatch, times, thaws):
    """The least thaw's sketch is just above what may be spent, and its price below that."""
    task, _ = prepared(tiny_folder, budget="1h")
    kinds = list(budget._all_offers(task))
    least = min(budget._sketch(task, kind[-1], SPEEDS) for kind in kinds if kind[-1].share)
    monkeypatch.setattr(budget, "_price", lambda *args: times * budget._sketch(*args))
    task, told = chosen(tiny_folder, f"{0.95 * least / budget.USED}s")
    assert (task.plan[-1].part != "head") is thaws
    assert told.warnings == []


def test_what_more_would_buy_is_told_by_prices(tiny_folder, untimed, monkeypatch):
    """Where prices are half of the sketches, twice the budget buys what four times it would by the sketches."""
    monkeypatch.setattr(budget, "_price", lambda *args: 0.5 * budget._sketch(*args))
    _, told = chosen(tiny_folder, "5s")
    monkeypatch.setattr(budget, "_price", budget._sketch)
    _, plain = chosen(tiny_folder, "10s")
    assert told.lines[1] == plain.lines[1]


def test_without_weights_all_layers_train(tiny_folder, untimed):
    short, _ = chosen(tiny_folder, "10s", weights="none")
    long, _ = chosen(tiny_folder, "1h", weights="none")
    assert [stage.part for stage in (*short.plan, *long.plan)] == ["all", "all"]
    assert short.plan[0].epochs < long.plan[0].epochs == budget.SCRATCH_EPOCHS[0]


@pytest.mark.parametrize("model", ["efficientnet_lite0", "resnet18", "vgg16"])
def test_thaws_train_the_share_of_the_work_that_they_say(model, tiny_folder):
    network = build(NetworkSpec(model=model, classes=3, image_size=64, head="multi"))
    traced = network.trace()
    thaws = budget._thaws(SimpleNamespace(network=network, traced=traced))
    assert 2 <= len(thaws) <= len(budget.SHARES)
    assert budget.SHARES[1] < next(iter(thaws.values())) <= budget.SHARES[0]
    total = macs(network.module, network)
    for part, share in thaws.items():
        frozen = macs(split(traced, traced.before(part)).prefix, network)
        assert 1 - frozen / total == pytest.approx(share, abs=0.01)


def macs(module, network):
    return sum(row.macs for row in layer_rows(module, network.preprocess.input_shape))


@pytest.mark.parametrize(("given", "told_as"), [({"budget": "8s"}, "8s"), ({}, "3m")])
def test_the_real_thing_is_timed_priced_and_trained(tiny_folder, tmp_path, given, told_as):
    run = api.train(tiny_folder, out=tmp_path / "run", reporter=(told := Told()), **given, **SMALL, **NETWORK)
    assert told.lines[0].startswith(f"budget {told_as}: ")
    saved = make_config(**api.read_yaml(run.folder.config))
    assert saved.budget is None
    trained = [(stage["part"], stage["epochs"]) for stage in run.metrics["plan"]]
    assert trained == [(stage.part, stage.epochs) for stage in parse_stages(saved.stages)]
    assert f"--stages {saved.stages}, about " in told.lines[0].replace("'", "")
    assert (saved.head, saved.test_views) == ("multi", "flip")


def test_after_the_deadline_no_epoch_begins(tiny_folder):
    task, told = prepared(tiny_folder, stages="head:3, layer4:2")
    progress = run_plan(replace(task, deadline=time.monotonic()), resumed=None, save=lambda _: None)
    assert [row.epoch for row in progress.history.epochs] == [0]
    assert told.lines[-1] == "time is up: stage 1, head is left out"
    progress = run_plan(replace(task, fits_head=False, deadline=0), resumed=None, save=lambda _: None)
    assert [row.epoch for row in progress.history.epochs] == [1], "something must be trained"


@pytest.mark.parametrize("more", [{"stages": "head:3"}, {"epochs": 3}])
def test_a_budget_and_a_plan_exclude_each_other(more):
    with pytest.raises(ConfigError, match="leave out either it, or --stages and --epochs"):
        make_config(data="x", budget="1m", **more)
