"""The report in a real browser: nothing fails, nothing is fetched, tables sort, the theme turns, names do no harm."""

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import frostline

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")]

HOSTILE = ("<img src=x onerror=window.hurt=1>", "'\" onload=alert(1)", "很长" * 40, "שלום עולם", "a b;")
NAMES = (
    "<img src=x onerror=alert({})>.png",
    "长" * 60 + "{}.png",
    "<script>window.hurt=1</script>{}.png",
    "a\nb\u202e{}.png",
)
COLOURS = ((200, 40, 40), (40, 160, 60), (40, 60, 200), (220, 200, 60), (120, 120, 120))


def hostile_pictures(folder):
    """A table of pictures, noise over a colour, whose labels and file names a page could trip over."""
    draw = np.random.default_rng(0)
    folder.mkdir()
    rows = [["path", "label"]]
    for number in range(60):
        place = number % len(HOSTILE)
        noise = draw.normal(COLOURS[place], 60, (40, 40, 3))
        name = NAMES[number % len(NAMES)].format(number)
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8)).save(folder / name)
        rows.append([name, HOSTILE[place]])
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return folder / "table.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on them, badly trained, so that it makes mistakes."""
    home = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FROSTLINE_CACHE", str(home / "cache"))
        settings = {"model": "resnet18", "weights": "none", "width": 0.25, "image_size": 32}
        settings["stages"] = "layer4:2@1e-3,all:1@1e-3"
        return frostline.train(hostile_pictures(home / "pictures"), **settings, out=home / "run").path


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_works(run, browser, lang, width, scheme):
    path = frostline.write_report(run, lang=lang)
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.resolve().as_uri())
    assert not said
    assert [url for url in asked if not url.startswith("data:")] == [Path(path).resolve().as_uri()]
    assert page.evaluate("window.hurt") is None
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the screen"
    assert any(re.fullmatch(r"\d{4}-\d\d-\d\d", text) for text in page.locator(".lead .whole").all_inner_texts())
    assert overlapping(page) == []
    assert serious_faults(page) == []
    _sorts(page)
    _turns(page)
    page.close()


def test_what_is_still_there_is_shown_and_names_turn_nothing_round(run, browser):
    table = run.parent / "pictures" / "table.csv"
    page = browser.new_page()
    page.goto(frostline.write_report(run, lang="en").resolve().as_uri())
    shown = page.locator(".gallery img").count()
    texts = page.locator("figcaption").all_inner_texts()
    assert any("\u2068שלום עולם\u2069" in text for text in texts)
    gone = page.locator("#mistakes ~ ul figcaption small").first.inner_text()
    lost = next(path for path in table.parent.rglob("*.png") if path.relative_to(table.parent).as_posix() == gone)
    content = lost.read_bytes()
    lost.write_bytes(content + b" ")
    try:
        page.goto(frostline.write_report(run, lang="en").resolve().as_uri())
        assert 0 < page.locator(".gallery img").count() < shown
    finally:
        lost.write_bytes(content)
    page.close()


def serious_faults(page):
    """What axe finds against the guidelines for accessible pages, as rule and place."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        (fault["id"], node["html"][:200])
        for fault in found
        if fault["impact"] in {"serious", "critical"}
        for node in fault["nodes"]
    ]


def overlapping(page):
    """Texts of a chart that lie over one another or beyond its edge, as pairs of their words."""
    return page.evaluate("""() => [...document.querySelectorAll(".chart")].flatMap(chart => {
        const box = one => ({words: one.textContent, ...one.getBoundingClientRect().toJSON()});
        const texts = [...chart.querySelectorAll("text, figcaption span")].map(box), edge = box(chart);
        const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
        const beyond = a => a.left < edge.left || a.right > edge.right || a.top < edge.top || a.bottom > edge.bottom;
        return texts.flatMap((a, place) => [
            ...texts.slice(place + 1).filter(b => meet(a, b)).map(b => [a.words, b.words]),
            ...(beyond(a) ? [[a.words, "edge"]] : []),
        ]);
    })""")


def _sorts(page):
    """By number both ways, in the table of the classes."""
    column = "section[aria-labelledby=classes] tbody td:nth-child(3)"
    button = page.locator("section[aria-labelledby=classes] th button").nth(2)
    button.click()
    rising = page.locator(column).evaluate_all("cells => cells.map(cell => +cell.dataset.value)")
    button.click()
    falling = page.locator(column).evaluate_all("cells => cells.map(cell => +cell.dataset.value)")
    assert rising == sorted(rising)
    assert falling == sorted(rising, reverse=True)


def _turns(page):
    colour = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(colour)
    page.locator("#theme").click()
    assert page.evaluate(colour) != before
