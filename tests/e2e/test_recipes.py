"""Recipes run as they are shipped, on small data; what is missing is told with what to fetch."""

import pytest
import torch
import yaml

import frostline
from frostline.errors import ConfigError, DataError, WeightsError
from frostline.recipes.catalog import load_recipe, recipe_names

SMALL = {
    **{"image_size": 32, "batch_size": 8, "workers": 0, "device": "cpu", "precision": "fp32", "weights": "none"},
    **{"val": 0.2, "test": 0.2, "feature_cache": "ram"},
}


def smaller(name):
    """The recipe's plan with one epoch a stage; its own networks a quarter as wide."""
    settings = load_recipe(name).settings
    stages = ", ".join(f"{stage.split(':')[0]}:1@1e-3" for stage in settings["stages"].split(","))
    own = settings["model"] != "efficientnet_lite0"
    width = {"width": 0.125} if own else {}
    return {**SMALL, **width, "stages": stages, "resize": 32 if settings.get("resize") == 256 else "squash"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in {"cifar10-best", "hymenoptera-resnet18-frozen"} else pytest.mark.slow)
        for name in recipe_names()
    ],
)
def test_every_recipe_runs(name, tiny_folder, tmp_path):
    run = frostline.train(tiny_folder, recipe=name, out=tmp_path / "run", **smaller(name))
    written = yaml.safe_load(run.folder.config.read_text())
    recipe = load_recipe(name).settings
    for setting in set(recipe) - set(smaller(name)):
        assert written[setting] == recipe[setting], setting
    assert written["recipe"] == name
    assert 0 <= run.metrics["test"]["accuracy"] <= 1
    assert run.predict(next(tiny_folder.rglob("*.png")))[0].top


def test_a_flag_goes_before_the_recipe(tiny_folder, tmp_path):
    run = frostline.train(
        tiny_folder, recipe="cifar10-best", out=tmp_path / "run", **{**smaller("cifar10-best"), "augment": "flip"}
    )
    assert yaml.safe_load(run.folder.config.read_text())["augment"] == "flip"


def without_stages(name):
    return {setting: value for setting, value in smaller(name).items() if setting != "stages"}


def test_epochs_are_those_of_the_recipes_one_stage(tiny_folder, tmp_path):
    run = frostline.train(
        tiny_folder, recipe="cifar10-best", epochs=1, out=tmp_path / "run", **without_stages("cifar10-best")
    )
    assert [(stage["part"], stage["epochs"]) for stage in run.metrics["plan"]] == [("block1", 1)]


def test_epochs_do_not_say_of_which_of_several_stages(tmp_path):
    with pytest.raises(ConfigError, match=r'recipe faces-best has --stages "head:2, blocks\.3:6@0\.001", give that'):
        frostline.train(tmp_path, recipe="faces-best", epochs=3)


def test_a_budget_chooses_stages_in_place_of_the_recipes(tiny_folder, tmp_path):
    settings = without_stages("cifar10-best")
    run = frostline.train(tiny_folder, recipe="cifar10-best", budget="4s", out=tmp_path / "run", **settings)
    written = yaml.safe_load(run.folder.config.read_text())
    assert [stage["part"] for stage in run.metrics["plan"]] == ["all"]
    assert (written["recipe"], written["augment"]) == ("cifar10-best", load_recipe("cifar10-best").settings["augment"])


def test_a_budget_beside_a_recipe_and_stages_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="leave out either it, or --stages and --epochs"):
        frostline.train(tmp_path, recipe="cifar10-best", budget="4s", stages="all:3")


def test_a_rate_that_no_stage_would_take_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r'lr=0\.1 has no effect: --stages "all:\d+@1e-3" gives every rate'):
        frostline.train(tmp_path, recipe="cifar10-resnet18-best", lr=0.1)


def test_a_resumed_recipe_agrees_with_what_was_changed_at_its_start(tiny_folder, tmp_path):
    settings, out = without_stages("cifar10-best"), tmp_path / "run"
    frostline.train(tiny_folder, recipe="cifar10-best", epochs=1, lr=0.1, out=out, **settings)
    (out / "metrics.json").unlink()
    run = frostline.train(tiny_folder, recipe="cifar10-best", epochs=1, out=out, resume=True)
    assert run.metrics["plan"][0]["lr"] == 0.1
    (out / "metrics.json").unlink()
    with pytest.raises(ConfigError, match=r"lr=0\.3 contradicts the interrupted run \(0\.1\)"):
        frostline.train(tiny_folder, recipe="cifar10-best", lr=0.3, out=out, resume=True)


def test_missing_pictures_are_told_with_where_to_get_them(tmp_path):
    with pytest.raises(DataError, match=r"recipe hymenoptera-best needs: DATA: https://download\.pytorch\.org"):
        frostline.train(tmp_path / "nothing", recipe="hymenoptera-best", out=tmp_path / "run")


def test_missing_weights_are_told_with_where_to_put_them(tiny_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def no_network(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(WeightsError, match=r"recipe cifar10-resnet18-staged needs: .*resnet18-f37072fd\.pth"):
        frostline.train(tiny_folder, recipe="cifar10-resnet18-staged", out=tmp_path / "run")
