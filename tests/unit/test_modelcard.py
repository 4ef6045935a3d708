import json

import pytest

from bundles import CLASSES, write
from frostline.errors import BundleError
from frostline.modelcard import Card

FACTS = {
    "weights": "ImageNet",
    "plan": "head:5@0.01",
    "accuracy": {"val": 0.9, "test": 0.8},
    "interval": {"val": [0.85, 0.95], "test": [0.7, 0.9]},
    "counts": {"train": 70, "val": 15, "test": 15, "skipped": 1},
    "temperature": 1.25,
    "test_views": "flip",
    "versions": {"frostline": "0.1.0", "torch": "2.14.1"},
    "precision": "bf16",
    "seed": 3,
}


def test_a_card_tells_what_a_bundle_holds(tmp_path):
    card = Card.read(write(tmp_path / "model.safetensors", **FACTS))
    rows = dict(card.rows())
    assert rows["network"] == "resnet18, head linear"
    assert rows["classes"] == "3: ants, 蜜蜂, z"
    assert rows["input"].startswith("3x32x32, shorter side to ")
    assert rows["test"] == "accuracy 80.0% (70.0% to 90.0% at 95%)"
    assert rows["pictures"] == "70 train, 15 val, 15 test"
    assert rows["trained with"] == "frostline 0.1.0, torch 2.14.1, precision bf16, seed 3"
    assert (rows["plan"], rows["temperature"], rows["test views"]) == ("head:5@0.01", "1.25", "flip")
    assert card.bytes == (tmp_path / "model.safetensors").stat().st_size
    values = json.loads(json.dumps(card.to_json()))
    assert values["classes"] == list(CLASSES)
    assert values["facts"] == FACTS


def test_what_a_bundle_does_not_tell_is_left_out(tmp_path):
    assert {"val", "test", "plan", "pictures", "temperature"}.isdisjoint(
        dict(Card.read(write(tmp_path / "m.safetensors")).rows())
    )


def test_the_markdown_is_a_card_that_a_hub_reads(tmp_path):
    import yaml

    text = Card.read(write(tmp_path / "model.safetensors", **FACTS | {"weights": "<b>|x|</b>"})).markdown()
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head)["pipeline_tag"] == "image-classification"
    assert "\\<b\\>\\|x\\|" in body
    assert 'frostline.load("model.safetensors")' in body


def test_a_damaged_bundle_has_no_card(tmp_path):
    path = write(tmp_path / "model.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="is damaged"):
        Card.read(path)
    with pytest.raises(BundleError, match="no model at"):
        Card.read(tmp_path / "none")
