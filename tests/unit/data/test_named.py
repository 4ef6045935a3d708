import gzip
import hashlib
import os
import pickle
import socket
from urllib.error import URLError

import numpy as np
import pytest
from torchvision import datasets

from frostline.data import named
from frostline.data.named import NAMES, open_named, read_idx
from frostline.data.sources import open_source
from frostline.errors import DataError


def idx(values):
    axes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + axes + values.astype(np.uint8).tobytes()


IMAGES = {"train": np.arange(3 * 2 * 2).reshape(3, 2, 2), "t10k": np.arange(100, 108).reshape(2, 2, 2)}
LABELS = {"train": np.array([0, 9, 1]), "t10k": np.array([1, 0])}


def write_idx(folder, *, zipped=False, labels=LABELS):
    folder.mkdir(parents=True, exist_ok=True)
    for part in IMAGES:
        for kind, values in (("images-idx3", IMAGES[part]), ("labels-idx1", labels[part])):
            content = idx(values)
            name = f"{part}-{kind}-ubyte{'.gz' if zipped else ''}"
            (folder / name).write_bytes(gzip.compress(content) if zipped else content)
    return folder


@pytest.fixture
def offline(monkeypatch):
    """No system data set, and a download that fails as a missing network does."""

    def fail(*args, **kwargs):
        raise URLError("no\nroute")

    monkeypatch.setattr(named, "_SYSTEM_FOLDERS", {})
    monkeypatch.setattr(datasets.MNIST, "download", fail)
    monkeypatch.setattr(datasets.CIFAR10, "download", fail)


def test_names():
    assert NAMES == ("digits", "cifar10", "fashion-mnist", "mnist")
    assert named.CLASSES["fashion-mnist"] == tuple(name.replace("/", "-") for name in datasets.FashionMNIST.classes)
    assert all(len(classes) == 10 for classes in named.CLASSES.values())


def test_digits(tmp_path):
    source = open_source("digits", cache_dir=tmp_path)
    assert (source.name, source.classes, len(source.pictures)) == ("digits", tuple("0123456789"), 1797)
    first = source.pictures[0]
    assert (first.path, first.label, first.split, first.group) == ("digits/00000", "0", None, None)
    # the first row of the first digit is 0 0 5 13 9 1 0 0, each a sixteenth of white
    assert source.read(0)[0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert source.read(0).dtype == np.uint8
    assert max(source.read(position).max() for position in range(20)) == 255
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(source)).read(5), source.read(5))
    assert not list(tmp_path.iterdir())


def test_digits_takes_no_folder(tmp_path):
    with pytest.raises(DataError, match="takes no folder"):
        open_source(f"digits:{tmp_path}", cache_dir=tmp_path)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("below", ["", "FashionMNIST/raw", "raw"])
def test_idx_files_in_a_folder(tmp_path, zipped, below):
    write_idx(tmp_path / below, zipped=zipped)
    source = open_source(f"fashion-mnist:{tmp_path}", cache_dir=tmp_path / "cache")
    assert [(row.path, row.label, row.split) for row in source.pictures] == [
        ("train/00000", "T-shirt-top", "train"),
        ("train/00001", "Ankle boot", "train"),
        ("train/00002", "Trouser", "train"),
        ("test/00000", "Trouser", "test"),
        ("test/00001", "T-shirt-top", "test"),
    ]
    assert source.name == "fashion-mnist"
    assert source.read(1).tolist() == [[4, 5], [6, 7]]
    assert source.read(3).tolist() == [[100, 101], [102, 103]]
    assert source.read(3).dtype == np.uint8


def test_the_cache_comes_before_a_download(tmp_path, offline):
    write_idx(tmp_path / "datasets" / "mnist")
    source = open_source("mnist", cache_dir=tmp_path)
    assert [row.label for row in source.pictures] == ["0", "9", "1", "1", "0"]


def test_the_systems_own_copy_comes_before_a_download(tmp_path, offline, monkeypatch):
    place = write_idx(tmp_path / "share", zipped=True)
    monkeypatch.setattr(named, "_SYSTEM_FOLDERS", {"fashion-mnist": place})
    assert len(open_source("fashion-mnist", cache_dir=tmp_path / "cache").pictures) == 5
    assert not (tmp_path / "cache").exists()


def test_download_goes_to_the_cache(tmp_path, offline, monkeypatch):
    timeouts = []

    def download(self):
        timeouts.append(socket.getdefaulttimeout())
        write_idx(tmp_path / "datasets" / "mnist" / "MNIST" / "raw")

    monkeypatch.setattr(datasets.MNIST, "download", download)
    before = socket.getdefaulttimeout()
    assert len(open_source("mnist", cache_dir=tmp_path).pictures) == 5
    assert timeouts == [30.0]
    assert socket.getdefaulttimeout() == before


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("mnist", r"train-images-idx3-ubyte\.gz.* from https://ossci-datasets.* put them into"),
        ("fashion-mnist", r"train-images-idx3-ubyte\.gz.* from http://fashion-mnist\.s3.* put them into"),
        ("cifar10", r"get https://www\.cs\.toronto\.edu/~kriz/cifar-10-python\.tar\.gz and unpack it in"),
    ],
)
def test_without_network_the_message_says_what_to_put_where(tmp_path, offline, name, advice):
    with pytest.raises(DataError, match=advice) as caught:
        open_source(name, cache_dir=tmp_path)
    message = str(caught.value)
    assert "no route" in message
    assert "\n" not in message
    assert str(tmp_path / "datasets" / name) in message


@pytest.mark.parametrize("name", ["cifar10", "mnist", "fashion-mnist"])
def test_a_given_folder_without_the_files_is_not_filled(tmp_path, offline, name):
    with pytest.raises(DataError, match=f"no {name} in .*: get .*http"):
        open_source(f"{name}:{tmp_path}", cache_dir=tmp_path / "cache")
    assert not list(tmp_path.iterdir())


def write_cifar(folder, monkeypatch):
    """The layout of CIFAR-10 with three pictures in each batch, and the checksums to go with it."""
    base = folder / "cifar-10-batches-py"
    base.mkdir()

    def put(name, content):
        data = pickle.dumps(content)
        (base / name).write_bytes(data)
        return [name, hashlib.md5(data).hexdigest()]

    batches = {}
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        planes = np.repeat(np.array([[number, 50, 100]], np.uint8), 3, axis=0)  # one value for each colour
        batches[name] = put(name, {"data": np.repeat(planes, 1024, axis=1), "labels": [0, 9, 3]})
    names = put("batches.meta", {"label_names": list(named.CLASSES["cifar10"])})
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [batches[f"data_batch_{n}"] for n in range(1, 6)])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [batches["test_batch"]])
    monkeypatch.setattr(datasets.CIFAR10, "meta", {"filename": names[0], "key": "label_names", "md5": names[1]})
    return base


@pytest.mark.parametrize("below", ["", "cifar-10-batches-py"])
def test_cifar10_in_a_folder(tmp_path, monkeypatch, below):
    write_cifar(tmp_path, monkeypatch)
    source = open_source(f"cifar10:{tmp_path / below}", cache_dir=tmp_path / "cache")
    assert len(source.pictures) == 18
    assert [row.label for row in source.pictures[:3]] == ["airplane", "truck", "cat"]
    assert (source.pictures[15].path, source.pictures[15].split) == ("test/00000", "test")
    assert source.read(15).shape == (32, 32, 3)
    assert source.read(15)[7, 9].tolist() == [5, 50, 100]


def test_a_changed_cifar10_file_is_refused(tmp_path, monkeypatch):
    base = write_cifar(tmp_path, monkeypatch)
    with (base / "test_batch").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match="is damaged"):
        open_source(f"cifar10:{tmp_path}", cache_dir=tmp_path)


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("name", ["data_batch_1", "data_batch_5", "test_batch", "batches.meta"])
def test_a_foreign_cifar10_file_is_refused_before_it_is_unpickled(tmp_path, monkeypatch, name):
    base = write_cifar(tmp_path, monkeypatch)
    (base / name).write_bytes(pickle.dumps(Harmful(tmp_path / "done")))
    with pytest.raises(DataError, match="is damaged"):
        open_source(f"cifar10:{tmp_path}", cache_dir=tmp_path)
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an IDX file"),
        (b"\0\0\x09\1\0\0\0\1x", "is not an IDX file"),
        (b"\0\0\x08\3\0\0", "is not an IDX file"),
        (idx(np.zeros((2, 3)))[:-1], r"holds 5 bytes where \(2, 3\) are announced"),
        (idx(np.zeros((2, 3))) + b"x", r"holds 7 bytes where \(2, 3\) are announced"),
        (b"\0\0\x08\3" + b"\xff" * 12, "holds 0 bytes where"),
    ],
)
def test_damaged_idx(tmp_path, content, message):
    file = tmp_path / "images"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(file)


def test_damaged_gzip(tmp_path):
    content = gzip.compress(idx(np.arange(200)))
    for damaged in (content[:-20], b"junk", content[:40] + b"\xff" + content[41:]):
        (tmp_path / "x.gz").write_bytes(damaged)
        with pytest.raises(DataError, match="cannot be read"):
            read_idx(tmp_path / "x.gz")


@pytest.mark.parametrize(
    ("labels", "message"),
    [(np.array([0, 1]), r"\(3, 2, 2\) pixels but .* \(2,\) labels"), (np.array([0, 1, 10]), "the label 10; allowed")],
)
def test_labels_that_do_not_fit(tmp_path, labels, message):
    write_idx(tmp_path, labels=LABELS | {"train": labels})
    with pytest.raises(DataError, match=message):
        open_named("mnist", folder=tmp_path, cache_dir=tmp_path)
