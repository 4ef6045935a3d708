from threading import Event

import pytest
import torch

from frostline.serve.batcher import Batcher, NetworkFailed


def doubled(batches):
    for batch in batches:
        yield batch.float().mean(dim=(1, 2, 3))[:, None] * 2


def one(value):
    return torch.full((1, 2, 2), value, dtype=torch.uint8)


@pytest.fixture
def sizes():
    return []


def test_each_picture_gets_its_own_answer():
    batcher = Batcher(doubled)
    futures = [batcher.submit(one(value)) for value in range(100)]
    assert [float(future.result(5)) for future in futures] == [2.0 * value for value in range(100)]
    batcher.stop()
    assert not batcher.is_alive


def test_pictures_that_wait_share_a_batch(sizes):
    go = Event()

    def held(batches):
        go.wait()
        yield from doubled(batches)

    batcher = Batcher(held, most=4, observe=sizes.append)
    futures = [batcher.submit(one(value)) for value in range(10)]
    go.set()
    assert [float(future.result(5)) for future in futures] == [2.0 * value for value in range(10)]
    assert sum(sizes) == 10
    assert len(sizes) <= 4  # the first may have been taken before the others came
    batcher.stop()


def test_a_lone_picture_does_not_wait():
    batcher = Batcher(doubled, wait=600)
    assert float(batcher.submit(one(1)).result(30)) == 2.0
    batcher.stop()


def test_a_picture_waits_for_one_that_is_coming(sizes):
    batcher = Batcher(doubled, most=2, wait=600, observe=sizes.append)
    batcher.coming = 1
    first = batcher.submit(one(1))
    with pytest.raises(TimeoutError):
        first.result(0.1)
    batcher.submit(one(2))
    assert float(first.result(30)) == 2.0
    assert sizes == [2]
    batcher.stop()


def test_it_does_not_wait_for_ever_for_one_that_is_coming(sizes):
    batcher = Batcher(doubled, wait=0.1, observe=sizes.append)
    batcher.coming = 1
    assert float(batcher.submit(one(1)).result(30)) == 2.0
    assert sizes == [1]
    batcher.stop()


def test_who_does_not_wait_any_more_is_not_computed(sizes):
    go = Event()

    def held(batches):
        for rows in doubled(batches):
            go.wait()
            yield rows

    batcher = Batcher(held, most=1, observe=sizes.append)
    first = batcher.submit(one(1))
    second, third = batcher.submit(one(2)), batcher.submit(one(3))
    assert second.cancel()
    go.set()
    assert (float(first.result(5)), float(third.result(5))) == (2.0, 6.0)
    assert sizes == [1, 1]
    batcher.stop()


def test_a_failure_fails_its_pictures_alone(capfd):
    def picky(batches):
        for batch in batches:
            if int(batch.max()) == 13:
                raise ValueError("bad luck")
            yield from doubled([batch])

    batcher = Batcher(picky, most=1)
    assert float(batcher.submit(one(1)).result(5)) == 2.0
    with pytest.raises(NetworkFailed, match="ValueError"):
        batcher.submit(one(13)).result(5)
    assert float(batcher.submit(one(2)).result(5)) == 4.0
    assert "bad luck" in capfd.readouterr().err
    batcher.stop()


def test_stopping_finishes_what_waits():
    batcher = Batcher(doubled, most=2)
    futures = [batcher.submit(one(value)) for value in range(9)]
    batcher.stop()
    assert all(future.done() for future in futures)
