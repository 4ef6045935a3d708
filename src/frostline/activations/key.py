"""What stored activations depend on, digested: a store belongs to a prefix, a row to a picture's content and view."""

import enum
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from blake3 import blake3
from torch import fx

from frostline.data.loader import Request
from frostline.data.preprocess import Preprocess
from frostline.errors import CacheError
from frostline.network.splitting import Split
from frostline.sealed import digest_tensors

LAYOUT = 3
"""Raised when the meaning of the stored bytes changes. 2: large JPEGs are decoded at a part of their size. 3: a shard
names its store."""
ROW_ID_BYTES = 16
KEY_FILE = "key.json"
MOST_KEY_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreKey:
    """Everything that a stored activation depends on beside the picture and its view.

    Leave a field out and a stale hit becomes possible.
    """

    layout: int = LAYOUT
    weights: str
    """Digest of the prefix's parameters and buffers."""
    graph: str
    """Digest of what the prefix computes."""
    cut: str
    preprocess: str
    precision: str
    engine: str
    """What ran the prefix, with its version."""

    def digest(self) -> str:
        """32 hexadecimal digits that differ when any field differs."""
        return _digest(asdict(self))


def read_key(folder: Path) -> dict[str, Any] | None:
    """Give what a store's `key.json` says; None where it does not digest to the folder's name, or there is none.

    Stores of earlier versions have other fields, and digest all the same.
    """
    try:
        with (folder / KEY_FILE).open("rb") as file:
            fields = json.loads(file.read(MOST_KEY_BYTES))
        named = isinstance(fields, dict) and str(fields["cut"]).isprintable() and _digest(fields) == folder.name
    except (OSError, ValueError, LookupError, RecursionError):
        return None
    return fields if named else None


def _digest(fields: Mapping[str, Any]) -> str:
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return blake3(text.encode()).hexdigest(length=16)


def key_of(split: Split, preprocess: Preprocess, precision: str, engine: str) -> StoreKey:
    """Digest what a prefix's activations depend on.

    Raises:
        CacheError: something in the graph cannot be digested.
    """
    return StoreKey(
        weights=digest_tensors(split.prefix.state_dict()),
        graph=graph_digest(split.prefix),
        cut=split.cut.name,
        preprocess=json.dumps(asdict(preprocess), sort_keys=True),
        precision=precision,
        engine=engine,
    )


def graph_digest(module: fx.GraphModule) -> str:
    """Digest what a graph computes, its weights left out.

    Raises:
        CacheError: something in it cannot be digested.
    """
    return blake3(_graph_text(module).encode()).hexdigest()


def row_id(request: Request) -> bytes:
    """Name a row after the picture's content and the view: 16 bytes."""
    return blake3(f"{request.digest}/{request.view}".encode()).digest(length=ROW_ID_BYTES)


def _graph_text(module: fx.GraphModule) -> str:
    """Write down a graph: each node's operation and arguments, and for modules what they print."""
    lines = []
    for node in module.graph.nodes:
        called = repr(module.get_submodule(node.target)) if node.op == "call_module" else ""
        arguments = _text(node.args) + _text(node.kwargs)
        lines.append(f"{node.name} {node.op} {_target_text(node.target)} {arguments} {_without_addresses(called)}")
    return "\n".join(lines)


def _target_text(target: Any) -> str:
    return target if isinstance(target, str) else f"{getattr(target, '__module__', '')}.{target.__name__}"


def _text(value: Any) -> str:
    if isinstance(value, fx.Node):
        return f"%{value.name}"
    if isinstance(value, tuple | list):
        return f"({','.join(_text(part) for part in value)})"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_text(part)}' for key, part in sorted(value.items()))}}}"
    if isinstance(value, slice):
        return f"slice({_text(value.start)},{_text(value.stop)},{_text(value.step)})"
    plain = (str, int, float, bool, type(None), type(...), torch.dtype, torch.device, torch.memory_format, enum.Enum)
    if isinstance(value, plain):
        return repr(value)
    raise CacheError(
        f"cannot digest {value!r} in the network's graph, so nothing can be stored; use --feature-cache off"
    )


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", text)
