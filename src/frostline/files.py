"""Files that are whole or absent: atomic writes, digests, the run folder."""

import atexit
import contextlib
import os
import platform
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from blake3 import blake3

from frostline.errors import BundleError, ConfigError


def digest_bytes(content: bytes) -> str:
    """BLAKE3 of the content, 64 hexadecimal digits."""
    return blake3(content).hexdigest()


def digest_file(path: Path) -> str:
    """BLAKE3 of a file's content, 64 hexadecimal digits."""
    with path.open("rb") as file:
        hasher = blake3()
        while block := file.read(1 << 22):
            hasher.update(block)
    return hasher.hexdigest()


def atomic_write(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, make it durable, then put it in place in one step.

    A reader sees the old file or the new one, never a part; an open or mapped old file stays intact. Who may read it is
    what the system grants to new files: a model is often served by another user than the one who trained it.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    temporary.touch(exist_ok=False)
    rights = temporary.stat().st_mode
    try:
        write(temporary)
        temporary.chmod(rights)  # some libraries put a file of their own there
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def is_text(path: str) -> bool:
    """Tell whether a path can be written in UTF-8; Python keeps other bytes of a name as lone surrogates."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_text(path: str) -> str:
    """Give a path as it can be written in UTF-8: its other bytes as escape sequences."""
    return path if is_text(path) else path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically, with the same line ends on every system."""
    atomic_write(path, lambda temporary: _write_bytes(temporary, text.encode()))


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # a folder cannot be opened for syncing elsewhere
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def default_cache_dir() -> Path:
    """Where stored activations and downloads live: `FROSTLINE_CACHE`, or the platform's cache folder."""
    chosen = os.environ.get("FROSTLINE_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("frostline", appauthor=False))


def make_private(folder: Path) -> Path:
    """Create a folder that its user alone can read.

    Raises:
        ConfigError: it cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror or error}; choose another folder") from None
    return folder


def usable_cache(folder: Path, warn: Callable[[str], None]) -> Path:
    """Give a cache folder that can be written: the one wanted, or one that lasts as long as the process.

    Args:
        folder: wanted.
        warn: told where it is another.

    Raises:
        ConfigError: there is no room for temporary files either.
    """
    try:
        return make_private(folder)
    except ConfigError as error:
        try:
            temporary = Path(tempfile.mkdtemp(prefix="frostline-"))
        except OSError:
            raise error from None
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        reason = str(error).partition(";")[0]
        warn(f"{reason}; activations are kept for this run alone (give a folder that can be written with --cache-dir)")
        return temporary


def sweep(folder: Path) -> None:
    """Remove the temporary files that a killed process left of its atomic writes; nobody may be writing meanwhile."""
    for path in folder.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            path.unlink()


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one training and the names of what lies in it."""

    path: Path

    @property
    def config(self) -> Path:
        """The settings of the run."""
        return self.path / "config.yaml"

    @property
    def split(self) -> Path:
        """Which picture is in which split."""
        return self.path / "split.csv"

    @property
    def results(self) -> Path:
        """A row per epoch."""
        return self.path / "results.csv"

    @property
    def steps(self) -> Path:
        """The loss of every step."""
        return self.path / "steps.csv"

    @property
    def metrics(self) -> Path:
        """The numbers of the run; written last, so its presence means that the run is complete."""
        return self.path / "metrics.json"

    @property
    def predictions(self) -> Path:
        """What the best weights say of every validation and test picture."""
        return self.path / "predictions.csv"

    @property
    def review(self) -> Path:
        """What is worth a look: calibration, the worst mistakes, labels that may be wrong."""
        return self.path / "review.json"

    @property
    def skipped(self) -> Path:
        """What was left out, and why."""
        return self.path / "skipped.csv"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    @property
    def reads(self) -> Path:
        """Each look at the test split."""
        return self.path / "test_reads.csv"

    @property
    def best(self) -> Path:
        """The bundle with the best weights by validation."""
        return self.path / "weights" / "best.safetensors"

    @property
    def last(self) -> Path:
        """The bundle with the weights after the last epoch."""
        return self.path / "weights" / "last.safetensors"

    @property
    def state(self) -> Path:
        """What a resumed run starts from."""
        return self.path / "state" / "state.safetensors"

    @property
    def diverged(self) -> Path:
        """Where the loss was no number any more: the step, its rate and its pictures."""
        return self.path / "diverged.json"

    @property
    def drift(self) -> Path:
        """Which pictures were not those that the run began with, when it was to go on."""
        return self.path / "data_changes.csv"

    @property
    def events(self) -> Path:
        """TensorBoard's event files, where the run was asked to write them."""
        return self.path / "tensorboard"

    def create(self) -> "RunFolder":
        """Make the folder and its sub-folders.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            for folder in (self.path, self.best.parent, self.state.parent):
                folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise ConfigError(
                f"cannot write the run to {self.path}: {error.strerror or error}; choose another folder with --out"
            ) from None
        return self

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training into the folder meanwhile, and sweep up after killed ones.

        Raises:
            ConfigError: another one is at it; names it.
        """
        from filelock import FileLock, Timeout

        lock, holder = FileLock(self.state.with_name("lock")), self.state.with_name("holder")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise ConfigError(
                f"{self.path} is being trained into by {_read_or(holder, 'another process')}; wait until it has ended, "
                "or choose another folder with --out"
            ) from None
        try:
            for folder in (self.path, self.best.parent, self.state.parent):
                sweep(folder)
            write_text(holder, f"process {os.getpid()} on {platform.node()}")
            yield
        finally:
            with contextlib.suppress(OSError):  # on a disk that has become read-only; why is told already
                holder.unlink(missing_ok=True)
            lock.release()
            if not self.config.is_file():  # nothing was begun
                Path(lock.lock_file).unlink(missing_ok=True)

    def remove_if_empty(self) -> None:
        """Remove the folders that `create` made, where nothing was written into them."""
        for folder in (self.best.parent, self.state.parent, self.path):
            if folder.is_dir() and not any(folder.iterdir()):
                with contextlib.suppress(OSError):
                    folder.rmdir()

    @classmethod
    def open(cls, path: Path) -> "RunFolder":
        """Open an existing run.

        Raises:
            BundleError: the folder is missing or is not a run.
        """
        run = cls(path)
        if not run.config.is_file():
            raise BundleError(f"{path} is not a run folder (it has no config.yaml); give the folder that training made")
        return run

    @classmethod
    def choose(cls, out: Path | None, default_name: str) -> "RunFolder":
        """Give `out`, or the first free `runs/NAME`, `runs/NAME-2`, ...

        Raises:
            ConfigError: `out` holds something already.
        """
        if out is not None:
            if out.exists() and (not out.is_dir() or any(out.iterdir())):
                raise ConfigError(
                    f"--out {out} exists already; choose another folder, or add --resume to go on with that run"
                )
            return cls(out)
        name = re.sub(r"[^\w.-]+", "-", default_name).strip("-.") or "run"
        base = Path("runs") / name
        number = 2
        path = base
        while path.exists():
            path = base.with_name(f"{name}-{number}")
            number += 1
        return cls(path)


def _read_or(path: Path, otherwise: str) -> str:
    try:
        return path.read_text(encoding="utf-8") or otherwise
    except OSError:
        return otherwise
