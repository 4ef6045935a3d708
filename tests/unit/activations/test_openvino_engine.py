import subprocess
import sys
from pathlib import Path

import pytest
import torch

from frostline.activations import openvino_engine
from frostline.activations.engines import TorchEngine
from frostline.activations.openvino_engine import (
    REQUEST,
    Kept,
    OpenVinoEngine,
    Unsuited,
    import_openvino,
    is_installed,
    relative_difference,
)
from frostline.hardware import make_fabric
from frostline.network.build import NetworkSpec, build
from frostline.network.splitting import split

pytestmark = pytest.mark.skipif(not is_installed(), reason="OpenVINO is not installed")

SIDE = 32


def prefix_of(model="resnet18", part="layer3", precision="fp32", **spec):
    network = build(NetworkSpec(model=model, classes=2, image_size=SIDE, **spec))
    for name, buffer in network.module.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2)  # statistics of their own, which must reach the compiled network
    traced = network.trace()
    return TorchEngine(split(traced, traced.before(part)).prefix, network.preprocess, make_fabric("cpu", precision))


@pytest.fixture(scope="module")
def plain():
    return prefix_of(width=0.25)


def pictures(count, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=draw)


def test_values_are_those_of_torch_whatever_the_batches_are(plain):
    sizes = [REQUEST + 1, 1, 2 * REQUEST, 3]
    batches = [pictures(size, seed) for seed, size in enumerate(sizes)]
    ours, theirs = list(OpenVinoEngine(plain, "fp32").run(batches)), list(plain.run(batches))
    assert [len(value) for (value,) in ours] == sizes
    for mine, true in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, true, rtol=1e-4, atol=1e-5)


def test_a_row_does_not_depend_on_its_batch(plain):
    engine, all_at_once = OpenVinoEngine(plain, "fp32"), pictures(2 * REQUEST + 1)
    (together,) = next(engine.run([all_at_once]))
    for number, (alone,) in enumerate(engine.run(all_at_once.split(1))):
        assert torch.equal(alone[0], together[number])


@pytest.mark.parametrize(
    "spec",
    [
        {"model": "vgg11_bn", "part": "block4", "width": 0.25},
        {"model": "efficientnet_lite0", "part": "head", "head": "multi"},
        {"model": "vit_b_16", "part": "encoder.layers.encoder_layer_1"},
    ],
    ids=lambda spec: spec["model"],
)
def test_other_networks(spec):
    """Several values cross the cut of a head on several depths; a transformer's are no maps."""
    plain = prefix_of(**spec)
    ours, theirs = next(OpenVinoEngine(plain, "fp32").run([pictures(3)])), next(plain.run([pictures(3)]))
    assert [value.shape for value in ours] == [value.shape for value in theirs]
    assert max(map(relative_difference, ours, theirs)) < 1e-4


def test_types_are_those_of_torch_in_bfloat16():
    plain = prefix_of(width=0.25, precision="bf16")
    (ours,), (theirs,) = next(OpenVinoEngine(plain, "bf16").run([pictures(5)])), next(plain.run([pictures(5)]))
    assert ours.dtype == theirs.dtype == torch.bfloat16
    assert relative_difference(ours, theirs) < 0.02


def test_nothing_comes_of_nothing(plain):
    assert list(OpenVinoEngine(plain, "fp32").run([])) == []


def test_a_picture_that_cannot_be_read_is_told(plain):
    def failing():
        yield pictures(3)
        raise ValueError("no such picture")

    with pytest.raises(ValueError, match="no such picture"):
        list(OpenVinoEngine(plain, "fp32").run(failing()))


def test_other_values_than_those_of_torch_are_refused(plain, monkeypatch):
    monkeypatch.setattr("frostline.activations.openvino_engine.FLOOR", -1.0)
    engine = OpenVinoEngine(plain, "fp32")
    for _ in range(2):  # a second call is refused too
        with pytest.raises(Unsuited, match=r"OpenVINO is .* from torch, at most -1 is allowed; use --engine torch"):
            next(engine.run([pictures(2)]))


def test_a_network_that_cannot_be_converted_is_refused(plain, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no such operation\nat line 7")

    monkeypatch.setattr(import_openvino(), "convert_model", refuse)
    with pytest.raises(Unsuited, match=r"cannot compute this network \(no such operation\); use --engine torch"):
        next(OpenVinoEngine(plain, "fp32").run([pictures(2)]))


SIGNALLED = f"""
import faulthandler, gc, signal, sys

faulthandler.enable()  # signals are handled on a stack of their own
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_openvino_engine import OpenVinoEngine, pictures, prefix_of

engines = [OpenVinoEngine(prefix_of(width=0.125), "fp32") for _ in range(2)]
for engine in engines:
    list(engine.run([pictures(2)]))
engine = None
while engines:
    engines.pop(0)
    gc.collect()
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
signal.raise_signal(signal.SIGTERM)
"""


def test_a_signal_is_handled_after_engines_have_gone():
    """The first one that was made goes first."""
    done = subprocess.run([sys.executable, "-c", SIGNALLED], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


class _Shelf:
    """A shelf in memory, and what was asked of it."""

    def __init__(self):
        self.kept, self.found = {}, []

    def take(self, name):
        self.found.append(name in self.kept)
        return self.kept.get(name)

    def put(self, name, content, facts):
        self.kept[name] = facts, content


def values_of(plain, shelf, graph="graph"):
    return next(OpenVinoEngine(plain, "fp32", Kept(shelf, graph)).run([pictures(3)]))


def test_a_kept_network_gives_the_same_values_without_compiling(plain, monkeypatch):
    shelf = _Shelf()
    compiled = values_of(plain, shelf)
    monkeypatch.setattr(openvino_engine, "_compile", None)
    (kept,), (new,) = values_of(plain, shelf), compiled
    assert torch.equal(kept, new)
    assert kept.dtype == new.dtype
    assert shelf.found == [False, True]


def test_a_network_is_kept_for_its_own_weights_and_graph_alone():
    shelf, plain = _Shelf(), prefix_of(width=0.25)
    values_of(plain, shelf)
    values_of(plain, shelf, graph="another")
    with torch.no_grad():
        plain.prefix.conv1.weight.mul_(2)
    values_of(plain, shelf)
    assert shelf.found == [False] * 3


def test_a_kept_network_that_openvino_does_not_take_is_compiled_anew(plain):
    shelf = _Shelf()
    (expected,) = values_of(plain, shelf)
    (name,) = shelf.kept
    shelf.kept[name] = shelf.kept[name][0], b"no network"
    assert torch.equal(values_of(plain, shelf)[0], expected)
    assert shelf.kept[name][1] != b"no network"
