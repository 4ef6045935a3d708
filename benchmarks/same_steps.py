"""Whether a recipe still trains as it did when it was measured: its first steps, then and now.

    python benchmarks/same_steps.py --sign-digits D --cifar D --fashion D --vgg16 W --resnet18 W [--only RECIPE ...]

Long runs are not measured anew for every commit. Each recipe runs shortened, on few pictures, with the code of the
commit at which its result was written (checked out beside this one) and with the code of now, on the same machine;
equal weights after them mean that what lies between the commits changed nothing of the training.
"""

import argparse
import csv
import gzip
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

import measure

ROOT = Path(__file__).resolve().parents[1]
TRAINING, TEST = 200, 50
"""Pictures of each class that are taken."""
IDX = (("train", TRAINING), ("t10k", TEST))
FILES = (("images-idx3-ubyte", 16, 28 * 28), ("labels-idx1-ubyte", 8, 1))
"""Name, bytes of the header, bytes of a row."""


@dataclass(frozen=True, slots=True)
class Short:
    """A recipe, shortened."""

    commit: str
    """At which its result was written."""
    data: str
    """sign_digits, cifar or fashion."""
    flags: str
    """With {vgg16} and {resnet18} for weights."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a shortened run left."""

    losses: list[float]
    """Of each step, six digits."""
    split: dict[str, str]
    """By picture."""
    weights: dict[str, torch.Tensor]
    """The last ones."""


SHORT = {
    "fashion-best": Short("988311a", "fashion", "--stages block1:2"),
    "fashion-vgg11": Short("988311a", "fashion", "--stages all:1"),
    "cifar10-best": Short("aa39391", "cifar", "--stages block1:2"),
    "cifar10-resnet18-best": Short("c745e8e", "cifar", "--weights {resnet18} --stages all:2@1e-3"),
    "cifar10-resnet18-staged": Short("6a31fb8", "cifar", "--weights {resnet18} --stages head:2@1e-3,all:2@1e-4"),
    "cifar10-vgg16-bn": Short("7b06c10", "cifar", "--stages all:1"),
    "faces-vgg16-frozen": Short("2bc14cb", "sign_digits", "--weights {vgg16} --head linear --stages head:3"),
    "faces-vgg16-thawed": Short(
        "01355e3", "sign_digits", "--weights {vgg16} --head linear --lr 1e-4 --momentum 0.9 --stages block4:1"
    ),
    "faces-best": Short("5a031f3", "sign_digits", "--stages head:1,blocks.3:1@1e-3"),
}


def main() -> None:
    """Compare, and write; what is not run anew stays as it was written before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("sign-digits", "cifar", "fashion", "vgg16", "resnet18"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=SHORT, default=list(SHORT))
    options = parser.parse_args()
    path = measure.RESULTS / "same_steps.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["recipes"] if path.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        data = {"sign_digits": str(options.sign_digits), "cifar": few_of_folder(options.cifar, home / "cifar")}
        data["fashion"] = f"fashion-mnist:{few_of_idx(options.fashion, home / 'fashion')}"
        for name in options.only:
            flags = SHORT[name].flags.format(vgg16=options.vgg16, resnet18=options.resnet18).split()
            rows[name] = compared(name, data[SHORT[name].data], flags, home)
            print(name, rows[name], flush=True)
    measure.write("same_steps", {"now": _git("rev-parse", "--short", "HEAD"), "recipes": rows})


def few_of_folder(folder: Path, target: Path) -> str:
    """Copy the first pictures of each class."""
    for part, count in (("train", TRAINING), ("test", TEST)):
        for kind in sorted((folder / part).iterdir()):
            (target / part / kind.name).mkdir(parents=True)
            for picture in sorted(kind.iterdir())[:count]:
                shutil.copy(picture, target / part / kind.name)
    return str(target)


def few_of_idx(folder: Path, target: Path) -> Path:
    """Copy the first pictures, as many as ten classes would have."""
    target.mkdir()
    for part, count in IDX:
        for kind, head, row in FILES:
            name = f"{part}-{kind}.gz"
            content = gzip.decompress((folder / name).read_bytes())
            header = content[:4] + struct.pack(">I", 10 * count) + content[8:head]
            (target / name).write_bytes(gzip.compress(header + content[head : head + 10 * count * row]))
    return target


def compared(name: str, data: str, flags: list[str], home: Path) -> dict[str, Any]:
    """Train with the code of then and of now; give how many steps there were and how many losses are equal."""
    then = home / SHORT[name].commit
    if not then.exists():
        _git("worktree", "add", "--force", "--detach", str(then), SHORT[name].commit)
    try:
        runs = [trained(code, ["train", data, "--recipe", name, *flags], home) for code in (then, ROOT)]
    finally:
        _git("worktree", "remove", "--force", str(then))
    before, now = runs
    apart = [abs(a - b) / abs(a) for a, b in zip(before.losses, now.losses, strict=True)]
    return {
        "commit": SHORT[name].commit,
        "steps": len(apart),
        "largest_difference_of_losses": max(apart),
        "same_split": before.split == now.split,
        "same_weights": before.weights.keys() == now.weights.keys()
        and all(torch.equal(value, now.weights[key]) for key, value in before.weights.items()),
    }


def trained(code: Path, command: list[str], home: Path) -> Trained:
    """Run the command line of a checkout."""
    with tempfile.TemporaryDirectory(dir=home) as folder:
        out = Path(folder) / "run"
        environment = {**os.environ, "PYTHONPATH": str(code / "src"), "FROSTLINE_CACHE": str(Path(folder) / "cache")}
        subprocess.run(
            [sys.executable, "-m", "frostline", *command, "--out", str(out)],
            env=environment,
            check=True,
            capture_output=True,
        )
        return Trained(
            losses=[float(row["loss"]) for row in _rows(out / "steps.csv")],
            split={row["path"]: row["split"] for row in _rows(out / "split.csv")},
            weights=load_file(out / "weights" / "last.safetensors"),
        )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _git(*command: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *command], check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
