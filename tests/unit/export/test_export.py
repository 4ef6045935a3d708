"""Every format, from a bundle to a file that another runtime reads, and what is refused."""

import json
import runpy
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import frostline
from bundles import CLASSES, network_of, outspoken, write
from frostline.data.loader import framed
from frostline.errors import ConfigError, DataError, ExportError
from frostline.export import examples, formats
from frostline.export.formats import FORMATS, facts_of
from frostline.export.parity import Parity
from frostline.export.work import files_of

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
FACTS = {"test_views": "flip", "temperature": 2.0}
AVAILABLE = [name for name, one in FORMATS.items() if "openvino" not in one.needs or formats.find_spec("openvino")]


def labelled(root, count=9):
    """Pictures of the bundle's classes, of several sizes."""
    draw = np.random.default_rng(0)
    for number in range(count):
        folder = root / CLASSES[number % len(CLASSES)]
        folder.mkdir(parents=True, exist_ok=True)
        size = (40 + 5 * number, 90 - 5 * number)
        Image.fromarray(draw.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return root


def model_of(name, pictures, path, **facts):
    """A bundle whose model says another thing of each picture."""
    preprocess = network_of(name).preprocess
    contents = [file.read_bytes() for file in sorted(pictures.rglob("*.png"))]
    pixels = np.stack([framed(content, preprocess, max_pixels=10**6) for content in contents])
    return write(path, outspoken(name, torch.from_numpy(pixels)), **facts)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("export")
    labelled(home / "pictures")
    model_of("resnet18", home / "pictures", home / "model.safetensors", **FACTS)
    return home


@pytest.mark.slow
@pytest.mark.parametrize("name", AVAILABLE)
def test_a_format_says_what_the_model_says(home, name, monkeypatch):
    out = home / name / f"model{FORMATS[name].suffix}"
    monkeypatch.setattr("frostline.export.parity.MOST_LOSS", 0.3)  # nine pictures of noise
    done = frostline.export_model(home / "model.safetensors", format=name, out=out, data=home / "pictures")
    assert done.files[0] == out
    assert all(file.is_file() for file in done.files)
    assert set(out.parent.iterdir()) == set(done.files)
    assert set(done.files) == set(files_of(out, name))
    assert done.parity.pictures == 9
    if FORMATS[name].is_int8:
        assert done.parity.times_faster > 0
        assert done.parity.largest_difference < 0.3
    else:
        assert done.parity.agreement == 1
        assert done.parity.largest_difference <= 1e-5
    predictor = frostline.load(home / "model.safetensors", device="cpu", precision="fp32")
    picture = next((home / "pictures").rglob("*.png"))
    said = dict(example_says(out, picture, monkeypatch))
    expected = dict(predictor.predict(picture, workers=0)[0].top)
    assert said == pytest.approx(
        expected, abs=0.15 if FORMATS[name].is_int8 else 6e-4
    )  # it prints a tenth of a percent


def example_says(model, picture, monkeypatch):
    """Run the example that came with a file, as a user would; classes and shares that it prints."""
    printed = []
    monkeypatch.setattr(sys, "argv", ["example", str(picture)])
    monkeypatch.chdir(model.parent)
    runpy.run_path(str(model.with_suffix(".example.py")), {"print": lambda *words, sep: printed.extend(words)})
    assert printed[0] == str(picture)
    pairs = [text.rpartition(" ") for text in printed[1:]]
    return [(name, float(share.rstrip("%")) / 100) for name, _, share in pairs]


@pytest.mark.slow
@pytest.mark.parametrize("network", ["grey", "multi"])
def test_pictures_of_any_size_go_into_any_network(tmp_path, network):
    pictures, out = labelled(tmp_path / "pictures", 3), tmp_path / "m.onnx"
    model = model_of(network, pictures, tmp_path / "model.safetensors")
    done = frostline.export_model(model, format="onnx-uint8", out=out, data=pictures)
    assert (done.parity.agreement, done.parity.pictures) == (1, 3)
    run = formats.open_onnx(out)
    channels = 1 if network == "grey" else 3
    two = run(np.zeros((2, 33, 50, channels), dtype=np.uint8))
    assert two.shape == (2, 3)
    np.testing.assert_allclose(two.sum(axis=1), 1, atol=1e-5)


@pytest.mark.slow
def test_what_travels_with_onnx(home):
    import onnx

    out = home / "facts" / "m.onnx"
    frostline.export_model(home / "model.safetensors", out=out, data=home / "pictures")
    facts = {one.key: json.loads(one.value) for one in onnx.load(out).metadata_props}
    assert facts["classes"] == list(CLASSES)
    assert facts["preprocess"]["size"] == 32
    assert facts["card"]["facts"] == FACTS
    assert "ants" in out.with_suffix(".md").read_text("utf-8")


@pytest.mark.slow
def test_a_file_that_says_something_else_is_not_left(home, tmp_path, monkeypatch):
    def wrong(path):
        run = FORMATS["torch"].open(path)
        return lambda inputs: run(inputs)[:, ::-1]

    monkeypatch.setitem(FORMATS, "wrong", replace(FORMATS["torch"], open=wrong))
    monkeypatch.setitem(examples.PYTHON, "wrong", examples.PYTHON["torch"])
    with pytest.raises(ExportError, match="wrong does not say what the model says: its probabilities differ by up to"):
        frostline.export_model(
            home / "model.safetensors", format="wrong", out=tmp_path / "m.pt2", data=home / "pictures"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_cannot_be_expressed_is_told(home, tmp_path, monkeypatch):
    def write(*_):
        raise RuntimeError("no such operator\nat line 3")

    monkeypatch.setitem(FORMATS, "onnx", replace(FORMATS["onnx"], write=write))
    with pytest.raises(ExportError, match=r"cannot express this network \(no such operator\)"):
        frostline.export_model(home / "model.safetensors", out=tmp_path / "m.onnx", data=home / "pictures")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"format": "tflite"}, ConfigError, "'tflite' is not known; allowed are onnx"),
        ({"data": None}, ConfigError, "give labelled ones with --data"),
        ({"out": "model.safetensors"}, ConfigError, r"does not end in \.pt2"),
        ({"out": "taken.pt2"}, ConfigError, r"taken\.md exists already; give another --out"),
        ({"out": "model.safetensors/m.pt2"}, ConfigError, "cannot write to"),
        ({"data": "others"}, DataError, "does not know class"),
    ],
)
def test_wrong_use(home, options, kind, message):
    labelled(home / "others")
    (home / "taken.md").write_text("mine", encoding="utf-8")
    if not (home / "others" / "wasps").exists():
        (home / "others" / "ants").rename(home / "others" / "wasps")
    given = {"out": "new.pt2", "data": "pictures", "format": "torch"} | options
    given = {name: home / value if name in {"out", "data"} and value else value for name, value in given.items()}
    with pytest.raises(kind, match=message):
        frostline.export_model(home / "model.safetensors", **given)


@pytest.mark.parametrize(
    ("name", "missing", "extras"), [("onnx", "onnxscript", "export"), ("openvino", "openvino", "export,openvino")]
)
def test_what_is_not_installed_is_named_with_the_extras_that_bring_it(home, monkeypatch, name, missing, extras):
    monkeypatch.setattr(formats, "find_spec", lambda package: None if package == missing else object())
    with pytest.raises(ConfigError, match=rf"needs {missing}, which is not installed; .*frostline\[{extras}\]"):
        frostline.export_model(home / "model.safetensors", format=name, data=home / "pictures")


def test_when_a_file_must_not_be_used():
    assert Parity(9, 1e-5, 1.0, None).fault(is_int8=False) == ""
    assert "0.002" in Parity(9, 2e-3, 1.0, None).fault(is_int8=False)
    assert "first class on 10.0%" in Parity(10, 1e-5, 0.9, None).fault(is_int8=False)
    assert Parity(100, 0.2, 0.98, (0.95, 0.94)).fault(is_int8=True) == ""
    assert "95.0% to 93.0%" in Parity(100, 0.2, 0.98, (0.95, 0.93)).fault(is_int8=True)


def test_facts_are_json_that_keeps_every_alphabet():
    assert facts_of(("蜜蜂",), {"size": 3}, {}) == {"classes": '["蜜蜂"]', "preprocess": '{"size": 3}', "card": "{}"}
