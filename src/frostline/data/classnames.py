"""Which names a class may have: what stands in file names, tables, pages and terminals must do no harm there."""

import unicodedata
from collections.abc import Sequence

LONGEST = 255
"""Characters; as many as a folder's name may have."""
_CONTROL = {"Cc": "a control character", "Cs": "half a character", "Zl": "a line separator", "Zp": "a line separator"}
_TURNING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
"""Characters that make what follows them run the other way. Right-to-left letters need none of them."""


def check_class_names(names: Sequence[str]) -> str:
    """Say what is wrong with the first class name that is not allowed, and what to do; "" where all are.

    Not allowed are blank names, more than `LONGEST` characters, control characters (line ends among them, and those
    that turn the direction of writing), path separators, and names that look the same (equal in Unicode's form NFC).

    Args:
        names: of the classes; a name that is there twice is refused as well.
    """
    seen: dict[str, str] = {}
    for name in names:
        if reason := _wrong_with(name):
            return f"the class name {_shown(name)} {reason}; rename the folder, or the label in the table"
        normal = unicodedata.normalize("NFC", name)
        if normal in seen and seen[normal] == name:
            return f"the class name {name!r} is there twice; rename one of them"
        if normal in seen:
            both = f"{seen[normal]!a} and {name!a}"
            return f"the class names {both} are the same text, written in two ways; rename one of them"
        seen[normal] = name
    return ""


def _wrong_with(name: str) -> str:
    if not name.strip():
        return "is blank"
    if len(name) > LONGEST:
        return f"has {len(name)} characters, and {LONGEST} are allowed"
    if "/" in name or "\\" in name or name in {".", ".."}:
        return "is a path: / and \\ are not allowed"
    for character in name:
        if ord(character) in _TURNING:
            return f"holds U+{ord(character):04X}, which turns the direction of writing"
        if kind := _CONTROL.get(unicodedata.category(character)):
            return f"holds {kind} (U+{ord(character):04X})"
    return ""


def _shown(name: str) -> str:
    return repr(name) if len(name) <= LONGEST else f"{name[:40]!r}..."
