"""What a server is told: where it listens, what it takes, and how much of it."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from frostline.data.loader import default_workers
from frostline.defaults import MAX_PIXELS, THRESHOLD, TOPK
from frostline.errors import ConfigError, UsageError

NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
KEY_VARIABLE = "FROSTLINE_API_KEY"
SHORTEST_KEY = 16
"""Characters; a shorter one could be guessed."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How to serve a model."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes any free one."""
    threshold: float = THRESHOLD
    """An answer whose best class is less probable is unsure."""
    topk: int = TOPK
    """Classes to give where a request does not say."""
    max_body: int = 20_000_000
    """Bytes of a request."""
    max_pixels: int = MAX_PIXELS
    """Of a picture, width times height."""
    max_pictures: int = 64
    """Of a request."""
    queue: int = 256
    """Pictures that may wait for their answer at once, over all requests."""
    timeout: float = 30.0
    """Seconds from a request's first byte to its answer."""
    workers: int = default_workers()
    """Threads that decode."""
    api_key: str = ""
    """Empty: none is asked for."""
    allowed_hosts: tuple[str, ...] = ()
    """Names under which it may be asked, beside those of this computer where it listens on that alone; none: any."""
    corrections: Path | None = None
    """Where pictures with corrected classes are saved; None: nowhere."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names that a request's Host may have; empty where any may."""
        return (*LOOPBACK, *self.allowed_hosts) if self.is_local or self.allowed_hosts else ()

    @property
    def is_local(self) -> bool:
        """Whether it listens to this computer alone."""
        return self.host in LOOPBACK


def check_installed() -> None:
    """Check that the libraries of the extra `serve` are there; looks, and imports none.

    Raises:
        UsageError: names the first one missing.
    """
    missing = next((name for name in NEEDED if find_spec(name) is None), None)
    if missing:
        raise UsageError(f'serving needs {missing}, which is not installed; pip install "frostline[serve]"')


def read_api_key(file: Path | None) -> str:
    """Read the key from a file, or else from the environment; empty where neither is given.

    Raises:
        ConfigError: the file cannot be read, or the key is too short or has characters that no header can have.
    """
    try:
        key = (file.read_text(encoding="utf-8") if file else os.environ.get(KEY_VARIABLE, "")).strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"--api-key-file {file} cannot be read; give a text file that holds the key alone") from None
    where = f"the key in {file or KEY_VARIABLE}"
    if (file or key) and len(key) < SHORTEST_KEY:
        raise ConfigError(f"{where} has {len(key)} characters; give {SHORTEST_KEY} or more (openssl rand -hex 32)")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"{where} has spaces or characters outside ASCII; make one with openssl rand -hex 32")
    return key
