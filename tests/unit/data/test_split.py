from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.data.pictures import Picture
from frostline.data.split import assign_splits
from frostline.errors import DataError
from frostline.files import digest_bytes

SHARES = st.sampled_from([0.1, 0.15, 0.2, 1 / 3])


def digest(number):
    return digest_bytes(str(number).encode())


@st.composite
def collections(draw):
    """Pictures of up to four classes, and their units, which some share."""
    pictures, units = [], []
    for label in "abcd"[: draw(st.integers(2, 4))]:
        for _ in range(draw(st.integers(1, 40))):
            number = len(pictures)
            group = draw(st.none() | st.sampled_from([f"{label}{i}" for i in range(5)]) | st.just("both"))
            content = draw(st.just(number) | st.integers(0, 20))
            pictures.append(Picture(f"{label}/{number}.png", label, group=group))
            units.append(group or digest(content))
    return pictures, units


def simple(counts):
    pictures = [Picture(f"{label}/{i}.png", label) for label, count in counts.items() for i in range(count)]
    return pictures, [digest(picture.path) for picture in pictures]


def members(pictures, splits, split):
    return Counter(picture.label for picture, found in zip(pictures, splits, strict=True) if found == split)


@given(collected=collections(), val=SHARES, test=SHARES | st.just(0.0) | st.none(), seed=st.integers(0, 5))
def test_every_picture_has_one_split_and_what_belongs_together_stays_together(collected, val, test, seed):
    pictures, units = collected
    splits = assign_splits(pictures, units, val=val, test=test, seed=seed)
    assert len(splits) == len(pictures)
    assert set(splits) <= {"train", "val", "test"}
    assert test != 0 or "test" not in splits
    sides = {}
    for unit, split in zip(units, splits, strict=True):
        assert sides.setdefault(unit, split) == split


@given(
    counts=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 60), min_size=2),
    val=SHARES,
    test=SHARES,
    seed=st.integers(0, 5),
)
def test_every_class_has_its_share_everywhere(counts, val, test, seed):
    pictures, units = simple(counts)
    splits = assign_splits(pictures, units, val=val, test=test, seed=seed)
    for split, share in (("test", test), ("val", val)):
        found = members(pictures, splits, split)
        for label, count in counts.items():
            least = 1 if count >= 3 else 0
            assert least <= found[label]
            if count >= 3:
                assert abs(found[label] - share * count) <= 1
    assert set(members(pictures, splits, "train")) == set(counts)


@given(collected=collections(), seed=st.integers(0, 5))
def test_the_split_is_a_function_of_seed_and_content(collected, seed):
    pictures, units = collected
    once, twice = (assign_splits(pictures, units, val=0.2, test=0.2, seed=seed) for _ in range(2))
    assert once == twice


@given(order=st.permutations(range(20)), seed=st.integers(0, 5))
def test_the_order_of_the_pictures_does_not_matter(order, seed):
    pictures, units = simple({"a": 12, "b": 8})
    plain = assign_splits(pictures, units, val=0.2, test=0.2, seed=seed)
    mixed = assign_splits([pictures[i] for i in order], [units[i] for i in order], val=0.2, test=0.2, seed=seed)
    assert mixed == [plain[i] for i in order]


def test_another_seed_gives_another_split():
    pictures, units = simple({"a": 30, "b": 30})
    splits = [assign_splits(pictures, units, val=0.2, test=0.2, seed=seed) for seed in range(3)]
    assert len({tuple(split) for split in splits}) == 3


@given(before=st.integers(3, 40), added=st.integers(1, 10), seed=st.integers(0, 5))
def test_added_pictures_move_few_others_and_none_of_another_class(before, added, seed):
    pictures, units = simple({"a": before + added, "b": 15})
    old = [i for i in range(len(pictures)) if not before <= i < before + added]
    first = assign_splits([pictures[i] for i in old], [units[i] for i in old], val=0.2, test=0.2, seed=seed)
    second = assign_splits(pictures, units, val=0.2, test=0.2, seed=seed)
    moved = [i for i, split in zip(old, first, strict=True) if second[i] != split]
    assert all(pictures[i].label == "a" for i in moved)
    assert len(moved) <= 3 * added  # each shifts test's border by one place at most, and the next by two


def given_splits(counts):
    pictures = [
        Picture(f"{split}/{label}/{i}.png", label, split=split)
        for split, count in counts.items()
        for label in "ab"
        for i in range(count)
    ]
    return pictures, [digest(picture.path) for picture in pictures]


def test_given_splits_are_kept():
    pictures, units = given_splits({"train": 5, "val": 2, "test": 3})
    for test in (None, 0.5):
        splits = assign_splits(pictures, units, val=0.4, test=test, seed=0)
        assert splits == [picture.split for picture in pictures]


def test_validation_is_taken_from_training_where_there_is_none():
    pictures, units = given_splits({"train": 10, "test": 4})
    splits = assign_splits(pictures, units, val=0.2, test=None, seed=0)
    assert members(pictures, splits, "val") == {"a": 2, "b": 2}
    assert [s == "test" for s in splits] == [picture.split == "test" for picture in pictures]


@pytest.mark.parametrize(("test", "count"), [(None, 0), (0.0, 0), (0.3, 3)])
def test_a_test_split_beside_a_given_validation_is_made_only_when_asked_for(test, count):
    pictures, units = given_splits({"train": 10, "val": 4})
    splits = assign_splits(pictures, units, val=0.2, test=test, seed=0)
    assert members(pictures, splits, "test") == Counter({"a": count, "b": count} if count else {})
    assert [s == "val" for s in splits] == [picture.split == "val" for picture in pictures]


def test_without_any_split_a_test_split_is_made():
    pictures, units = simple({"a": 20, "b": 20})
    splits = assign_splits(pictures, units, val=0.15, test=None, seed=0)
    assert Counter(splits) == {"train": 28, "val": 6, "test": 6}


def test_pictures_with_and_without_a_split_are_refused():
    pictures, units = given_splits({"train": 2})
    pictures[0] = Picture("x.png", "a")
    with pytest.raises(DataError, match="1 pictures have no split and the others do"):
        assign_splits(pictures, units, val=0.2, test=None, seed=0)
