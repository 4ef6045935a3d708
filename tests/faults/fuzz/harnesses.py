"""Our own parsers, each as a function of bytes that ends in a value or in an error meant for the user."""

import contextlib
import functools
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import torch
from safetensors.torch import save

from frostline.activations.key import KEY_FILE, StoreKey, read_key
from frostline.activations.shards import open_shard
from frostline.bundle import check_header
from frostline.data.tables import _row_group, open_table
from frostline.errors import BundleError, CacheError, DataError, DecodeError, PlanError
from frostline.plan.grammar import parse_stages
from frostline.sealed import read_sealed, write_sealed

KEY = StoreKey(weights="w", graph="g", cut="layer3", preprocess="p", precision="fp32", engine="e")


@dataclass(frozen=True, slots=True)
class Harness:
    """A parser to be tried, and sound inputs to start from."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


@functools.cache
def scratch() -> Path:
    """A folder of this process, called like the store of `KEY`."""
    folder = Path(tempfile.mkdtemp(prefix="frostline-fuzz-")) / KEY.digest()
    folder.mkdir()
    (folder / "1.png").touch()
    return folder


def put(name: str, data: bytes) -> Path:
    """Write a file anew: one that may still be mapped is never cut off."""
    path = scratch() / name
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def stages(data: bytes) -> None:
    """A plan is refused, or comes back the same when it is written and read again."""
    with contextlib.suppress(PlanError):
        found = parse_stages(data.decode("utf-8", "replace"))
        assert parse_stages(", ".join(map(str, found))) == found


def csv(data: bytes) -> None:
    """A CSV manifest is refused, or gives pictures with a label each."""
    with contextlib.suppress(DataError):
        source = open_table(put("m.csv", data))
        assert all(picture.label and picture.path for picture in source.pictures)


def parquet(data: bytes) -> None:
    """A Parquet manifest is refused, or gives pictures that can be read or are refused one by one."""
    with contextlib.suppress(DataError):
        source = open_table(put("m.parquet", data))
        _row_group.cache_clear()  # it knows a file by its path, and here that is another file each time
        for position in range(min(3, len(source.pictures))):
            with contextlib.suppress(DecodeError):
                source.read(position)


def sealed(data: bytes) -> None:
    """A sealed file is refused unless it is the one that was written."""
    with contextlib.suppress(BundleError):
        read_sealed(put("b.safetensors", data), kind="model", newest=3)
        assert data in sealed_seeds(), "a changed byte went unnoticed"


def header(data: bytes) -> None:
    """A bundle's header is refused, or is sound."""
    with contextlib.suppress(
        BundleError, ValueError, RecursionError
    ):  # the latter two are JSON's, caught in read_sealed
        facts = json.loads(data)
        if isinstance(facts, dict):
            assert check_header(facts, Path("b.safetensors")).facts.temperature > 0


def shard(data: bytes) -> None:
    """A shard is refused, or each of its rows can be read."""
    with contextlib.suppress(CacheError):
        opened = open_shard(put("s.safetensors", data), keep_open=False)
        for row in range(min(3, len(opened.row_ids))):
            opened.read_row(row, [torch.empty(place.shape, dtype=place.dtype) for place in opened.values])


def key(data: bytes) -> None:
    """A store's key is refused, or is the store's."""
    put(KEY_FILE, data)
    fields = read_key(scratch())
    assert fields is None or fields == asdict(KEY)


@functools.cache
def sealed_seeds() -> list[bytes]:
    """One sealed file."""
    path = put("seed.safetensors", b"")
    write_sealed(path, {"a": torch.ones(2), "b": torch.tensor(3)}, {"classes": ["x", "y"]}, kind="model", version=3)
    return [path.read_bytes()]


def csv_seeds() -> list[bytes]:
    """Manifests with and without the optional columns."""
    plain = b"path,label\n1.png,a\n1.png,b\n"
    return [plain, b'path,label,split,group\n"1.png",a,train,g\n1.png,b,test,\n', b"\xef\xbb\xbf" + plain]


def parquet_seeds() -> list[bytes]:
    """Tables with paths and with pictures inside."""
    written = []
    for columns in (
        {"path": ["1.png", "1.png"], "label": ["a", "b"]},
        {"image": [b"1", None], "label": [0, 1], "split": ["train", "test"]},
        {"image": [{"bytes": b"1", "path": "1.png"}], "label": ["a"]},
    ):
        sink = pa.BufferOutputStream()
        pa.parquet.write_table(pa.table(columns), sink)
        written.append(sink.getvalue().to_pybytes())
    return written


def header_seeds() -> list[bytes]:
    """The header of a bundle."""
    facts = {
        "network": {"model": "resnet18", "classes": 2, "taps": ["layer4"], "width": 1.0},
        "classes": ["x", "y"],
        "preprocess": {"size": 32, "resize": 40, "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.2] * 3},
        "facts": {"test_views": "flip", "temperature": 1.5},
    }
    return [json.dumps(facts).encode()]


def shard_seeds() -> list[bytes]:
    """A shard of two rows of two values."""
    rows = torch.arange(32, dtype=torch.uint8).view(2, 16)
    values = {"value0": torch.ones(2, 3), "value1": torch.ones(2, 1, 2).bfloat16()}
    return [save({"rows": rows, **values}, metadata={"store": KEY.digest()})]


HARNESSES = {
    "stages": Harness(stages, lambda: [b"head:5, layer4:3@1e-4", b"all:1@.5", b"features.24 : 7 @ 2"]),
    "csv": Harness(csv, csv_seeds),
    "parquet": Harness(parquet, parquet_seeds),
    "sealed": Harness(sealed, sealed_seeds),
    "header": Harness(header, header_seeds),
    "shard": Harness(shard, shard_seeds),
    "key": Harness(key, lambda: [json.dumps(asdict(KEY)).encode(), b"{}"]),
}
