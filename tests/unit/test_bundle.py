import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from frostline.activations.choosing import ENGINES
from frostline.activations.openvino_engine import is_installed
from frostline.bundle import Predictor, load_model, seen, write_bundle
from frostline.data import loader
from frostline.data.decode import decode
from frostline.data.preprocess import Preprocess
from frostline.data.views import TEST_VIEWS
from frostline.errors import BundleError, ConfigError, DataError
from frostline.network.build import NetworkSpec, build
from frostline.sealed import read_sealed, write_sealed

SPECS = {
    "resnet18": {"model": "resnet18", "width": 0.125, "image_size": 32},
    "grey": {"model": "resnet18", "width": 0.125, "image_size": 32, "channels": 1},
    "multi": {"model": "resnet18", "width": 0.125, "image_size": 32, "head": "multi"},
    "mlp": {"model": "vgg11_bn", "width": 0.125, "image_size": 32, "head": "mlp"},
    "official": {"model": "vgg11", "width": 0.0625, "image_size": 32, "head": "official", "dropout": 0.3},
}
CLASSES = ("ants", "蜜蜂", "z")


def network_of(name="resnet18"):
    """A small network whose head and statistics are not those it is built with."""
    network = build(NetworkSpec(classes=3, **SPECS[name]), seed=5)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in network.module.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand(value.shape, generator=draw) / 10)
    return network


def write(path, network=None, **facts):
    network = network or network_of()
    write_bundle(path, network, network.module.state_dict(), CLASSES, facts)
    return path


@pytest.fixture
def bundle(tmp_path):
    return write(tmp_path / "model.safetensors", seed=3)


@pytest.mark.parametrize("name", SPECS)
def test_a_loaded_network_gives_the_same_logits(tmp_path, name):
    network = network_of(name)
    path = write(tmp_path / "model.safetensors", network)
    pixels = torch.randint(0, 256, (4, *network.preprocess.input_shape), dtype=torch.uint8)
    model = load_model(path)
    again = model.network
    assert model.classes == CLASSES
    assert (again.spec, again.preprocess, again.head) == (network.spec, network.preprocess, network.head)
    graph = network.trace().evaluating.graph
    whole = torch.fx.GraphModule(network.module, graph).eval()
    with torch.no_grad():
        expected = whole(network.preprocess.normalise(pixels))
    torch.testing.assert_close(Predictor(path, precision="fp32").logits(pixels), expected)
    assert list(tmp_path.iterdir()) == [path]


def test_a_changed_preprocessing_travels(tmp_path):
    network = network_of()
    preprocess = Preprocess(size=32, resize=40, interpolation="bicubic", mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))
    network = type(network)(network.spec, network.module, network.head, preprocess)
    assert Predictor(write(tmp_path / "m.safetensors", network)).preprocess == preprocess


def test_the_header_says_how_it_was_made(bundle):
    header, _ = read_sealed(bundle, kind="model", newest=2)
    assert header["facts"] == {"seed": 3}
    assert header["classes"] == list(CLASSES)
    assert header["format"] == 2
    assert set(header) >= {"format", "frostline", "network", "classes", "preprocess", "facts"}
    with safe_open(bundle, "pt") as file:
        assert set(file.metadata()) == {"frostline", "seal"}


def payload_start(content):
    return 8 + int.from_bytes(content[:8], "little")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_a_flipped_bit_in_the_weights_is_refused(bundle, share):
    content = bytearray(bundle.read_bytes())
    start = payload_start(content)
    content[start + int(share * (len(content) - start - 1))] ^= 1
    bundle.write_bytes(content)
    with pytest.raises(BundleError, match="is damaged: its content does not match its digest"):
        load_model(bundle)


@pytest.mark.parametrize(
    ("written", "damaged"),
    [
        (b"ants", b"anus"),
        (b"0.485", b"0.585"),
        (b"bilinear", b"bilineas"),
        (b"resnet18", b"resnet19"),
        (b"classes", b"clasres"),
    ],
    ids=lambda value: value.decode(),
)
def test_a_flipped_bit_in_the_header_is_refused(bundle, written, damaged):
    """Another class name or another mean is a wrong answer, silently."""
    content = bundle.read_bytes()
    start = payload_start(content)
    assert written in content[:start]
    bundle.write_bytes(content[:start].replace(written, damaged, 1) + content[start:])
    with pytest.raises(BundleError, match=r"model\.safetensors"):
        load_model(bundle)


@pytest.mark.parametrize("kept", [0, 7, 200, -1])
def test_a_truncated_bundle_is_refused(bundle, kept):
    bundle.write_bytes(bundle.read_bytes()[:kept])
    with pytest.raises(BundleError, match=r"model\.safetensors"):
        load_model(bundle)


@pytest.mark.parametrize(
    "metadata",
    [None, {"format": "pt"}, {"frostline": "{"}, {"frostline": "[]"}, {"frostline": '{"format": 1}'}],
    ids=str,
)
def test_foreign_safetensors_are_refused(tmp_path, metadata):
    path = tmp_path / "foreign.safetensors"
    save_file({"x": torch.zeros(2)}, path, metadata=metadata)
    with pytest.raises(BundleError, match=r"foreign\.safetensors"):
        load_model(path)


def test_a_format_from_the_future_is_refused_by_name(bundle):
    header, tensors = read_sealed(bundle, kind="model", newest=2)
    write_sealed(bundle, tensors, without_kind(header), kind="model", version=3)
    with pytest.raises(BundleError, match="has format 3, this version reads up to 2; update frostline"):
        load_model(bundle)


def test_the_first_format_loads_as_it_was(bundle):
    """It knew no resize, mean, deviation and test views of the user's."""
    header, tensors = read_sealed(bundle, kind="model", newest=2)
    network = {name: value for name, value in header["network"].items() if name not in {"resize", "mean", "std"}}
    facts = {name: value for name, value in header["facts"].items() if name != "test_views"}
    old = without_kind(header) | {"network": network, "facts": facts}
    pixels = torch.randint(0, 256, (2, *Predictor(bundle).preprocess.input_shape), dtype=torch.uint8)
    expected = Predictor(bundle).logits(pixels)
    write_sealed(bundle, tensors, old, kind="model", version=1)
    assert torch.equal(Predictor(bundle).logits(pixels), expected)


@pytest.mark.parametrize("views", ["none", "flip", "flip+shift"])
def test_logits_are_means_over_the_views_it_was_measured_on(tmp_path, views):
    plain = Predictor(write(tmp_path / "plain.safetensors"), precision="fp32")
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    expected = torch.stack([plain.logits(seen(pixels, view)) for view in TEST_VIEWS[views]]).mean(dim=0)
    got = Predictor(write(tmp_path / "views.safetensors", test_views=views), precision="fp32").logits(pixels)
    torch.testing.assert_close(got, expected)


def test_test_views_from_the_future_are_refused(bundle):
    header, tensors = read_sealed(bundle, kind="model", newest=2)
    facts = header["facts"] | {"test_views": "five"}
    write_sealed(bundle, tensors, without_kind(header) | {"facts": facts}, kind="model", version=2)
    with pytest.raises(BundleError, match="measured on views 'five', which this version does not know"):
        load_model(bundle)


def test_weights_of_another_network_are_refused(bundle):
    header, tensors = read_sealed(bundle, kind="model", newest=2)
    write_sealed(bundle, tensors | {"extra": torch.zeros(1)}, without_kind(header), kind="model", version=2)
    with pytest.raises(BundleError, match="the network has no extra"):
        load_model(bundle)


def without_kind(header):
    return {name: value for name, value in header.items() if name not in {"kind", "format"}}


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

    monkeypatch.setattr("frostline.bundle.choose_engine", choose)
    monkeypatch.setattr("frostline.bundle.WORTH_ENGINE", 3)
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
