"""The main job, from DATA to a run folder: prepare, train, evaluate, write."""

import json
import platform
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from frostline.bundle import write_bundle
from frostline.config import TrainConfig
from frostline.data.splitfile import skipped_csv, split_csv
from frostline.evaluation.predictions import predictions_csv
from frostline.evaluation.reads import Read, note_read
from frostline.files import RunFolder, write_text
from frostline.hardware import make_fabric, precision_name
from frostline.limits import naming_limits
from frostline.outcome import Outcome, assess
from frostline.plan.stages import Stage
from frostline.plan.timeleft import TimeLeft
from frostline.prepare import Prepared, prepare_within_budget
from frostline.progress import Reporter
from frostline.repeats import Repeats, check_folds, line_of, repeat
from frostline.report.events import open_events
from frostline.report.given import given
from frostline.report.html import write_report
from frostline.report.live import Live, NoPage, open_live
from frostline.report.pictures import Seer
from frostline.report.plots import plot_batch, plot_confusion, plot_curves
from frostline.report.words import Words, choose_language
from frostline.resuming import noting_divergence, reopen_run, settings_digest
from frostline.review import review
from frostline.sealed import Tensors
from frostline.stopwatch import Stopwatch
from frostline.training.history import EpochRow, History, StepRow, to_csv
from frostline.training.loop import Progress, run_plan, snapshot, trained_names
from frostline.training.order import shuffled_batches, train_requests
from frostline.training.state import State, save_state
from frostline.training.task import Task

SHOWN_IN_BATCH = 32


def train_run(config: TrainConfig, reporter: Reporter, watch: Stopwatch) -> tuple[RunFolder, dict[str, Any]]:
    """Train into a run folder, from the start or from its saved state.

    Returns:
        The folder, and the metrics (empty in all processes but the first).

    Raises:
        UsageError: something about data, network, weights, plan or folder is wrong.
        DivergedError: the loss is not finite.
        BundleError: the folder's state is damaged, or belongs to other data, settings or weights.
        LimitError: memory, disk or files have run out.
    """
    rng = torch.random.get_rng_state()
    fabric = make_fabric(config.device, config.precision)
    run = _create_folder(config, fabric)  # before the long work: whether it can be written shows at once
    try:
        with naming_limits():
            prepared = prepare_within_budget(config, fabric, reporter, watch)
            task = prepared.task
            if config.out is None and task.config.model != config.model:  # the folder bears the name of the one chosen
                run.remove_if_empty()
                run = _create_folder(task.config, fabric)
            with run.held() if fabric.is_global_zero else nullcontext():
                return run, _train(prepared, run)
    finally:
        torch.random.set_rng_state(rng)
        run.remove_if_empty()


def _train(prepared: Prepared, run: RunFolder) -> dict[str, Any]:
    """Train into a folder that is ours; give the metrics."""
    task = prepared.task
    if task.config.folds:
        check_folds(task.index, task.config.folds)
    resumed = _open_run(task, run)
    _introduce(prepared, run)
    start = snapshot(task, trained_names(task))
    with _open_log(task, run, resumed) as log, _open_live(task, run) as live:

        def told(history: History, left: TimeLeft) -> None:
            log(history)
            live.show(history, left)

        with noting_divergence(run):
            progress = run_plan(replace(task, log=told), resumed=resumed, save=lambda state: _save(task, run, state))
        repeats = _train_again(task, start, progress) if task.config.folds or task.config.seeds else None
        metrics = _finish(prepared, run, start, progress, repeats) if task.fabric.is_global_zero else {}
        live.end_with(run.report)
    task.fabric.barrier()
    return metrics


def _create_folder(config: TrainConfig, fabric: Fabric) -> RunFolder:
    run: RunFolder = fabric.broadcast(_run_folder(config) if fabric.is_global_zero else RunFolder(Path()))
    run.create()
    return run


def _run_folder(config: TrainConfig) -> RunFolder:
    """The folder that was asked for, or a new one named after data and model."""
    if config.resume and config.out is not None:
        return RunFolder(config.out)
    return RunFolder.choose(config.out, f"{_name_of(config.data)}-{config.model}")


def _name_of(data: str) -> str:
    """Name of a set of pictures: that of its folder or table, without where it lies."""
    return Path(data.partition(":")[0]).name or "data"


def _open_run(task: Task, run: RunFolder) -> State | None:
    """Write what a run starts with; or, where the folder has it already, check it and give the saved state.

    Raises:
        BundleError: data or settings are not those that the run began with.
    """
    if task.fabric.broadcast(run.split.is_file()):
        return reopen_run(task, run)
    if task.fabric.is_global_zero:
        write_text(run.config, task.config.to_yaml())
        write_text(run.skipped, skipped_csv(task.index))
        _plot_first_batch(task, run)
        write_text(run.split, split_csv(task.index))
    task.fabric.barrier()
    return None


def _introduce(prepared: Prepared, run: RunFolder) -> None:
    task = prepared.task
    counts = task.index.counts()
    task.reporter.say(
        f"{task.config.data}: {counts['train']} training, {counts['val']} validation, {counts['test']} test pictures "
        f"of {len(task.index.classes)} classes"
    )
    task.reporter.say(
        f"{task.network.spec.model} at {task.network.preprocess.size} pixels, head {task.network.spec.head}, weights "
        f"{prepared.loaded.origin}; {task.fabric.device.type}, {precision_name(task.fabric)}; run in {run.path}"
    )


def _open_log(task: Task, run: RunFolder, resumed: State | None) -> AbstractContextManager[Callable[[History], None]]:
    if task.config.log == "none" or not task.fabric.is_global_zero:
        return nullcontext(lambda _: None)
    return open_events(run.events, resumed.history if resumed else History())


def _open_live(task: Task, run: RunFolder) -> AbstractContextManager[Live]:
    if not task.config.live or not task.fabric.is_global_zero:
        return nullcontext(NoPage())
    words = Words(choose_language(task.config.lang))
    told = given(run, words, task.index.classes, asdict(task.index.audit), _versions())
    return open_live(run.path.resolve().name, task.plan, words, told, task.reporter.say)


def _save(task: Task, run: RunFolder, state: State) -> None:
    if task.fabric.is_global_zero:
        save_state(run.state, replace(state, settings=settings_digest(task)))
        if not state.step:
            _write_tables(run, state.history)


def _write_tables(run: RunFolder, history: History) -> None:
    write_text(run.results, to_csv(history.epochs, EpochRow))
    write_text(run.steps, to_csv(history.steps, StepRow))


def _train_again(task: Task, start: Tensors, progress: Progress) -> Repeats:
    assert progress.history.best is not None
    repeats = repeat(task, start, progress.history.epochs[progress.history.best])
    task.reporter.say(line_of(repeats))
    return repeats


def _finish(
    prepared: Prepared, run: RunFolder, start: Tensors, progress: Progress, repeats: Repeats | None
) -> dict[str, Any]:
    """Write the last weights, go back to the best, read validation and test once, write the rest."""
    task, history = prepared.task, progress.history
    module, facts = task.network.module, _without_folders(_facts(prepared))
    write_bundle(run.last, task.network, module.state_dict(), task.index.classes, facts)
    module.load_state_dict(progress.best, strict=False)
    with task.watch.span("evaluation"):
        outcome = assess(task, progress.choice)
        read = _note_read(task, run, outcome)  # before anything else can fail
        reviewed = review(task, outcome, history, start)
    metrics = {**_metrics(prepared, progress, outcome), "folds": repeats.to_json() if repeats else None}
    if read:
        metrics["test"]["read"] = asdict(read)
    facts |= {
        **{what: {name: metrics[name][what] for name in ("val", "test")} for what in ("accuracy", "interval")},
        "temperature": outcome.temperature,
        "counts": task.index.counts(),
        "plan": ", ".join(f"{stage.shown}:{stage.epochs}@{stage.lr:g}" for stage in task.plan),
    }
    write_bundle(run.best, task.network, module.state_dict(), task.index.classes, facts)
    write_text(run.predictions, predictions_csv(outcome.said))
    write_text(run.review, json.dumps(reviewed, indent=1, ensure_ascii=False))
    _write_tables(run, history)
    plot_curves(run.path / "curves.png", history.epochs, history.steps)
    shown = outcome.measured[outcome.shown]
    title = f"{outcome.shown}: {shown.accuracy:.1%} of {shown.count} pictures"
    advice = plot_confusion(run.path / "confusion_matrix.png", shown.confusion, task.index.classes, title)
    if advice:
        task.reporter.warn(f"confusion_matrix.png: {advice}")
    metrics["seconds"] = _seconds(task.watch)
    seer = Seer(task.network, task.traced, task.index.classes)
    write_report(run, choose_language(task.config.lang), seer, metrics)
    write_text(run.metrics, json.dumps(metrics, indent=1, ensure_ascii=False))  # last: that it is there says all is
    return metrics


def _note_read(task: Task, run: RunFolder, outcome: Outcome) -> Read | None:
    """Note that the test set was read; None where there is none."""
    if "test" not in outcome.measured:
        return None
    digests = [image.digest for image in task.index.of("test")]
    return note_read(run.reads, "train", outcome.measured["test"].accuracy, digests, once=True)


def _metrics(prepared: Prepared, progress: Progress, outcome: Outcome) -> dict[str, Any]:
    task, history, measured = prepared.task, progress.history, outcome.measured
    best = history.epochs[history.best] if history.best is not None else None
    tally = task.tally
    return {
        "val": measured["val"].to_json(),
        "test": measured["test"].to_json() if "test" in measured else {"accuracy": None, "interval": None},
        "temperature": outcome.temperature,
        "classes": list(task.index.classes),
        "counts": task.index.counts(),
        "plan": [_stage_json(stage, progress) for stage in task.plan],
        "best": {"stage": best.stage, "epoch": best.epoch} if best else None,
        "activations": {
            "rows": len(tally.rows),
            "computed": tally.computed,
            "engine": tally.engine,
            "bytes": tally.bytes,
            "images_per_second": tally.computed / tally.seconds if tally.seconds else None,
        },
        **_facts(prepared),
    }


def _stage_json(stage: Stage, progress: Progress) -> dict[str, Any]:
    """A stage as it was planned, what it was to take and what it took (null where another process began it)."""
    price = progress.left.prices.get(stage.number)
    return {
        "stage": stage.number + 1,
        "part": stage.part,
        "epochs": stage.epochs,
        "lr": stage.lr,
        "size": stage.size,
        "frost_line": stage.cut.name,
        "priced_seconds": price.seconds if price else None,
        "seconds": progress.paid.get(stage.number),
    }


def _facts(prepared: Prepared) -> dict[str, Any]:
    """How the model was made."""
    task = prepared.task
    return {
        "model": task.network.spec.model,
        "weights": prepared.loaded.origin,
        "data": task.config.data,
        "preprocess": asdict(task.network.preprocess),
        "versions": _versions(),
        "threads": torch.get_num_threads(),
        "device": str(task.fabric.device),
        "precision": precision_name(task.fabric),
        "processes": task.fabric.world_size,
        "seed": task.config.seed,
        "test_views": task.config.test_views,
    }


def _versions() -> dict[str, str]:
    packages = ("frostline", "torch", "torchvision", "timm", "pillow")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def _without_folders(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a bundle tells, which goes to other people: names of pictures and weights, not where they lay here."""
    weights = Path(facts["weights"])
    shown = weights.name if weights.exists() else str(weights)
    return {**facts, "data": _name_of(facts["data"]), "weights": shown}


def _seconds(watch: Stopwatch) -> dict[str, float]:
    names = ("import", "audit", "activations", "training", "saving", "evaluation")
    return {"total": watch.total, **{name: watch.seconds[name] for name in names}}


def _plot_first_batch(task: Task, run: RunFolder) -> None:
    """Draw the pictures of the first step as the network sees them."""
    images, config = task.train_images(), task.config
    first = shuffled_batches(len(images), config.batch_size, seed=config.seed, stage=0, epoch=0)[0][:SHOWN_IN_BATCH]
    requests = train_requests([images[i] for i in first], task.views, seed=config.seed, epoch=0)
    (pixels,) = task.pictures.load([requests])
    names = [task.index.classes[images[i].label] for i in first]
    advice = plot_batch(run.path / "batch.png", pixels.numpy(), names)
    if advice:
        task.reporter.warn(f"batch.png: {advice}")
