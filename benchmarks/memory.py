"""Peak memory of training on 50,000 pictures at 32 pixels from more than 10 GB of activations on disk.

    python benchmarks/memory.py CIFAR10_FOLDER

CIFAR10_FOLDER has train/ and test/ with class folders. Eight stored crops of each training picture, a frost line after
VGG-11's first block give some 11 GB (bfloat16, where the processor is fast in it).
"""

import argparse
import json
import tempfile
from pathlib import Path

import measure

PLAN = ["--model", "vgg11", "--weights", "none", "--image-size", "32", "--augment", "crops:8", "--stages", "block2:1"]


def main() -> None:
    """Train once and write the peak."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        where = ["--feature-cache", "disk", "--out", str(out)]
        done = measure.frostline("train", str(options.data), *PLAN, *where, cache=Path(folder) / "cache")
        metrics = json.loads((out / "metrics.json").read_text())
    measure.write(
        measure.by_processor("memory"),
        {
            "what": "50,000 pictures at 32 pixels, activations on disk",
            "counts": metrics["counts"],
            "store_bytes": metrics["activations"]["bytes"],
            "peak_bytes_largest_process": done.peak_bytes,
            "seconds": metrics["seconds"],
            "activations": metrics["activations"],
        },
    )


if __name__ == "__main__":
    main()
