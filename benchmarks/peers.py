"""frostline beside the libraries that people use today: same pictures, weights, network and machine, in turn.

    benchmarks/peers/install.sh PEERS
    python benchmarks/peers.py speed HYMENOPTERA --python PEERS/bin/python --resnet18 WEIGHTS --rounds 5
    python benchmarks/peers.py budget HYMENOPTERA --python PEERS/bin/python --lite0 WEIGHTS --seconds 30 60 300

`speed` trains every layer of ResNet-18 at 224 pixels in batches of 32, on random crops, and compares the pictures a
second of the last of two epochs. `budget` gives each system a wall clock for its whole process: frostline by --budget,
the others as many epochs as fit, at least one, told from runs of one and of two epochs; it compares the accuracies.
DATA is a folder with train/ and val/, or one of class folders, of which every fifth picture is then for validation. A
peer's accuracy is that of its last epoch, frostline's that of its best one (its last one's is told too): each system's
own way to end, all on the validation part.
"""

import argparse
import csv
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import measure

PEERS = Path(__file__).parent / "peers"
ALL_LAYERS = ("plain", "fastai", "timm", "lightning", "ultralytics")
BY_TIME = ("fastai", "timm", "lightning", "plain")
"""Ultralytics takes no network of timm's."""


def main() -> None:
    """Measure one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["speed", "budget"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--python", type=Path, required=True, help="of the peers' environment")
    parser.add_argument("--resnet18", type=Path)
    parser.add_argument("--lite0", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, nargs="+", default=[30, 60, 300])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options.data = with_split(options.data, Path(folder))
        (speed if options.what == "speed" else budget)(options, Path(folder))


def with_split(data: Path, home: Path) -> Path:
    """Give a folder that has train/ and val/ itself, another's pictures copied into two such parts."""
    if (data / "train").is_dir():
        return data
    for folder in (folder for folder in sorted(data.iterdir()) if folder.is_dir()):
        for number, picture in enumerate(sorted(folder.iterdir())):
            part = home / data.name / ("train" if number % 5 else "val") / folder.name
            part.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, part / picture.name)
    return home / data.name


def speed(options: argparse.Namespace, home: Path) -> None:
    """Pictures a second of training every layer, in turn."""
    rounds: list[dict[str, float]] = []
    for _ in range(options.rounds):
        one = {"frostline": our_speed(options, home)}
        for name in ALL_LAYERS:
            flags = ["--weights", str(options.resnet18), "--epochs", "2", "--all"]
            one[name] = run_peer(options, name, flags)["images_per_second"]
        rounds.append(one)
        print(one, flush=True)
    medians = {name: measure.median([one[name] for one in rounds]) for name in rounds[0]}
    times = {name: measure.median([one["frostline"] / one[name] for one in rounds]) for name in ALL_LAYERS}
    facts = {"n": options.rounds, "images_per_second": medians, "times": times, "rounds": rounds}
    measure.write(measure.by_processor("peers_speed"), facts)


def our_speed(options: argparse.Namespace, home: Path) -> float:
    """Pictures a second of frostline's last epoch."""
    flags = ["--model", "resnet18", "--weights", str(options.resnet18), "--stages", "all:2", "--augment", "random"]
    run, _ = train(options.data, home, *flags, "--batch-norm", "train")
    return measure.epoch_speeds(run)[-1]


def budget(options: argparse.Namespace, home: Path) -> None:
    """Accuracy after each of the times, whole processes."""
    flags = ["--model", "efficientnet_lite0", "--weights", str(options.lite0)]
    per_epoch = {name: clock_peer(options, name, flags) for name in BY_TIME}
    cases: list[dict[str, Any]] = []
    for seconds in options.seconds:
        for seed in range(options.rounds):
            one: dict[str, Any] = {"budget": seconds, "seed": seed}
            one["frostline"] = our_budget(options, home, seconds, seed)
            for name, (start, each) in per_epoch.items():
                epochs = max(1, int((seconds - start) / each))
                done = run_peer(options, name, [*flags, "--epochs", str(epochs), "--seed", str(seed)])
                one[name] = {"accuracy": done["accuracy"], "seconds": done["seconds"], "epochs": epochs}
            cases.append(one)
            print(one, flush=True)
    table = {
        seconds: {
            name: measure.median([one[name]["accuracy"] for one in cases if one["budget"] == seconds])
            for name in ("frostline", *BY_TIME)
        }
        for seconds in options.seconds
    }
    facts = {"data": options.data.name, "n": options.rounds, "median_accuracy": table, "runs": cases}
    measure.write(measure.by_processor(f"peers_budget/{options.data.name}"), facts)


def our_budget(options: argparse.Namespace, home: Path, seconds: int, seed: int) -> dict[str, Any]:
    """Frostline's accuracy within a budget, from an empty store."""
    shutil.rmtree(home / "cache" / "activations", ignore_errors=True)
    flags = ["--budget", f"{seconds}s", "--weights", str(options.lite0), "--seed", str(seed)]
    run, taken = train(options.data, home, *flags)
    metrics = json.loads((run / "metrics.json").read_text())
    *_, last = csv.DictReader((run / "results.csv").read_text().splitlines())
    chosen = ", ".join(f"{stage['part']}:{stage['epochs']}" for stage in metrics["plan"])
    facts = {"stages": chosen, "best": metrics["best"]["epoch"], "last_accuracy": float(last["val_accuracy"])}
    return {"accuracy": metrics["val"]["accuracy"], "seconds": taken, **facts}


def clock_peer(options: argparse.Namespace, name: str, flags: list[str]) -> tuple[float, float]:
    """Seconds of a peer's process beside its epochs, and of each epoch."""
    one, two = (run_peer(options, name, [*flags, "--epochs", str(count)])["seconds"] for count in (1, 2))
    return 2 * one - two, two - one


def run_peer(options: argparse.Namespace, name: str, flags: list[str]) -> dict[str, Any]:
    """Run a peer's script; give what it printed, and the seconds of the whole process."""
    done = measure.run([str(options.python), str(PEERS / f"{name}_peer.py"), str(options.data), *flags])
    printed: dict[str, Any] = json.loads(done.output.strip().splitlines()[-1])
    return {**printed, "seconds": done.seconds}


def train(data: Path, home: Path, *flags: str) -> tuple[Path, float]:
    """Train in a run folder of its own; give it, and the seconds of the whole process."""
    run = Path(tempfile.mkdtemp(dir=home)) / "run"
    done = measure.frostline("train", str(data), *flags, "--out", str(run), cache=home / "cache")
    return run, done.seconds


if __name__ == "__main__":
    main()
