import os
import pickle
import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from frostline.errors import WeightsError
from frostline.network.pickles import import_weights, is_pickle, read_pickle


def linear(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def save(path, content, **how):
    torch.save(content, path, **how)
    return path


def same(first, second):
    return first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w"])
def test_tensors_are_taken_over_beside_the_pickle(tmp_path, name):
    state = linear().state_dict()
    before = save(tmp_path / name, state).read_bytes()
    done = import_weights(tmp_path / name)
    assert done.path == tmp_path / "w.safetensors"
    assert (done.tensors, done.bytes, done.left_out) == (7, 4 * (12 + 4 * 5) + 8, ())
    assert same(load_file(done.path), dict(state))
    assert (tmp_path / name).read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "w.safetensors"])


def test_the_old_format_of_torch_is_read_too(tmp_path):
    state = linear().state_dict()
    path = save(tmp_path / "w.pth", state, _use_new_zipfile_serialization=False)
    assert same(load_file(import_weights(path, tmp_path / "new.safetensors").path), dict(state))


@pytest.mark.parametrize("name", ["state_dict", "model"])
def test_usual_wrappings_are_taken_off(tmp_path, name):
    inner = {f"module.{key}": value for key, value in linear().state_dict().items()}
    path = save(tmp_path / "w.pth", {name: inner, "epoch": 3, "optimizer": {"lr": 0.1}, "loss": torch.tensor(1.0)})
    done = import_weights(path)
    assert same(load_file(done.path), dict(linear().state_dict()))
    assert done.left_out == ("epoch", "optimizer", "loss")


def test_what_is_no_tensor_is_left_out_by_name(tmp_path):
    state = {"a": torch.ones(2), "epoch": 3, "sparse": torch.eye(3).to_sparse(), 5: torch.ones(1), "none": None}
    state["empty"] = torch.empty(10**12, device="meta")
    done = import_weights(save(tmp_path / "w.pth", state))
    assert done.left_out == ("epoch", "sparse", "5", "none", "empty")
    assert list(load_file(done.path)) == ["a"]


def test_tensors_that_share_numbers_or_lie_crosswise_are_written_each_for_itself(tmp_path):
    base = torch.arange(12.0).view(3, 4)
    state = {"a": base, "b": base, "c": base.T, "d": base[:, 1], "p": nn.Parameter(base + 1)}
    state |= {"one": torch.tensor(2.0), "none": torch.zeros(0, 3)}
    done = import_weights(save(tmp_path / "w.pth", state))
    assert same(load_file(done.path), {name: value.detach().contiguous() for name, value in state.items()})


class Call:
    """Asks, when it is unpickled, for a call."""

    def __init__(self, function, *arguments):
        self.asked = (function, arguments)

    def __reduce__(self):
        return self.asked


CALLS = {
    "a method": (Call(Path.touch, Path("executed")), "getattr"),
    "the system": (Call(os.system, "touch executed"), r"posix\.system"),
    "a builtin": (Call(eval, "open('executed', 'w')"), "eval"),
    "a network": (linear(), r"torch\.nn\.modules\.container\.Sequential"),
    "an array": (np.zeros(2), r"numpy\S*\._reconstruct"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("how", ["zip", "old", "plain"])
def test_what_a_pickle_asks_for_is_named_and_not_run(tmp_path, call, how):
    asked, named = CALLS[call]
    path, content = tmp_path / "evil.pth", {"weight": torch.zeros(1), "evil": asked}
    if how == "plain":
        path.write_bytes(pickle.dumps(asked, protocol=2))
    else:
        save(path, content, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(WeightsError) as error:
        import_weights(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    if how != "plain":  # torch looks for its own mark first
        assert re.search(f"it asks for {named}, which is not on torch's list", str(error.value))
    assert list(tmp_path.iterdir()) == [path]
    assert not Path("executed").exists()


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}, torch.zeros(2), {"model": {"epoch": 3}}])
def test_a_file_without_a_state_dict_is_refused(tmp_path, content):
    with pytest.raises(WeightsError, match=r"holds no state dict \(names to tensors"):
        import_weights(save(tmp_path / "w.pth", content))


def test_two_tensors_of_one_name_are_refused(tmp_path):
    state = OrderedDict({"a": torch.zeros(1), "module.a": torch.ones(1)})
    with pytest.raises(WeightsError, match="none twice"):
        read_pickle(save(tmp_path / "w.pth", state))


def test_a_number_shown_a_trillion_times_takes_no_memory(tmp_path):
    path = save(tmp_path / "w.pth", {"a": torch.zeros(1).expand(10**12)})
    with pytest.raises(WeightsError, match=r"promises tensors of more than .* bytes, 8 times its own size"):
        import_weights(path)


def test_an_archive_that_unpacks_to_more_than_itself_is_refused(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", bytes(10**7))
    with pytest.raises(WeightsError, match=r"holds compressed entries, which torch\.save never writes"):
        import_weights(path)


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x02}q\x00.", b"PK\x03\x04" + bytes(50)])
def test_what_is_no_pickle_of_torch_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError) as error:
        import_weights(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("new_format", [True, False])
def test_flipped_bytes_are_refused_or_read_never_a_crash(tmp_path, new_format):
    path, random = tmp_path / "w.pth", Random(0)
    save(path, {"a": torch.zeros(3, 4), "b": torch.ones(2)}, _use_new_zipfile_serialization=new_format)
    sound, refused = path.read_bytes(), 0
    for _ in range(300):
        content = bytearray(sound)
        content[random.randrange(len(content))] = random.randrange(256)
        path.write_bytes(content)
        try:
            read_pickle(path)
        except WeightsError:
            refused += 1
    assert refused > 100


def test_nothing_is_overwritten(tmp_path):
    path = save(tmp_path / "w.pth", linear().state_dict())
    done = import_weights(path)
    written = done.path.read_bytes()
    with pytest.raises(WeightsError, match=r"w\.safetensors exists already; choose another file with --out"):
        import_weights(path)
    with pytest.raises(WeightsError, match="exists already"):
        import_weights(done.path)
    with pytest.raises(WeightsError, match=r"is not a file of torch\.save; a \.safetensors file goes to --weights"):
        import_weights(done.path, tmp_path / "other.safetensors")
    assert done.path.read_bytes() == written


@pytest.mark.parametrize(
    ("path", "out", "told"),
    [
        ("none.pth", None, r"no file at none\.pth"),
        ("w.pth", "w.pt", r"--out w\.pt must end in \.safetensors"),
        ("w.pth", "none/w.safetensors", r"cannot write none/w\.safetensors: .*No such file"),
    ],
)
def test_wrong_paths_are_told(path, out, told):
    save(Path("w.pth"), linear().state_dict())
    with pytest.raises(WeightsError, match=told):
        import_weights(Path(path), out and Path(out))


@pytest.mark.parametrize("length", [0x0280, 0x0580, 8])
def test_a_header_that_starts_like_a_pickle_is_none(tmp_path, length):
    path = tmp_path / "w"
    path.write_bytes(length.to_bytes(8, "little") + b"{" + b" " * length)
    assert not is_pickle(path)
