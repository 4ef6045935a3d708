"""Pictures predicted from a folder, per second, over those of the pass on the same pictures.

    python benchmarks/predict_folder.py SIGN_DIGITS --rounds 5

Each round trains a head for an epoch, its pass by OpenVINO, which tells the pass's speed, and then predicts the folder:
once in a process that has loaded the model and predicted one picture before, and once as a user would, from start to
exit. From the second round on the compiled network is kept from the round before, as on a user's machine.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import frostline
import measure

CLASSES = 2
FLAGS = ["--weights", "none", "--stages", "head:1", "--feature-cache", "ram", "--engine", "openvino"]


def main() -> None:
    """Alternate the two and write the ratio of medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a folder that holds pictures enough")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        copy_pictures(options.data, home / "pictures", options.count)
        rounds = [one_round(home, number, options.model, options.count) for number in range(options.rounds)]
    medians = {name: measure.median([one[name] for one in rounds]) for name in rounds[0]}
    measure.write(
        measure.by_processor("predict_folder"),
        {
            "what": f"{options.count} pictures of {options.data.name}, {options.model} at 224 pixels",
            "n": options.rounds,
            "rounds": rounds,
            "median_pictures_per_second": medians,
            "over_the_pass": medians["predict"] / medians["pass"],
        },
    )


def copy_pictures(data: Path, target: Path, count: int) -> None:
    """Put pictures into two folders, in turn."""
    found = sorted(path for path in data.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})[:count]
    if len(found) < count:
        raise SystemExit(f"{data} holds {len(found)} pictures; --count {count} needs more")
    for label in range(CLASSES):
        (target / str(label)).mkdir(parents=True)
    for number, path in enumerate(found):
        shutil.copy(path, target / str(number % CLASSES) / f"{number}{path.suffix}")


def one_round(home: Path, number: int, model: str, count: int) -> dict[str, Any]:
    """Pictures per second of the pass, of predicting, and of the whole process."""
    run, pictures, cache = home / f"run{number}", home / "pictures", home / "cache"
    measure.frostline("train", str(pictures), "--model", model, *FLAGS, "--out", str(run), cache=cache)
    metrics = json.loads((run / "metrics.json").read_text())
    script = [sys.executable, __file__, "--child", str(run), str(pictures)]
    inside = float(measure.run(script, FROSTLINE_CACHE=str(cache)).output.splitlines()[-1])
    whole = measure.frostline("predict", str(run), str(pictures), "--format", "csv", cache=cache).seconds
    one = {
        "pass": metrics["activations"]["images_per_second"],
        "predict": count / inside,
        "predict_process": count / whole,
    }
    print(metrics["activations"]["engine"], one, flush=True)
    return one


def child(run: str, pictures: str) -> None:
    """Predict one picture, then time all."""
    model = frostline.load(run)
    model.predict(next(Path(pictures).rglob("*.*")))
    start = time.perf_counter()
    model.predict(pictures)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
    else:
        main()
