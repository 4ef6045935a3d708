"""What every benchmark needs: run a whole process, tell the machine and the versions, write the result."""

import csv
import json
import os
import platform
import resource
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that ran to its end."""

    seconds: float
    """Wall clock, start to exit."""
    peak_bytes: int
    """Largest resident memory of any one process of it."""
    output: str


def run(command: Sequence[str], **environment: str) -> Finished:
    """Run a command and wait for it; what it prints is kept.

    Raises:
        RuntimeError: it failed.
    """
    start = time.perf_counter()
    process = subprocess.Popen(
        list(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{output}")
    return Finished(seconds, _peak(usage), output)


def _peak(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def frostline(*arguments: str, cache: Path) -> Finished:
    """Run the command line of the installed frostline with a cache of its own."""
    return run([sys.executable, "-m", "frostline", *arguments], FROSTLINE_CACHE=str(cache))


def epoch_speeds(run: Path) -> list[float]:
    """Pictures a second of each epoch of a finished run."""
    with (run / "results.csv").open(newline="") as file:
        return [float(row["images_per_second"]) for row in csv.DictReader(file) if row["epoch"] != "0"]


def machine() -> dict[str, Any]:
    """Processor, cores, memory and versions."""
    facts = _cpu_facts()
    packages = ("frostline", "torch", "torchvision", "timm", "lightning-fabric", "pillow")
    return {
        "cpu": _cpu_name(facts),
        "cores": os.cpu_count(),
        "amx_bf16": "amx_bf16" in facts.get("flags", "").split(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
    }


def _cpu_name(facts: dict[str, str]) -> str:
    """Name the processor, with its family and model where they are told: rented machines name only the brand."""
    name = facts.get("model name", platform.processor())
    if {"cpu family", "model"} <= facts.keys():
        return f"{name} (family {facts['cpu family']}, model {facts['model']})"
    return name


def _cpu_facts() -> dict[str, str]:
    """What Linux tells of the first core, by its names."""
    path = Path("/proc/cpuinfo")
    first = path.read_text().partition("\n\n")[0] if path.is_file() else ""
    pairs = [line.partition(":") for line in first.splitlines()]
    return {name.strip(): value.strip() for name, _, value in pairs}


def by_processor(name: str) -> str:
    """Name a result that depends on whether the processor multiplies bfloat16 matrices in tiles (AMX)."""
    return f"{'with' if machine()['amx_bf16'] else 'without'}_amx/{name}"


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return statistics.median(values)


def shown(flags: Sequence[str]) -> str:
    """Flags as a result tells them: files by their names alone."""
    return shlex.join(Path(flag).name if Path(flag).is_absolute() or Path(flag).exists() else flag for flag in flags)


def write(name: str, result: dict[str, Any], path: Path | None = None) -> None:
    """Write a result beside the machine that gave it, to results/NAME.json unless told where, and print it."""
    path = path or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), "date": time.strftime("%F"), **result}, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    print(text)
