"""An interrupted run goes on and ends with the same bytes as one that was never interrupted."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from frostline import api, cli, pipeline
from frostline.data.splitfile import read_split
from frostline.errors import BundleError
from frostline.progress import Silent
from frostline.training import loop

SETTINGS = {
    "model": "vgg11_bn",
    "weights": "none",
    "width": 0.0625,
    "image_size": 32,
    "head": "official",
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
from frostline.training import loop

torch.set_num_threads(1)
loop.SAVE_SECONDS = 0.0
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


def make_pictures(root):
    draw = np.random.default_rng(0)
    for label in range(3):
        (root / "abc"[label]).mkdir(parents=True)
        for number in range(12):
            pixels = draw.integers(0, 120, (40, 40, 3))
            pixels[..., label] += 100
            Image.fromarray(pixels.astype(np.uint8)).save(root / "abc"[label] / f"{number}.png")
    return root


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
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)


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
    [*((mode, epoch) for mode in ("disk", "disk, rich") for epoch in range(1, EPOCHS + 1)), ("off", 3)],
    indirect=["unbroken"],
)
def test_a_run_interrupted_at_any_epoch_ends_with_the_same_bytes(unbroken, tmp_path, epoch):
    data, settings, whole = unbroken
    with pytest.raises(KeyboardInterrupt):
        api.train(data, out=tmp_path / "run", reporter=InterruptAt(epoch), **settings)
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert (tmp_path / "run" / "state" / "state.safetensors").exists() == (epoch > 1)
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


def remove_one(data, run):
    a_training_picture(data, run).unlink()


def change_one(data, run):
    Image.new("RGB", (40, 40), "white").save(a_training_picture(data, run))


@pytest.mark.parametrize("change", [add_one, remove_one, change_one])
def test_other_pictures_are_refused(tmp_path, change):
    data, run = interrupted(tmp_path)
    change(data, run)
    with pytest.raises(BundleError, match=r"the pictures are not those that .* began with; start a new run"):
        api.train(data, out=run, resume=True)


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
