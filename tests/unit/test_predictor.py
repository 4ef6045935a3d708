import numpy as np
import pytest
import torch
from PIL import Image

from bundles import CLASSES, network_of, write
from frostline.activations.choosing import ENGINES
from frostline.activations.openvino_engine import is_installed
from frostline.data import loader
from frostline.data.decode import decode
from frostline.data.views import TEST_VIEWS
from frostline.errors import BundleError, ConfigError, DataError
from frostline.predictor import Predictor, seen


@pytest.fixture
def bundle(tmp_path):
    return write(tmp_path / "model.safetensors", seed=3)


@pytest.mark.parametrize("views", ["none", "flip", "flip+shift"])
def test_logits_are_means_over_the_views_it_was_measured_on(tmp_path, views):
    plain = Predictor(write(tmp_path / "plain.safetensors"), precision="fp32")
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    expected = torch.stack([plain.logits(seen(pixels, view)) for view in TEST_VIEWS[views]]).mean(dim=0)
    got = Predictor(write(tmp_path / "views.safetensors", test_views=views), precision="fp32").logits(pixels)
    torch.testing.assert_close(got, expected)


def picture(path, size=(50, 40), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(len(path.name)).integers(0, 256, (*size, 3), dtype=np.uint8)).convert(
        mode
    ).save(path)
    return path


def test_prediction_by_hand(bundle, tmp_path):
    file = picture(tmp_path / "p" / "one.png", size=(32, 32))
    predictor = Predictor(bundle)
    (prediction,) = predictor.predict(file, topk=3, workers=0)
    assert (prediction.path, prediction.error) == (str(file), "")
    assert sum(probability for _, probability in prediction.top) == pytest.approx(1, abs=1e-5)
    assert [p for _, p in prediction.top] == sorted((p for _, p in prediction.top), reverse=True)
    preprocess = predictor.preprocess
    box_side = 32 * preprocess.size / preprocess.resize
    box = ((32 - box_side) / 2,) * 2 + ((32 + box_side) / 2,) * 2
    with Image.open(file) as opened:
        shown = np.asarray(opened.resize((32, 32), Image.Resampling.BILINEAR, box=box)).transpose(2, 0, 1)
    expected = predictor.logits(torch.from_numpy(shown.copy())[None]).softmax(dim=1)[0]
    assert dict(prediction.top) == pytest.approx(dict(zip(CLASSES, expected.tolist(), strict=True)))


def test_probabilities_are_those_of_the_divided_logits(tmp_path):
    predictor = Predictor(write(tmp_path / "mended.safetensors", temperature=2.5), precision="fp32")
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    (got,) = predictor.probabilities([pixels], 2)
    torch.testing.assert_close(got, (predictor.logits(pixels) / 2.5).softmax(dim=1))


def test_damaged_pictures_get_an_error_and_the_others_their_classes(bundle, tmp_path):
    folder = tmp_path / "p"
    good = picture(folder / "img2.png")
    bad = picture(folder / "img10.png")
    bad.write_bytes(bad.read_bytes()[:300])
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden.png").write_text("hidden")
    (folder / "words.jpg").write_text("not a picture either")
    predictions = Predictor(bundle).predict(folder, workers=0)
    assert [prediction.path for prediction in predictions] == [str(good), str(bad), str(folder / "words.jpg")]
    assert [bool(prediction.error) for prediction in predictions] == [False, True, True]
    assert [len(prediction.top) for prediction in predictions] == [3, 0, 0]


def test_several_paths_keep_their_order(bundle, tmp_path):
    files = [picture(tmp_path / "p" / name) for name in ("b.png", "a.png")]
    predictions = Predictor(bundle).predict([files[0], files[1], files[0]], topk=1, workers=0)
    assert [prediction.path for prediction in predictions] == [str(files[0]), str(files[1]), str(files[0])]
    assert predictions[0] == predictions[2]
    assert [len(prediction.top) for prediction in predictions] == [1, 1, 1]


def test_a_grey_network_takes_colour_pictures(tmp_path):
    path = write(tmp_path / "m.safetensors", network_of("grey"))
    (prediction,) = Predictor(path).predict(picture(tmp_path / "p" / "a.png"), workers=0)
    assert len(prediction.top) == 3


def test_what_is_not_there_is_named(bundle, tmp_path):
    (tmp_path / "empty").mkdir()
    for wanted, said in ((tmp_path / "none.png", "no file or folder"), (tmp_path / "empty", "no picture in")):
        with pytest.raises(DataError, match=said):
            Predictor(bundle).predict(wanted)
    for model in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(BundleError, match="no model at"):
            Predictor(model)


def test_the_number_of_workers_changes_nothing(bundle, tmp_path):
    folder = tmp_path / "p"
    for number in range(1, 35):
        picture(folder / f"{'x' * number}.png", size=(12, 9))
    predictor = Predictor(bundle)
    assert predictor.predict(folder, workers=0) == predictor.predict(folder, workers=2)


@pytest.mark.skipif(not is_installed(), reason="OpenVINO is not installed")
@pytest.mark.parametrize("name", ["resnet18", "multi"])
def test_both_engines_say_the_same(tmp_path, name):
    path = write(tmp_path / "m.safetensors", network_of(name), test_views="flip")
    folder = tmp_path / "p"
    for number in range(1, 6):
        picture(folder / f"{'x' * number}.png")
    (folder / "xx.png").write_text("not a picture")
    by = {kind: Predictor(path, precision="fp32", engine=kind).predict(folder, workers=0) for kind in ENGINES[1:]}
    assert [bool(one.error) for one in by["torch"]] == [False, True, False, False, False]
    for mine, theirs in zip(by["openvino"], by["torch"], strict=True):
        assert (mine.path, mine.error) == (theirs.path, theirs.error)
        assert dict(mine.top) == pytest.approx(dict(theirs.top), abs=1e-4)


def test_an_engine_is_timed_where_there_is_much_to_do(bundle, tmp_path, monkeypatch):
    asked = []

    def choose(plain, wanted, trial, _):
        asked.append((wanted, trial.work(), tuple(trial.sample().shape)))
        return plain

    monkeypatch.setattr("frostline.predictor.choose_engine", choose)
    monkeypatch.setattr("frostline.predictor.WORTH_ENGINE", 3)
    predictor = Predictor(bundle)
    for number in range(1, 4):
        picture(tmp_path / "p" / f"{number}.png")
        predictor.predict(tmp_path / "p", workers=0)
    assert asked == [("auto", 3, (3, 3, 32, 32))]


def test_every_picture_is_decoded_once(bundle, tmp_path, monkeypatch):
    decoded = []
    monkeypatch.setattr(loader, "decode", lambda content, **_: decoded.append(content) or decode(content))
    files = [picture(tmp_path / "p" / f"{number}.png") for number in range(3)]
    Predictor(bundle).predict(files, workers=0)
    assert decoded == [file.read_bytes() for file in files]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"engine": "tpu"}, "engine 'tpu' is not known; allowed are auto, torch, openvino"),
        ({"precision": "fp8"}, "precision 'fp8' is not known; allowed are auto, fp32, bf16"),
        ({"device": "tpu"}, "--device 'tpu' is not known"),
    ],
)
def test_unknown_ways_to_compute_are_named(bundle, tmp_path, how, said):
    with pytest.raises(ConfigError, match=said):
        Predictor(bundle, **how).predict(picture(tmp_path / "p" / "a.png"), workers=0)
