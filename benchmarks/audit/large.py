"""The audit of many pictures: seconds of the whole process, with an empty store and with the activations stored.

python benchmarks/audit/large.py CIFAR10_FOLDER
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
    options = parser.parse_args()
    seconds: dict[str, float] = {}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for what in ("store empty", "store full"):
            out = Path(folder) / "found.json"
            done = measure.frostline("inspect", str(options.data), "--json", str(out), cache=Path(folder) / "cache")
            seconds[what], found = done.seconds, json.loads(out.read_text(encoding="utf-8"))
    told = ("exact_duplicates", "near_duplicates", "leaks", "label_conflicts", "outliers")
    counts = {"pictures": found["counts"]["pictures"], **{name: len(found[name]) for name in told}}
    measure.write("audit_large", {"data": options.data.name, "n": 1, "seconds": seconds, "found": counts})


if __name__ == "__main__":
    main()
