import errno

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn, optim

from frostline import sealed
from frostline.errors import BundleError
from frostline.training.history import EpochRow, History, StepRow
from frostline.training.state import GROUPS, State, load_state, read_moments, save_state, write_moments


def a_state():
    history = History()
    history.add(EpochRow(1, 1, 0.1 + 0.2, 0.5, 1.25, 0.75, 0.001, 2.0, 10.0, False))
    history.steps.append(StepRow(1, 1, 1, 1 / 3))
    draw = torch.Generator().manual_seed(0)
    weights = {"a.weight": torch.randn(3, 4, generator=draw), "bn.num_batches_tracked": torch.tensor(7)}
    best = {name: value + 1 for name, value in weights.items()}
    moments = {"a.weight/exp_avg": torch.randn(3, 4, generator=draw), "a.weight/step": torch.tensor(5.0)}
    average = {"a.weight": torch.randn(3, 4, generator=draw)}
    sums = {"steps": torch.randn(2, 2, generator=draw)}
    return State(1, 3, history, weights, best, moments, average, "f" * 64, "disk", "openvino", 2, sums, "e" * 64)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_state_is_read_as_it_was_written(tmp_path):
    path, state = tmp_path / "state.safetensors", a_state()
    save_state(path, state)
    again = load_state(path)
    assert (again.stage, again.epoch, again.frozen) == (1, 3, "f" * 64)
    assert (again.choice, again.engine, again.step, again.settings) == ("disk", "openvino", 2, "e" * 64)
    assert torch.equal(again.done, state.sums["steps"])
    assert again.history == state.history
    for group in GROUPS:
        assert same(getattr(again, group), getattr(state, group)), group
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_save_keeps_the_state_before(tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    save_state(path, a_state())
    before = path.read_bytes()

    def fail(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("frostline.sealed.save_file", fail)
    with pytest.raises(KeyboardInterrupt):
        save_state(path, a_state())
    assert path.read_bytes() == before


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_a_truncated_state_is_refused(tmp_path, kept):
    path = tmp_path / "state.safetensors"
    save_state(path, a_state())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BundleError, match=r"^cannot resume: .* or remove the file to start the run anew$"):
        load_state(path)


@pytest.mark.parametrize("place", [-1, -40, -100])
def test_a_flipped_bit_is_refused(tmp_path, place):
    """Safetensors would accept it, and the run would go on from other weights than it had."""
    path = tmp_path / "state.safetensors"
    save_state(path, a_state())
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"state\.safetensors"):
        load_state(path)


@pytest.mark.parametrize("metadata", [None, {"frostline": "[]"}, {"frostline": "{"}, {"other": "x"}])
def test_a_foreign_file_is_refused(tmp_path, metadata):
    path = tmp_path / "state.safetensors"
    save_file({"x": torch.zeros(2)}, path, metadata=metadata)
    with pytest.raises(BundleError, match=r"state\.safetensors"):
        load_state(path)


def test_a_missing_state_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"^cannot resume: .* or remove the file to start the run anew$"):
        load_state(tmp_path / "state.safetensors")


def test_another_format_is_refused_by_name(tmp_path):
    path = tmp_path / "state.safetensors"
    save_file({"weights:x": torch.zeros(2)}, path, metadata={"frostline": '{"kind": "state", "format": 99}'})
    with pytest.raises(BundleError, match="has format 99, this version reads up to 4"):
        load_state(path)


OPTIMIZERS = {
    "sgd": lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9, fused=True),
    "adam": lambda parameters: optim.Adam(parameters, lr=0.1, fused=True),
    "adamw": lambda parameters: optim.AdamW(parameters, lr=0.1, fused=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moments_go_through_a_file_without_a_trace(name, tmp_path):
    """Two steps, saved, two more: the same bytes as four steps."""

    def network():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 16, 2))

    x, y = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 2

    def train(module, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x), y).backward()
            optimizer.step()

    unbroken = network().to(memory_format=torch.channels_last)
    train(unbroken, OPTIMIZERS[name](unbroken.parameters()), 4)
    first = network().to(memory_format=torch.channels_last)
    optimizer = OPTIMIZERS[name](first.parameters())
    train(first, optimizer, 2)
    names = {id(parameter): name for name, parameter in first.named_parameters()}
    path = tmp_path / "state.safetensors"
    save_state(path, State(0, 2, History(), first.state_dict(), {}, read_moments(optimizer, names), {}, "", "off"))
    state = load_state(path)
    second = network().to(memory_format=torch.channels_last)
    second.load_state_dict(state.weights)
    optimizer = OPTIMIZERS[name](second.parameters())
    write_moments(optimizer, dict(second.named_parameters()), state.moments)
    train(second, optimizer, 2)
    assert same(second.state_dict(), unbroken.state_dict())


def test_a_state_that_does_not_read_back_replaces_nothing(tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    save_state(path, a_state())
    before, save = path.read_bytes(), sealed.save_file

    def hurt(tensors, written, **kwargs):
        save(tensors, written, **kwargs)
        content = bytearray(written.read_bytes())
        content[-1] ^= 1
        written.write_bytes(content)

    monkeypatch.setattr(sealed, "save_file", hurt)
    with pytest.raises(BundleError, match="does not read back as it was written; check the disk and the memory"):
        save_state(path, a_state())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_an_error_of_the_system(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(sealed, "save_file", refuse)
    with pytest.raises(OSError, match="No space left on device") as caught:
        save_state(tmp_path / "state.safetensors", a_state())
    assert caught.value.errno == errno.ENOSPC


def test_a_state_of_an_earlier_format_is_read_with_what_was_meant_then(tmp_path):
    """Before states knew of engines, steps within an epoch and settings."""
    path, state = tmp_path / "state.safetensors", a_state()
    facts = {"stage": 1, "epoch": 3, "frozen": "f", "choice": "ram", "history": state.history.to_json()}
    tensors = {f"weights:{name}": value for name, value in state.weights.items()}
    sealed.write_sealed(path, tensors, facts, kind="state", version=1)
    again = load_state(path)
    assert (again.engine, again.step, again.settings) == ("torch", 0, "")
    assert again.done.shape == (0, 2)
    assert again.done.dtype == torch.float32
    assert State(0, 0, History(), {}, {}, {}, {}, "", "off") == State(
        0, 0, History(), {}, {}, {}, {}, "", "off", "torch", 0, {}, ""
    )
    with pytest.raises(AttributeError):
        again.stage = 2


@pytest.mark.parametrize(
    ("facts", "tensors"),
    [
        ({}, {}),
        ({"stage": 1, "epoch": 3, "frozen": "f", "choice": "ram", "history": [1]}, {}),
        ({"stage": 1, "epoch": 3, "frozen": "f", "choice": "ram", "history": History().to_json()}, {"other:a": 1.0}),
    ],
)
def test_a_sealed_file_that_lacks_what_a_state_has_is_refused(tmp_path, facts, tensors):
    path = tmp_path / "state.safetensors"
    sealed.write_sealed(path, {k: torch.tensor(v) for k, v in tensors.items()}, facts, kind="state", version=1)
    says = r"^cannot resume: .* is not the state of a training .*; remove the file to start the run anew$"
    with pytest.raises(BundleError, match=says):
        load_state(path)
