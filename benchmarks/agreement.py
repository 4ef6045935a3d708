"""The same pictures through every way out of frostline, and whether all say the same.

    python benchmarks/agreement.py RUN DATA --pictures 500 --browser DIST

The command line, Python, every export format, the server, and a browser (the page that comes with `onnx-uint8`; DIST is
the folder `dist` of the npm package onnxruntime-web) answer for the same pictures of DATA. Each is compared with torch
in float32: the share with the same first class, the largest difference of a probability. Formats in eight bits are also
timed against the same format in float32, in turn.
"""

import argparse
import csv
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

import frostline
import measure
from frostline.data.loader import decoded, framed
from frostline.data.sources import open_source
from frostline.defaults import MAX_PIXELS
from frostline.evaluation.again import evenly
from frostline.export.formats import FORMATS
from frostline.export.parity import Parity
from frostline.predictor import Predictor

ROUNDS = 5
Answers = dict[str, dict[str, float]]
"""By path: the probability of each class."""


def main() -> None:
    """Ask in every way, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path, help="a folder of class folders")
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--browser", type=Path, help="dist of onnxruntime-web; without it, no browser is asked")
    parser.add_argument("--name", default="agreement")
    options = parser.parse_args()
    source = open_source(str(options.data), cache_dir=options.data)
    pictures = [options.data / one.path for one in evenly(source.pictures, options.pictures)]
    labels = {str(options.data / one.path): one.label for one in source.pictures}
    predictor = frostline.load(options.run, device="cpu", precision="fp32", engine="torch")
    with tempfile.TemporaryDirectory() as folder:
        ways = {**in_python(options.run, pictures), **by_command(options.run, pictures, Path(folder))}
        exported, checked = by_exports(options.run, predictor, pictures, Path(folder))
        ways |= exported
        ways |= by_server(options.run, pictures)
        if options.browser:
            ways |= by_browser(Path(folder) / "onnx-uint8", options.browser, pictures)
        speeds = times_faster(predictor, pictures[:16], Path(folder))
        sizes = {name: size_of(Path(folder) / name) for name in FORMATS}
    truth = ways["python"]
    rows = {name: compare(truth, answers, labels) for name, answers in ways.items()}
    for name, row in rows.items():
        row |= {"bytes": sizes.get(name), "times_faster": speeds.get(name)}
        if name in checked and FORMATS[name].is_int8:
            row["held_out"] = {"pictures": checked[name].pictures, "accuracy": checked[name].accuracy}
    measure.write(options.name, {"data": options.data.name, "n": len(pictures), "ways": rows})


def compare(truth: Answers, answers: Answers, labels: dict[str, str]) -> dict[str, Any]:
    """Agreement of the first class, differences of probabilities, accuracy."""
    same = [max(truth[path], key=truth[path].__getitem__) == max(a, key=a.__getitem__) for path, a in answers.items()]
    differences = [max(abs(truth[path][name] - p) for name, p in a.items()) for path, a in answers.items()]
    right = [max(a, key=a.__getitem__) == labels[path] for path, a in answers.items()]
    row = {"same_first_class": sum(same) / len(truth), "largest_difference": max(differences)}
    row["pictures_beyond_0.0001"] = sum(difference > 1e-4 for difference in differences)
    row["accuracy"] = sum(right) / len(truth)
    print(row, flush=True)
    return row


def in_python(run: Path, pictures: list[Path]) -> dict[str, Answers]:
    """By `frostline.load`, the engine torch and, where it is installed, OpenVINO."""
    found = {}
    for name, engine in (("python", "torch"), ("python, engine openvino", "openvino")):
        model = frostline.load(run, device="cpu", precision="fp32", engine=engine)
        found[name] = {one.path: dict(one.top) for one in model.predict(pictures, topk=len(model.classes))}
    return found


def by_command(run: Path, pictures: list[Path], folder: Path) -> dict[str, Answers]:
    """By `frostline predict`, which reads the list and writes Parquet."""
    with (folder / "list.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path"], *[[str(path)] for path in pictures]])
    out = folder / "answers.jsonl"
    flags = ["--precision", "fp32", "--engine", "torch", "--device", "cpu", "--topk", "1000", "--out", str(out)]
    measure.frostline("predict", str(run), str(folder / "list.csv"), *flags, cache=folder / "cache")
    rows = map(json.loads, out.read_text("utf-8").splitlines())
    return {"command line": {row["path"]: {o["class"]: o["probability"] for o in row["top"]} for row in rows}}


def by_exports(
    run: Path, predictor: Predictor, pictures: list[Path], folder: Path
) -> tuple[dict[str, Answers], dict[str, Parity]]:
    """By each exported file in its own runtime; and what its check on the run's validation pictures gave."""
    found: dict[str, Answers] = {}
    checked: dict[str, Parity] = {}
    for name, format in FORMATS.items():
        out = folder / name / f"model{format.suffix}"
        checked[name] = frostline.export_model(run, format=name, out=out).parity
        ask = format.open(out)
        rows = (ask(inputs(predictor, format.takes, path))[0] for path in pictures)
        found[name] = {
            str(path): dict(zip(predictor.classes, map(float, row), strict=True))
            for path, row in zip(pictures, rows, strict=True)
        }
    return found, checked


def inputs(predictor: Predictor, takes: str, path: Path) -> np.ndarray:
    """What an exported file is given for one picture."""
    content, preprocess = path.read_bytes(), predictor.preprocess
    if takes == "pictures":
        picture = np.asarray(decoded(content, preprocess, max_pixels=MAX_PIXELS))
        return picture.reshape(1, *picture.shape[:2], preprocess.channels)
    import torch

    pixels = torch.from_numpy(framed(content, preprocess, max_pixels=MAX_PIXELS).copy())[None]
    return preprocess.normalise(pixels).numpy()


def by_server(run: Path, pictures: list[Path]) -> dict[str, Answers]:
    """By `frostline serve`, one request a picture."""
    command = [sys.executable, "-m", "frostline", "serve", str(run), "--port", "8731", "--device", "cpu"]
    server = subprocess.Popen([*command, "--precision", "fp32", "--engine", "torch"], stderr=subprocess.DEVNULL)
    try:
        wait_for("http://127.0.0.1:8731/readyz")
        found = {}
        for path in pictures:
            address = "http://127.0.0.1:8731/v1/predict?topk=1000"
            asked = urllib.request.Request(address, path.read_bytes(), {"Content-Type": "application/octet-stream"})
            with urllib.request.urlopen(asked) as answer:
                (row,) = json.load(answer)["pictures"]
            found[str(path)] = {one["class"]: one["probability"] for one in row["top"]}
        return {"server": found}
    finally:
        server.terminate()
        server.wait()


def wait_for(address: str) -> None:
    """Wait until a server is ready."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(address):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(address)


class Quiet(SimpleHTTPRequestHandler):
    """Gives the files of a folder, and says nothing of it."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def by_browser(export: Path, dist: Path, pictures: list[Path]) -> dict[str, Answers]:
    """By the page that comes with `onnx-uint8`, in headless Chromium."""
    from playwright.sync_api import sync_playwright

    shutil.copytree(dist, export / "dist")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(export)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/model.example.html")
        found = {str(path): answer for path, answer in ask_page(page, pictures)}
        browser.close()
    server.shutdown()
    return {"browser": found}


def ask_page(page: Any, pictures: list[Path]) -> Iterator[tuple[Path, dict[str, float]]]:
    """Choose each picture, and read the list that appears; it shows five classes."""
    for path in pictures:
        page.evaluate("document.querySelector('ol').replaceChildren()")
        page.set_input_files("input", str(path))
        page.wait_for_selector("li")
        rows = page.eval_on_selector_all("li", "all => all.map(li => [li.textContent, li.dataset.p])")
        yield path, {text.rsplit(" ", 2)[0]: float(p) for text, p in rows}


def times_faster(predictor: Predictor, pictures: list[Path], folder: Path) -> dict[str, float]:
    """How many times faster a file in eight bits is than the same format in float32."""
    batch = np.concatenate([inputs(predictor, "input", path) for path in pictures])
    found = {}
    for name in (name for name, one in FORMATS.items() if one.is_int8):
        plain = name.removesuffix("-int8")
        runs = {one: FORMATS[one].open(folder / one / f"model{FORMATS[one].suffix}") for one in (plain, name)}
        seconds: dict[str, list[float]] = {one: [] for one in runs}
        for _ in range(ROUNDS):
            for one, run in runs.items():
                seconds[one].append(timed(run, batch))
        found[name] = measure.median(seconds[plain]) / measure.median(seconds[name])
    return found


def timed(run: Callable[[np.ndarray], np.ndarray], batch: np.ndarray) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    run(batch)
    return time.perf_counter() - start


def size_of(folder: Path) -> int:
    """Bytes of a model's files."""
    return sum(
        file.stat().st_size for file in folder.glob("model.*") if file.suffix in {".onnx", ".xml", ".bin", ".pt2"}
    )


if __name__ == "__main__":
    main()
