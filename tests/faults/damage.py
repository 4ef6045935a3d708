"""Sound files of each kind, small, and ways to damage them."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import torch

from frostline.activations.key import StoreKey
from frostline.activations.store import DiskStore
from frostline.bundle import write_bundle
from frostline.network.build import NetworkSpec, build
from frostline.progress import Silent
from frostline.sealed import write_sealed

CLASSES = ("ant", "bee", "wasp")
KEY = StoreKey(weights="w", graph="g", cut="layer3", preprocess="p", precision="fp32", engine="e")
ROW = bytes(range(16))
ALWAYS_FIRST, ALWAYS_LAST = 64, 8
"""Bytes at either end of which every bit is flipped: the length and the start of a header, the end of the tensors."""

Flip = tuple[int, int]
"""A byte and a bit in it."""


def write_model(path: Path) -> Path:
    """A bundle whose network is as small as ours get."""
    network = build(NetworkSpec(model="resnet18", classes=len(CLASSES), width=0.02, image_size=32))
    write_bundle(path, network, network.module.state_dict(), CLASSES, {"seed": 0})
    return path


def write_state(path: Path) -> Path:
    """A sealed file that holds what a training state does: tensors by group, a history."""
    tensors = {"weights:fc.weight": torch.rand(3, 4), "moments:fc.weight/step": torch.tensor(7.0)}
    history = {"epochs": [[1, 1, 0.5, 0.9]], "best": 0}
    write_sealed(path, tensors, {"stage": 0, "epoch": 1, "history": history, "frozen": "ab"}, kind="state", version=3)
    return path


def write_store(home: Path) -> Path:
    """A store of one shard with one row; give the shard."""
    store = DiskStore(home, KEY, Silent())
    store.add([ROW], (torch.arange(12.0).view(1, 3, 2, 2), torch.ones(1, 5).bfloat16()))
    store.flush()
    (shard,) = store.folder.glob("*.safetensors")
    return shard


def flips(size: int, count: int, seed: int = 0) -> Iterator[Flip]:
    """Every bit of both ends of a file of `size` bytes, and `count` bits drawn from all of it."""
    ends = [*range(min(ALWAYS_FIRST, size)), *range(max(ALWAYS_FIRST, size - ALWAYS_LAST), size)]
    yield from ((byte, bit) for byte in ends for bit in range(8))
    draw = Random(seed)
    yield from ((draw.randrange(size), draw.randrange(8)) for _ in range(count))


def flipped(content: bytes, flip: Flip) -> bytes:
    """Content with one bit turned over."""
    byte, bit = flip
    return content[:byte] + bytes([content[byte] ^ 1 << bit]) + content[byte + 1 :]


def put(path: Path, content: bytes) -> Path:
    """Write a file anew: one that may still be mapped is never cut off."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    return path
