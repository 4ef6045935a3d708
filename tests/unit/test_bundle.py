import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from bundles import CLASSES, SPECS, network_of, write
from frostline.bundle import load_model
from frostline.data.preprocess import Preprocess
from frostline.errors import BundleError
from frostline.predictor import Predictor
from frostline.sealed import MODEL_FORMAT, read_sealed, write_sealed


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
    header, _ = read_sealed(bundle, kind="model", newest=MODEL_FORMAT)
    assert header["facts"] == {"seed": 3}
    assert header["classes"] == list(CLASSES)
    assert header["format"] == MODEL_FORMAT
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
    header, tensors = read_sealed(bundle, kind="model", newest=MODEL_FORMAT)
    write_sealed(bundle, tensors, without_kind(header), kind="model", version=MODEL_FORMAT + 1)
    reason = f"has format {MODEL_FORMAT + 1}, this version reads up to {MODEL_FORMAT}; update frostline"
    with pytest.raises(BundleError, match=reason):
        load_model(bundle)


def test_the_first_format_loads_as_it_was(bundle):
    """It knew no resize, mean, deviation and test views of the user's."""
    header, tensors = read_sealed(bundle, kind="model", newest=MODEL_FORMAT)
    network = {name: value for name, value in header["network"].items() if name not in {"resize", "mean", "std"}}
    facts = {name: value for name, value in header["facts"].items() if name != "test_views"}
    old = without_kind(header) | {"network": network, "facts": facts}
    pixels = torch.randint(0, 256, (2, *Predictor(bundle).preprocess.input_shape), dtype=torch.uint8)
    expected = Predictor(bundle).logits(pixels)
    write_sealed(bundle, tensors, old, kind="model", version=1)
    assert torch.equal(Predictor(bundle).logits(pixels), expected)


def test_test_views_from_the_future_are_refused(bundle):
    header, tensors = read_sealed(bundle, kind="model", newest=MODEL_FORMAT)
    facts = header["facts"] | {"test_views": "five"}
    write_sealed(bundle, tensors, without_kind(header) | {"facts": facts}, kind="model", version=MODEL_FORMAT)
    with pytest.raises(BundleError, match="measured on views 'five', which this version does not know"):
        load_model(bundle)


def rewrite(path, change):
    """Seal a changed header and the same tensors anew: what somebody can send, unlike what damage does."""
    header, tensors = read_sealed(path, kind="model", newest=MODEL_FORMAT)
    header = without_kind(header)
    change(header, tensors)
    write_sealed(path, tensors, header, kind="model", version=MODEL_FORMAT)
    return path


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"extra": torch.zeros(1)}, "the network has no extra 1"),
        ({"x.num_batches_tracked": torch.tensor(1)}, r"the network has no x\.num_batches_tracked"),
        ({"conv1.weight": torch.zeros(1)}, r"conv1\.weight is 1 float32 there and 8x3x7x7 float32 here"),
        ({"bn1.bias": torch.zeros(8).double()}, r"bn1\.bias is 8 float64 there and 8 float32 here"),
    ],
    ids=["unknown", "unknown counter", "shape", "type"],
)
def test_tensors_of_another_network_are_refused(bundle, change, told):
    rewrite(bundle, lambda header, tensors: tensors.update(change))
    with pytest.raises(BundleError, match=told):
        load_model(bundle)


def test_a_missing_tensor_is_refused(bundle):
    rewrite(bundle, lambda header, tensors: tensors.pop("bn1.num_batches_tracked"))
    with pytest.raises(BundleError, match=r"it lacks bn1\.num_batches_tracked scalar"):
        load_model(bundle)


UNSOUND = {
    "no network": (lambda header: header.pop("network"), "network: Field required"),
    "a list for a network": (lambda header: header.update(network=[]), "network: "),
    "no classes": (lambda header: header.update(classes=None), "classes: Input should be a valid list"),
    "a number for a class": (
        lambda header: header.update(classes=["a", "b", 3]),
        "classes.2: Input should be a valid str",
    ),
    "a class too few": (lambda header: header["classes"].pop(), "its network has 3 classes, and 2 have a name"),
    "a class twice": (lambda header: header.update(classes=["a", "b", "a"]), "class name 'a' is there twice"),
    "a blank class": (lambda header: header.update(classes=["a", "b", " "]), "class name ' ' is blank"),
    "a class that colours": (lambda header: header.update(classes=["a", "b", "\x1b[31m"]), "holds a control character"),
    "a class that turns": (
        lambda header: header.update(classes=["a", "b", "\u202egpj"]),
        "turns the direction of writing",
    ),
    "half a letter": (lambda header: header.update(classes=["a", "b", "\ud800"]), "holds half a character"),
    "a class that climbs": (lambda header: header.update(classes=["a", "b", "../c"]), "is a path"),
    "no preprocessing": (lambda header: header.pop("preprocess"), "preprocess: Field required"),
    "a size in words": (
        lambda header: header["preprocess"].update(size="32"),
        "preprocess.size: Input should be a val",
    ),
    "an absurd size": (lambda header: header["preprocess"].update(size=10**9), "preprocess.size: Input should be less"),
    "no resize": (lambda header: header["preprocess"].update(resize=0), "preprocess.resize: Input should be greater"),
    "an interpolation": (
        lambda header: header["preprocess"].update(interpolation="best"),
        "preprocess.interpolation: ",
    ),
    "no deviation": (
        lambda header: header["preprocess"].update(std=[1.0, 0.0, 1.0]),
        "preprocess.std.1: Input should be g",
    ),
    "a mean that is none": (
        lambda header: header["preprocess"].update(mean=[float("nan")] * 3),
        "preprocess.mean.0: Input should be a finite number",
    ),
    "four means": (lambda header: header["preprocess"].update(mean=[0.5] * 4), "4 means and 3 deviations"),
    "grey for colour": (
        lambda header: header["preprocess"].update(mean=[0.5], std=[0.5]),
        "its preprocessing is not for 3 channels",
    ),
    "an unknown step": (lambda header: header["preprocess"].update(blur=3), "preprocess.blur: Extra inputs"),
    "no facts": (lambda header: header.pop("facts"), "facts: Field required"),
    "no temperature": (
        lambda header: header["facts"].update(temperature=0),
        "facts.temperature: Input should be greater",
    ),
    "a hot one": (
        lambda header: header["facts"].update(temperature=float("inf")),
        "facts.temperature: Input should be a",
    ),
    "views": (lambda header: header["facts"].update(test_views=[]), "facts.test_views: Input should be a valid string"),
    "no such network": (lambda header: header["network"].update(model="resnet19"), "no network is called 'resnet19'"),
    "a network from a hub": (
        lambda header: header["network"].update(model="timm:hf-hub:someone/something", width=1.0),
        "no network is called 'timm:hf-hub:someone/something'",
    ),
    "a head": (lambda header: header["network"].update(head="two"), "head='two'"),
    "an option": (lambda header: header["network"].update(depth=3), "unexpected keyword argument 'depth'"),
    "no width": (lambda header: header["network"].update(width=0), "width=0"),
    "a tap": (lambda header: header["network"].update(taps=["layer9"]), "no cut is called 'layer9'"),
    "many classes": (lambda header: header["network"].update(classes=10**9), "network.classes: Input should be less"),
    "a large picture": (lambda header: header["network"].update(image_size=10**6), "image_size=1000000"),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_a_header_that_is_not_sound_is_refused_in_one_line(bundle, case):
    change, told = UNSOUND[case]
    rewrite(bundle, lambda header, tensors: change(header))
    with pytest.raises(BundleError) as error:
        load_model(bundle)
    assert told in str(error.value)
    assert str(error.value).startswith((str(bundle), f"the network in {bundle}"))
    assert "\n" not in str(error.value)


def without_kind(header):
    return {name: value for name, value in header.items() if name not in {"kind", "format"}}
