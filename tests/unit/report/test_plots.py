import numpy as np
import pytest
from matplotlib import rcParams
from PIL import Image

from frostline.report import plots
from frostline.report.plots import FONT_ADVICE, GAP, NAME, SIDE, plot_batch, plot_confusion, plot_curves, running_mean
from frostline.training.history import EpochRow, StepRow

DPI = 120


def row(number, stage=1, loss=1.0):
    return EpochRow(stage, number, loss, 0.5, loss + 0.5, 0.4, 0.001, 2.0, 10.0, True)


def shown(path, folder_holds=1):
    """The pixels of the plot; nothing else may lie in its folder."""
    assert len(list(path.parent.iterdir())) == folder_holds
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def ink(pixels):
    """Share of the pixels that are not white."""
    return float((pixels < 250).any(axis=2).mean())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plot.png"


def test_curves(path):
    plot_curves(path, [row(1), row(2, loss=0.8), row(3, stage=2, loss=0.4)], steps(3))
    pixels = shown(path)
    assert pixels.shape == (round(7.6 * DPI), 11 * DPI, 3)
    assert ink(pixels) > 0.01


BLUE, RED = (0x0B, 0x6B, 0xCB), (0xB0, 0x41, 0x3E)


def steps(count, stage=1, before=0, loss=1.0):
    return [StepRow(stage, 1, before + i + 1, loss + i % 2) for i in range(count)]


def lower_half(path, colour):
    """Where the panel of steps has a colour."""
    pixels = shown(path)
    return np.abs(pixels[len(pixels) // 2 :].astype(int) - colour).max(axis=2) < 12


def test_the_loss_of_every_step_is_drawn_with_its_running_mean(path):
    plot_curves(path, [row(1)], steps(200))
    across = lower_half(path, BLUE).any(axis=0).mean()
    assert across > 0.8, "the mean goes from the first step to the last"
    plot_curves(path, [row(1)], [])
    assert not lower_half(path, BLUE).any()


def test_a_change_of_stage_is_marked_among_the_steps(path):
    plot_curves(path, [row(1)], steps(80) + steps(80, stage=2, before=80))
    assert lower_half(path, RED).any()
    plot_curves(path, [row(1)], steps(160))
    assert not lower_half(path, RED).any()


def test_one_wild_step_does_not_flatten_the_others(path):
    wild = steps(1000)
    wild[0] = StepRow(1, 1, 1, 1e6)
    plot_curves(path, [row(1)], wild)
    grey = np.abs(shown(path)[480:880, 100:1300].astype(int) - (0x7A, 0x8B, 0xA3)).max(axis=2) < 60
    assert grey.any(axis=1).mean() > 0.5


def test_running_means_worked_out_by_hand():
    values = np.array([4.0, 2.0, 0.0, 1.0])
    assert running_mean(values, 3).tolist() == [4.0, 3.0, 2.0, 1.0]
    assert running_mean(values, 1).tolist() == values.tolist()
    assert running_mean(values, 99).tolist() == [4.0, 3.0, 2.0, 1.75]


def test_curves_mark_a_change_of_stage(path):
    for rows, marked in (([row(1), row(2, stage=2)], True), ([row(1), row(2)], False)):
        plot_curves(path, rows)
        near = np.abs(shown(path).astype(int) - RED).max(axis=2) < 12
        assert bool(near.any()) == marked


@pytest.mark.parametrize("rows", [[], [row(1)], [row(1, loss=float("nan")), row(2)]], ids=["none", "one", "nan"])
def test_curves_of_little(path, rows):
    plot_curves(path, rows)
    assert ink(shown(path)) > 0.005


def test_confusion(path):
    advice = plot_confusion(path, [[5, 1], [0, 6]], ["ants", "bees"], "test: 91.7% of 12 pictures")
    pixels = shown(path)
    assert advice == ""
    assert pixels.shape == (4 * DPI, 5 * DPI, 3)
    dark_blue = (pixels[..., 2].astype(int) - pixels[..., 0] > 60).mean()
    assert dark_blue > 0.1


def test_confusion_of_a_class_without_pictures(path):
    assert plot_confusion(path, [[0, 0], [1, 2]], ["a", "b"], "x") == ""
    assert ink(shown(path)) > 0.01


def test_confusion_of_many_classes_names_none(path):
    count = plots.MOST_NAMED_CLASSES + 1
    assert plot_confusion(path, np.eye(count, dtype=int).tolist(), ["花"] * count, "many") == ""
    assert shown(path).shape == (18 * DPI, 19 * DPI, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_batch(path, channels):
    pixels = np.full((10, channels, 8, 8), 20, dtype=np.uint8)
    assert plot_batch(path, pixels, [f"class {i}" for i in range(10)]) == ""
    drawn = shown(path)
    assert drawn.shape == (2 * (SIDE + NAME), 8 * (SIDE + GAP), 3)
    assert 0.4 < ink(drawn) < 0.6  # ten of sixteen places


def test_the_pixels_of_a_batch_are_drawn_as_they_are(path):
    pixels = np.zeros((1, 3, 4, 4), dtype=np.uint8)
    pixels[0, 0] = 200
    plot_batch(path, pixels, ["red"])
    drawn = shown(path)
    assert ((drawn == (200, 0, 0)).all(axis=2)).mean() > 0.3


def test_names_with_dollars_and_long_names_are_text(path):
    assert plot_batch(path, np.zeros((2, 1, 4, 4), dtype=np.uint8), ["$5_{", "x" * 200]) == ""
    assert plot_confusion(path, [[1, 0], [0, 1]], ["$5_{", r"\frac"], "$") == ""


CHINESE = ["玫瑰", "向日葵"]


def without_chinese_fonts(monkeypatch):
    monkeypatch.setattr(plots, "CHINESE_FONTS", ())


def test_chinese_names_without_a_font_give_advice(path, monkeypatch):
    without_chinese_fonts(monkeypatch)
    assert plot_confusion(path, [[1, 0], [0, 1]], CHINESE, "x") == FONT_ADVICE
    assert plot_batch(path, np.zeros((2, 1, 4, 4), dtype=np.uint8), CHINESE) == FONT_ADVICE
    assert "fonts-noto-cjk" in FONT_ADVICE
    assert ink(shown(path)) > 0.01


def test_latin_names_need_no_font(path, monkeypatch):
    without_chinese_fonts(monkeypatch)
    assert plot_confusion(path, [[1, 0], [0, 1]], ["é", "Ω"], "x") == ""


def test_a_font_that_is_there_is_used(path, monkeypatch):
    from matplotlib import font_manager

    present = {font.name for font in font_manager.fontManager.ttflist}
    if not present.intersection(plots.CHINESE_FONTS):
        pytest.skip("no Chinese font is installed here")
    assert plot_confusion(path, [[1, 0], [0, 1]], CHINESE, "x") == ""


def test_the_users_own_style_is_left_alone(path):
    before = dict(rcParams)
    plot_confusion(path, [[1, 0], [0, 1]], ["a", "b"], "x")
    assert dict(rcParams) == before
