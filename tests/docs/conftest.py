"""What the pages' commands need: the command line in this process, and small pictures where the pages have theirs."""

import shutil

import pytest
import torch

from frostline import assess, inspection, pipeline, predictor, prepare, quickstart

SHAPES = ("circle", "square", "stripes")
OF_TUTORIALS = {
    **{"photos": 20, "hymenoptera_data/train": 8, "hymenoptera_data/val": 3},
    **{"cifar10/train": 20, "cifar10/test": 3, "fashion-mnist/train": 20, "fashion-mnist/test": 3},
}
OF_PAGES = {"photos/ants": 30, "photos/bees": 30, "other/ants": 4, "other/bees": 4, "more": 2}


@pytest.fixture
def pictures(tmp_path, make_shapes):
    """What the tutorials' commands name, in the working folder."""
    for number, (folder, count) in enumerate(OF_TUTORIALS.items()):
        for shape in SHAPES:
            make_shapes(tmp_path / folder / shape, shape, count, seed=number, side=32)
    shutil.copy(next((tmp_path / "photos" / "circle").iterdir()), tmp_path / "new.jpg")


@pytest.fixture
def one_process(monkeypatch):
    """Decode in this process: starting others takes longer than a few pictures do."""
    for module in (assess, inspection, predictor, prepare):
        monkeypatch.setattr(module, "default_workers", lambda: 0)


@pytest.fixture
def files(tmp_path, make_shapes, monkeypatch, one_process):
    """What the commands and blocks of the other pages name, in the working folder; drawing is tried elsewhere."""
    for name in ("plot_curves", "plot_confusion", "_plot_first_batch", "write_report"):
        monkeypatch.setattr(pipeline, name, lambda *_: None)
    for number, (folder, count) in enumerate(OF_PAGES.items()):
        shape = "square" if folder.endswith("bees") else "circle"
        drawn = make_shapes(tmp_path / folder, shape, count, seed=number, side=32)
        drawn[0].rename(drawn[0].with_name("1.jpg"))
    shutil.copy(tmp_path / "more" / "1.jpg", tmp_path / "new.jpg")
    torch.save({"fc.weight": torch.zeros(2, 3)}, tmp_path / "resnet18.pth")


@pytest.fixture(autouse=True)
def _a_quick_quickstart(monkeypatch):
    settings = {"image_size": 32, "stages": "head:1", "batch_size": 64, "workers": 0}
    monkeypatch.setattr(quickstart, "SETTINGS", settings)
