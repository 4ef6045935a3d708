"""Predictions written down, as they come: a table for people; CSV, JSON, JSON lines and Parquet for programs.

CSV and Parquet have the columns path, top1, p1, top2, p2, ..., unsure, and no row for a picture that could not be read;
JSON has an object for every picture, with an error where it could not be read. Bytes of a path that are no UTF-8 stand
as escape sequences.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from frostline.columns import printable, table
from frostline.errors import UsageError
from frostline.files import as_text, atomic_write
from frostline.predictor import Prediction

AT_ONCE = 4096
"""Rows of Parquet that are written together."""
UNSURE = "unsure: "


def write_answers(predictions: Iterable[Prediction], format: str, topk: int, file: TextIO) -> None:
    """Write predictions in a text format.

    Args:
        predictions: taken one by one.
        format: table, csv, json or jsonl.
        topk: classes of each, which settles the columns.
        file: to write to.
    """
    for line in TEXTS[format](predictions, topk):
        file.write(f"{line}\n")


def save_answers(predictions: Iterable[Prediction], format: str, topk: int, path: Path) -> None:
    """Write predictions to a file, whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """

    def write(temporary: Path) -> None:
        if format == "parquet":
            _write_parquet(predictions, topk, temporary)
            return
        with temporary.open("w", encoding="utf-8", newline="") as file:
            write_answers(predictions, format, topk, file)

    try:
        atomic_write(path, write)
    except OSError as error:
        raise UsageError(f"cannot write --out {path}: {error.strerror or error}; give another path") from None


def format_of(out: Path) -> str:
    """Tell the format by a file's ending.

    Raises:
        UsageError: it is none of those that are known.
    """
    endings = {f".{name}": name for name in FORMATS if name != "table"}
    if out.suffix.lower() not in endings:
        raise UsageError(f"--out {out} has no known ending; allowed are {', '.join(endings)}, or give --format")
    return endings[out.suffix.lower()]


def columns_of(topk: int) -> list[str]:
    """Names of the columns."""
    return ["path", *(name for i in range(1, topk + 1) for name in (f"top{i}", f"p{i}")), "unsure"]


def _table(predictions: Iterable[Prediction], topk: int) -> Iterator[str]:
    rows = [(printable(one.path), _said(one)) for one in predictions]
    yield table(("picture", "prediction"), rows)


def _said(prediction: Prediction) -> str:
    if prediction.error:
        return f"not read: {printable(prediction.error)}"
    classes = "  ".join(f"{printable(name)} {p:.1%}" for name, p in prediction.top)
    return f"{UNSURE if prediction.unsure else ''}{classes}"


def _csv(predictions: Iterable[Prediction], topk: int) -> Iterator[str]:
    yield _csv_line(columns_of(topk))
    for one in predictions:
        if not one.error:
            cells = [cell for name, p in one.top for cell in (name, f"{p:.6f}")]
            yield _csv_line([as_text(one.path), *cells, str(one.unsure).lower()])


def _csv_line(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue()


def _json(predictions: Iterable[Prediction], topk: int) -> Iterator[str]:
    yield json.dumps([_object(one) for one in predictions], indent=1, ensure_ascii=False)


def _jsonl(predictions: Iterable[Prediction], topk: int) -> Iterator[str]:
    return (json.dumps(_object(one), ensure_ascii=False) for one in predictions)


def _object(prediction: Prediction) -> dict[str, Any]:
    return {
        "path": as_text(prediction.path),
        "top": [{"class": name, "probability": p} for name, p in prediction.top],
        "unsure": prediction.unsure,
        "error": prediction.error or None,
    }


def _write_parquet(predictions: Iterable[Prediction], topk: int, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    kinds = [pa.string(), *[pa.string(), pa.float64()] * topk, pa.bool_()]
    schema = pa.schema(list(zip(columns_of(topk), kinds, strict=True)))
    rest = (one for one in predictions if not one.error)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while some := list(islice(rest, AT_ONCE)):
            rows = [[as_text(one.path), *(cell for pair in one.top for cell in pair), one.unsure] for one in some]
            columns = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


TEXTS: dict[str, Callable[[Iterable[Prediction], int], Iterator[str]]] = {
    "table": _table,
    "csv": _csv,
    "json": _json,
    "jsonl": _jsonl,
}
FORMATS = (*TEXTS, "parquet")
