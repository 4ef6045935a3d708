import pytest

from frostline.errors import ConfigError
from frostline.units import parse_bytes, parse_seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("500MB", 5 * 10**8), ("20GB", 2 * 10**10), ("1.5 tb", 15 * 10**11), ("7kb", 7000), ("12B", 12)],
)
def test_sizes(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "20", "GB", "twenty GB", "20 GiB", "20XB", "-1GB", "infGB", "nanMB"])
def test_a_bad_size_is_refused(text):
    with pytest.raises(ConfigError, match="write for example 500MB"):
        parse_bytes(text)


def test_a_size_may_have_a_least():
    assert parse_bytes("1B", least=1) == 1
    with pytest.raises(ConfigError, match=r"size '0\.5B' is not understood"):
        parse_bytes("0.5B", least=1)


@pytest.mark.parametrize("text", ["60", "s", "-5s", "0m", "infh", "5d", ""])
def test_times_that_are_none(text):
    with pytest.raises(ConfigError, match="is not understood; write for example 60s, 5m or 1h"):
        parse_seconds(text)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), (" 5M ", 300), ("1.5h", 5400)])
def test_times(text, seconds):
    assert parse_seconds(text) == seconds
