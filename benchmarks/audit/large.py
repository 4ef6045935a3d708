"""The audit of many pictures: seconds of the whole process, with an empty store and with the activations stored.

    python benchmarks/audit/large.py CIFAR10_FOLDER CIFAR10_FOLDER/train

The second folder holds a part of the same pictures, so all of its activations are stored.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import measure


def main() -> None:
    """Inspect twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("part", type=Path)
    parser.add_argument("--rounds", type=int, default=3, help="of the looks with everything stored")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        told = {"store empty": [inspected(options.data, home)], "store full": [], "part, store full": []}
        for _ in range(options.rounds):
            told["store full"].append(inspected(options.data, home))
            told["part, store full"].append(inspected(options.part, home))
    seconds = {what: measure.median([one.pop("seconds") for one in looks]) for what, looks in told.items()}
    found = {"found": told["store full"][0], "part": told["part, store full"][0]}
    measure.write("audit_large", {"data": options.data.name, "n": options.rounds, "seconds": seconds, **found})


def inspected(data: Path, home: Path) -> dict[str, Any]:
    """Inspect in a process of its own; give what it took and how much it found."""
    out = home / "found.json"
    done = measure.frostline("inspect", str(data), "--json", str(out), cache=home / "cache")
    found = json.loads(out.read_text(encoding="utf-8"))
    told = ("exact_duplicates", "near_duplicates", "leaks", "label_conflicts", "outliers")
    counts = {name: len(found[name]) for name in told}
    return {"seconds": done.seconds, "pictures": found["counts"]["pictures"], **counts}


if __name__ == "__main__":
    main()
