"""The same words from Python: train, plan, evaluate, load."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frostline.config import MAY_CHANGE, TrainConfig, make_config, read_yaml
from frostline.errors import BundleError, ConfigError, DataError, WeightsError
from frostline.files import RunFolder
from frostline.importing import leave_garbage
from frostline.plan.grammar import parse_stages
from frostline.progress import Reporter, Silent
from frostline.recipes.catalog import load_recipe
from frostline.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frostline.evaluation.compare import Comparison
    from frostline.export.work import Exported
    from frostline.inspection import Inspection
    from frostline.modelcard import Card
    from frostline.network.pickles import Imported
    from frostline.plan.price import StagePrice
    from frostline.plan.stages import ParameterCounts
    from frostline.predictor import Prediction, Predictor


@dataclass(frozen=True, slots=True)
class Run:
    """A finished training."""

    folder: RunFolder
    metrics: dict[str, Any]
    """What `metrics.json` holds."""

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    def predict(self, paths: "str | Path | Sequence[str | Path]", *, topk: int = 5) -> "list[Prediction]":
        """Name what is in pictures, with the best weights."""
        return load(self.folder.best).predict(paths, topk=topk)


def train(
    data: str | Path, *, reporter: Reporter | None = None, config: str | Path | None = None, **settings: Any
) -> Run:
    """Train a classifier.

    Args:
        data: what to train on, as on the command line.
        reporter: takes what the run has to say; None is silence.
        config: a YAML file of settings; those given here go before it.
        **settings: see `frostline.config.TrainConfig`.

    Raises:
        FrostlineError: of the kind that fits; nothing of the data is ever changed.
    """
    watch = Stopwatch()
    with watch.span("import"), leave_garbage():
        import frostline.pipeline  # noqa: F401  # so that the time it takes is counted here
    given = _gather(data, config, settings)
    with _telling_what_to_fetch(given.get("recipe")):
        return _train(given, reporter or Silent(), watch)


def _train(given: dict[str, Any], shown: Reporter, watch: Stopwatch) -> Run:
    from frostline.pipeline import train_run

    chosen = _resumed_config(given) if given.get("resume") else _config(given)
    if chosen.resume and chosen.out is not None and RunFolder(chosen.out).metrics.is_file():
        shown.say(f"{chosen.out} is complete already")
        return open_run(chosen.out)
    return Run(*train_run(chosen, shown, watch))


def plan(
    data: str | Path, *, reporter: Reporter | None = None, config: str | Path | None = None, **settings: Any
) -> "list[tuple[StagePrice, ParameterCounts]]":
    """Price a training's stages on this machine; nothing is trained or stored. Arguments as for `train`."""
    from frostline.prepare import price_plan

    given = _gather(data, config, settings)
    with _telling_what_to_fetch(given.get("recipe")):
        return price_plan(_config(given), reporter or Silent(), Stopwatch())


def evaluate(
    run: str | Path, data: str | Path | None = None, *, reporter: Reporter | None = None, **how: str
) -> dict[str, Any]:
    """Measure a run's best weights.

    Args:
        run: a run folder, or with `data` a bundle.
        data: pictures to measure on (their test split where they have one); None is the run's own test split, or its
            validation split where it has no test split.
        reporter: takes progress.
        **how: device, precision and engine, as for `load`.

    Returns:
        The metrics, with `split` naming what was measured.
    """
    from frostline.assess import evaluate_on, evaluate_own

    shown, path = reporter or Silent(), Path(run)
    if data is None:
        folder = RunFolder.open(path)
        return evaluate_own(folder, load(path, **how), shown)
    own = RunFolder.open(path) if path.is_dir() else None
    return evaluate_on(str(data), load(path, **how), own, shown)


def inspect(data: str | Path, *, reporter: Reporter | None = None, device: str = "auto") -> "Inspection":
    """Look at every picture of DATA, and compare each with all others.

    Args:
        data: as for training.
        reporter: takes progress; None is silence.
        device: for the network whose activations help to find copies.

    Raises:
        DataError: DATA cannot be opened.
    """
    from frostline.inspection import inspect as look

    return look(str(data), reporter or Silent(), device=device)


def write_report(run: str | Path, *, lang: str = "auto") -> Path:
    """Write the report of a finished run anew, and give its path.

    Args:
        run: a run folder.
        lang: auto, en or zh.

    Raises:
        BundleError: it is no run.
        ConfigError: it has not finished, or there is no such language.
    """
    from frostline.report.html import write_report as write
    from frostline.report.words import LANGUAGES, choose_language

    if lang not in ("auto", *LANGUAGES):
        raise ConfigError(f"language {lang!r} is not known; allowed are auto, {', '.join(LANGUAGES)}")
    return write(open_run(run).folder, choose_language(lang))


def compare(first: str | Path, second: str | Path) -> "tuple[str, Comparison]":
    """Compare two finished runs on the pictures that both kept for testing, else for validation.

    Returns:
        The split, and the comparison.

    Raises:
        BundleError: one is no finished run, or they have no such picture in common.
    """
    from frostline.evaluation.predictions import compare_predictions, read_predictions

    runs = (RunFolder.open(Path(path)) for path in (first, second))
    return compare_predictions(*(read_predictions(run.predictions) for run in runs))


def load(path: str | Path, *, device: str = "auto", precision: str = "auto", engine: str = "auto") -> "Predictor":
    """Load a trained model from a run folder or a bundle.

    Args:
        path: of either.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: fp32, bf16, or auto: what a training on this device would take.
        engine: auto, torch or openvino (an extra, x86 CPUs); auto times both where there is much to do.

    Raises:
        BundleError: there is no sound model.
        ConfigError: no such device, precision or engine.
    """
    with leave_garbage():
        from frostline.predictor import Predictor

    return Predictor(path, device=device, precision=precision, engine=engine)


def card(path: str | Path) -> "Card":
    """Read what a bundle, or a run's best model, says of itself: classes, input, how it was made, how good it was.

    Raises:
        BundleError: there is no sound model.
    """
    from frostline.modelcard import Card

    return Card.read(Path(path))


def export_model(
    path: str | Path, *, format: str = "onnx", out: str | Path | None = None, data: str | Path | None = None
) -> "Exported":
    """Write a model in a format that others read, and check it on real pictures.

    Args:
        path: a run folder, or a bundle.
        format: onnx, onnx-uint8, onnx-int8, openvino, openvino-int8 or torch.
        out: the new file; None is `export/` in the run folder, or beside the bundle.
        data: labelled pictures to check it with; None are the run's own (validation, and for int8 training).

    Raises:
        ConfigError: no such format, what it needs is not installed, or `out` is there already.
        BundleError: there is no sound model.
        DataError: no pictures to check it with.
        ExportError: the network cannot be expressed, or the file does not say what the model says; none is left.
    """
    from frostline.exporting import export

    return export(Path(path), format, None if out is None else Path(out), None if data is None else str(data))


def import_weights(path: str | Path, out: str | Path | None = None) -> "Imported":
    """Take the tensors of a pickle over into a safetensors file, which `weights=` takes; no code in it is run.

    Args:
        path: of the .pth or .pt file.
        out: of the new file; None is beside it, with the ending .safetensors.

    Raises:
        WeightsError: it asks for more than tensors, is damaged, or holds no state dict; or `out` is there already.
    """
    from frostline.network.pickles import import_weights as take_over

    return take_over(Path(path), None if out is None else Path(out))


def open_run(path: str | Path) -> Run:
    """Open a finished run.

    Raises:
        BundleError: it is no run, or its metrics are damaged.
        ConfigError: it has not finished.
    """
    folder = RunFolder.open(Path(path))
    if not folder.metrics.is_file():
        raise ConfigError(f"{path} has not finished; go on with `frostline train DATA --out {path} --resume`")
    try:
        metrics = json.loads(folder.metrics.read_text(encoding="utf-8"))
    except ValueError as error:  # no JSON, or no UTF-8
        raise BundleError(f"{folder.metrics} is damaged ({error}); train again, or take another copy") from None
    return Run(folder, metrics)


def _gather(data: str | Path, config: str | Path | None, settings: dict[str, Any]) -> dict[str, Any]:
    """What the user set, in a file and beside it."""
    from_file = read_yaml(Path(config)) if config is not None else {}
    given = {**from_file, **settings, "data": str(data)}
    return _without_epochs(given) if given.get("recipe") and given.get("epochs") and not given.get("stages") else given


def _without_epochs(given: dict[str, Any]) -> dict[str, Any]:
    """Have `epochs` beside a recipe mean those of the recipe's one stage."""
    name = given["recipe"]
    stages = parse_stages(load_recipe(name).settings["stages"])
    if len(stages) > 1:
        plan = ", ".join(map(str, stages))
        raise ConfigError(f'--epochs does not say of which stage; recipe {name} has --stages "{plan}", give that')
    kept = {setting: value for setting, value in given.items() if setting != "epochs"}
    return {**kept, "stages": str(replace(stages[0], epochs=given["epochs"]))}


def _config(given: dict[str, Any]) -> TrainConfig:
    """The recipe's settings, and over them those given.

    Raises:
        ConfigError: a setting is wrong, or a rate is given where every stage has its own.
    """
    config = make_config(**{**_recipe_settings(given), **given})
    if given.get("lr") is not None and config.stages and all(stage.lr for stage in parse_stages(config.stages)):
        raise ConfigError(f'lr={config.lr:g} has no effect: --stages "{config.stages}" gives every rate')
    return config


def _recipe_settings(given: dict[str, Any]) -> dict[str, Any]:
    """What the recipe sets, if there is one; a budget beside it chooses the plan in its place."""
    settings = dict(load_recipe(given["recipe"]).settings) if given.get("recipe") else {}
    if given.get("budget") is not None:
        settings.pop("stages", None)
    return settings


@contextmanager
def _telling_what_to_fetch(recipe: str | None) -> Iterator[None]:
    """Where a recipe's pictures or weights are missing, say what to get and where to put it."""
    try:
        yield
    except (DataError, WeightsError) as error:
        if recipe is None:
            raise
        raise type(error)(f"{error}; recipe {recipe} needs: {load_recipe(recipe).fetch}") from None


def _resumed_config(given: dict[str, Any]) -> TrainConfig:
    """The interrupted run's settings; those given again must agree with them.

    Raises:
        ConfigError: no run to go on with, or a setting that contradicts it.
    """
    out = given.get("out")
    if out is None:
        raise ConfigError("--resume needs --out RUN, the folder of the interrupted run")
    path = RunFolder(Path(out)).config
    if not path.is_file():
        return _config(given)  # stopped before it began
    saved = read_yaml(path)
    now = _config(given).model_dump(mode="json")
    for name in given:
        if name not in MAY_CHANGE and now[name] != saved.get(name):
            raise ConfigError(
                f"{name}={now[name]!r} contradicts the interrupted run ({saved.get(name)!r}); "
                "leave it out, or start a new run with another --out"
            )
    changed = {name: given[name] for name in MAY_CHANGE if name in given}
    return make_config(**{**saved, **changed})
