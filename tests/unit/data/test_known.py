from concurrent.futures import ThreadPoolExecutor

from frostline.data.known import read_known, write_known

LIMITS = {"channels": 3, "max_pixels": 1000}


def digests(*numbers):
    return {bytes([number]) * 32: bytes([number + 1]) * 32 for number in numbers}


def test_nothing_is_known_at_first(tmp_path):
    assert read_known(tmp_path / "none", **LIMITS) == {}


def test_what_is_written_is_read_and_added_to(tmp_path):
    write_known(tmp_path, digests(1, 2), **LIMITS)
    assert read_known(tmp_path, **LIMITS) == digests(1, 2)
    write_known(tmp_path, digests(2, 3), **LIMITS)
    assert read_known(tmp_path, **LIMITS) == digests(1, 2, 3)


def test_other_limits_know_nothing(tmp_path):
    write_known(tmp_path, digests(1), **LIMITS)
    assert read_known(tmp_path, channels=1, max_pixels=1000) == {}
    assert read_known(tmp_path, channels=3, max_pixels=999) == {}


def test_another_decoder_knows_nothing(tmp_path, monkeypatch):
    write_known(tmp_path, digests(1), **LIMITS)
    monkeypatch.setattr("PIL.__version__", "0.0")
    assert read_known(tmp_path, **LIMITS) == {}


def test_a_torn_last_digest_is_left_out(tmp_path):
    write_known(tmp_path, digests(1, 2), **LIMITS)
    (file,) = tmp_path.glob("checked/*.pixels")
    file.write_bytes(file.read_bytes()[:-5])
    assert read_known(tmp_path, **LIMITS) == digests(1)


def test_writers_at_the_same_time_lose_nothing(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: write_known(tmp_path, digests(i), **LIMITS), range(24)))
    assert read_known(tmp_path, **LIMITS) == digests(*range(24))
