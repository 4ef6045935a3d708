"""What holds for every input, where the unit tests do not say it already.

They do of splits (`tests/unit/data/test_split.py`) and of a store's key (`tests/unit/activations/test_key.py`).
"""

import json
import os
import random
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from frostline.activations.key import KEY_FILE, ROW_ID_BYTES, StoreKey, read_key, row_id
from frostline.data import sources
from frostline.data.classnames import check_class_names
from frostline.data.index import build_index
from frostline.data.loader import Request
from frostline.data.preprocess import Preprocess
from frostline.data.sources import open_source
from frostline.data.views import parse_views, show
from frostline.errors import PlanError
from frostline.files import digest_bytes, write_text
from frostline.plan.grammar import StageText, parse_stages
from frostline.progress import Silent
from tiers import tier

often = settings(
    max_examples=tier(60, 2000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

PIECES = st.sampled_from(
    [":", "@", ",", ".", " ", "e", "-", "head", "all", "layer4", "5", "0", "1e-4", "1e999", "\u0663"]
)
PLANS = st.text() | st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)


@often
@given(text=PLANS)
def test_any_text_is_a_plan_or_a_plan_error(text):
    with suppress(PlanError):
        found = parse_stages(text)
        assert found
        assert parse_stages(", ".join(map(str, found))) == found


@often
@given(
    part=st.from_regex(r"[\w.]{1,20}", fullmatch=True),
    epochs=st.integers(1, 10**9 - 1),
    lr=st.none() | st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False),
)
def test_any_stage_is_read_as_it_was_written(part, epochs, lr):
    stage = StageText(part, epochs, lr)
    assert parse_stages(str(stage)) == (stage,)


def test_a_number_of_epochs_that_has_no_end_is_refused():
    with pytest.raises(PlanError, match="is not understood"):
        parse_stages(f"head:{'9' * 5000}")


VIEWS = st.sampled_from(["none", "flip", "crops:5", "random", "flip+pad:4+cutout:8", "none+randaugment"])


@often
@given(text=VIEWS, number=st.integers(0, 30), epoch=st.integers(0, 20), noise=st.integers(0, 2**32 - 1))
def test_a_view_is_a_function_of_the_picture_and_its_name_alone(text, number, epoch, noise):
    """Neither of what was shown before nor of anybody's generator; and it leaves those as they are."""
    pixels = np.random.default_rng(number).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    picture, digest = Image.fromarray(pixels), digest_bytes(pixels.tobytes())
    view = parse_views(text).of(digest, seed=1, epoch=epoch)
    preprocess = Preprocess(size=24, resize=28)
    once = show(picture, view, digest, preprocess)
    random.seed(noise)
    np.random.seed(noise)  # noqa: NPY002  # the generator that must not matter
    torch.manual_seed(noise)
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())  # noqa: NPY002
    show(picture, "random-9-9", digest_bytes(b"another"), preprocess)
    assert np.array_equal(show(picture, view, digest, preprocess), once)
    after = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())  # noqa: NPY002
    assert before[:2] == after[:2]
    assert before[2].equal(after[2])
    assert np.array_equal(np.asarray(picture), pixels)


DIGESTS = st.binary(max_size=4).map(digest_bytes)


@often
@given(first=st.tuples(DIGESTS, st.text(max_size=8)), second=st.tuples(DIGESTS, st.text(max_size=8)))
def test_rows_have_one_name_just_where_content_and_view_are_one(first, second):
    rows = [row_id(Request(place, *named)) for place, named in enumerate((first, second))]
    assert (rows[0] == rows[1]) == (first == second)
    assert {len(row) for row in rows} == {ROW_ID_BYTES}


TEXTS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=20)
KEYS = st.builds(
    StoreKey, **{field.name: {int: st.integers(0, 99), str: TEXTS}[field.type] for field in fields(StoreKey)}
)


@often
@given(key=KEYS, other=KEYS)
def test_a_key_is_read_back_and_no_other_passes_for_it(tmp_path, key, other):
    folder = tmp_path / key.digest()
    folder.mkdir(exist_ok=True)
    write_text(folder / KEY_FILE, json.dumps(asdict(key), indent=1))
    assert read_key(folder) == asdict(key)
    write_text(folder / KEY_FILE, json.dumps(asdict(other)))
    assert (read_key(folder) is None) == (other != key)
    write_text(folder / KEY_FILE, json.dumps(asdict(replace(key, layout=key.layout + 1))))
    assert read_key(folder) is None


@often
@given(names=st.lists(st.text(max_size=5), min_size=1, max_size=5))
def test_class_names_are_faulted_in_a_line_that_can_be_shown(names):
    fault = check_class_names(names)
    assert fault.isprintable()
    assert fault or len(set(names)) == len(names)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two classes of pictures beside files that are none."""
    root = tmp_path_factory.mktemp("pictures")
    for number, name in enumerate(("b/10.png", "b/9.png", "a/x/2.png", "a/1.png", "a/\u00e9.png", "b/B.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (40 * number, 0, 0)).save(root / name)
    for name in ("notes.txt", "a/notes.txt", "b/z.txt"):
        (root / name).touch()
    return root


def index_of(root: Path, shuffled: random.Random | None):
    """The index of a folder whose entries the file system lists in some order."""
    scandir = os.scandir

    @contextmanager
    def in_another_order(path):
        with scandir(path) as found:
            entries = list(found)
        (shuffled.shuffle if shuffled else list)(entries)
        yield iter(entries)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources.os, "scandir", in_another_order)
        source = open_source(str(root), cache_dir=root)
    index = build_index(
        source,
        **{"channels": 3, "max_pixels": 10_000, "max_damaged": 0.0, "val": 0.3, "test": 0.0, "seed": 0},
        **{"workers": 0, "known_good": {}, "reporter": Silent()},
    )
    return index.images, index.classes, list(source.ignored)


@settings(max_examples=tier(15, 200), deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_index_does_not_depend_on_the_order_of_the_file_system(folder, seed):
    images, classes, ignored = index_of(folder, random.Random(seed))
    assert (images, classes, ignored) == index_of(folder, None)
    assert [image.path for image in images][-3:] == ["b/9.png", "b/10.png", "b/B.png"]
