"""The tutorials' pages: their commands run, both languages hold the same, their links lead somewhere."""

from pathlib import Path

import pytest
import yaml
from pages import DOCS, ROOT, chinese, commands, figures, links, once, option, smaller

from frostline.recipes.catalog import recipe_names

PAGES = DOCS / "tutorials"
TABLE = PAGES / "results.md"
"""Written by a benchmark, in English alone."""
ENGLISH = sorted(page for page in PAGES.glob("*.md") if not page.name.endswith(".zh.md") and page != TABLE)
QUICK = {"cifar10-best", "hymenoptera-resnet18-frozen"}


ALL = once(words for page in ENGLISH for words in commands(page))
TRAINED = {
    option(words, "--recipe"): words for words in reversed(ALL) if words[1] == "train" and "--resume" not in words
}
"""The first training of each recipe."""
ABOUT_NO_RUN = [words for words in ALL if words[1] in {"recipes", "summary", "plan"}]


@pytest.mark.parametrize(
    "recipe", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in recipe_names()]
)
def test_the_commands_about_a_recipes_run_work(recipe, pictures, frostline):
    train = TRAINED[recipe]
    code, out, err = frostline(*smaller(train))
    assert (code, err) == (0, "")
    run = out.splitlines()[-1].removeprefix("run folder ")
    assert yaml.safe_load((Path(run) / "config.yaml").read_text(encoding="utf-8"))["recipe"] == recipe
    for words in (words for words in ALL if run in words and words != train):
        resumes = words[1] == "train"
        code, out, err = frostline(*(smaller(words) if resumes else words[1:]))
        looked = "warning: look 2 at the test split" if words[1] == "evaluate" and "look" in err else ""
        assert (code, err.partition(" (test_reads")[0]) == (0, looked), words
        expected = f"{run} is complete already" if resumes else "accuracy" if words[1] == "evaluate" else "new.jpg"
        assert expected in out, words


@pytest.mark.parametrize("words", ABOUT_NO_RUN, ids=" ".join)
def test_the_commands_that_train_nothing_work(words, pictures, frostline):
    code, out, err = frostline(*(smaller(words) if words[1] == "plan" else words[1:]))
    assert (code, err) == (0, "")
    assert {"plan": "training: about", "summary": "MACs", "recipes": "faces-best"}[words[1]] in out
    assert not Path("runs").exists()


def test_every_command_is_run_by_one_of_these_tests():
    runs = {option(words, "--out") for words in TRAINED.values()} - {None}
    left = set(ALL) - set(TRAINED.values()) - set(ABOUT_NO_RUN)
    assert left
    assert [words for words in left if not runs & set(words)] == []
    assert set(TRAINED) == set(recipe_names()), "a recipe that no page trains"


@pytest.mark.parametrize("page", ENGLISH, ids=lambda page: page.stem)
def test_both_languages_hold_the_same_commands_and_figures(page):
    assert commands(page) == commands(chinese(page))
    english, translated = figures(page), figures(chinese(page))
    assert list(english) == list(translated)
    numbers = [{key: value for key, value in one.items() if "|" not in value} for one in (english, translated)]
    assert numbers[0] == numbers[1]
    assert "⟦" not in page.read_text(encoding="utf-8") + chinese(page).read_text(encoding="utf-8"), "an unfilled slot"


def test_every_page_shows_figures():
    assert [page.name for page in ENGLISH if not figures(page)] == []


def test_every_chinese_page_has_an_english_one():
    assert sorted(PAGES.glob("*.zh.md")) == [chinese(page) for page in ENGLISH]
    assert len(ENGLISH) >= 6


@pytest.mark.parametrize(
    "page", [*sorted(PAGES.glob("*.md")), ROOT / "README.md", ROOT / "README.zh.md"], ids=lambda page: page.name
)
def test_links_lead_somewhere(page):
    inside = [link.partition("#")[0] for link in links(page) if not link.startswith("#")]
    assert inside or page == TABLE
    assert [link for link in inside if not (page.parent / link).exists()] == []
