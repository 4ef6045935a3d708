"""The pages: their commands and code run, both languages hold the same, what they say of files is so."""

import csv
import json
import re
from pathlib import Path

import pytest
import yaml
from pages import (
    DOCS,
    ROOT,
    SMALL,
    blocks,
    chinese,
    commands,
    figures,
    lines_of_bash,
    numbers,
    smaller,
    smaller_code,
    table_rows,
    without_out,
)

from frostline.config import TrainConfig
from frostline.files import RunFolder

ENGLISH = [page for page in sorted(DOCS.glob("*.md")) if not page.name.endswith(".zh.md")]
ENGLISH_ALONE = {"changelog.md", "security.md"}
"""Files of the repository, shown whole."""
TRANSLATED = [*(page for page in ENGLISH if page.name not in ENGLISH_ALONE), ROOT / "README.md"]
NOT_RUN = ("pip ", "python3 -m venv ", "make ", "docker ", "curl ", "torchrun ", "frostline serve ")
"""How lines begin that set things up, or do not end."""
WITH_COMMANDS = [page for page in TRANSLATED if commands(page)]
WITH_PYTHON = [page for page in TRANSLATED if blocks(page, "python")]
QUICK = {"formats"}
FIRST_ON = {without_out(words): page for page in reversed(WITH_COMMANDS) for words in commands(page)}
"""The page on which a command is tried: the first that has it, whatever its --out."""
TINY = [*SMALL, "--model", "resnet18", "--width", "0.125", "--weights", "none", "--stages", "head:1"]


def named(page):
    return page.stem


def some_slow(pages):
    return [pytest.param(page, marks=[] if page.stem in QUICK else pytest.mark.slow, id=page.stem) for page in pages]


@pytest.mark.parametrize("page", some_slow(WITH_COMMANDS))
def test_the_commands_of_a_page_run(page, files, frostline):
    for text in blocks(page, "yaml"):
        Path("settings.yaml").write_text(text, encoding="utf-8")
    for words in commands(page):
        if " ".join(words).startswith(NOT_RUN) or FIRST_ON[without_out(words)] != page:
            continue
        train_what_is_named(words, frostline)
        code, out, err = frostline(*smaller(words))
        assert code == 0, (words, err)
        assert out, words
        assert [line for line in err.splitlines() if not line.startswith("warning: ")] == [], words


@pytest.mark.parametrize("page", some_slow(WITH_PYTHON))
def test_the_code_of_a_page_runs(page, files, frostline):
    names = {}
    for text in blocks(page, "python"):
        train_what_is_named(re.split(r"[\"']", text), frostline)
        exec(compile(smaller_code(text), f"{page.name}, a block of code", "exec"), names)
    if page.stem == "formats":
        check_what_a_run_leaves(page, names["run"])


def train_what_is_named(words, frostline):
    """Make the runs that a command reads and no earlier one has written."""
    if {"train", "quickstart"} & set(words[:2]) and "--resume" not in words:
        return
    for run in {match[0] for word in words if (match := re.match(r"runs/[\w.-]+", word))}:
        if not Path(run).exists():
            code, _, err = frostline("train", "photos/", *TINY, "--out", run)
            assert code == 0, err


def check_what_a_run_leaves(page, run):
    """Compare the tables of fields and columns with what a run wrote."""
    text = page.read_text(encoding="utf-8")
    fields = re.search(r"^## metrics\.json\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)[1]
    told = {
        name
        for row in fields.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([\w.]+)`", row.split("|")[1])
    }
    held = json.loads(run.folder.metrics.read_text(encoding="utf-8"))
    assert {name for name in told if not has(held, name)} == set()
    assert set(held) - {name.partition(".")[0] for name in told} == set(), "a field that the page does not name"
    columns = re.findall(r"^\| `(\w+\.csv)` \| (`.*`) \|$", text, re.MULTILINE)
    assert len(columns) == 6
    for name, shown in columns:
        with (run.path / name).open(encoding="utf-8") as file:
            assert next(csv.reader(file)) == re.findall(r"`(\w+)`", shown), name


def has(held, name):
    for part in name.split("."):
        if part not in held:
            return False
        held = held[part]
    return True


def test_every_file_of_a_run_is_told(tmp_path):
    folder = RunFolder(tmp_path)
    names = {
        path.relative_to(tmp_path).parts[0]
        for name in dir(RunFolder)
        if isinstance(getattr(RunFolder, name), property) and isinstance(path := getattr(folder, name), Path)
    } - {"weights"}
    text = (DOCS / "formats.md").read_text(encoding="utf-8")
    assert {name for name in names if name not in text} == set()


@pytest.mark.parametrize("page", [*TRANSLATED, *map(chinese, TRANSLATED)], ids=lambda page: page.name)
def test_blocks_are_of_a_kind_that_is_tried(page):
    kinds = re.findall(r"^```(\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(kinds) <= {"bash", "python", "yaml", "json", "text", "dockerfile"}
    assert [line for line in lines_of_bash(page) if not line.startswith(("frostline ", *NOT_RUN))] == []
    for text in blocks(page, "yaml"):
        assert isinstance(yaml.safe_load(text), dict)
        assert set(yaml.safe_load(text)) <= set(TrainConfig.model_fields)
    for text in blocks(page, "json"):
        json.loads(text)


@pytest.mark.parametrize("page", TRANSLATED, ids=named)
def test_both_languages_hold_the_same_commands_and_code(page):
    assert commands(page) == commands(chinese(page))
    for language in ("python", "yaml", "json"):
        assert blocks(page, language) == blocks(chinese(page), language)


@pytest.mark.parametrize("page", TRANSLATED, ids=named)
def test_both_languages_hold_the_same_figures(page):
    assert list(figures(page)) == list(figures(chinese(page)))
    english, translated = table_rows(page), table_rows(chinese(page))
    if f"<!-- table of {page.name} -->" in chinese(page).read_text(encoding="utf-8"):
        assert translated == []
        return
    assert len(english) == len(translated)
    if page.stem != "README":  # its Chinese says numbers of ten thousands in words
        differ = [rows for rows in zip(english, translated, strict=True) if numbers(rows[0]) != numbers(rows[1])]
        assert differ == []


def test_every_chinese_page_has_an_english_one():
    assert sorted(DOCS.glob("*.zh.md")) == sorted(chinese(page) for page in TRANSLATED if page.parent == DOCS)


@pytest.mark.parametrize("page", TRANSLATED, ids=named)
def test_pages_name_each_other_in_the_other_language(page):
    assert f"\n[中文]({chinese(page).name})" in page.read_text(encoding="utf-8")
    assert f"\n[English]({page.name})" in chinese(page).read_text(encoding="utf-8")


def test_the_drawing_is_the_same_in_both_languages():
    english, translated = (
        re.sub(r">[^<]+</(text|title)>", ">", (DOCS / name).read_text(encoding="utf-8"))
        for name in ("idea.svg", "idea.zh.svg")
    )
    assert english == translated


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(one_process):
    cells = json.loads((DOCS / "first-run.ipynb").read_text(encoding="utf-8"))["cells"]
    names = {}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None), "clear the outputs"
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    assert names["run"].metrics["test"]["accuracy"] > 0.8
    assert names["again"].metrics["activations"]["computed"] == 0
    assert (names["run"].path / "report.html").is_file()
