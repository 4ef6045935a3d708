"""Reads picture files the way one system does and says what came of each: one child process of `pictures.py`.

    python benchmarks/faults/readers.py SYSTEM BOX FIRST

BOX/N/case holds the Nth file and BOX/N/good a sound picture that takes the place of what a system leaves out. A line of
JSON comes out before and after each file, so that who reads them knows where a child died or hangs.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MEMORY_BYTES = 8 << 30
"""Address space of a child; a bomb must not take the machine with it."""
Read = Callable[[Path, Path], np.ndarray | str]
"""Takes BOX/N and the file; gives its pixels (height, width, 3), or that it was left out, or not looked at."""
LEFT_OUT = "left out"
NOT_LISTED = "not listed"
"""By its suffix: the system's documented list of suffixes does not hold it."""


def frostline() -> Read:
    """The audit, then the decoder of training."""
    from frostline.data.decode import decode
    from frostline.data.loader import examine
    from frostline.data.sources import open_source

    def read(box: Path, file: Path) -> np.ndarray | str:
        source = open_source(str(box), cache_dir=box / "none")
        place = [picture.path for picture in source.pictures].index(file.relative_to(box).as_posix())
        options: dict[str, Any] = {"channels": 3, "max_pixels": 50_000_000, "workers": 0, "known_good": {}}
        (findings,) = examine(source, **options)
        return LEFT_OUT if findings[place].damage else np.asarray(decode(source.read(place)))

    return read


def torchvision() -> Read:
    """ImageFolder and its own loader."""
    from torchvision.datasets import ImageFolder
    from torchvision.datasets.folder import IMG_EXTENSIONS, has_file_allowed_extension

    def read(box: Path, file: Path) -> np.ndarray | str:
        if not has_file_allowed_extension(file.name, IMG_EXTENSIONS):
            return NOT_LISTED
        folder = ImageFolder(str(box))
        place = [path for path, _ in folder.samples].index(str(file))
        return np.asarray(folder[place][0])

    return read


def timm() -> Read:
    """ImageDataset; what it cannot open it replaces by the next picture, here the good one."""
    from timm.data import ImageDataset

    def read(box: Path, file: Path) -> np.ndarray | str:
        found = ImageDataset(str(box))
        if str(file) not in found.filenames(absolute=True):
            return NOT_LISTED
        place = found.filenames(absolute=True).index(str(file))
        picture = found[place][0]
        good = np.asarray(found[1 - place][0])
        pixels = np.asarray(picture)
        return LEFT_OUT if pixels.shape == good.shape and (pixels == good).all() else pixels

    return read


def ultralytics() -> Read:
    """The check that its classification data set makes of each file, then that data set's reader."""
    import cv2
    from ultralytics.data.dataset import ClassificationDataset
    from ultralytics.data.utils import IMG_FORMATS, verify_image

    def read(box: Path, file: Path) -> np.ndarray | str:
        if file.suffix[1:].lower() not in IMG_FORMATS:
            return NOT_LISTED
        _, found, _, _ = verify_image(((str(file), 0), ""))
        if not found:
            return LEFT_OUT
        return np.asarray(cv2.cvtColor(ClassificationDataset.imread(str(file)), cv2.COLOR_BGR2RGB))

    return read


SYSTEMS = {"frostline": frostline, "torchvision": torchvision, "timm": timm, "ultralytics": ultralytics}


def main() -> None:
    """Read every file from the given one on."""
    system, box, first = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print what they like
    read = SYSTEMS[system]()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    cases = json.loads((box / "cases.json").read_text())
    for number in range(first, len(cases)):
        print(json.dumps({"begun": number}), file=answers, flush=True)
        print(json.dumps({"number": number, **_tell(read, box / str(number), cases[number])}), file=answers, flush=True)


def _tell(read: Read, box: Path, case: dict[str, Any]) -> dict[str, Any]:
    _forget_peak()
    before, start = _memory("VmRSS"), time.perf_counter()
    try:
        shown: np.ndarray | str = read(box, box / "case" / case["name"])
    except Exception as error:
        text = str(error).replace(f"{box}/case/", "")
        told: dict[str, Any] = {"outcome": "crash", "error": f"{type(error).__name__}: {text}"[:120]}
    else:
        told = {"outcome": shown} if isinstance(shown, str) else {"outcome": "used", **_compare(shown, box, case)}
    return {**told, "seconds": time.perf_counter() - start, "peak_bytes": _memory("VmHWM") - before}


def _compare(shown: np.ndarray, box: Path, case: dict[str, Any]) -> dict[str, Any]:
    expected = box / "expected.npy"
    if not expected.is_file():
        return {"is_right": None}
    wanted = np.load(expected, mmap_mode="r")
    if shown.shape != wanted.shape:
        return {"is_right": False, "shape": shown.shape}
    difference = max(int(np.abs(a.astype(np.int16) - b).max()) for a, b in zip(shown, wanted, strict=True))
    return {"is_right": difference <= case["tolerance"], "difference": difference}


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
