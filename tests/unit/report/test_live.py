import http.client
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest

from frostline.plan.timeleft import TimeLeft
from frostline.report import live
from frostline.report.words import Words, choose_language
from frostline.training.history import EpochRow, History

PLAN = [SimpleNamespace(number=0, part="head", epochs=3, lr=1e-3, size=None, cut=SimpleNamespace(name="pool"))]
GIVEN = {
    "counts": [{"name": "<i>ants</i>", "numbers": [5, 2, 1]}],
    "audit": ["nothing twice"],
    "skipped": [],
    "skipped_count": 0,
    "command": "frostline train data",
    "settings": "data: data",
    "versions": "python 3",
}


def history(epochs):
    told = History()
    for epoch in range(1, epochs + 1):
        told.add(EpochRow(1, epoch, 1 / epoch, 0.5, 1 / epoch, 0.1 * epoch, 1e-3, 1.0, 10.0, True))
    return told


@pytest.fixture
def page():
    said = []
    with live.open_live("<b>run</b>", PLAN, Words("en"), GIVEN, said.append) as opened:
        assert said == [f"live at {opened.url}"]
        yield opened


def get(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read().decode()


def test_the_page_grows_with_the_training(page):
    assert "Training is about to begin" in get(page.url)
    page.show(history(2), TimeLeft({0: SimpleNamespace(seconds=7.5)}))
    now = get(page.url)
    assert "Training: epoch 2 of 3" in now
    assert "Best validation accuracy so far: 20.0%, epoch 2." in now
    assert now.count("<svg") == 2
    assert 'http-equiv="refresh"' in now
    assert "<b>run</b>" not in now
    assert "<i>" not in now
    for told in ("ants", "nothing twice", "frostline train data", "data: data", "python 3", "2.0 s", "7.5 s"):
        assert told in now


def test_it_ends_with_the_report(page, tmp_path, monkeypatch):
    monkeypatch.setattr(live.time, "sleep", lambda _: None)
    (tmp_path / "report.html").write_text("the report")
    page.end_with(tmp_path / "report.html")
    assert get(page.url) == "the report"


def test_nothing_else_is_served(page):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(page.url + "etc/passwd")


def test_a_page_under_another_name_is_not_given(page):
    """A foreign site that has its name point to this computer shall not read it."""
    connection = http.client.HTTPConnection(live.HOST, int(page.url.rsplit(":", 1)[1].strip("/")))
    connection.request("GET", "/", headers={"Host": "evil.example"})
    assert connection.getresponse().status == 404
    connection.close()


@pytest.mark.parametrize(
    ("wanted", "system", "language"),
    [("auto", "zh_CN.UTF-8", "zh"), ("auto", "en_GB.UTF-8", "en"), ("auto", "C", "en"), ("en", "zh_CN.UTF-8", "en")],
)
def test_the_language_is_the_systems_where_none_is_asked_for(monkeypatch, wanted, system, language):
    monkeypatch.setenv("LC_ALL", system)
    assert choose_language(wanted) == language
