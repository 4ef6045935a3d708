"""The server's page in a real browser: pictures dropped, answers read, in both languages, wide and narrow."""

import base64
import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import frostline

sys.path.insert(0, str(Path(__file__).parent))
from test_report_page import serious_faults

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")]
KEY = "k" * 20
HOSTILE = "<img src=x onerror=window.hurt=1>.png"
DROP = """files => {
  const carried = new DataTransfer();
  for (const [name, text] of files) {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    carried.items.add(new File([bytes], name, {type: "image/png"}));
  }
  dispatchEvent(new DragEvent("drop", {dataTransfer: carried, bubbles: true, cancelable: true}));
}"""
WORDS = {
    "en": {"summary": "3 pictures: 2 answered, 0 unsure, 1 not read", "fault": "The picture is damaged."},
    "zh": {"summary": "共 3 张：2 张已识别，0 张不确定，1 张无法读取", "fault": "图片已损坏。"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that tells three colours apart."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from made_up import make_pictures

    home = tmp_path_factory.mktemp("serve")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FROSTLINE_CACHE", str(home / "cache"))
        settings = {"model": "smallnet", "weights": "none", "image_size": 32, "stages": "all:12@1e-2"}
        return frostline.train(make_pictures(home / "pictures"), **settings, out=home / "run").path


@pytest.fixture(scope="module")
def pictures(run):
    """Two sound pictures, of classes a and c, one under a hostile name, and a damaged one, as they are dropped."""
    root = run.parent / "pictures"
    sound = [(name, (root / folder / "3.png").read_bytes()) for name, folder in ((HOSTILE, "a"), ("c.png", "c"))]
    files = [*sound, ("cut.png", sound[0][1][:400])]
    return [[name, base64.b64encode(content).decode()] for name, content in files]


@pytest.fixture(scope="module")
def start(run):
    """A function that starts a server and gives its address."""
    started = []

    def begin(*flags, **environment):
        command = [sys.executable, "-m", "frostline", "serve", str(run), "--port", "0", "--engine", "torch", *flags]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment or None)
        started.append(process)
        return [process.stdout.readline() for _ in range(2)][-1].strip()

    yield begin
    for process in started:
        process.terminate()
        assert process.wait(timeout=30) == 0
        process.stdout.close()


@pytest.fixture(scope="module")
def url(start):
    return start("--threshold", "0.4")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser):
    """A function that opens a page and notes what it says and asks for."""
    opened = []

    def go(url, lang="en", **context):
        locale = {"en": "en-GB", "zh": "zh-CN"}[lang]
        page = browser.new_context(locale=locale, accept_downloads=True, **context).new_page()
        opened.append(page)
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(url)
        page.locator("#classes:not(:empty)").wait_for()
        return page

    yield go
    for page in opened:
        page.context.close()


def drop(page, files):
    page.evaluate(DROP, files)
    page.locator("#progress").wait_for(state="hidden")


def answers(page):
    return page.locator(".card .answer").all_inner_texts()


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_three_dropped_pictures_are_answered(url, visit, pictures, lang, width, scheme):
    page = visit(url, lang, viewport={"width": width, "height": 900}, color_scheme=scheme)
    drop(page, pictures)
    assert page.locator("#summary").inner_text() == WORDS[lang]["summary"]
    assert answers(page)[:2] == ["a", "c"]
    assert page.locator(".card .name").first.inner_text() == HOSTILE
    assert page.locator(".card .fault").nth(2).inner_text() == WORDS[lang]["fault"]
    assert page.locator(".card").first.locator(".bars li").count() == 3
    assert page.evaluate("window.hurt") is None
    assert [said for said in page.said if "422" not in said] == []
    assert [asked for asked in page.asked if not asked.startswith((url, "data:", f"blob:{url}"))] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the screen"
    assert page.evaluate("document.documentElement.lang").startswith(lang)
    assert serious_faults(page) == []


def test_the_language_and_the_theme_turn(url, visit, pictures):
    page = visit(url)
    drop(page, pictures)
    colour = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(colour)
    page.locator("#theme").click()
    assert page.evaluate(colour) != before
    page.locator("#language").click()
    assert page.locator("#summary").inner_text() == WORDS["zh"]["summary"]
    assert "undefined" not in page.locator("body").inner_text()
    page.reload()
    assert page.locator("#choose").inner_text() == "选择图片"


def test_by_keyboard_and_one_file(url, visit, run):
    page = visit(url)
    with page.expect_file_chooser() as chooser:
        page.locator("#choose").focus()
        page.keyboard.press("Enter")
    chooser.value.set_files(run.parent / "pictures" / "b" / "5.png")
    page.locator("#progress").wait_for(state="hidden")
    assert answers(page) == ["b"]
    assert page.locator("#summary").inner_text().startswith("One picture: b, ")
    page.locator("#clear").focus()
    page.keyboard.press("Enter")
    assert page.locator(".card").count() == 0
    assert page.evaluate("document.activeElement.id") == "choose"


def test_the_heat_map_lies_over_what_was_seen(url, visit, pictures):
    page = visit(url)
    drop(page, pictures[:1])
    assert page.locator(".heat").is_hidden()
    page.locator("#heat").check()
    heat = page.locator(".heat")
    heat.wait_for(state="visible")
    assert heat.get_attribute("src").startswith("data:image/png")
    seen = page.request.get(f"{url}v1/model").json()["seen"] or 1
    over, under = heat.bounding_box(), page.locator(".photo").bounding_box()
    assert over["width"] == pytest.approx(seen * under["width"], abs=1)
    assert over["x"] + over["width"] / 2 == pytest.approx(under["x"] + under["width"] / 2, abs=1)


def test_a_heat_map_is_asked_for_once(url, visit, pictures):
    page = visit(url)
    drop(page, pictures)
    asked = len(page.asked)
    for _ in range(3):
        page.locator("#heat").check()
        page.locator("#heat").uncheck()
    page.locator("#heat").check()
    page.locator(".heat >> visible=true").nth(1).wait_for()
    page.locator("#progress").wait_for(state="hidden")
    assert len([one for one in page.asked[asked:] if "heat_map=true" in one]) == 2
    assert page.locator("#summary").inner_text() == WORDS["en"]["summary"]


def test_an_answer_outlives_a_heat_map_that_fails(url, visit, pictures):
    page = visit(url)
    drop(page, pictures[:1])
    page.route("**/v1/predict?heat_map=true", lambda route: route.fulfill(status=503, json={"error": "stopping"}))
    page.locator("#heat").check()
    page.get_by_text("There is no heat map of this answer.").wait_for()
    assert answers(page) == ["a"]
    assert page.locator(".card .fault").is_hidden()


def test_what_was_cleared_is_not_counted(url, visit, pictures):
    page = visit(url)
    held = []
    page.route("**/v1/predict?*", lambda route: held.append(route))
    page.evaluate(DROP, pictures)
    page.locator("#clear").click()
    page.evaluate(DROP, pictures[:1])
    assert page.locator("#summary").inner_text() == "0 of 1 done"
    for route in held:
        route.continue_()
    page.unroute("**/v1/predict?*")
    page.locator("#progress").wait_for(state="hidden")
    assert page.locator("#summary").inner_text().startswith("One picture: a, ")


def test_the_table_is_saved(url, visit, pictures, tmp_path):
    page = visit(url)
    drop(page, [["=1+1.png", pictures[0][1]], *pictures[1:]])
    with page.expect_download() as download:
        page.locator("#download").click()
    download.value.save_as(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["class"]) for row in rows] == [("'=1+1.png", "a"), ("c.png", "c"), ("cut.png", "")]
    assert float(rows[0]["probability"]) > 1 / 3
    assert rows[2]["error"]


def test_unsure_is_shown_as_such(start, visit, pictures):
    page = visit(start("--threshold", "1"))
    drop(page, pictures[:1])
    assert page.locator(".badge").inner_text() == "Unsure"
    assert page.locator("#summary").inner_text().startswith("One picture: Unsure, perhaps a, ")


def test_a_key_and_a_correction(start, visit, pictures, run, tmp_path):
    page = visit(start("--corrections", str(tmp_path / "kept"), **os.environ, FROSTLINE_API_KEY=KEY))
    assert page.locator("#classes").inner_text() == "The API key is missing or wrong."
    page.locator("#key").fill(KEY)
    page.keyboard.press("Enter")
    page.locator("#key-form").wait_for(state="hidden")
    drop(page, pictures[:1])
    page.locator(".correct select").select_option("b")
    page.locator(".correct button").click()
    page.get_by_text("Saved for the next training.").wait_for()
    (saved,) = (tmp_path / "kept").glob("*/*")
    assert saved.parent.name == "b"
    assert saved.read_bytes() == (run.parent / "pictures" / "a" / "3.png").read_bytes()


def test_every_text_is_there_in_both_languages(url, visit):
    page = visit(url)
    script = "import('/words.js').then(words => JSON.stringify(words.WORDS))"
    words = json.loads(page.evaluate(script))
    assert all(len(texts) == 2 and all(texts) for texts in words.values())
    named = page.locator("[data-word]").evaluate_all("found => found.map(one => one.dataset.word)")
    assert set(named) <= set(words)
    for english, chinese in words.values():
        assert sorted(holes(english)) == sorted(holes(chinese))


def holes(text):
    return [part.partition("}")[0] for part in text.split("{")[1:]]
