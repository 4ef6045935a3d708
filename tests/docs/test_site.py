"""The site: it builds without a warning, its links lead somewhere, it asks nothing of other hosts."""

import os
import posixpath
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import util
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from pages import DOCS, ROOT

pytest.importorskip("mkdocs")
pytestmark = pytest.mark.slow
LOADED = {"script": "src", "img": "src", "source": "src", "iframe": "src", "object": "data", "image": "href"}
"""What a page loads by itself, but for `link`."""


class Page(HTMLParser):
    """The names, links and loaded files of a page."""

    def __init__(self, path):
        super().__init__()
        self.names, self.links, self.loaded = set(), set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.names |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.add(found["href"])
        if tag == "link" and found.get("rel") not in {"canonical", "alternate", "next", "prev"}:
            self.loaded.add(found["href"])
        if LOADED.get(tag) in found:
            self.loaded.add(found[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    """Its pages by their paths; the page for what is not found is of no place."""
    return {path.relative_to(site).as_posix(): Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def test_both_languages_have_every_page(pages):
    english = {name for name in pages if not name.startswith("zh/")}
    assert len(english) > 20
    assert {f"zh/{name}" for name in english} == set(pages) - english
    assert {"idea.html", "tutorials/index.html", "changelog.html", "adr/0001-frozen-is-four-things.html"} <= english


def test_every_link_leads_somewhere(site, pages):
    lost = [
        (name, link)
        for name, page in pages.items()
        for link in page.links | page.loaded
        if not urlsplit(link).scheme and not leads_somewhere(link, name, site, pages)
    ]
    assert lost == []


def leads_somewhere(link, name, site, pages):
    path, anchor = unquote(urlsplit(link).path), unquote(urlsplit(link).fragment)
    target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
    if (site / target).is_dir():
        target = posixpath.join(target, "index.html").removeprefix("./")
    is_there = (site / target).is_file()
    return is_there and (not anchor or target not in pages or anchor in pages[target].names)


def test_nothing_is_loaded_from_another_host(site, pages):
    assert [(name, file) for name, page in pages.items() for file in page.loaded if urlsplit(file).netloc] == []
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert styles
    assert [found for style in styles for found in re.findall(r"url\([\"']?(?:https?:)?//[^)]*\)", style)] == []


def test_what_is_generated_is_there(site):
    commands = (site / "commands.html").read_text(encoding="utf-8")
    assert all(f"<code>{flag}</code>" in commands for flag in ("--feature-cache", "--topk", "--limit"))
    assert "--feature-cache" in (site / "zh" / "commands.html").read_text(encoding="utf-8")
    assert 'id="frostline.api.train"' in (site / "python.html").read_text(encoding="utf-8")
    assert 'class="drawing"' in (site / "idea.html").read_text(encoding="utf-8")
    assert "timm:convnext_tiny" in (site / "zh" / "networks.html").read_text(encoding="utf-8")
    assert "np.random.default_rng" in re.sub(r"<[^>]+>", "", (site / "notebook.html").read_text(encoding="utf-8"))


def test_no_mark_is_left_in_a_page(site, pages):
    marks = r"<!-- (flags|further commands|notebook|table of|whole)"
    assert [name for name in pages if re.search(marks, (site / name).read_text(encoding="utf-8"))] == []


@pytest.fixture(scope="module")
def hooks():
    """The module that generates."""
    spec = util.spec_from_file_location("hooks", DOCS / "_site" / "hooks.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_setting_has_chinese_words_and_no_words_are_left_over(hooks):
    words = yaml.safe_load((DOCS / "_site" / "flags.zh.yaml").read_text(encoding="utf-8"))
    of_training = {param.name for param in hooks.commands()["train"].params} - {"help"}
    assert of_training - set(words) == set()
    others = {
        f"{name.replace(' ', '_')}.{param.name}"
        for name, command in hooks.commands().items()
        for param in command.params
    }
    assert set(words) - of_training - others == set()


def test_every_command_has_a_table(hooks):
    for name in hooks.commands():
        page = hooks._generated("further commands", "", "", "en")
        assert f"## {name}\n" in page
    assert "## train" not in hooks._generated("further commands", "", "## train\n", "en")
