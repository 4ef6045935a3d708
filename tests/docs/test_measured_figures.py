"""What pages, recipes and the table of results say was measured is what the benchmarks' JSON says."""

import argparse
import importlib
import shlex
import sys

import pytest
from pages import DOCS, ROOT

BENCHMARKS = ROOT / "benchmarks"
PAGES = sorted((DOCS / "tutorials").glob("t*.md")) + sorted((DOCS / "tutorials").glob("README*.md"))
RECIPES = sorted((ROOT / "src" / "frostline" / "recipes").glob("*.yaml"))


@pytest.fixture
def script(monkeypatch):
    """Imports a script of the benchmarks."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    return importlib.import_module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_says_what_was_measured(page, script):
    assert page.read_text(encoding="utf-8") == script("fill_pages").filled(page)


@pytest.mark.parametrize("name", ["trust.md", "trust.zh.md"])
def test_the_page_on_trust_says_what_was_measured(name, script):
    page = DOCS / name
    assert page.read_text(encoding="utf-8") == script("fill_trust").filled(page)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_says_what_was_measured(recipe, script):
    assert recipe.read_text(encoding="utf-8") == script("fill_recipes").filled(recipe)


def test_the_table_says_what_was_measured(script):
    recipes = script("tutorial_recipes")
    assert recipes.TABLE.read_text(encoding="utf-8") == recipes.table()


def test_a_figure_that_was_changed_by_hand_is_found(script, tmp_path):
    page = tmp_path / PAGES[0].name
    text = PAGES[0].read_text(encoding="utf-8")
    assert "92.1%" in text
    page.write_text(text.replace("92.1%", "95.1%"), encoding="utf-8")
    assert script("fill_pages").filled(page) == text


TIMING = {
    "seconds_per_picture": {"frozen": {"train": 1.0, "test": 0.5}, "thawed": {"train": 3.0, "test": 2.0}},
    "seconds_whole_tutorial": 1e6,
    "pictures": {"train": 100, "test": 10},
}
RUN = {"epochs": 5, "counts": {"train": 10, "val": 4, "test": 6}, "plan": ["1: head, 2 epochs", "2: layer4, 3 epochs"]}


def test_a_loop_of_equal_length_has_the_runs_epochs_and_pictures(script):
    seconds = script("tutorial_lengths").seconds_as_long
    assert seconds(RUN, TIMING) == 2 * (10 * 1 + 4 * 0.5) + 3 * (10 * 3 + 4 * 2) + 6 * 2
    assert seconds({**RUN, "plan": RUN["plan"][:1]}, TIMING) == 2 * (10 * 1 + 4 * 0.5) + 6 * 0.5
    one_phase = {**TIMING, "seconds_per_picture": {"all": {"train": 1.0, "test": 1.0}}}
    assert seconds(RUN, one_phase) == 5 * (10 + 4) + 6


def test_timings_of_one_loop_count_together_on_one_processor_alone(script):
    def result(cpu, *factors):
        loops = [{**TIMING, "seconds_whole_tutorial": factor * 1e6} for factor in factors]
        loop = {"system": "staged", "epochs": 40, "runs": loops}
        return {"machine": {"cpu": cpu, "cores": 2}, "loop": loop, "runs": [RUN]}

    results = [result("a", 3, 2), result("b", 1), result("a", 4), {"runs": [RUN]}]
    loop = script("tutorial_lengths").loop_of(results[0], results)
    assert loop.whole == (2e6, 3e6, 4e6)
    assert loop.whole_seconds(" to ") == "2,000,000 to 4,000,000"
    assert script("tutorial_lengths").loop_of(results[-1], results) is None


def test_flags_are_told_with_files_by_their_names_alone(script, tmp_path):
    flags = ["--weights", str(tmp_path / "w.safetensors"), "--stages", "all:2@1e-3/48,all:1@1e-3"]
    assert script("measure").shown(flags) == "--weights w.safetensors --stages all:2@1e-3/48,all:1@1e-3"


@pytest.mark.parametrize(
    ("epochs", "change", "flags"),
    [
        (4, "", "--width 0.5 --epochs 4"),
        (4, "--ema 0", "--width 0.5 --epochs 4 --ema 0"),
        (4, "--stages all:{epochs}", "--width 0.5 --stages all:4"),
        (None, "", "--width 0.5"),
        (None, "--stages all:{epochs}", "--width 0.5 --stages all:40"),
    ],
)
def test_an_ablation_has_the_recipes_epochs_unless_told_otherwise(epochs, change, flags, script):
    options = argparse.Namespace(recipe="cifar10-best", epochs=epochs)
    assert shlex.join(script("ablation")._without(options, ["--width", "0.5"], change)) == flags
