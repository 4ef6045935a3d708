"""Open DATA, whatever it is: a folder of class folders, a manifest, or a named set."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from frostline.data.classnames import check_class_names
from frostline.data.named import NAMES, open_named
from frostline.data.pictures import (
    SPLITS,
    FileSource,
    LeftOut,
    Picture,
    Source,
    first_few,
    natural_key,
    path_key,
    short_name,
)
from frostline.data.tables import SUFFIXES, open_table
from frostline.errors import DataError
from frostline.files import as_text, is_text

__all__ = ["FileSource", "Picture", "Source", "open_folder", "open_source"]

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
NO_PICTURE = "not a picture by its name"
OUTSIDE = "not in a class folder"
_SYSTEM_NAMES = {"thumbs.db", "desktop.ini", "__macosx"}
_ALLOWED = (
    "DATA is a folder of class folders, a folder with train/ and val/ or test/, a .csv or .parquet file, "
    f"or one of {', '.join(NAMES)}"
)


def open_source(data: str, *, cache_dir: Path) -> Source:
    """Open DATA; pictures are listed, not decoded.

    Args:
        data: a path, a name, or NAME:FOLDER. A name comes before a folder called the same: write ./digits for that.
        cache_dir: named sets are looked for, and downloaded to, its `datasets` folder.

    Raises:
        DataError: there is no such thing, or it cannot make a training as it is.
    """
    name, _, folder = data.partition(":")
    if name in NAMES:
        return open_named(name, folder=Path(folder).expanduser() if folder else None, cache_dir=cache_dir)
    path = Path(data)
    if data and path.is_dir():
        return open_folder(path)
    if data and path.is_file():
        if path.suffix.lower() in SUFFIXES:
            return open_table(path)
        raise DataError(f"{data!r} is not a manifest: a file must end in {' or '.join(SUFFIXES)}; {_ALLOWED}")
    raise DataError(f"no folder, file or named set {data!r}; {_ALLOWED}: check the spelling")


def open_folder(folder: Path) -> FileSource:
    """List a folder of class folders, with or without a given split, and every other file that is there.

    Raises:
        DataError: no class folders, only one class, an empty class, a class name that is not allowed, or a folder that
            fits no split.
    """
    root = Path(os.path.abspath(folder))
    ignored: list[LeftOut] = []
    parts = _split_folders(root)
    pictures = [
        Picture(path=path, label=label, split=split)
        for part, split in parts.items()
        for label, paths in _class_folders(root, part, ignored).items()
        for path in _with_pictures(paths, f"{part}{label}", split)
    ]
    if "" not in parts:
        for entry in _entries(root):
            ignored += [] if entry.is_dir and not entry.hidden else _left_out(entry, "", OUTSIDE)
    _check_classes(root, pictures)
    pictures.sort(key=lambda picture: path_key(picture.path))
    in_order = sorted(ignored, key=lambda one: path_key(one.path))
    return FileSource(short_name(root.name), tuple(pictures), root, ignored=tuple(in_order))


def _split_folders(root: Path) -> dict[str, str | None]:
    """Map each folder that holds class folders ("" or e.g. "train/") to its split.

    A folder called train with pictures directly in it and no val or test beside it is the class "train".
    """
    folders = {entry.name: entry.path for entry in _folders(root)}
    splits = {name: SPLITS[name.lower()] for name in folders if name.lower() in SPLITS}
    trains = [name for name, split in splits.items() if split == "train"]
    if not trains or (len(splits) == 1 and not _folders(folders[trains[0]])):
        return {"": None}
    others = sorted(folders.keys() - splits.keys(), key=natural_key)
    if others:
        raise DataError(
            f"{root}: {others[0]}/ stands next to train/, where only train, val (or valid, validation) and test are "
            "allowed; move it away, or hide it with a dot before its name"
        )
    if len(set(splits.values())) < len(splits):
        raise DataError(f"{root}: {', '.join(sorted(splits))} name the same split twice; keep one folder for each")
    return {f"{name}/": split for name, split in splits.items()}


def _class_folders(root: Path, part: str, ignored: list[LeftOut]) -> dict[str, list[str]]:
    """Map each class of a split (or of an unsplit folder) to the paths of its pictures, relative to the root."""
    classes: dict[str, list[str]] = {}
    loose: list[_Entry] = []
    above = (_identity(root), _identity(root / part))
    for entry in _entries(root / part):
        if entry.hidden or not entry.is_dir:
            loose.append(entry)
        elif _identity(entry.path) not in above:
            classes[entry.name] = list(_walk(entry.path, f"{part}{entry.name}/", above, ignored))
    if not classes:
        pictures = sorted((entry.name for entry in loose if not entry.reason), key=natural_key)
        found = f"pictures directly in it ({first_few(pictures)})" if pictures else "no folders in it"
        raise DataError(
            f"{root / part} has {found}: one folder per class is expected, e.g. {part}rose/1.jpg; "
            "sort the pictures into such folders, or list them in a .csv file with the columns path and label"
        )
    if reason := check_class_names(list(classes)):
        raise DataError(f"{root / part}: {reason}")
    for entry in loose:
        ignored += _left_out(entry, part, OUTSIDE)
    return classes


def _walk(folder: Path, shown: str, above: tuple[tuple[int, int], ...], ignored: list[LeftOut]) -> Iterator[str]:
    """Yield the paths of all pictures below a folder, and note its other files.

    A link back to a folder above itself is not followed, so links in a circle end.
    """
    identity = _identity(folder)
    if identity in above:
        return
    for entry in _entries(folder):
        if entry.is_dir and not entry.hidden:
            yield from _walk(entry.path, f"{shown}{entry.name}/", (*above, identity), ignored)
        elif entry.is_dir or entry.reason:
            ignored += _left_out(entry, shown)
        elif is_text(f"{shown}{entry.name}"):
            yield f"{shown}{entry.name}"
        else:
            ignored += _left_out(entry, shown, "its name is not valid UTF-8; rename it")


class _Entry(NamedTuple):
    name: str
    path: Path
    is_dir: bool
    hidden: str
    """Why a name is passed over, whatever it stands for; empty where it is not."""
    reason: str
    """Why a file is no picture; empty for pictures, and for folders that are not hidden."""


def _entries(folder: Path) -> list[_Entry]:
    """List what is in a folder."""
    try:
        with os.scandir(folder) as found:
            return [_entry(entry) for entry in found]
    except OSError as error:
        raise DataError(f"{folder} cannot be listed ({error.strerror}); check its permissions") from error


def _folders(folder: Path) -> list[_Entry]:
    return [entry for entry in _entries(folder) if entry.is_dir and not entry.hidden]


def _entry(found: os.DirEntry[str]) -> _Entry:
    hidden = "hidden" if found.name.startswith(".") else ""
    if found.name.lower() in _SYSTEM_NAMES:
        hidden = "left behind by an operating system"
    try:
        is_dir, is_file = found.is_dir(), found.is_file()
    except OSError:  # a link to itself, or into a folder that is closed to us
        is_dir, is_file = False, False
    reason = hidden
    if not hidden and not is_dir:
        reason = _no_picture(found, is_file)
    return _Entry(found.name, Path(found.path), is_dir, hidden, reason)


def _no_picture(found: os.DirEntry[str], is_file: bool) -> str:
    if not is_file:
        return "a link that leads nowhere, or in a circle" if found.is_symlink() else "not a regular file"
    return "" if found.name.lower().endswith(PICTURE_SUFFIXES) else NO_PICTURE


def _left_out(entry: _Entry, shown: str, reason: str = "") -> list[LeftOut]:
    """Give a file, or all files in a hidden folder (links in it are not followed), as ignored.

    Args:
        entry: of the file or folder.
        shown: path of its folder, relative to DATA, "/" at its end.
        reason: why, where the file itself is a picture.
    """
    path = f"{shown}{entry.name}"
    if not entry.is_dir:
        return [LeftOut(as_text(path), "ignored", entry.reason or reason)]
    if entry.path.is_symlink():
        return []
    files = [Path(top, name) for top, _, names in os.walk(entry.path) for name in names]
    inside = [f"{path}/{file.relative_to(entry.path).as_posix()}" for file in files]
    return [LeftOut(as_text(one), "ignored", f"in a folder that is {entry.hidden}") for one in inside]


def _identity(folder: Path) -> tuple[int, int]:
    stat = folder.stat()
    return stat.st_dev, stat.st_ino


def _with_pictures(paths: list[str], shown: str, split: str | None) -> list[str]:
    if not paths and split in (None, "train"):
        raise DataError(
            f"the class folder {shown}/ holds no pictures ({' '.join(PICTURE_SUFFIXES)}); add some or remove the folder"
        )
    return paths


def _check_classes(root: Path, pictures: list[Picture]) -> None:
    labels = {picture.label for picture in pictures if picture.split in (None, "train")}
    if len(labels) < 2:
        raise DataError(
            f"{root} has only one class ({first_few(sorted(labels))}); at least two are needed: "
            "add a folder with pictures of another class"
        )
