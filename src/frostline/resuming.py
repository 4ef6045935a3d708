"""Going on with a run: whether its pictures and settings are still those that it began with, and where it stood."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from frostline.config import MAY_CHANGE
from frostline.data.drift import differences
from frostline.data.pictures import first_few
from frostline.data.splitfile import differences_csv, read_split, skipped_csv, split_csv
from frostline.errors import BundleError, DivergedError
from frostline.files import RunFolder, digest_bytes, write_text
from frostline.training.state import State, load_state
from frostline.training.task import Task


def reopen_run(task: Task, run: RunFolder) -> State | None:
    """Give the state that a run in a folder was saved with; None where it was interrupted before.

    Raises:
        BundleError: the state is damaged, or pictures or settings are not those that the run began with.
    """
    changed = _changed_pictures(task, run)
    if not run.state.is_file():
        return None
    state = load_state(run.state)
    if state.settings and state.settings != settings_digest(task):
        raise BundleError(
            f"{run.config} is not as it was when the run was interrupted; put it back, or start a new run with "
            "another --out"
        )
    return replace(state, step=0, sums={}) if changed else state  # the epoch under way begins anew


def _changed_pictures(task: Task, run: RunFolder) -> bool:
    """Compare the pictures with those that a run began with; tell whether others were accepted.

    Raises:
        BundleError: they are others, and it was not said that this is meant.
    """
    text = split_csv(task.index)
    if run.split.read_text(encoding="utf-8", errors="replace") == text:
        return False
    before = read_split(run.split)
    found = differences(before, task.index)
    if {row.get("label") for row in before} != set(task.index.classes) or not found:
        raise BundleError(f"the classes are not those that {run.path} began with; start a new run with another --out")
    if task.fabric.is_global_zero:
        write_text(run.drift, differences_csv(found))
    if not task.config.accept_data_changes:
        raise BundleError(
            f"the pictures are not those that {run.path} began with ({first_few(found)}; all in {run.drift.name}); put "
            "them back, go on with these by --accept-data-changes, or start a new run with another --out"
        )
    task.reporter.warn(f"going on with other pictures: {first_few(found)} ({run.drift.name})")
    task.fabric.barrier()  # all have read what one now replaces
    if task.fabric.is_global_zero:
        write_text(run.split, text)
        write_text(run.skipped, skipped_csv(task.index))
    return True


def settings_digest(task: Task) -> str:
    """Digest of all settings that a resumed run must have as they were."""
    settings = task.config.model_dump(mode="json", exclude=set(MAY_CHANGE))
    return digest_bytes(json.dumps(settings, sort_keys=True).encode())


@contextmanager
def noting_divergence(run: RunFolder) -> Iterator[None]:
    """Write down what a step that diverged saw; the state that was saved before it, the last good one, stays."""
    try:
        yield
    except DivergedError as error:
        saved = run.state.relative_to(run.path).as_posix() if run.state.is_file() else None
        facts = {**error.facts, "last_good_state": saved}
        write_text(run.diverged, json.dumps(facts, indent=1, ensure_ascii=False))
        raise DivergedError(f"{error}; all of its pictures: {run.diverged}", facts) from None
