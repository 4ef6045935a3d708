"""A process killed at any write, sync or rename, or at any moment, leaves a run that ends with the same bytes."""

import random
import shutil
import signal
import time

import pytest
from killing import How, differing, finish, points_of, start, steps_saved

from made_up import make_pictures
from tiers import tier

POINTS = tier(3, 142)
MOMENTS = tier(1, 200)


@pytest.fixture(scope="module")
def unbroken(fast_home):
    """Pictures, and the folder of a run that nothing happened to."""
    data, out = make_pictures(fast_home / "data"), fast_home / "unbroken"
    assert finish(start(data, out, fast_home / "cache-unbroken", How())) == 0
    return data, out


@pytest.mark.slow
@pytest.mark.parametrize("number", range(POINTS))
def test_killed_at_a_write_a_sync_or_a_rename(unbroken, fast_path, number):
    data, whole = unbroken
    at, out = 1 + (number * points_of(whole)) // POINTS, fast_path / "run"
    assert finish(start(data, out, fast_path / "cache", How(kill_at=at))) == -signal.SIGKILL
    assert finish(start(data, out, fast_path / "cache", How())) == 0
    assert differing(out, whole) == 0
    assert not [path.name for path in out.rglob("*.tmp")], "temporary files are swept up"


@pytest.mark.slow
def test_killed_again_and_again(unbroken, fast_path):
    """Each process is killed a few writes after the last save, and each goes further than the one before."""
    data, whole = unbroken
    out, known = fast_path / "run", -1
    for _ in range(30):
        code = finish(start(data, out, fast_path / "cache", How(kill_at=60)))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert steps_saved(out) > known or steps_saved(out) == 9
        known = steps_saved(out)
    assert finish(start(data, out, fast_path / "cache", How())) == 0
    assert differing(out, whole) == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", range(MOMENTS))
def test_killed_at_any_moment(unbroken, fast_path, number):
    data, whole = unbroken
    out, draw, seconds = fast_path / "run", random.Random(number), 3.0
    while True:  # until a moment is met before the run ends by itself
        process = start(data, out, fast_path / "cache", How(save_seconds=0.3))
        time.sleep(draw.uniform(0.0, seconds))
        process.kill()
        if finish(process) == -signal.SIGKILL:
            break
        shutil.rmtree(out)
        seconds *= 0.7
    assert finish(start(data, out, fast_path / "cache", How())) == 0
    assert differing(out, whole) == 0
