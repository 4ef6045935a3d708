"""Two processes under torchrun make the same steps as one with the same global batch."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from frostline.training.state import load_state

DRIVER = """
import torch
from frostline.cli import main

torch.set_num_threads(1)
main()
"""
MODEL = ["--model", "vgg11", "--width", "0.125", "--dropout", "0", "--image-size", "32", "--weights", "none"]
MACHINE = ["--precision", "fp32", "--device", "cpu", "--workers", "0", "--feature-cache", "disk"]
PLAN = ["--batch-size", "10", "--lr", "0.003", "--augment", "flip", "--stages", "head:2, block5:2"]
FLAGS = [*MODEL, *MACHINE, *PLAN]


def make_pictures(root):
    draw = np.random.default_rng(0)
    for label in range(3):
        (root / "abc"[label]).mkdir(parents=True)
        for number in range(13):
            pixels = draw.integers(0, 120, (40, 40, 3))
            pixels[..., label] += 100
            Image.fromarray(pixels.astype(np.uint8)).save(root / "abc"[label] / f"{number}.png")


def free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def run(folder, *arguments, processes):
    (folder / "driver.py").write_text(DRIVER, encoding="utf-8")
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
        start += ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    command = [*start, "driver.py", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one(tmp_path):
    make_pictures(tmp_path / "data")
    for processes in (1, 2):
        home = ["--out", f"run{processes}", "--cache-dir", f"cache{processes}"]
        done = run(tmp_path, "train", "data", *FLAGS, *home, processes=processes)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("best epoch") == 1, "one process speaks for all"
        assert done.stdout.count("  train ") == 4
    one, two = (load_state(tmp_path / f"run{n}" / "state" / "state.safetensors").history for n in (1, 2))
    losses = [[step.loss for step in history.steps] for history in (one, two)]
    assert len(losses[0]) == 4 * 3  # 27 training pictures, 10 a batch
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    for ours, theirs in zip(two.epochs, one.epochs, strict=True):
        assert ours.val_loss == pytest.approx(theirs.val_loss, rel=1e-5)
        assert (ours.val_accuracy, ours.train_accuracy) == (theirs.val_accuracy, theirs.train_accuracy)
    weights = [load_file(tmp_path / f"run{n}" / "weights" / "last.safetensors") for n in (1, 2)]
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_wrong_use_under_torchrun_ends_at_once(tmp_path):
    done = run(tmp_path, "train", "nowhere", *FLAGS, processes=2)
    assert done.returncode != 0
    assert "frostline: no folder, file or named set 'nowhere'" in done.stderr
