"""What the page on serving sends to a server is answered."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from pages import DOCS, blocks
from test_pages import TINY

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")]
ADDRESS = "http://127.0.0.1:8000/"


@pytest.fixture
def url(files, frostline, tmp_path):
    """The address of a server."""
    assert frostline("train", "photos/", *TINY, "--out", "runs/NAME")[0] == 0
    command = [sys.executable, "-m", "frostline", "serve", "runs/NAME", "--port", "0", "--engine", "torch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        yield [process.stdout.readline() for _ in range(2)][-1].strip()
        process.terminate()
        process.communicate(timeout=30)


def test_what_the_page_sends_is_answered(url, tmp_path):
    for name in ("one.jpg", "two.jpg"):
        shutil.copy(tmp_path / "new.jpg", tmp_path / name)
    lines = [line for block in blocks(DOCS / "serving.md", "bash") for line in block.splitlines()]
    sent = [line.replace(ADDRESS, url) for line in lines if line.startswith("curl ") and ADDRESS in line]
    assert len(sent) == 2
    for line in sent:
        done = subprocess.run(
            [*shlex.split(line), "--silent"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        pictures = json.loads(done.stdout)["pictures"]
        assert len(pictures) == line.count("@"), line
        assert all(not one["error"] for one in pictures)
        if topk := re.search(r"topk=(\d)", line):
            assert all(len(one["top"]) == min(2, int(topk[1])) for one in pictures)
        assert all((one["heat_map"] is not None) == ("heat_map=true" in line) for one in pictures)
