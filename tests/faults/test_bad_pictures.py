"""Every file of a folder of bad and strange pictures is accounted for, rightly, and none of them is touched."""

import csv
import hashlib
import io
import os
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pictures import cases, surroundings

from frostline.data.decode import decode
from frostline.data.index import build_index
from frostline.data.sources import open_source
from frostline.data.splitfile import skipped_csv
from frostline.errors import DecodeError, RefusedError

CASES = cases()
FOLDERS = ("even", "odd")


class Silent:
    """A reporter that keeps warnings."""

    def __init__(self):
        self.warned = []

    def warn(self, text):
        self.warned.append(text)

    @contextmanager
    def bar(self, total, what):
        yield lambda count: None


def walk(folder, above=()):
    """Every file below a folder; links are followed, but neither in circles nor out of or into hidden folders."""
    above = (*above, os.path.realpath(folder))
    for entry in os.scandir(folder):
        is_hidden = entry.name.startswith(".") or entry.name == "__MACOSX"
        if os.path.isdir(entry.path):
            if os.path.realpath(entry.path) not in above and not (entry.is_symlink() and is_hidden):
                yield from walk(entry.path, above)
        else:
            yield entry.path


def contents(root):
    """Digest, time of change and size of every regular file."""
    files = [Path(top, name) for top, _, names in os.walk(root) for name in names]
    states = {file: os.lstat(file) for file in files}
    regular = [file for file in files if file.is_file()]
    digests = {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in regular}
    return digests, {file: (state.st_mtime_ns, state.st_size, state.st_mode) for file, state in states.items()}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def expected(home):
    """Write everything; the outcomes that are right for each path."""
    root = home / "data"
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    outcomes = {}
    for number, case in enumerate(CASES):
        path = f"{FOLDERS[number % 2]}/{case.name}"
        (root / path).write_bytes(case.content)
        outcomes[path] = case.outcomes
    return outcomes | {path: (outcome,) for path, outcome in surroundings(root, "even").items()}


@pytest.fixture(scope="module")
def before(home, expected):
    return contents(home)


@pytest.fixture(scope="module")
def index(home, before):
    source = open_source(str(home / "data"), cache_dir=home / "cache")
    limits = {"channels": 3, "max_pixels": 50_000_000, "max_damaged": 1.0}
    split = {"val": 0.1, "test": 0.1, "seed": 0}
    return build_index(source, **limits, **split, workers=2, known_good={}, reporter=Silent())


@pytest.fixture(scope="module")
def rows(index):
    return list(csv.DictReader(io.StringIO(skipped_csv(index))))


def test_there_are_enough_cases():
    assert len(CASES) >= 150
    assert {Path(case.name).suffix.lower() for case in CASES} >= {".jpg", ".png", ".webp", ".bmp", ".tif", ".gif"}
    expected = Counter(case.outcomes for case in CASES)
    assert all(expected[outcomes] >= 25 for outcomes in (("used",), ("skipped",), ("refused",)))


def test_every_file_has_the_outcome_that_is_right(index, rows, expected):
    found = {image.path: "used" for image in index.images} | {row["path"]: row["outcome"] for row in rows}
    wrong = {path: (found.get(path), right) for path, right in expected.items() if found.get(path) not in right}
    assert wrong == {}
    assert found.keys() == expected.keys()


def test_what_is_left_out_has_a_reason_of_one_line(rows):
    assert rows
    for row in rows:
        assert list(row) == ["path", "outcome", "reason"]
        assert row["reason"].strip() == row["reason"] != ""
        assert row["reason"].isprintable(), row


def test_used_and_left_out_are_all_files_there_are(home, index, rows):
    files = sorted(os.path.relpath(path, home / "data") for path in walk(home / "data"))
    told = sorted([*(image.path for image in index.images), *(row["path"] for row in rows)])
    assert told == files
    counts = index.counts()
    assert sum(counts.values()) == len(files)
    by_outcome = Counter(row["outcome"] for row in rows)
    assert {name: counts[name] for name in by_outcome} == dict(by_outcome)
    assert min(by_outcome[name] for name in ("skipped", "refused", "ignored")) > 25


def test_no_file_is_touched(home, before, index):
    assert contents(home) == before


def attempt(case, **options):
    """The picture, or None where it is left out as it may be."""
    outcome, picture = "used", None
    try:
        picture = decode(case.content, **options)
    except RefusedError:
        outcome = "refused"
    except DecodeError:
        outcome = "skipped"
    assert outcome in case.outcomes
    return picture


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_used_shows_what_it_should(case):
    """In full and at the reduced size at which the audit looks; what damage changes silently would show here."""
    small, shown = attempt(case, shorter=1), attempt(case)
    assert (small is None) == (shown is None)
    if shown is not None:
        assert shown.mode == small.mode == "RGB"
    if shown is not None and case.pixels is not None:
        assert np.asarray(shown).shape == case.pixels.shape
        difference = np.abs(np.asarray(shown).astype(np.int16) - case.pixels)
        assert difference.max() <= case.tolerance


def test_grey_alone_is_refused_and_used_alike():
    for case in CASES[::7]:
        shown = attempt(case, channels=1)
        assert shown is None or shown.mode == "L"
