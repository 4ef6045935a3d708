"""Manifests: a CSV or Parquet file with a row for each picture."""

import json
import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from frostline.data.pictures import (
    SPLITS,
    FileSource,
    LeftOut,
    Picture,
    Source,
    check_open_files,
    first_few,
    read_file,
    short_name,
)
from frostline.errors import DataError, DecodeError

SUFFIXES = (".csv", ".parquet")
_TEXT_COLUMNS = ("path", "label", "split", "group")
_TEXT = pa.csv.ConvertOptions(column_types={"path": pa.string()})
_ROWS_A_BYTE = 8  # far more than names of files can be compressed to
_CACHED_ROW_GROUPS = 32  # a process; writers of pictures put about a hundred in one


def open_table(manifest: Path) -> Source:
    """Open a manifest: `path` (or, in Parquet, `image`) and `label`, optionally `split` and `group`; in its own order.

    Raises:
        DataError: the file cannot be read, a column is missing, or a row lacks what it needs.
    """
    manifest = manifest.absolute()
    table, has_images = _read(manifest)
    if table.num_rows == 0:
        raise DataError(f"{manifest} has no rows; give it a row for each picture")
    rows = (_labels(table, manifest), _splits(table, manifest), [group or None for group in _texts(table, "group")])
    name, classes = short_name(manifest.stem), _class_names(table.schema)
    if not has_images:
        pictures = _pictures(_existing_paths(table, manifest), *rows)
        return FileSource(name, pictures, manifest.parent, classes)
    metadata = pa.parquet.read_metadata(manifest)
    ends = accumulate(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups))
    return ParquetSource(name, _pictures(_shown_paths(table), *rows), manifest, tuple(ends), classes)


def listed_paths(manifest: Path) -> list[str]:
    """Read the paths that a manifest lists, whatever else is in it; relative ones are relative to its folder.

    Raises:
        DataError: the file cannot be read, or has no column `path`.
    """
    try:
        if manifest.suffix.lower() == ".csv":
            parsing = pa.csv.ParseOptions(newlines_in_values=True)
            table = pa.csv.read_csv(manifest, parse_options=parsing, convert_options=_TEXT)
        else:
            _check_rows(pa.parquet.read_metadata(manifest), manifest)
            table = pa.parquet.read_table(manifest, columns=["path"])
    except (OSError, UnicodeError, pa.ArrowException) as error:
        raise DataError(f"{manifest} cannot be read: {_one_line(error)}; save it as UTF-8 CSV or as Parquet") from error
    if "path" not in table.column_names:
        raise DataError(f"{manifest} lacks the column path; it has {', '.join(table.column_names)}: rename or add it")
    return [str(manifest.parent / text) for text in _texts(table, "path") if text]


@dataclass(frozen=True, eq=False)
class ParquetSource:
    """Pictures whose encoded bytes lie in a Parquet file; row groups are read as they are needed."""

    name: str
    pictures: Sequence[Picture]
    manifest: Path
    ends: tuple[int, ...]
    """Number of rows up to the end of each row group."""
    classes: tuple[str, ...] | None = None
    ignored: Sequence[LeftOut] = ()

    def read(self, position: int) -> bytes:
        """Give the bytes in the row, or of the file that it names."""
        group = bisect_right(self.ends, position)
        start = self.ends[group - 1] if group else 0
        rows = _kept_row_group(self.manifest, group)
        if position - start >= len(rows):
            raise DecodeError(f"row group {group} ends before the row")
        value = rows[position - start].as_py()
        path = None
        if isinstance(value, dict):
            value, path = value["bytes"], value.get("path")
        if value is None and path:
            return read_file(self.manifest.parent / path)
        if value is None:
            raise DecodeError("the row holds no picture")
        return bytes(value)


def _kept_row_group(manifest: Path, group: int) -> Any:
    """Give a row group; where memory is short, those that were kept make way for it."""
    try:
        return _row_group(manifest, group)
    except MemoryError:
        _row_group.cache_clear()
    try:
        return _row_group(manifest, group)
    except MemoryError as error:
        raise DecodeError(f"row group {group} is larger than the memory that reading it may take") from error


@lru_cache(maxsize=_CACHED_ROW_GROUPS)
def _row_group(manifest: Path, group: int) -> Any:
    try:  # without threads: this may run in a forked loader process
        file = pa.parquet.ParquetFile(manifest)
        rows = file.read_row_group(group, columns=["image"], use_threads=False).column("image")
        rows.validate(full=True)  # Arrow believes lengths and text that come from a file
        return rows
    except MemoryError:  # pyarrow's own is one too
        raise
    except (OSError, pa.ArrowException) as error:
        check_open_files(error)
        raise DecodeError(f"row group {group} cannot be read: {_one_line(error)}") from error


def _pictures(
    paths: Sequence[str], labels: Sequence[str], splits: Sequence[str | None], groups: Sequence[str | None]
) -> tuple[Picture, ...]:
    return tuple(Picture(*row) for row in zip(paths, labels, splits, groups, strict=True))


def _read(manifest: Path) -> tuple[Any, bool]:
    """Read the columns that matter; pictures inside the file are left there, and the flag says that there are some."""
    try:
        if manifest.suffix.lower() == ".csv":
            return _read_csv(manifest), False
        file = pa.parquet.ParquetFile(manifest)
        _check_columns(file.schema_arrow.names, manifest, ("path", "image"))
        _check_rows(file.metadata, manifest)
        table = file.read(columns=[*_TEXT_COLUMNS, "image.path"])
        table.validate(full=True)  # Arrow believes lengths and text that come from a file
        return table, _has_images(file.schema_arrow, manifest)
    except (OSError, UnicodeError, pa.ArrowException) as error:
        raise DataError(f"{manifest} cannot be read: {_one_line(error)}; save it as UTF-8 CSV or as Parquet") from error


def _read_csv(manifest: Path) -> Any:
    parsing = pa.csv.ParseOptions(newlines_in_values=True)
    with pa.csv.open_csv(manifest, parse_options=parsing) as reader:
        names = list(reader.schema.names)
    _check_columns(names, manifest, ("path",))
    wanted = [name for name in _TEXT_COLUMNS if name in names]
    options = pa.csv.ConvertOptions(column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted)
    return pa.csv.read_csv(manifest, parse_options=parsing, convert_options=options)


def _check_columns(names: list[str], manifest: Path, picture_columns: tuple[str, ...]) -> None:
    required = (picture_columns, ("label",))
    missing = [" or ".join(choices) for choices in required if not set(choices) & set(names)]
    if missing:
        raise DataError(
            f"{manifest} lacks the column {' and '.join(missing)}; it has {', '.join(names)}: rename or add the column "
            "(in a .csv file commas separate the columns)"
        )
    double = [name for name in (*_TEXT_COLUMNS, "image") if names.count(name) > 1]
    if double:
        raise DataError(f"{manifest} has the column {double[0]} twice; remove one")


def _check_rows(metadata: Any, manifest: Path) -> None:
    """Refuse a file that promises more rows than it can hold: Arrow would make room for all of them."""
    rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    if min(rows, default=0) < 0 or sum(rows) != metadata.num_rows or sum(rows) > _ROWS_A_BYTE * manifest.stat().st_size:
        raise DataError(f"{manifest} is damaged: it promises {sum(rows)} rows, which it cannot hold; write it anew")


def _has_images(schema: Any, manifest: Path) -> bool:
    if "image" not in schema.names:
        return False
    kind = schema.field("image").type
    parts = [(part.name, part.type) for part in kind] if pa.types.is_struct(kind) else [("bytes", kind)]
    held, path = dict(parts).get("bytes", kind), dict(parts).get("path", pa.string())
    is_text = pa.types.is_string(path) or pa.types.is_large_string(path) or pa.types.is_null(path)
    is_bytes = pa.types.is_binary(held) or pa.types.is_large_binary(held)
    if not is_bytes or not is_text or len(dict(parts)) < len(parts):
        raise DataError(
            f"{manifest}: the column image is {kind}; allowed are the bytes of a picture file, "
            "or a struct of bytes and path: store encoded pictures, or list their files in a column path"
        )
    return True


def _texts(table: Any, column: str) -> list[str]:
    """Give a column as stripped strings; "" for an empty cell, and everywhere if there is no such column."""
    if column not in table.column_names:
        return [""] * table.num_rows
    return ["" if value is None else str(value).strip() for value in table.column(column).to_pylist()]


def _labels(table: Any, manifest: Path) -> list[str]:
    kind = table.schema.field("label").type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        raise DataError(f"{manifest}: the column label is {kind}; strings and integers are allowed: convert it")
    labels = _texts(table, "label")
    names = _class_names(table.schema)
    if names:
        known = {str(number): name for number, name in enumerate(names)}
        labels = [known.get(label, "") for label in labels]  # -1 is how such files say "unknown"
    empty = [row for row, label in enumerate(labels, 1) if not label]
    if empty:
        raise DataError(f"{manifest}: no label in row {first_few(empty)}; fill it in or remove the row")
    return labels


def _class_names(schema: Any) -> tuple[str, ...] | None:
    """Find the names that a Hugging Face file keeps for its integer labels."""
    if not pa.types.is_integer(schema.field("label").type):
        return None
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features["label"]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return tuple(str(name) for name in names)


def _splits(table: Any, manifest: Path) -> list[str | None]:
    values = _texts(table, "split")
    if not any(values):
        return [None] * len(values)
    unknown = [row for row, value in enumerate(values) if value.lower() not in SPLITS]
    if unknown:
        row = unknown[0]
        raise DataError(
            f"{manifest}: unknown split {values[row]!r} in row {row + 1} ({len(unknown)} such rows); allowed are "
            f"{', '.join(SPLITS)}: give every row one of these, or leave the column out"
        )
    return [SPLITS[value.lower()] for value in values]


def _existing_paths(table: Any, manifest: Path) -> list[str]:
    paths = [_shown_path(text, manifest.parent) for text in _texts(table, "path")]
    empty = [row for row, path in enumerate(paths, 1) if path == "."]
    if empty:
        raise DataError(f"{manifest}: no path in row {first_few(empty)}; fill it in or remove the row")
    missing = [path for path in paths if not os.path.isfile(manifest.parent / path)]  # False for an impossible name too
    if missing:
        raise DataError(
            f"{manifest}: {len(missing)} of {len(paths)} files do not exist: {first_few(missing)}; "
            f"paths must be absolute or relative to {manifest.parent}"
        )
    return paths


def _shown_path(text: str, folder: Path) -> str:
    """Write a path of the manifest relative to its folder where that is possible, always with "/"."""
    path = Path(text)
    if "\\" in text and not os.path.isfile(folder / path):  # written on Windows, read elsewhere
        path = Path(text.replace("\\", "/"))
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def _shown_paths(table: Any) -> list[str]:
    """Name rows that hold their picture: by their paths if all have one and no two the same, else by number."""
    paths = _texts(table, "path")
    if not all(paths) and "image" in table.column_names:
        paths = ["" if value is None else value.get("path") or "" for value in table.column("image").to_pylist()]
    if all(paths) and len(set(paths)) == len(paths):
        return [PurePosixPath(path).as_posix() for path in paths]
    return [f"row/{row:05d}" for row in range(table.num_rows)]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
