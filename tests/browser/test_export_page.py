"""The page that comes with an exported model, in a real browser: what it shows is what the model says."""

import os
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import frostline
from bundles import CLASSES, outspoken, write
from frostline.data.loader import framed

playwright = pytest.importorskip("playwright.sync_api")
pytest.importorskip("onnxscript")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DIST = Path(os.environ.get("ONNXRUNTIME_WEB", Path(__file__).parents[2] / "node_modules" / "onnxruntime-web" / "dist"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
    pytest.mark.skipif(not DIST.is_dir(), reason="npm install onnxruntime-web, or name its dist in ONNXRUNTIME_WEB"),
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Pictures of several sizes and kinds, and a model exported with its page."""
    home, draw = tmp_path_factory.mktemp("page"), np.random.default_rng(0)
    for number, size in enumerate([(40, 90), (90, 40), (33, 33), (64, 50)]):
        folder = home / "pictures" / CLASSES[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        smooth = Image.fromarray(draw.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize(size)
        smooth.save(folder / (f"{number}.png" if number % 2 else f"{number}.jpg"))
    preprocess = frostline.load(write(home / "plain.safetensors")).preprocess
    contents = [path.read_bytes() for path in sorted((home / "pictures").rglob("*.*g"))]
    pixels = np.stack([framed(content, preprocess, max_pixels=10**6) for content in contents])
    model = write(home / "model.safetensors", outspoken("resnet18", torch.from_numpy(pixels)))
    frostline.export_model(model, format="onnx-uint8", out=home / "site" / "m.onnx", data=home / "pictures")
    shutil.copytree(DIST, home / "site" / "dist")
    return home


@pytest.fixture(scope="module")
def address(home):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(home / "site")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/m.example.html"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_page_says_what_the_model_says(home, address):
    files = sorted((home / "pictures").rglob("*.*g"))
    predictor = frostline.load(home / "model.safetensors", device="cpu", precision="fp32", engine="torch")
    expected = [dict(one.top) for one in predictor.predict(files, workers=0)]
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page, errors = browser.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        for file, truth in zip(files, expected, strict=True):
            page.evaluate("document.querySelector('ol').replaceChildren()")
            page.set_input_files("input", str(file))
            page.wait_for_selector("li")
            shown = page.eval_on_selector_all("li", "all => all.map(li => [li.textContent, li.dataset.p])")
            said = {text.rsplit(" ", 2)[0]: float(p) for text, p in shown}
            assert said == pytest.approx(truth, abs=1e-4), file
        assert errors == []
        browser.close()
