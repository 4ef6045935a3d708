"""Open DATA, whatever it is: a folder of class folders, a manifest, or a named set."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from frostline.data.named import NAMES, open_named
from frostline.data.pictures import SPLITS, FileSource, Picture, Source, first_few, natural_key, path_key, short_name
from frostline.data.tables import SUFFIXES, open_table
from frostline.errors import DataError

__all__ = ["FileSource", "Picture", "Source", "open_folder", "open_source"]

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
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
    """List a folder of class folders, with or without a given split.

    Raises:
        DataError: no class folders, only one class, an empty class, or a folder that fits no split.
    """
    root = Path(os.path.abspath(folder))
    ignored: list[str] = []
    parts = _split_folders(root)
    pictures = [
        Picture(path=path, label=label, split=split)
        for part, split in parts.items()
        for label, paths in _class_folders(root, part, ignored).items()
        for path in _with_pictures(paths, f"{part}{label}", split)
    ]
    if "" not in parts:
        ignored += [entry.name for entry in _entries(root) if not entry.is_dir]
    _check_classes(root, pictures)
    pictures.sort(key=lambda picture: path_key(picture.path))
    return FileSource(short_name(root.name), tuple(pictures), root, ignored=sorted(ignored, key=path_key))


def _split_folders(root: Path) -> dict[str, str | None]:
    """Map each folder that holds class folders ("" or e.g. "train/") to its split.

    A folder called train with pictures directly in it and no val or test beside it is the class "train".
    """
    folders = {entry.name: entry.path for entry in _entries(root) if entry.is_dir}
    splits = {name: SPLITS[name.lower()] for name in folders if name.lower() in SPLITS}
    trains = [name for name, split in splits.items() if split == "train"]
    if not trains or (len(splits) == 1 and not any(entry.is_dir for entry in _entries(folders[trains[0]]))):
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


def _class_folders(root: Path, part: str, ignored: list[str]) -> dict[str, list[str]]:
    """Map each class of a split (or of an unsplit folder) to the paths of its pictures, relative to the root."""
    classes: dict[str, list[str]] = {}
    loose: list[_Entry] = []
    above = (_identity(root), _identity(root / part))
    for entry in _entries(root / part):
        if not entry.is_dir:
            loose.append(entry)
        elif _identity(entry.path) not in above:
            files = list(_walk(entry.path, f"{part}{entry.name}/", above))
            classes[entry.name] = [shown for shown, is_picture in files if is_picture]
            ignored += [shown for shown, is_picture in files if not is_picture]
    if not classes:
        pictures = sorted((entry.name for entry in loose if entry.is_picture), key=natural_key)
        found = f"pictures directly in it ({first_few(pictures)})" if pictures else "no folders in it"
        raise DataError(
            f"{root / part} has {found}: one folder per class is expected, e.g. {part}rose/1.jpg; "
            "sort the pictures into such folders, or list them in a .csv file with the columns path and label"
        )
    ignored += [f"{part}{entry.name}" for entry in loose]
    return classes


def _walk(folder: Path, shown: str, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, bool]]:
    """Yield all visible files below a folder and whether they are pictures.

    A link back to a folder above itself is not followed, so links in a circle end.
    """
    identity = _identity(folder)
    if identity in above:
        return
    for entry in _entries(folder):
        if entry.is_dir:
            yield from _walk(entry.path, f"{shown}{entry.name}/", (*above, identity))
        else:
            yield f"{shown}{entry.name}", entry.is_picture


class _Entry(NamedTuple):
    name: str
    path: Path
    is_dir: bool
    is_picture: bool


def _entries(folder: Path) -> list[_Entry]:
    """List what is visible in a folder: no hidden files, none that operating systems and notebooks leave behind."""
    try:
        with os.scandir(folder) as found:
            visible = [e for e in found if not e.name.startswith(".") and e.name.lower() not in _SYSTEM_NAMES]
    except OSError as error:
        raise DataError(f"{folder} cannot be listed ({error.strerror}); check its permissions") from error
    return [_entry(entry) for entry in visible]


def _entry(found: os.DirEntry[str]) -> _Entry:
    try:
        is_dir, is_file = found.is_dir(), found.is_file()
    except OSError:  # a link to itself, or into a folder that is closed to us
        is_dir, is_file = False, False
    is_picture = is_file and found.name.lower().endswith(PICTURE_SUFFIXES)
    return _Entry(found.name, Path(found.path), is_dir, is_picture)


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
