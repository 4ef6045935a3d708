"""Files made to harm: none of them runs code, fills the memory, or ends in more than one line."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from damage import KEY, put, write_model, write_store

from frostline.activations.housekeeping import list_stores, prune_stores, verify_stores
from frostline.activations.store import DiskStore
from frostline.bundle import load_model
from frostline.errors import FrostlineError
from frostline.files import digest_file
from frostline.network.build import NetworkSpec, build
from frostline.network.pickles import import_weights
from frostline.network.weights import load_weights
from frostline.predictor import Predictor
from frostline.progress import Silent
from frostline.sealed import MODEL_FORMAT, read_sealed, write_sealed

CANARY = "executed"


class Run:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, (f"touch {CANARY}",)


class Evaluate:
    """Evaluates an expression when it is unpickled."""

    def __reduce__(self):
        return eval, (f"open({CANARY!r}, 'w')",)


class Chained:
    """Gets at a function through what an import gives, without naming it at once."""

    def __reduce__(self):
        return getattr, (Path(), "touch")


def weights_of(path):
    network = build(NetworkSpec(model="resnet18", classes=3, width=0.02, image_size=32))
    return load_weights(network, str(path), classes=("a", "b", "c"))


@pytest.fixture
def bundle(tmp_path):
    return write_model(tmp_path / "model.safetensors")


def refused(read, path):
    """The one line that reading a file ends in."""
    with pytest.raises(FrostlineError) as error:
        read(path)
    said = str(error.value)
    assert "\n" not in said
    assert path.name in said
    assert not Path(CANARY).exists()
    return said


READERS = {
    "bundle": load_model,
    "predictor": Predictor,
    "state": lambda path: read_sealed(path, kind="state", newest=3),
    "weights": weights_of,
    "import": lambda path: import_weights(path, Path("out.safetensors")),
}


@pytest.mark.parametrize("evil", [Run, Evaluate, Chained])
@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
@pytest.mark.parametrize("how", ["zip", "old", "plain"])
@pytest.mark.parametrize("reader", READERS)
def test_a_pickle_that_would_run_code_is_refused_whatever_it_is_called(tmp_path, evil, name, how, reader):
    path = tmp_path / name
    if how == "plain":
        path.write_bytes(pickle.dumps({"conv1.weight": evil()}))
    else:
        torch.save({"conv1.weight": evil()}, path, _use_new_zipfile_serialization=how == "zip")
    said = refused(READERS[reader], path)
    if reader == "weights":
        assert f"is a pickle, which can run code; run `frostline import-weights {path}` first" in said
    assert not Path("out.safetensors").exists()


def test_the_canary_sings(tmp_path):
    """Reading the same bytes as a pickle does run what they ask for."""
    path = tmp_path / "x.pth"
    torch.save({"conv1.weight": Run()}, path)
    torch.load(path, weights_only=False)
    assert Path(CANARY).exists()


def safetensors(header: bytes, rest: bytes = b"", length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + rest


def described(**entries: object) -> bytes:
    return safetensors(json.dumps(entries).encode(), bytes(16))


def claimed(facts: str) -> bytes:
    """A file with a bundle's two remarks in its header."""
    return described(__metadata__={"frostline": facts, "seal": "0" * 64})


HEADERS = {
    "nothing": b"",
    "a length alone": bytes(8),
    "a length of 2^63": safetensors(b"{}", length=2**63),
    "a length of 2^64 - 1": safetensors(b"{}", length=2**64 - 1),
    "a length of 100 MB": safetensors(b"{}", length=10**8),
    "deep lists": safetensors(b"[" * 10**6),
    "deep objects": safetensors(b'{"a":' * 10**5),
    "a list": safetensors(b"[]"),
    "no text": safetensors(b"\xff\xfe\xfd" * 8),
    "a number without end": safetensors(b'{"a":' + b"9" * 10**5 + b"}"),
    "a tensor of 2^60 numbers": described(a={"dtype": "F32", "shape": [2**30, 2**30], "data_offsets": [0, 16]}),
    "a tensor beyond the end": described(a={"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}),
    "a tensor of less than none": described(a={"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}),
    "two tensors in one place": described(
        a={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
        b={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
    ),
    "remarks that are none": described(__metadata__={"frostline": 3, "seal": []}),
    "facts nested deep": claimed("[" * 10**5),
    "facts of a long number": claimed("9" * 10**5),
    "facts that are a list": claimed("[]"),
    "facts without a seal": described(__metadata__={"frostline": '{"kind":"model","format":1}'}),
    "a text": b"these are no weights, " * 10,
}


@pytest.mark.parametrize("case", HEADERS)
@pytest.mark.parametrize("reader", ["bundle", "state", "weights"])
def test_a_hostile_header_is_refused(tmp_path, case, reader):
    refused(READERS[reader], put(tmp_path / "x.safetensors", HEADERS[case]))


@pytest.mark.parametrize("case", HEADERS)
def test_a_hostile_header_in_a_store_is_removed_even_under_its_own_digest(tmp_path, case):
    sound = write_store(tmp_path)
    path = put(sound.with_name("x.safetensors"), HEADERS[case])
    path = path.rename(path.with_name(f"{digest_file(path)}.safetensors"))
    DiskStore(tmp_path, KEY, Silent())
    assert list(sound.parent.glob("*.safetensors")) == [sound]


@pytest.mark.parametrize("content", [b"[" * 10**6, b'{"cut":' * 10**5, b"9" * 10**6, b'"' + b"a" * 10**7, b"null"])
def test_a_hostile_key_stops_no_housekeeping(tmp_path, content):
    shard = write_store(tmp_path / "activations")
    put(shard.with_name("key.json"), content)
    (info,) = list_stores(tmp_path)
    assert info.cut == ""
    assert prune_stores(tmp_path, 10**9) == []
    assert verify_stores(tmp_path) == [shard.parent]


def bomb(path: Path, size: int = 50_000_000) -> Path:
    """An archive of torch's shape that unpacks to a thousand times its size."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("x/data.pkl", bytes(size))
        archive.writestr("x/version", b"3\n")
    return path


def test_an_archive_that_unpacks_to_a_thousand_times_its_size_is_refused_unread(tmp_path):
    said = refused(READERS["import"], bomb(tmp_path / "x.pth"))
    assert "holds compressed entries" in said


def test_an_archive_whose_entries_lie_upon_each_other_is_refused(tmp_path):
    """Each entry is stored, and their sum is more than the file holds."""
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", bytes(10_000))
        first = archive.infolist()[0]
        for number in range(50):
            entry = zipfile.ZipInfo(f"x/data/{number}")
            entry.header_offset, entry.file_size, entry.compress_size, entry.CRC = 0, 10_000, 10_000, first.CRC
            archive.filelist.append(entry)
            archive.NameToInfo[entry.filename] = entry
    refused(READERS["import"], path)


def rewrite(path, change):
    """Seal a changed header anew, as a stranger can."""
    header, tensors = read_sealed(path, kind="model", newest=MODEL_FORMAT)
    header = {name: value for name, value in header.items() if name not in {"kind", "format"}}
    change(header)
    path.unlink()
    write_sealed(path, tensors, header, kind="model", version=MODEL_FORMAT)
    return path


@pytest.mark.parametrize(
    "names",
    [
        ["ant", "bee", "wasp\x1b]0;title\x07"],
        ["ant", "bee", "wasp\nant"],
        ["ant", "bee", "\x9b31m"],
        ["ant", "bee", "\u2028"],
        ["ant", "bee", "../../etc"],
        ["ant", "bee", "c:\\windows"],
        ["ant", "bee", ".."],
        ["ant", "bee", "ant"],
        ["ant", "bee", ""],
        ["ant", "bee", "w" * 10**5],
        ["ant", "bee"],
        ["ant", "bee", None],
        "ant",
    ],
    ids=lambda names: ascii(names)[-30:],
)
def test_class_names_that_are_none_are_refused(bundle, names):
    said = refused(load_model, rewrite(bundle, lambda header: header.update(classes=names)))
    assert said.isprintable()
    assert len(said) < 1000


PROMISES = {
    "classes": {"classes": 100_000},
    "a giant network": {"model": "timm:eva02_enormous_patch14_clip_224", "width": 1.0, "image_size": None},
    "a wide network": {"model": "vgg19", "head": "official", "width": 4.0},
    "large pictures": {"model": "vit_l_16", "width": 1.0, "image_size": 4096},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", PROMISES)
def test_a_bundle_that_promises_gigabytes_takes_none(bundle, case):
    def promise(header):
        header["network"].update({"taps": [], **PROMISES[case]})
        header["classes"] = [str(number) for number in range(header["network"]["classes"])]

    rewrite(bundle, promise)
    code = (
        "import resource, sys\n"
        "from frostline.bundle import load_model\n"
        "from frostline.errors import BundleError\n"
        "import torchvision, timm\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        "    load_model(__import__('pathlib').Path(sys.argv[1]))\n"
        "except BundleError as error:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, bundle], capture_output=True, text=True, check=True)
    grown, said = done.stdout.split(" ", 1)
    assert said.count("\n") == 1
    assert "does not fit" in said
    assert int(grown) < 300_000, "kilobytes"
