import pytest
import torch
from bundles import CLASSES, SPECS, network_of, write
from safetensors import safe_open
from safetensors.torch import save_file

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


def test_weights_of_another_network_are_refused(bundle):
    header, tensors = read_sealed(bundle, kind="model", newest=MODEL_FORMAT)
    write_sealed(bundle, tensors | {"extra": torch.zeros(1)}, without_kind(header), kind="model", version=MODEL_FORMAT)
    with pytest.raises(BundleError, match="the network has no extra"):
        load_model(bundle)


def without_kind(header):
    return {name: value for name, value in header.items() if name not in {"kind", "format"}}
