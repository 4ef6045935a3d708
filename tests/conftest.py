"""Shared by all tests: an empty home for the cache, an empty working folder, no network, made-up pictures."""

import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the processes that tests start too: a test process has a core

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

SHAPES = {"circle": (200, 60, 40), "square": (40, 170, 70), "stripes": (50, 80, 210)}
SIDE = 40
LOCAL = {"localhost", "127.0.0.1", "::1", "", None}

MakeShapes = Callable[..., list[Path]]


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test a working folder, a cache and random numbers of its own, and one thread: results are the same."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FROSTLINE_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    shutil.rmtree(cache, ignore_errors=True)  # the caches of all tests together fill gigabytes


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Fail a test that asks for a connection to another machine."""
    connect, connect_ex, resolve = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self, address):
        _refuse_foreign(self.family, address)
        return connect(self, address)

    def guarded_connect_ex(self, address):
        _refuse_foreign(self.family, address)
        return connect_ex(self, address)

    def guarded_resolve(host, *args, **kwargs):
        _refuse_foreign(socket.AF_INET, (host,))
        return resolve(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_resolve)
        yield


def _refuse_foreign(family: int, address: object) -> None:
    if family in {socket.AF_INET, socket.AF_INET6} and isinstance(address, tuple):
        host = address[0].decode() if isinstance(address[0], bytes) else address[0]
        if host not in LOCAL:
            pytest.fail(f"a test wants to connect to {host!r}; tests use no network")


@pytest.fixture
def make_shapes() -> MakeShapes:
    """A function that draws pictures of one shape, `make_shapes(folder, shape, count, seed=..., side=...)`."""
    return _draw_shapes


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """A folder of three class folders with twelve pictures each, easy to tell apart; all contents differ."""
    root = tmp_path / "shapes"
    for shape in SHAPES:
        _draw_shapes(root / shape, shape, 12)
    return root


def _draw_shapes(folder: Path, shape: str, count: int, *, seed: int = 0, side: int = SIDE) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng([seed, list(SHAPES).index(shape)])
    return [_draw(folder / f"{shape}-{seed}-{number}.png", shape, random, side) for number in range(count)]


def _draw(path: Path, shape: str, random: np.random.Generator, side: int) -> Path:
    """Draw a shape of its class's colour, somewhere on grey, under noise."""
    picture = Image.new("RGB", (side, side), (128, 128, 128))
    draw = ImageDraw.Draw(picture)
    left, top = random.integers(0, side // 4, 2).tolist()
    right, bottom = left + side * 3 // 5, top + side * 3 // 5
    if shape == "circle":
        draw.ellipse((left, top, right, bottom), fill=SHAPES[shape])
    elif shape == "square":
        draw.rectangle((left, top, right, bottom), fill=SHAPES[shape])
    else:
        for y in range(top, bottom, 6):
            draw.rectangle((left, y, right, y + 2), fill=SHAPES[shape])
    noise = random.normal(0, 12, (side, side, 3))
    Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def frostline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Any]]:
    """Run the command line in this process; gives exit code, stdout and stderr."""
    from frostline import cli

    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("os.fsync", lambda _: None)  # waiting for the disk takes a third of the time

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["frostline", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as error:
            code = error.code
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    yield run
    signal.signal(signal.SIGTERM, handler)
