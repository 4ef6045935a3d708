"""The pictures that a user points at: files, folders, patterns, lists, what is piped in, pictures on a web server."""

import glob
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
)

from frostline.data.pictures import LeftOut, Picture, natural_key, read_file
from frostline.data.sources import PICTURE_SUFFIXES
from frostline.data.tables import SUFFIXES, listed_paths
from frostline.errors import DataError, DecodeError

STDIN = "-"
SCHEMES = ("http://", "https://")
MOST_BYTES, TIMEOUT = 100_000_000, 20.0
"""Of a picture that a server sends; seconds that it may take to answer."""


@dataclass(frozen=True, eq=False)
class Targets:
    """Pictures without labels, each where the user said; a Source."""

    pictures: Sequence[Picture]
    name: str = "predict"
    classes: tuple[str, ...] | None = None
    ignored: Sequence[LeftOut] = ()

    @classmethod
    def find(cls, words: Iterable[str]) -> "Targets":
        """Find what words stand for, in their order; those of a folder or a pattern in natural order.

        A pattern stands for the files that match it; where none does, for the pictures in the folders that match.

        Args:
            words: each a file, a folder, a pattern with * ? or [], a .csv or .parquet file with a column `path`, an
                address of a picture (http or https), or -, which stands for the lines of standard input.

        Raises:
            DataError: there is no such file, or none in a folder or for a pattern.
        """
        return cls([Picture(path, "") for word in words for path in _expand(word)])

    def read(self, position: int) -> bytes:
        """Give the bytes of a picture.

        Raises:
            DecodeError: it cannot be read.
        """
        place = self.pictures[position].path
        return _fetch(place) if place.startswith(SCHEMES) else read_file(Path(place))


def _expand(word: str) -> Iterator[str]:
    path = Path(word)
    if word == STDIN:
        yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
    elif word.startswith(SCHEMES):
        yield word
    elif path.is_dir():
        yield from _pictures_below(path)
    elif path.is_file():
        yield from listed_paths(path) if path.suffix.lower() in SUFFIXES else (word,)
    elif glob.has_magic(word):
        yield from _matches(word)
    else:
        raise DataError(f"no file or folder {word}; give pictures, or folders of pictures")


def _pictures_below(folder: Path) -> list[str]:
    named = (file for file in folder.rglob("*") if file.suffix.lower() in PICTURE_SUFFIXES)
    found = [file for file in named if file.is_file() and not _is_hidden(file, folder)]  # a pipe would wait for ever
    if not found:
        raise DataError(f"no picture in {folder}; looked for {', '.join(PICTURE_SUFFIXES)}")
    return sorted(map(str, found), key=natural_key)


def _matches(pattern: str) -> list[str]:
    found = sorted(glob.glob(pattern, recursive=True), key=natural_key)
    files = [path for path in found if Path(path).is_file()]
    if not found:
        raise DataError(f"no file matches {pattern}; check the pattern, or quote it for the shell")
    return files or [path for folder in found for path in _pictures_below(Path(folder))]


def _is_hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _fetch(address: str) -> bytes:
    """Ask a server for a picture, by HTTP alone: no other scheme is followed to."""
    try:
        with _opener().open(Request(address, headers={"User-Agent": "frostline"}), timeout=TIMEOUT) as answer:
            content: bytes = answer.read(MOST_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:  # refused, not found, too slow, no answer in HTTP
        raise DecodeError(f"cannot be fetched: {getattr(error, 'reason', None) or error}") from error
    if len(content) > MOST_BYTES:
        raise DecodeError(f"cannot be fetched: more than {MOST_BYTES // 1_000_000} MB")
    return content


def _opener() -> OpenerDirector:
    opener = OpenerDirector()
    for handler in (HTTPHandler, HTTPSHandler, HTTPRedirectHandler, HTTPErrorProcessor, HTTPDefaultErrorHandler):
        opener.add_handler(handler())
    return opener
