"""The server under load, over the pass of the same pictures by the same engine; and another server beside it.

    benchmarks/peers/install_server.sh PEER
    python benchmarks/serve.py PICTURES --python PEER/bin/python --seconds 20 --soak 600

Trains a head for an epoch, whose pass tells the speed to compare with; starts `frostline serve` on the run, by OpenVINO
and by torch, and asks it with 1, 8 and 64 clients. Then it asks for 0.8 of the pictures a second that were answered at
most, for the seconds of --soak, while memory and descriptors of the process are watched, and compares the answers with
what `Predictor.predict` says. The other server, LitServe, computes the same network in torch. The clients share the
cores with the servers.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import frostline
import measure
from predict_folder import FLAGS, copy_pictures

CLIENTS = (1, 8, 64)
LOAD = Path(__file__).parent / "load.py"
PEER = Path(__file__).parent / "peers" / "litserve_peer.py"
SHARE = 0.8
"""Of the most that was answered, in the soak."""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a folder that holds pictures enough")
    parser.add_argument("--python", type=Path, help="of the other server's environment; without it, it is left out")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load")
    parser.add_argument("--soak", type=float, default=600.0, help="seconds")
    parser.add_argument("--rounds", type=int, default=3, help="of the loads")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["FROSTLINE_CACHE"] = str(home / "cache")
        copy_pictures(options.data, home / "pictures", options.count)
        rounds = [one_round(options, home, number) for number in range(options.rounds)]
        best = max(load["per_second"] for one in rounds for load in one["openvino"].values())
        soaked = soak(options, home, SHARE * best)
    passes = measure.median([one["pass"] for one in rounds])
    facts = {
        "what": f"{options.count} pictures of {options.data.name}, {options.model} at 224 pixels, a picture a request",
        "n": options.rounds,
        "pass_per_second": passes,
        "servers": {name: medians(rounds, name) for name in rounds[0] if name != "pass"},
        "over_the_pass": measure.median([most(one["openvino"]) / one["pass"] for one in rounds]),
        "soak": soaked,
        "rounds": rounds,
    }
    measure.write(measure.by_processor("serve"), facts)


def most(loads: dict[str, dict[str, Any]]) -> float:
    """Pictures a second at the number of clients that gave most."""
    return max(load["per_second"] for load in loads.values())


def medians(rounds: list[dict[str, Any]], name: str) -> dict[str, dict[str, float]]:
    """Middle speed and latencies of a server at each number of clients."""
    keys = ("per_second", "p50_ms", "p99_ms")
    return {
        clients: {key: measure.median([one[name][clients][key] for one in rounds]) for key in keys}
        for clients in rounds[0][name]
    }


def one_round(options: argparse.Namespace, home: Path, number: int) -> dict[str, Any]:
    """Pictures a second of the pass, and of each server."""
    run, pictures = home / f"run{number}", home / "pictures"
    measure.frostline("train", str(pictures), "--model", options.model, *FLAGS, "--out", str(run), cache=home / "cache")
    one: dict[str, Any] = {"pass": json.loads((run / "metrics.json").read_text())["activations"]["images_per_second"]}
    for engine in ("openvino", "torch"):
        with served(run, engine) as (url, _):
            one[engine] = loads(url, pictures, options.seconds)
    if options.python:
        with litserved(options.python) as url:
            one["litserve"] = loads(url, pictures, options.seconds)
    print(json.dumps(one), flush=True)
    return one


def loads(url: str, pictures: Path, seconds: float) -> dict[str, dict[str, Any]]:
    """Ask with each number of clients."""
    ask(url, pictures, "closed", 8, 3)  # so that nothing is done for the first time
    return {str(clients): without_answers(ask(url, pictures, "closed", clients, seconds)) for clients in CLIENTS}


def ask(url: str, pictures: Path, kind: str, amount: float, seconds: float) -> dict[str, Any]:
    """Run the clients in a process of their own."""
    done = measure.run([sys.executable, str(LOAD), url, str(pictures), kind, str(amount), str(seconds)])
    told: dict[str, Any] = json.loads(done.output)
    return told


def without_answers(told: dict[str, Any]) -> dict[str, Any]:
    """Leave out what was answered."""
    return {name: value for name, value in told.items() if name != "answers"}


@contextmanager
def served(run: Path, engine: str, *flags: str) -> Iterator[tuple[str, int]]:
    """Run frostline's server; give its address and its process."""
    command = [sys.executable, "-m", "frostline", "serve", str(run), "--port", "0", "--engine", engine, *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(2)]
        try:
            yield f"{told[-1].strip()}v1/predict", process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            if process.wait(60):
                raise RuntimeError(f"the server ended with {process.returncode}")


@contextmanager
def litserved(python: Path) -> Iterator[str]:
    """Run the other server; give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(python), str(PEER), str(port), "2"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/health")
            yield f"http://127.0.0.1:{port}/predict"
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(url: str, seconds: float = 120) -> None:
    """Wait until something answers there."""
    for _ in range(int(seconds)):
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(1)
    raise RuntimeError(f"nothing answers at {url}")


def soak(options: argparse.Namespace, home: Path, rate: float) -> dict[str, Any]:
    """Ask at a steady rate; watch the process; compare its answers with those given without a server."""
    run, pictures, samples, over = home / "run0", home / "pictures", list[dict[str, int]](), Event()
    with served(run, "openvino") as (url, process):
        ask(url, pictures, "closed", 8, 5)
        rate = min(rate, SHARE * ask(url, pictures, "closed", 64, options.seconds)["per_second"])
        time.sleep(1)  # for connections to close
        before = sample(process)
        watch = Thread(target=lambda: sample_until(over, process, samples))
        watch.start()
        told = ask(url, pictures, "open", rate, options.soak)
        over.set()
        watch.join()
        time.sleep(1)
        after = sample(process)
    parts = [samples[: len(samples) // 5], samples[-len(samples) // 5 :]]
    first, last = (measure.median([one["rss"] for one in part]) for part in parts)
    return {
        "seconds": options.soak,
        "asked_per_second": rate,
        **without_answers(told),
        "unlike_offline": unlike_offline(run, pictures, told["answers"]),
        "rss_first_fifth": first,
        "rss_last_fifth": last,
        "rss_most": max(one["rss"] for one in samples),
        "descriptors_before": before["fds"],
        "descriptors_most": max(one["fds"] for one in samples),
        "descriptors_after": after["fds"],
    }


def sample_until(over: Event, process: int, samples: list[dict[str, int]]) -> None:
    """Look at a process once a second."""
    while not over.wait(1):
        samples.append(sample(process))


def sample(process: int) -> dict[str, int]:
    """Resident memory and open descriptors of a process; connections of clients are among them."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return {"rss": pages * os.sysconf("SC_PAGE_SIZE"), "fds": len(os.listdir(f"/proc/{process}/fd"))}


def unlike_offline(run: Path, pictures: Path, answers: dict[str, str]) -> int:
    """Count the answers that are not exactly what `predict` says."""
    predictions = frostline.load(run, engine="openvino").predict(pictures)
    offline = {Path(one.path).name: [list(likely) for likely in one.top] for one in predictions}
    served_tops = {name: json.loads(answer)["pictures"][0]["top"] for name, answer in answers.items()}
    return sum(
        [[likely["class"], likely["probability"]] for likely in top] != offline[name]
        for name, top in served_tops.items()
    )


if __name__ == "__main__":
    main()
