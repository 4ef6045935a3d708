import re

import pytest

from frostline.config import TrainConfig, make_config
from frostline.data.views import parse_views
from frostline.errors import ConfigError
from frostline.plan.grammar import parse_stages
from frostline.plan.schedules import parse_schedule
from frostline.recipes.catalog import Ablation, Measured, Part, Spread, load_recipe, recipe_names
from frostline.recipes.show import recipe_table, recipe_text

NAMES = (
    *("faces-vgg16-frozen", "faces-vgg16-scratch", "faces-vgg16-thawed", "faces-best"),
    *("hymenoptera-resnet18-finetune", "hymenoptera-resnet18-frozen", "hymenoptera-best"),
    *("fashion-vgg11", "fashion-best"),
    *("cifar10-vgg16", "cifar10-vgg16-bn", "cifar10-best"),
    *("cifar10-resnet18-staged", "cifar10-resnet18-best"),
)


def test_every_recipe_of_the_tutorials_is_there():
    assert tuple(recipe_names()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_made_of_settings_that_exist_and_can_be_read(name):
    recipe = load_recipe(name)
    assert not set(recipe.settings) & {"data", "recipe", "out", "seed", "device", "cache_dir"}
    config = make_config(data="photos", **recipe.settings)
    assert config != TrainConfig(data="photos")
    assert parse_stages(config.stages)
    assert parse_schedule(config.schedule)
    assert parse_views(config.augment)
    assert recipe.fetch.startswith("DATA: ")
    assert ("Weights: " in recipe.fetch) == (config.weights != "none")


@pytest.mark.parametrize("name", NAMES)
def test_the_tutorials_faithful_recipes_say_what_they_repair(name):
    recipe = load_recipe(name)
    assert bool(recipe.repaired) == (recipe.kind == "faithful")


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_shown_whole(name):
    recipe = load_recipe(name)
    text = recipe_text(recipe)
    assert recipe.command() in text
    for setting in recipe.settings:
        assert re.search(rf"--{setting.replace('_', '-')}\s", text)
    assert max(map(len, text.splitlines()[1:])) <= 140


def test_the_list_names_all():
    text = recipe_table([load_recipe(name) for name in recipe_names()])
    assert [line.split()[0] for line in text.splitlines()[2 : 2 + len(NAMES)]] == list(NAMES)


def test_the_list_says_on_what_and_marks_what_had_flags_beside_it():
    measured = [
        Measured(data="hands", val=Spread(mean=0.5, low=0.4, high=0.6, n=3), seconds=7, hardware="a", flags=flags)
        for flags in ("", "--head linear")
    ]
    plain, flagged = (load_recipe("faces-best").model_copy(update={"measured": (one,)}) for one in measured)
    assert re.search(r"val 50\.0%  +hands  +7 s", recipe_table([plain]))
    assert "*" not in recipe_table([plain])
    assert re.search(r"val 50\.0%  +hands\*  +7 s", recipe_table([flagged]))
    assert "* with flags beside it" in recipe_table([flagged])


def test_an_ablation_says_what_of():
    spread = Spread(mean=0.5, low=0.5, high=0.5, n=1)
    part = Part(without="mixup", accuracy=spread)
    ablation = Ablation(data="hands", flags="--epochs 2", score="test", note="2 of 9 epochs", parts=(part,))
    text = recipe_text(load_recipe("faces-best").model_copy(update={"ablation": ablation}))
    assert (
        "  test accuracy on hands, with --epochs 2, without\n    - 2 of 9 epochs\n    - mixup: 50.0% (one seed)" in text
    )


def test_a_name_is_text():
    with pytest.raises(ConfigError, match="no recipe is called"):
        load_recipe(["faces-best"])


def test_an_unknown_recipe_is_refused_with_those_that_exist():
    with pytest.raises(ConfigError, match=r"no recipe is called 'cats'; there are cifar10-best, .*hymenoptera-best"):
        load_recipe("cats")
