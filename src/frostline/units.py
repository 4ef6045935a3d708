"""Sizes and times as people write them."""

import math

from frostline.errors import ConfigError

_BYTES = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "KB": 10**3, "B": 1}
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_bytes(text: str, *, least: int = 0) -> int:
    """Read a size such as `500MB`, `20GB` or `1.5TB` (powers of 1000) as bytes.

    >>> parse_bytes("1.5GB")
    1500000000

    Raises:
        ConfigError: it is none, or under `least` bytes.
    """
    upper = text.strip().upper()
    unit = next((unit for unit in _BYTES if upper.endswith(unit)), "")
    try:
        size = int(float(upper.removesuffix(unit)) * _BYTES[unit])
    except (KeyError, ValueError, OverflowError):
        size = -1
    if size < least:
        raise ConfigError(f"size {text!r} is not understood; write for example 500MB or 20GB")
    return size


def parse_seconds(text: str) -> float:
    """Read a time such as `90s`, `5m` or `1.5h`.

    >>> parse_seconds("1.5h")
    5400.0

    Raises:
        ConfigError: it is none.
    """
    number, unit = text.strip()[:-1], text.strip()[-1:].lower()
    try:
        seconds = float(number) * _SECONDS[unit]
    except (KeyError, ValueError):
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise ConfigError(f"time {text!r} is not understood; write for example 60s, 5m or 1h")
    return seconds
