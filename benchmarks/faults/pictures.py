"""Bad and strange picture files, one at a time, through frostline and three other readers: what comes of each.

    python benchmarks/faults/pictures.py --python PYTHON_WITH_TIMM_AND_ULTRALYTICS

The files are those of tests/faults/pictures.py. A reader is right where it uses a sound picture with the pixels that it
shows, or leaves a damaged one out without ending the program. What frostline refuses by choice (another format, too
many pixels) others may use or leave out. Where a rule of frostline's own decides the pixels (transparency over white),
or nobody can tell damage from content, only an exception, a death or a hang is wrong for the others. Files whose suffix
is not on a system's own list are counted apart.
"""

import argparse
import hashlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [
    str(ROOT / "benchmarks"),
    str(ROOT / "tests" / "faults"),
]  # before this folder, which has a pictures too

import numpy as np  # noqa: E402
from pictures import Case, cases, encoded, scene  # noqa: E402

import measure  # noqa: E402

PATIENCE_S = 20.0
START_S = 120.0
"""Until the first file: importing takes time."""
SYSTEMS = ("frostline", "torchvision", "timm", "ultralytics")
COUNTED = ("right", "crash", "wrong pixels", "left out though sound", "not listed", "hang")


def main() -> None:
    """Read all files by all systems, write the counts and print them as a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="interpreter for the other systems")
    parser.add_argument("--systems", nargs="+", default=SYSTEMS, choices=SYSTEMS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = cases()
    results = {}
    for system in options.systems:
        with tempfile.TemporaryDirectory() as folder:
            fill(Path(folder), found)
            python = sys.executable if system == "frostline" else options.python
            results[system] = summary(system, found, read_all(system, python, Path(folder)), Path(folder))
            results[system]["versions"] = versions(python)
    what = f"{len(found)} files, one at a time"
    facts = {"what": what, "kinds": kinds(found), "outcomes": outcomes(found), "systems": results}
    measure.write("faults_pictures", facts, options.out)
    print(markdown(results))


def fill(box: Path, found: list[Case]) -> None:
    """Give each file a folder of its own, beside a good one, and write down what is to come of it."""
    good = encoded(255 - scene(20, 20), "PNG")
    for number, case in enumerate(found):
        for folder, name, content in (("case", case.name, case.content), ("good", "good.png", good)):
            (box / str(number) / folder).mkdir(parents=True)
            (box / str(number) / folder / name).write_bytes(content)
        if case.pixels is not None:
            np.save(box / str(number) / "expected.npy", case.pixels)
    (box / "cases.json").write_text(json.dumps([{"name": case.name, "tolerance": case.tolerance} for case in found]))


def read_all(system: str, python: str, box: Path) -> list[dict[str, Any]]:
    """What came of each file; a child that dies or hangs is replaced for the rest."""
    told: list[dict[str, Any]] = []
    count = len(json.loads((box / "cases.json").read_text()))
    while len(told) < count:
        told += list(_child(system, python, box, len(told)))
    return told


def _child(system: str, python: str, box: Path, first: int) -> Iterator[dict[str, Any]]:
    environment = {**os.environ, "YOLO_CONFIG_DIR": str(box), "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    command = [python, str(Path(__file__).with_name("readers.py")), system, str(box), str(first)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_collect, args=(child, lines), daemon=True).start()
    has_begun = False
    try:
        while line := lines.get(timeout=PATIENCE_S if has_begun else START_S):
            one, has_begun = json.loads(line), True
            if "number" in one:
                first = one["number"] + 1
                yield one
    except queue.Empty:
        end = {"outcome": "hang", "seconds": PATIENCE_S}
    else:
        end = {"outcome": "crash", "error": f"exit {child.wait()}", "seconds": 0.0}
    finally:
        child.kill()
        child.wait()
    if not has_begun:
        raise RuntimeError(f"{' '.join(command)} does not start")
    if child.returncode:
        yield {"number": first, "peak_bytes": 0, **end}


def _collect(child: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
    assert child.stdout is not None
    for line in child.stdout:
        lines.put(line)
    lines.put("")


def verdict(system: str, case: Case, one: dict[str, Any]) -> str:
    """Judge what came of one file."""
    if one["outcome"] in {"crash", "not listed", "hang"}:
        return str(one["outcome"])
    used = one["outcome"] == "used"
    ours = system == "frostline"
    if used and "used" not in case.outcomes:
        return "right" if case.outcomes == ("refused",) and not ours else "wrong pixels"
    if used and one["is_right"] is False and (ours or not case.is_convention):
        return "wrong pixels"
    if not used and case.outcomes == ("used",) and (ours or not case.is_convention):
        return "left out though sound"
    return "right"


def summary(system: str, found: list[Case], told: list[dict[str, Any]], box: Path) -> dict[str, Any]:
    """Counts, the costliest files, and all that was not right."""
    verdicts = [verdict(system, case, one) for case, one in zip(found, told, strict=True)]
    slowest = max(told, key=lambda one: one["seconds"])
    largest = max(told, key=lambda one: one["peak_bytes"])
    return {
        "counts": {name: verdicts.count(name) for name in COUNTED},
        "changed_files": [case.name for number, case in enumerate(found) if _digest(box, number, case) != _own(case)],
        "peak_bytes": largest["peak_bytes"],
        "peak_file": found[largest["number"]].name,
        "slowest_seconds": slowest["seconds"],
        "slowest_file": found[slowest["number"]].name,
        "by_kind": {
            name: dict(Counter(case.kind for case, given in zip(found, verdicts, strict=True) if given == name))
            for name in COUNTED[1:]
        },
        "not_right": {
            case.name: [given, one.get("error", one.get("difference", one.get("shape", "")))]
            for case, given, one in zip(found, verdicts, told, strict=True)
            if given not in {"right", "not listed"}
        },
    }


def _digest(box: Path, number: int, case: Case) -> str:
    return hashlib.sha256((box / str(number) / "case" / case.name).read_bytes()).hexdigest()


def _own(case: Case) -> str:
    return hashlib.sha256(case.content).hexdigest()


def kinds(found: list[Case]) -> dict[str, int]:
    """How many files there are of each sort of trouble."""
    return dict(Counter(case.kind for case in found))


def outcomes(found: list[Case]) -> dict[str, int]:
    """How many files there are of which each of these is right: one outcome, or any of several."""
    return dict(Counter(" or ".join(case.outcomes) for case in found))


def versions(python: str) -> dict[str, str]:
    """Releases of what reads, as installed for an interpreter."""
    names = ("pillow", "torchvision", "timm", "ultralytics", "opencv-python", "opencv-python-headless")
    code = (
        "import json, importlib.metadata as m\n"
        f"names = {names!r}\n"
        "there = {d.metadata['Name'].lower() for d in m.distributions()}\n"
        "print(json.dumps({n: m.version(n) for n in names if n in there}))"
    )
    found: dict[str, str] = json.loads(subprocess.check_output([python, "-c", code], text=True))
    return found


def markdown(results: dict[str, Any]) -> str:
    """One row for each system."""
    head = ("", *COUNTED, "user files changed", "peak memory", "slowest file")
    rows = [
        (
            system,
            *(str(one["counts"][name]) for name in COUNTED),
            str(len(one["changed_files"])),
            f"{one['peak_bytes'] / 1e6:.0f} MB ({one['peak_file']})",
            f"{one['slowest_seconds']:.2f} s ({one['slowest_file']})",
        )
        for system, one in results.items()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


if __name__ == "__main__":
    main()
