"""The tutorials' pages: their commands run, both languages hold the same, their links lead somewhere."""

import re
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest
import yaml

from frostline import cli
from frostline.recipes.catalog import load_recipe, recipe_names

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "tutorials"
TABLE = PAGES / "results.md"
"""Written by a benchmark, in English alone."""
ENGLISH = sorted(page for page in PAGES.glob("*.md") if not page.name.endswith(".zh.md") and page != TABLE)
SMALL = "--image-size 32 --weights none --batch-size 8 --workers 0 --device cpu --precision fp32 --feature-cache ram"
QUICK = {"cifar10-best", "hymenoptera-resnet18-frozen"}
SHAPES = ("circle", "square", "stripes")
NAMED = {"cifar10": "./cifar10", "fashion-mnist": "./fashion-mnist"}
"""Named sets, and the folders of drawn pictures that stand in for them."""


def commands(page):
    """The frostline commands of a page, each as its words; what stands behind # is left out."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("frostline ")]
    return [tuple(shlex.split(line, comments=True)) for line in lines]


def chinese(page):
    return page.with_name(f"{page.stem}.zh.md")


def figures(page):
    """What the benchmarks put into a page, by the name that stands before it."""
    text = page.read_text(encoding="utf-8")
    return {key: value.strip() for key, value in re.findall(r"<!-- ([\w.-]+) -->(.*?)<!-- / -->", text, re.DOTALL)}


def option(words, name):
    return words[words.index(name) + 1] if name in words else None


def once(found):
    return list(dict.fromkeys(found))


ALL = once(words for page in ENGLISH for words in commands(page))
TRAINED = {
    option(words, "--recipe"): words for words in reversed(ALL) if words[1] == "train" and "--resume" not in words
}
"""The first training of each recipe."""
ABOUT_NO_RUN = [words for words in ALL if words[1] in {"recipes", "summary", "plan"}]


def smaller(words):
    """A command on drawn pictures with small settings, one epoch a stage."""
    words = [NAMED.get(word, word) for word in words[1:]]
    recipe = load_recipe(option(words, "--recipe"))
    settings = recipe.settings
    stages = ", ".join(f"{stage.split(':')[0]}:1@1e-3" for stage in settings["stages"].split(","))
    own = [] if settings["model"] == "efficientnet_lite0" else ["--width", "0.125"]
    size = ["--resize", "36"] if isinstance(settings.get("resize"), int) else []
    return [*words, *shlex.split(SMALL), "--stages", stages, *own, *size]


@pytest.fixture
def pictures(tmp_path, make_shapes):
    """What the pages' commands name, in the working folder."""
    for number, (folder, count) in enumerate(
        {
            **{"photos": 20, "hymenoptera_data/train": 8, "hymenoptera_data/val": 3},
            **{"cifar10/train": 20, "cifar10/test": 3, "fashion-mnist/train": 20, "fashion-mnist/test": 3},
        }.items()
    ):
        for shape in SHAPES:
            make_shapes(tmp_path / folder / shape, shape, count, seed=number, side=32)
    shutil.copy(next((tmp_path / "photos" / "circle").iterdir()), tmp_path / "new.jpg")


@pytest.fixture
def frostline(monkeypatch, capsys):
    """Run the command line in this process; gives exit code, stdout and stderr."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("os.fsync", lambda _: None)

    def run(words):
        monkeypatch.setattr(sys, "argv", ["frostline", *words])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as error:
            code = error.code
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize(
    "recipe", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in recipe_names()]
)
def test_the_commands_about_a_recipes_run_work(recipe, pictures, frostline):
    train = TRAINED[recipe]
    code, out, err = frostline(smaller(train))
    assert (code, err) == (0, "")
    run = out.splitlines()[-1].removeprefix("run folder ")
    assert yaml.safe_load((Path(run) / "config.yaml").read_text(encoding="utf-8"))["recipe"] == recipe
    for words in (words for words in ALL if run in words and words != train):
        resumes = words[1] == "train"
        code, out, err = frostline(smaller(words) if resumes else words[1:])
        looked = "warning: look 2 at the test split" if words[1] == "evaluate" and "look" in err else ""
        assert (code, err.partition(" (test_reads")[0]) == (0, looked), words
        expected = f"{run} is complete already" if resumes else "accuracy" if words[1] == "evaluate" else "new.jpg"
        assert expected in out, words


@pytest.mark.parametrize("words", ABOUT_NO_RUN, ids=" ".join)
def test_the_commands_that_train_nothing_work(words, pictures, frostline):
    code, out, err = frostline(smaller(words) if words[1] == "plan" else words[1:])
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
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    inside = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert inside or page == TABLE
    assert [link for link in inside if not (page.parent / link).exists()] == []
