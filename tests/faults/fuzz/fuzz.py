"""Try every harness with coverage-guided inputs: `python tests/faults/fuzz/fuzz.py --seconds 60 [NAME...]`.

Needs `pip install atheris`. Findings are left in the folder given by `--findings`, one input a file.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
NAMES = ("stages", "csv", "parquet", "sealed", "header", "shard", "key")


def main() -> int:
    """Run the harnesses one after another; give 1 where one of them found something."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--seconds", type=int, default=60, help="for each harness")
    parser.add_argument("--findings", type=Path, default=Path("findings"))
    given = parser.parse_args()
    given.findings.mkdir(parents=True, exist_ok=True)
    found = [name for name in given.names or NAMES if not try_one(name, given.seconds, given.findings)]
    return 1 if found else 0


def try_one(name: str, seconds: int, findings: Path) -> bool:
    """Try one harness in a process of its own, print what came of it, and tell whether it held."""
    with tempfile.TemporaryDirectory() as corpus:
        command = [sys.executable, __file__, "--one", name, corpus, f"-max_total_time={seconds}", "-rss_limit_mb=4096"]
        command += ["-print_final_stats=1", "-timeout=20", f"-artifact_prefix={findings}/{name}-"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace")
    (findings / f"{name}.log").write_text(done.stdout)
    count = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    covered = re.findall(r"cov: (\d+)", done.stdout)
    held = done.returncode == 0
    print(f"{name}: {count[1] if count else '?'} executions, {covered[-1] if covered else '?'} edges", end=", ")  # noqa: T201
    print("nothing found" if held else f"FOUND SOMETHING, see {findings}/{name}.log", flush=True)  # noqa: T201
    return held


def fuzz(name: str, arguments: list[str]) -> None:
    """Hand one harness to libFuzzer; does not return."""
    import atheris

    with atheris.instrument_imports(include=["frostline"]):
        from harnesses import HARNESSES
    harness = HARNESSES[name]
    for number, seed in enumerate(harness.seeds()):
        (Path(arguments[0]) / str(number)).write_bytes(seed)
    atheris.Setup([name, *arguments], harness.run)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        fuzz(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main())
