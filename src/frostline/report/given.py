"""What a run was given: its pictures, its settings, its versions; told in the report and while a training goes on."""

import csv
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from frostline.config import make_config
from frostline.data.splitfile import read_split
from frostline.files import RunFolder
from frostline.report.words import Words

MOST_SKIPPED, MOST_NAMED = 200, 5


def given(
    run: RunFolder, words: Words, classes: Sequence[str], audit: Mapping[str, Any] | None, versions: Mapping[str, str]
) -> dict[str, Any]:
    """Give what the sections on data and on how to reproduce a run ask for.

    Args:
        run: with its settings, its split and its list of skipped files.
        words: of the page.
        classes: their names.
        audit: what checking the pictures showed; None where a run of an earlier version did not say.
        versions: of Python and the libraries.
    """
    config = run.config.read_text(encoding="utf-8")
    return {
        "counts": _counts(run, classes),
        "audit": _audit(audit, words),
        **_skipped(run),
        "command": _command(yaml.safe_load(config)),
        "settings": config,
        "versions": "\n".join(f"{name} {number}" for name, number in versions.items()),
    }


def _counts(run: RunFolder, classes: Sequence[str]) -> list[dict[str, Any]]:
    found = Counter((row["label"], row["split"]) for row in read_split(run.split))
    return [{"name": name, "numbers": [found[name, split] for split in ("train", "val", "test")]} for name in classes]


def _audit(found: Mapping[str, Any] | None, words: Words) -> list[str]:
    """What checking the pictures showed, in sentences."""
    if found is None:
        return [words("audit_closer")]
    lines = []
    for key, groups in (("audit_leaks", found["leaks"]), ("audit_conflicts", found["label_conflicts"])):
        if groups:
            names = "; ".join(" = ".join(group) for group in groups[:MOST_NAMED])
            lines.append(words(key, count=len(groups), names=names))
    lines = lines or [words("audit_sound")]
    if found["imbalance"]:
        lines.append(words("audit_uneven", **found["imbalance"]))
    for split, names in found["lacking"].items():
        shown = words({"val": "validation"}.get(split, split))
        lines.append(words("audit_lacking", split=shown, names=", ".join(names[:MOST_NAMED])))
    return [*lines, words("audit_closer")]


def _skipped(run: RunFolder) -> dict[str, Any]:
    with run.skipped.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {"skipped": rows[:MOST_SKIPPED], "skipped_count": len(rows)}


def _command(settings: Mapping[str, Any]) -> str:
    """The training's command: what is not as by default."""
    defaults = make_config(data="x").model_dump(mode="json")
    words = ["frostline", "train", settings["data"]]
    for name, value in settings.items():
        if name in {"data", "resume", "out"} or value == defaults.get(name):
            continue
        flag = f"--{name.replace('_', '-')}"
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        words += [flag if value else f"--no-{flag[2:]}"] if isinstance(value, bool) else [flag, text]
    return shlex.join(words)
