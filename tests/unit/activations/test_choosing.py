import pytest
import torch

from frostline.activations import choosing
from frostline.activations.choosing import TIMINGS_FILE, WORTH_SECONDS, Engines
from frostline.errors import ConfigError
from frostline.hardware import make_fabric
from frostline.network.build import NetworkSpec, build
from frostline.network.splitting import split

SLOW, FAST = 0.02, 0.01
MANY = round(WORTH_SECONDS / SLOW) + 1


@pytest.fixture(scope="module")
def network():
    return build(NetworkSpec(model="resnet18", classes=2, width=0.125, image_size=16))


@pytest.fixture
def timed(monkeypatch):
    """Stand-ins for the clock and for OpenVINO: what was timed, in order, and how long each engine takes."""
    done, seconds = [], {"torch": SLOW, "openvino": FAST}

    def time(engine, pixels):
        done.append(engine.kind)
        return seconds[engine.kind]

    monkeypatch.setattr(choosing, "_time", time)
    monkeypatch.setattr(choosing, "is_installed", lambda: True)
    monkeypatch.setattr(choosing, "openvino_name", lambda: "openvino 1.0")
    return done, seconds


def choose(network, folder, *, wanted="auto", pictures=MANY, part="layer2", kind=None, fabric=None):
    """What a new process would choose."""
    traced = network.trace()
    engines = Engines(wanted, network.preprocess, fabric or make_fabric("cpu", "fp32"), folder)
    sample = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    return engines.of(split(traced, traced.before(part)), lambda: sample, lambda: pictures, kind).kind


def test_the_faster_one_is_chosen(network, timed, tmp_path):
    assert choose(network, tmp_path) == "openvino"
    assert timed[0] == ["torch", "openvino"]
    timed[1]["openvino"] = 2 * SLOW
    assert choose(network, tmp_path, part="layer3") == "torch"


def test_a_choice_is_remembered(network, timed, tmp_path):
    choose(network, tmp_path)
    timed[0].clear()
    assert choose(network, tmp_path, pictures=1) == "openvino"
    assert timed[0] == []


def test_little_work_is_left_to_torch_and_openvino_not_tried(network, timed, tmp_path):
    few = round(WORTH_SECONDS / SLOW) - 1
    assert choose(network, tmp_path, pictures=few) == "torch"
    assert choose(network, tmp_path, pictures=few) == "torch"
    assert timed[0] == ["torch"]
    assert choose(network, tmp_path) == "openvino"
    assert timed[0] == ["torch", "openvino"]


def test_what_openvino_cannot_compute_is_not_tried_again(network, timed, tmp_path):
    timed[1]["openvino"] = float("inf")
    assert choose(network, tmp_path) == "torch"
    assert choose(network, tmp_path) == "torch"
    assert timed[0] == ["torch", "openvino"]


@pytest.mark.parametrize("damage", ["", "[]", "{", "\xff"])
def test_a_damaged_note_is_made_anew(network, timed, tmp_path, damage):
    (tmp_path / TIMINGS_FILE).write_bytes(damage.encode("latin-1"))
    assert choose(network, tmp_path) == "openvino"
    assert choose(network, tmp_path) == "openvino"
    assert timed[0] == ["torch", "openvino"]


@pytest.mark.parametrize("wanted", ["torch", "openvino"])
def test_what_was_asked_for_is_taken_untimed(network, timed, tmp_path, wanted):
    assert choose(network, tmp_path, wanted=wanted) == wanted
    assert choose(network, tmp_path, kind=wanted) == wanted
    assert timed[0] == []


def test_nothing_frozen_needs_no_engine(network, timed, tmp_path):
    assert choose(network, tmp_path, part="all") == "torch"
    assert timed[0] == []


def test_an_engine_is_made_once_and_anew_for_other_weights(network, timed, tmp_path):
    traced = network.trace()
    engines = Engines("openvino", network.preprocess, make_fabric("cpu", "fp32"), tmp_path)

    def get():
        return engines.of(split(traced, traced.before("layer2")), lambda: torch.zeros(1), lambda: 1)

    first = get()
    assert get() is first
    with torch.no_grad():
        network.module.conv1.weight.add_(1)
    assert get() is not first


def test_openvino_that_is_not_installed(network, timed, tmp_path, monkeypatch):
    monkeypatch.setattr(choosing, "is_installed", lambda: False)
    assert choose(network, tmp_path) == "torch"
    with pytest.raises(ConfigError, match=r"not installed \(pip install 'frostline\[openvino\]'\); use --engine auto"):
        choose(network, tmp_path, wanted="openvino")


def test_a_graph_that_cannot_be_digested_is_left_to_torch(network, timed, tmp_path, monkeypatch):
    def refuse(_):
        raise choosing.CacheError("cannot digest")

    monkeypatch.setattr(choosing, "graph_digest", refuse)
    assert choose(network, tmp_path) == "torch"
    assert timed[0] == []


def test_a_folder_that_cannot_be_written_is_no_hindrance(network, timed, tmp_path):
    (tmp_path / "file").touch()
    assert choose(network, tmp_path / "file") == "openvino"
