"""The main job on real pictures, where they lie beside the checkout (they are never part of it)."""

from pathlib import Path

import pytest

import frostline

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
INSECTS = SHARED / "data" / "hymenoptera"
VGG16 = SHARED / "weights" / "vgg16-features-imagenet.safetensors"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not INSECTS.is_dir(), reason="the pictures are not there"),
]


def test_ants_and_bees_are_told_apart(tmp_path):
    run = frostline.train(INSECTS, stages="head:5", out=tmp_path / "run")
    expected = {"train": 244, "val": 153, "test": 0, "skipped": 0, "refused": 0}
    assert {name: run.metrics["counts"][name] for name in expected} == expected  # other tools leave files of their own
    assert run.metrics["val"]["accuracy"] >= 0.93
    assert run.metrics["test"] == {"accuracy": None, "interval": None}
    bee = sorted((INSECTS / "val" / "bees").iterdir())[0]
    assert run.predict(bee)[0].top[0][0] == "bees"


@pytest.mark.skipif(not VGG16.is_file(), reason="the weights are not there")
def test_vgg16_features_of_a_file_lack_only_the_head(tmp_path):
    run = frostline.train(INSECTS, model="vgg16", weights=str(VGG16), stages="head:10", out=tmp_path / "run")
    assert run.metrics["val"]["accuracy"] >= 0.92
