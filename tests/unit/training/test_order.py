import pytest
from hypothesis import given
from hypothesis import strategies as st

from frostline.data.index import Image
from frostline.data.views import parse_views
from frostline.files import digest_bytes
from frostline.training.order import all_requests, base_requests, share_of, shuffled_batches, train_requests

IMAGES = [Image(i + 5, f"{i}.png", digest_bytes(bytes([i])), 0, "train", None, f"u{i}") for i in range(6)]


@given(count=st.integers(1, 60), size=st.integers(1, 70), smallest=st.integers(1, 4), epoch=st.integers(0, 50))
def test_every_picture_is_in_one_batch(count, size, smallest, epoch):
    batches = shuffled_batches(count, size, seed=1, stage=0, epoch=epoch, smallest=smallest)
    assert sorted(number for batch in batches for number in batch) == list(range(count))
    assert all(len(batch) == size for batch in batches[:-1])
    assert len(batches) == 1 or len(batches[-1]) >= min(smallest, size)
    assert len(batches[-1]) < size + smallest


def test_a_last_picture_joins_the_batch_before_it():
    assert [len(batch) for batch in shuffled_batches(9, 4, seed=0, stage=0, epoch=0)] == [4, 5]
    assert [len(batch) for batch in shuffled_batches(10, 4, seed=0, stage=0, epoch=0)] == [4, 4, 2]
    assert [len(batch) for batch in shuffled_batches(1, 4, seed=0, stage=0, epoch=0)] == [1]


def test_the_order_depends_on_seed_stage_and_epoch_alone():
    def order(seed, stage, epoch, size=8):
        return [i for batch in shuffled_batches(40, size, seed=seed, stage=stage, epoch=epoch) for i in batch]

    assert order(0, 0, 0) == order(0, 0, 0) == order(0, 0, 0, size=5)
    assert len({tuple(order(*case)) for case in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]}) == 4
    assert order(0, 0, 0) != sorted(order(0, 0, 0))


@given(batch=st.lists(st.integers(), min_size=1, max_size=20), data=st.data())
def test_processes_share_a_batch_without_overlap(batch, data):
    processes = data.draw(st.integers(1, len(batch)))
    shares = [share_of(batch, rank, processes) for rank in range(processes)]
    assert sorted(number for share in shares for number in share) == sorted(batch)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_batch_that_is_too_small_to_share_is_refused():
    with pytest.raises(ValueError, match="a batch of 1 cannot be shared by 2 processes"):
        share_of([7], 0, 2)


def test_requests():
    flip = parse_views("flip")
    shown = [train_requests(IMAGES, flip, seed=3, epoch=epoch) for epoch in range(3)]
    assert all([request.position for request in requests] == [image.position for image in IMAGES] for requests in shown)
    assert all({a.view, b.view} == {"base", "mirror"} for a, b in zip(shown[0], shown[1], strict=True))
    assert shown[0] == shown[2]
    every = all_requests(IMAGES, flip)
    assert len(every) == 12
    assert set(shown[0]) | set(shown[1]) == set(every)
    assert [(r.position, r.digest, r.view) for r in base_requests(IMAGES)] == [
        (image.position, image.digest, "base") for image in IMAGES
    ]
