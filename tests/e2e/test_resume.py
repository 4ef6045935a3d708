"""An interrupted run goes on and ends with the same bytes as one that was never interrupted."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from frostline import api, cli, pipeline
from frostline.data.splitfile import read_split
from frostline.errors import BundleError, ConfigError
from frostline.files import RunFolder
from frostline.progress import Silent
from frostline.training import saving
from frostline.training.state import load_state
from made_up import make_pictures
from tiers import tier

SETTINGS = {
    "model": "vgg11_bn",
    "weights": "none",
    "width": 0.0625,
    "image_size": 32,
    "head": "small",
    "dropout": 0.5,
    "augment": "flip",
    "stages": "head:2, block5:2",
    "batch_size": 10,
    "lr": 0.003,
    "precision": "fp32",
    "workers": 0,
}
RICH = {"mixup": 0.4, "cutmix": 1.0, "ema": 0.9, "clip_grad": 1.0, "layer_decay": 0.8, "test_views": "flip"}
"""Everything of a step that draws or remembers something."""
EPOCHS = 4
DRIVER = """
import sys, time
import torch
from frostline import cli
from frostline.console import Terminal
from frostline.training import saving, stopping

torch.set_num_threads(1)
saving.SAVE_SECONDS, saving.SHARE, stopping.GRACE = 0.0, 1e9, 1
stop_at, say = int(sys.argv[1]), Terminal.say
told = 0

def say_and_wait(self, text):
    global told
    say(self, text)
    told += "  train " in text
    if "  train " in text and told == stop_at:
        say(self, "WAITING")
        time.sleep(120)

Terminal.say = say_and_wait
sys.argv[1:] = sys.argv[2:]
cli.main()
"""


class InterruptAt(Silent):
    """A reporter that raises when the epoch of that number is told."""

    def __init__(self, epoch):
        self.left = epoch

    def say(self, text):
        if "  train " in text:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Plots, and waiting for the disk, would take half of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        for name in ("plot_batch", "plot_confusion", "plot_curves"):
            patch.setattr(pipeline, name, lambda *_: "")
        yield


@pytest.fixture(scope="module")
def unbroken(request, quick, tmp_path_factory):
    """Data, settings, and the folder of a run that was not interrupted, with stored or direct activations."""
    home = tmp_path_factory.mktemp("resume")
    mode, _, rich = request.param.partition(", ")
    settings = {**SETTINGS, **(RICH if rich else {}), "feature_cache": mode, "cache_dir": home / "cache"}
    torch.set_num_threads(1)
    data = make_pictures(home / "data")
    return data, settings, api.train(data, out=home / "unbroken", **settings).path


@pytest.fixture(autouse=True)
def save_often(monkeypatch):
    monkeypatch.setattr(saving, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(saving, "SHARE", 1e9)


def assert_same(run, other):
    for name in ("best", "last"):
        one, two = (load_file(folder / "weights" / f"{name}.safetensors") for folder in (run, other))
        assert one.keys() == two.keys()
        for key in one:
            assert one[key].numpy().tobytes() == two[key].numpy().tobytes(), f"{name}: {key}"
    assert (run / "steps.csv").read_text() == (other / "steps.csv").read_text()
    assert numbers(run) == numbers(other)


def numbers(run):
    """What `results.csv` says, without times."""
    return [line.split(",")[:7] for line in (run / "results.csv").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("unbroken", "epoch"),
    tier(
        [("disk, rich", 1), ("disk, rich", 3), ("off", EPOCHS)],
        [*((mode, epoch) for mode in ("disk", "disk, rich") for epoch in range(1, EPOCHS + 1)), ("off", 3)],
    ),
    indirect=["unbroken"],
)
def test_a_run_interrupted_at_any_epoch_ends_with_the_same_bytes(unbroken, tmp_path, epoch):
    data, settings, whole = unbroken
    with pytest.raises(KeyboardInterrupt):
        api.train(data, out=tmp_path / "run", reporter=InterruptAt(epoch), **settings)
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert (tmp_path / "run" / "state" / "state.safetensors").exists()
    run = api.train(data, out=tmp_path / "run", resume=True)
    assert_same(run.path, whole)


@pytest.mark.slow
@pytest.mark.parametrize("unbroken", ["off"], indirect=True)
def test_the_number_of_workers_changes_no_byte(unbroken, tmp_path):
    data, settings, whole = unbroken
    assert_same(api.train(data, out=tmp_path / "run", **{**settings, "workers": 2}).path, whole)


def _heed_interrupts():
    """What a shell starts in the background ignores them, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def train_and_interrupt(data, settings, out, signal_number, *, epoch):
    """Start a run as a program, and send it a signal when an epoch is told; gives its exit code and stderr."""
    flags = [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-c", DRIVER, str(epoch), "train", str(data), *flags, "--out", str(out)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes, preexec_fn=_heed_interrupts) as program:
        for line in program.stdout:
            if line == "WAITING\n":
                program.send_signal(signal_number)
        stderr = program.stderr.read()
    return program.returncode, stderr


@pytest.mark.slow
@pytest.mark.parametrize("unbroken", ["disk"], indirect=True)
@pytest.mark.parametrize(
    ("signal_number", "code", "epoch"), [(signal.SIGINT, 130, 2), (signal.SIGTERM, 143, 3)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_ends_a_run_that_can_go_on(unbroken, tmp_path, monkeypatch, capsys, signal_number, code, epoch):
    data, settings, whole = unbroken
    out = tmp_path / "run"
    returned, stderr = train_and_interrupt(data, settings, out, signal_number, epoch=epoch)
    assert returned == code, stderr
    assert stderr.count("\n") == 1
    assert stderr.endswith("a training goes on with --resume --out RUN\n")
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", ["frostline", "train", str(data), "--resume", "--out", str(out)])
    capsys.readouterr()
    cli.main()
    signal.signal(signal.SIGTERM, handler)
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.count("  train ") == EPOCHS - epoch + 1, "epochs that were saved are not trained again"
    assert_same(out, whole)


def interrupted(tmp_path, **changes):
    data = make_pictures(tmp_path / "data")
    settings = {
        **SETTINGS,
        "model": "resnet18",
        "head": "linear",
        "stages": "head:2",
        "feature_cache": "ram",
        **changes,
    }
    with pytest.raises(KeyboardInterrupt):
        api.train(data, out=tmp_path / "run", reporter=InterruptAt(2), **settings)
    return data, tmp_path / "run"


def a_training_picture(data: Path, run: Path) -> Path:
    return data / next(row["path"] for row in read_split(run / "split.csv") if row["split"] == "train")


def add_one(data, run):
    Image.new("RGB", (40, 40), "white").save(data / "a" / "new.png")
    return "a/new.png: added"


def remove_one(data, run):
    picture = a_training_picture(data, run)
    picture.unlink()
    return f"{picture.relative_to(data)}: removed"


def edit_one(data, run):
    """Same size, same time."""
    picture = a_training_picture(data, run)
    before, pixels = picture.stat(), np.asarray(Image.open(picture))
    Image.fromarray(255 - pixels).save(picture)
    with picture.open("ab") as file:  # what follows a PNG's end is not read
        file.write(bytes(max(0, before.st_size - picture.stat().st_size)))
    os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns))
    return f"{picture.relative_to(data)}: edited"


def damage_one(data, run):
    picture = a_training_picture(data, run)
    picture.write_bytes(picture.read_bytes()[:100])
    return f"{picture.relative_to(data)}: cannot be used any more"


def swap_labels(data, run):
    one, other = data / "a" / "0.png", data / "b" / "0.png"
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    return "a/0.png: edited"


@pytest.mark.parametrize("change", [add_one, remove_one, edit_one, damage_one, swap_labels])
def test_other_pictures_are_refused_unless_they_are_accepted(tmp_path, change):
    data, run = interrupted(tmp_path)
    told = change(data, run)
    with pytest.raises(BundleError, match=r"the pictures are not those that .* began with .*--accept-data-changes"):
        api.train(data, out=run, resume=True)
    listed = (run / "data_changes.csv").read_text()
    assert told.partition(":")[0] in listed
    assert told.partition(": ")[2] in listed
    before = (run / "split.csv").read_text()
    assert api.train(data, out=run, resume=True, accept_data_changes=True).metrics["val"]["accuracy"] >= 0
    assert (run / "split.csv").read_text() != before


def test_other_classes_are_refused_even_if_changes_are_accepted(tmp_path):
    data, run = interrupted(tmp_path)
    (data / "b").rename(data / "z")
    with pytest.raises(BundleError, match="the classes are not those"):
        api.train(data, out=run, resume=True, accept_data_changes=True)


def test_other_settings_are_refused(tmp_path):
    data, run = interrupted(tmp_path)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("lr: 0.003", "lr: 0.004"))
    with pytest.raises(BundleError, match=r"config\.yaml is not as it was when the run was interrupted"):
        api.train(data, out=run, resume=True)


def test_a_second_run_into_the_same_folder_is_refused(tmp_path):
    data, run = interrupted(tmp_path)
    with (
        RunFolder(run).held(),
        pytest.raises(ConfigError, match=rf"is being trained into by process {os.getpid()} on "),
    ):
        api.train(data, out=run, resume=True)
    assert api.train(data, out=run, resume=True).metrics["best"]


class InterruptIn(Silent):
    """A reporter that sends this process a signal after so many pictures of training."""

    def __init__(self, pictures, number=signal.SIGINT):
        self.left, self.number = pictures, number

    @contextmanager
    def bar(self, total, what, left=None):
        def advance(count):
            if what.startswith("epoch"):
                self.left -= count
                if self.left <= 0 < self.left + count:
                    signal.raise_signal(self.number)

        yield advance


@pytest.fixture
def interrupts():
    """Heed interrupts, whoever started the tests: what a shell starts in the background ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("interrupts")
@pytest.mark.parametrize(
    ("unbroken", "pictures"),
    tier(
        [*(("disk, rich", pictures) for pictures in (1, 25, 51, 95)), ("off", 11), ("off", 35)],
        [(mode, pictures) for mode in ("disk", "disk, rich", "off") for pictures in (1, 11, 25, 35, 51, 95)],
    ),
    indirect=["unbroken"],
)
def test_a_run_interrupted_after_any_step_ends_with_the_same_bytes(unbroken, tmp_path, monkeypatch, pictures):
    """24 pictures an epoch, in batches of 10."""
    monkeypatch.setattr(saving, "SAVE_SECONDS", 1e9)
    data, settings, whole = unbroken
    with pytest.raises(KeyboardInterrupt):
        api.train(data, out=tmp_path / "run", reporter=InterruptIn(pictures), **settings)
    state = load_state(tmp_path / "run" / "state" / "state.safetensors")
    epoch, within = divmod(pictures - 1, 24)
    assert (2 * state.stage + state.epoch, state.step) == (epoch, within // 10 + 1), "the step under way was finished"
    assert_same(api.train(data, out=tmp_path / "run", resume=True).path, whole)


def test_a_damaged_state_is_refused(tmp_path):
    data, run = interrupted(tmp_path)
    state = run / "state" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(BundleError, match=r"cannot resume.*state\.safetensors.*remove the file to start the run anew"):
        api.train(data, out=run, resume=True)
    state.unlink()
    assert api.train(data, out=run, resume=True).metrics["counts"]["train"] == 24


def test_other_starting_weights_are_refused(tmp_path):
    source = tmp_path / "before"
    data = make_pictures(tmp_path / "first")
    settings = {**SETTINGS, "model": "resnet18", "head": "linear", "stages": "head:1", "feature_cache": "ram"}
    before = api.train(data, out=source, **settings).folder.best
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(before.read_bytes())
    data, run = interrupted(tmp_path, weights=str(weights))
    other = api.train(data, out=tmp_path / "other", **{**settings, "seed": 1}).folder.best
    weights.write_bytes(other.read_bytes())
    with pytest.raises(BundleError, match="the starting weights or the plan are not those of the interrupted run"):
        api.train(data, out=run, resume=True)


def test_the_event_files_of_a_resumed_run_hold_each_epoch_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    data, run = interrupted(tmp_path, log="tensorboard", stages="head:3")
    assert EventAccumulator(str(run / "tensorboard")).Reload().Scalars("loss/val")[-1].step == 1, "before the run ends"
    api.train(data, out=run, resume=True)
    events = EventAccumulator(str(run / "tensorboard"), {"scalars": 0}).Reload()
    assert [event.step for event in events.Scalars("accuracy/val")] == [1, 2, 3]
    assert [event.step for event in events.Scalars("loss_per_step")] == list(range(1, 10))


def test_a_run_that_never_began_starts(tmp_path):
    data = make_pictures(tmp_path / "data")
    settings = {**SETTINGS, "model": "resnet18", "head": "linear", "stages": "head:1", "feature_cache": "ram"}
    run = api.train(data, out=tmp_path / "run", resume=True, **settings)
    assert run.metrics["best"]["epoch"] == 1


SHORT = {**SETTINGS, "stages": "head:1", "feature_cache": "off"}


@pytest.mark.parametrize("step", ["review", "write_report"])
def test_a_run_that_dies_while_it_ends_is_completed_and_has_read_its_test_set_once(tmp_path, monkeypatch, step):
    """The presence of `metrics.json` means that everything else is there."""
    out, data = tmp_path / "run", make_pictures(tmp_path / "data")

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, step, die)
        with pytest.raises(KeyboardInterrupt):
            api.train(data, out=out, **SHORT)
    run = RunFolder(out)
    before = run.reads.read_text()
    assert len(before.splitlines()) == 2, "noted as soon as it was read"
    assert not run.metrics.exists()
    assert not run.report.exists()
    resumed = api.train(out=out, data=data, resume=True)
    assert run.reads.read_text() == before
    assert resumed.metrics["test"]["read"]["number"] == 1
    assert run.report.is_file()
    assert json.loads(run.metrics.read_text())["test"] == resumed.metrics["test"]
    assert not [*out.glob(".*")], "nothing is left over"
