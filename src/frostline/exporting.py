"""From a run or a bundle to an exported file: the model, its card, and pictures to check it with."""

from pathlib import Path

from frostline.data.sources import open_source
from frostline.errors import ConfigError, DecodeError
from frostline.evaluation.again import RunPictures, evenly
from frostline.export.work import (
    CALIBRATED,
    CHECKED,
    CHECKED_INT8,
    Exported,
    Samples,
    export_model,
    find_format,
    samples_of,
)
from frostline.files import RunFolder, default_cache_dir
from frostline.modelcard import Card
from frostline.predictor import Predictor


def export(path: Path, name: str, out: Path | None, data: str | None) -> Exported:
    """Export as `api.export_model` says."""
    format = find_format(name)
    card = Card.read(path)
    most = CHECKED_INT8 if format.is_int8 else CHECKED
    samples = _of_data(data, card, most) if data else _of_run(path, card, most, format.is_int8)
    predictor = Predictor(path, device="cpu", precision="fp32", engine="torch")
    return export_model(predictor, card, name, out or _default_out(path, name, format.suffix), samples)


def _of_run(path: Path, card: Card, most: int, is_int8: bool) -> Samples:
    """Validation pictures to check with; the test split stays sealed."""
    if not path.is_dir():
        raise ConfigError(
            f"{path} is a bundle, which has no pictures of its own; give labelled ones with --data to check with"
        )
    again = RunPictures.open(RunFolder.open(path))
    training = again.contents("train", CALIBRATED) if is_int8 else ()
    return Samples(samples_of(again.contents("val", most), card.classes), samples_of(training, card.classes))


def _of_data(data: str, card: Card, most: int) -> Samples:
    source = open_source(data, cache_dir=default_cache_dir())
    sound = []
    for position in evenly(range(len(source.pictures)), most):
        try:
            sound.append((source.read(position), source.pictures[position].label))
        except DecodeError:
            continue
    return Samples(samples_of(sound, card.classes), ())


def _default_out(path: Path, name: str, suffix: str) -> Path:
    return path / "export" / f"{name}{suffix}" if path.is_dir() else path.with_name(f"{path.stem}-{name}{suffix}")
