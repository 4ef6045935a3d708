"""Folders in memory for tests that save at every step: a killed process loses nothing that a disk would keep."""

import shutil
import tempfile
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def fast_home():
    """A folder in memory where there is one, shared by a module's tests."""
    home = Path(tempfile.mkdtemp(prefix="frostline-", dir=MEMORY if MEMORY.is_dir() else None))
    yield home
    shutil.rmtree(home)


@pytest.fixture
def fast_path(fast_home):
    """A folder in memory where there is one."""
    return Path(tempfile.mkdtemp(dir=fast_home))
