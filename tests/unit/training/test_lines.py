import pytest

from frostline.training.history import EpochRow
from frostline.training.lines import duration, epoch_header, epoch_line, rate


def line(epoch=3, epochs=10, *, is_best=False, seconds=12.3, speed=123.4):
    row = EpochRow(2, 8, 1.23456, 0.456, 0.5, 0.875, 1e-4, seconds, speed, True)
    return epoch_line(row, stages=3, epoch=epoch, epochs=epochs, is_best=is_best)


def test_a_line_tells_all():
    assert " ".join(line().split()) == "2/3 3/10 train 1.2346 45.6% val 0.5000 87.5% 0.0001 12.3 s 123"
    assert line(is_best=True).split()[8] == "*"
    assert "*" not in line()


@pytest.mark.parametrize("epochs", [1, 10, 5000])
@pytest.mark.parametrize("numbers", [(0.01, 0.5), (75, 12345.0), (3700, 9.4)])
def test_numbers_end_below_their_headings(epochs, numbers):
    header = epoch_header(epochs)
    for is_best in (False, True):
        shown = line(epochs, epochs, is_best=is_best, seconds=numbers[0], speed=numbers[1])
        ends = [header.rindex(name) + len(name) for name in ("stage", "epoch", "rate", "time", "pictures/s")]
        first = header.index("loss")
        ends += [first + 4, header.index("acc.") + 4, header.rindex("loss") + 4, header.rindex("acc.") + 4]
        assert all(shown[end - 1] != " " and shown[end : end + 1] in {" ", ""} for end in ends), f"\n{header}\n{shown}"


def test_only_epochs_say_train():
    """Who counts epochs in the output counts this."""
    assert "  train " not in epoch_header(10)
    assert line().count("  train ") == 1


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1m00s"),
        (119.6, "2m00s"),
        (3599.4, "59m59s"),
        (3599.6, "1h00m"),
        (7260, "2h01m"),
    ],
)
def test_times(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(("number", "shown"), [(0.04, "0.0"), (9.94, "9.9"), (9.96, "10"), (1234.5, "1,234")])
def test_rates(number, shown):
    assert rate(number) == shown
