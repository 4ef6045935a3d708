"""Randomness as a function of its circumstances, never a state that moves on."""

from blake3 import blake3


def seed_of(*circumstances: object) -> int:
    """Give a 63-bit seed that depends on every argument, in order, and on nothing else.

    >>> seed_of(0, "order", 3) == seed_of(0, "order", 3)
    True
    >>> seed_of(0, "order", 3) == seed_of(0, "order", 4)
    False
    """
    text = "\x1f".join(repr(part) for part in circumstances)
    return int.from_bytes(blake3(text.encode()).digest(8), "little") >> 1
