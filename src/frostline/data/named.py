"""Data sets that have a name: digits, CIFAR-10, MNIST, Fashion-MNIST."""

import gzip
import socket
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from frostline.data.pictures import LeftOut, Picture, Source
from frostline.errors import DataError

CLASSES: dict[str, tuple[str, ...]] = {
    "digits": tuple("0123456789"),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "fashion-mnist": (  # the first is officially "T-shirt/top"; a "/" cannot stand in a folder name
        *("T-shirt-top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    "mnist": tuple("0123456789"),
}
NAMES = tuple(CLASSES)

_READERS = {"cifar10": "CIFAR10", "fashion-mnist": "FashionMNIST", "mnist": "MNIST"}  # in torchvision.datasets
_SYSTEM_FOLDERS = {"fashion-mnist": Path("/usr/share/datasets/fashion-mnist")}  # Debian's dataset-fashion-mnist
_IDX_PREFIXES = {"train": "train", "test": "t10k"}
_TIMEOUT_S = 30.0

# What a download, its checksum and its unpacking fail with.
_DOWNLOAD_ERRORS = (OSError, RuntimeError, HTTPException, EOFError, ValueError, tarfile.TarError, zlib.error)

_Arrays = dict[str | None, tuple[np.ndarray, np.ndarray]]
"""Split to uint8 pixels (N,H,W or N,H,W,3) and integer labels (N)."""


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Pictures that lie in memory as pixels."""

    name: str
    pictures: Sequence[Picture]
    classes: tuple[str, ...]
    pixels: np.ndarray
    """uint8, NxHxW or NxHxWx3."""
    ignored: Sequence[LeftOut] = ()

    def read(self, position: int) -> np.ndarray:
        """Give the pixels, HxW or HxWx3."""
        pixels: np.ndarray = self.pixels[position]
        return pixels


def open_named(name: str, *, folder: Path | None, cache_dir: Path) -> Source:
    """Open one of `NAMES`.

    Args:
        name: one of `NAMES`.
        folder: where the files lie; without it they are looked for on this machine, then downloaded.
        cache_dir: downloads go to its `datasets/NAME`.

    Raises:
        DataError: the files are not there, damaged, or cannot be downloaded.
    """
    if name == "digits" and folder is not None:
        raise DataError(f"digits:{folder}: digits comes with scikit-learn and takes no folder; write digits alone")
    if name == "digits":
        return _source(name, {None: _digits()})
    if folder is not None:
        found = _find(name, folder)
        if found is None:
            raise DataError(f"no {name} in {folder}: {_advice(name, folder)}")
        return _source(name, found)
    home = cache_dir / "datasets" / name
    places = [home, *([_SYSTEM_FOLDERS[name]] if name in _SYSTEM_FOLDERS else [])]
    found = next((arrays for place in places if (arrays := _find(name, place)) is not None), None)
    return _source(name, _download(name, home) if found is None else found)


def _source(name: str, arrays: _Arrays) -> ArraySource:
    classes = CLASSES[name]
    pictures = [
        Picture(path=f"{split or name}/{number:05d}", label=classes[label], split=split)
        for split, (_, labels) in arrays.items()
        for number, label in enumerate(labels.tolist())
    ]
    return ArraySource(name, tuple(pictures), classes, np.concatenate([pixels for pixels, _ in arrays.values()]))


def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits  # slow to import, and only this set needs it

    bunch = load_digits()
    return np.rint(bunch.images * (255 / 16)).astype(np.uint8), bunch.target


def _reader(name: str) -> Any:
    import torchvision.datasets  # slow to import, and only these sets need it

    return getattr(torchvision.datasets, _READERS[name])


def _find(name: str, folder: Path) -> _Arrays | None:
    """Read a set from a folder; None if it is not there."""
    return _find_cifar(folder) if name == "cifar10" else _find_idx(_READERS[name], folder)


def _find_cifar(folder: Path) -> _Arrays | None:
    root = folder.parent if folder.name == "cifar-10-batches-py" else folder
    if not (root / "cifar-10-batches-py").is_dir():
        return None
    try:  # torchvision checks the md5 of each file before it unpickles it
        parts = {split: _reader("cifar10")(root, train=split == "train") for split in _IDX_PREFIXES}
    except (RuntimeError, OSError) as error:
        raise DataError(f"{root / 'cifar-10-batches-py'} is damaged ({error}): {_advice('cifar10', root)}") from error
    return {split: (part.data, np.asarray(part.targets)) for split, part in parts.items()}


def _find_idx(reader_name: str, folder: Path) -> _Arrays | None:
    """Read the four IDX files, plain or .gz, from the folder itself or from torchvision's layout below it."""
    for place in (folder, folder / "raw", folder / reader_name / "raw"):
        files = {
            split: [_plain_or_gz(place / f"{prefix}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")]
            for split, prefix in _IDX_PREFIXES.items()
        }
        if all(path.is_file() for paths in files.values() for path in paths):
            return {split: _read_pair(*paths) for split, paths in files.items()}
    return None


def _plain_or_gz(path: Path) -> Path:
    return path if path.is_file() else path.with_name(f"{path.name}.gz")


def _read_pair(images_file: Path, labels_file: Path) -> tuple[np.ndarray, np.ndarray]:
    images, labels = read_idx(images_file), read_idx(labels_file)
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise DataError(
            f"{images_file} holds {images.shape} pixels but {labels_file} {labels.shape} labels; "
            "one label for each picture is expected: get the files again"
        )
    if labels.size and labels.max() > 9:
        raise DataError(f"{labels_file} holds the label {labels.max()}; allowed are 0 to 9: get the file again")
    return images, labels


def read_idx(path: Path) -> np.ndarray:
    """Read an IDX file of bytes: 0, 0, 8 (uint8), number of axes, each axis as a big-endian uint32, the data.

    Raises:
        DataError: the file is truncated or of another format.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): get the file again") from error
    if content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise DataError(f"{path} is not an IDX file of bytes: get the file again")
    shape = tuple(np.frombuffer(content, ">u4", count=content[3], offset=4).tolist())
    data = np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape))
    if data.size != np.prod(shape, dtype=object):
        raise DataError(f"{path} holds {data.size} bytes where {shape} are announced; it is damaged: get it again")
    return data.reshape(shape)


def _download(name: str, home: Path) -> _Arrays:
    """Download a set with torchvision, which knows its mirrors and checksums."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / ".lock"), _timeout(_TIMEOUT_S):
            _reader(name)(home, download=True)
    except _DOWNLOAD_ERRORS as error:
        reason = " ".join(str(error).split())
        raise DataError(f"cannot download {name} ({reason}): {_advice(name, home)}") from error
    found = _find(name, home)
    if found is None:
        raise DataError(f"the download of {name} is incomplete: {_advice(name, home)}")
    return found


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Bound how long a silent network may block; torchvision sets no limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _advice(name: str, place: Path) -> str:
    reader = _reader(name)
    if name == "cifar10":
        return f"get {reader.url} and unpack it in {place} (it makes a folder cifar-10-batches-py)"
    files = ", ".join(file for file, _ in reader.resources)
    return f"get {files} from {' or '.join(reader.mirrors)} and put them into {place}"
