"""Kill trainings at their writes, syncs and renames, and at random moments; compare them with one left alone.

    python benchmarks/faults/kills.py [--every 1] [--moments 200] [--real HYMENOPTERA] [--out FILE] [--note TEXT]

A process is killed at its first, second, ... write, sync or rename until one ends by itself (`--every 3` tries each
third), or after a random time; the run is then resumed and must end with the same bytes. Review, report and plots are
left out of these runs (`How.is_short`), and a sync counts but is not done. `--real` trains on pictures of a real size
as well, for the share of a run that saving takes. `--only` makes a part anew; parts that are not made stay as FILE has
them, and a note says so.
"""
# ruff: noqa: E402  # what is imported lies beside and below

import argparse
import json
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TESTS = HERE.parents[1] / "tests"
sys.path[:0] = [str(HERE.parent), str(TESTS), str(TESTS / "faults")]

import killing

import measure
from made_up import make_pictures

PARTS = ("points", "moments", "saving")
SAVE_SECONDS = 0.5
"""Between saves of the runs that are killed at random moments: many moments of a small run lie between two."""


def main() -> None:
    """Kill, resume, compare, write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--out", type=Path, default=measure.RESULTS / "faults_kills.json")
    parser.add_argument("--note")
    options = parser.parse_args()
    memory = Path("/dev/shm")
    home = Path(tempfile.mkdtemp(prefix="kills-", dir=memory if memory.is_dir() else None))
    made: dict[str, Any] = {}
    try:
        data, whole = make_pictures(home / "data"), home / "whole"
        assert killing.finish(killing.start(data, whole, home / "cache", killing.How())) == 0
        if "points" in options.only:
            made["points"] = _at_points(data, whole, home, options.every)
        if "moments" in options.only:
            made["moments"] = _at_moments(data, whole, home, options.moments)
    finally:
        shutil.rmtree(home)
    if options.real and "saving" in options.only:
        made["saving"] = _saving(options.real)
    measure.write("faults_kills", together(made, options.out, options.note), options.out)


def together(made: dict[str, Any], path: Path, note: str | None) -> dict[str, Any]:
    """Put what was made now beside what the file has of the other parts; say which is which."""
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    kept = {part: before[part] for part in PARTS if part in before and part not in made}
    told = [f"{', '.join(kept)} by an earlier process, {before['date']}"] if kept else []
    told += [text for text in (before.get("note") if kept else None, note) if text]
    facts = {part: {**kept, **made}[part] for part in PARTS if part in kept or part in made}
    return {**facts, **({"note": "; ".join(told)} if told else {})}


def _at_points(data: Path, whole: Path, home: Path, every: int) -> dict[str, int]:
    """Die at every write, sync and rename."""
    count, differing = 0, 0
    for point in range(1, killing.points_of(whole) + 1, every):
        out = home / "point"
        code = killing.finish(killing.start(data, out, home / "cache-point", killing.How(kill_at=point)))
        assert code == -signal.SIGKILL, (point, code)
        assert killing.finish(killing.start(data, out, home / "cache-point", killing.How())) == 0, point
        differing += killing.differing(out, whole)
        count += 1
        _remove(home, "point", "cache-point")
        print(f"point {point}: {differing} differing bytes so far", flush=True)
    return {"of": killing.points_of(whole), "tried": count, "survived": count, "differing_bytes": differing}


def _at_moments(data: Path, whole: Path, home: Path, count: int) -> dict[str, Any]:
    """Die at random moments of a run that saves now and then; moments at which it has ended are drawn again."""
    lost, waits, differing = [], [], 0
    how, seconds = killing.How(save_seconds=SAVE_SECONDS), _seconds_of(data, home)
    draw, number = random.Random(0), 0
    while number < count:
        out = home / "moment"
        process = killing.start(data, out, home / "cache-moment", how)
        time.sleep(draw.uniform(0.0, seconds))
        process.kill()
        died = time.monotonic()
        if killing.finish(process) == 0:
            _remove(home, "moment", "cache-moment")
            continue
        number += 1
        notes, saved = killing.notes_of(out), killing.steps_saved(out)
        if len(notes) > saved:
            lost.append(died - (notes[saved - 1] if saved else notes[0]))
        begun = time.monotonic()
        assert killing.finish(killing.start(data, out, home / "cache-moment", how)) == 0, number
        waits += [note - begun for note in killing.notes_of(out)[len(notes) : len(notes) + 1]]
        differing += killing.differing(out, whole)
        _remove(home, "moment", "cache-moment")
        print(f"moment {number}: {differing} differing bytes so far", flush=True)
    return {
        "tried": count,
        "survived": count,
        "seconds_of_a_run": seconds,
        "differing_bytes": differing,
        "save_seconds": SAVE_SECONDS,
        "lost_seconds": _spread(lost),
        "seconds_to_next_step": _spread(waits),
    }


def _seconds_of(data: Path, home: Path) -> float:
    """Seconds that a run takes that nothing happens to."""
    start = time.monotonic()
    out = home / "timed"
    assert killing.finish(killing.start(data, out, home / "cache-timed", killing.How(save_seconds=SAVE_SECONDS))) == 0
    seconds = time.monotonic() - start
    _remove(home, "timed", "cache-timed")
    return seconds


def _saving(data: Path) -> dict[str, float]:
    """The share of a run of a real size that saving takes, by default settings."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        flags = ("--model", "resnet18", "--weights", "none", "--stages", "all:20", "--augment", "random")
        measure.frostline("train", str(data), *flags, "--out", str(run), cache=Path(folder) / "cache")
        seconds = json.loads((run / "metrics.json").read_text())["seconds"]
    return {"saving": seconds["saving"], "total": seconds["total"], "share": seconds["saving"] / seconds["total"]}


def _spread(values: list[float]) -> dict[str, float]:
    return {"n": len(values), "median": statistics.median(values), "worst": max(values)} if values else {"n": 0}


def _remove(home: Path, *names: str) -> None:
    for name in names:
        shutil.rmtree(home / name, ignore_errors=True)
    for path in (*home.glob("*.steps"), *home.glob("*.said")):
        path.unlink()


if __name__ == "__main__":
    main()
