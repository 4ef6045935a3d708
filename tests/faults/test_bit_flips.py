"""Every flipped bit in a file of ours is found before anything of the file is used."""

import pytest
from damage import ALWAYS_FIRST, ALWAYS_LAST, KEY, ROW, Flip, flipped, flips, put, write_model, write_state, write_store

from frostline.activations.store import DiskStore
from frostline.bundle import load_model
from frostline.errors import BundleError
from frostline.progress import Silent
from frostline.sealed import read_sealed
from tiers import tier

RANDOM_FLIPS = tier(100, 1000)
FLIPS = (ALWAYS_FIRST + ALWAYS_LAST) * 8 + RANDOM_FLIPS
SEALED = {
    "bundle": (write_model, load_model),
    "state": (write_state, lambda path: read_sealed(path, kind="state", newest=3)),
}


class Warned(Silent):
    """A reporter that keeps its warnings."""

    def __init__(self):
        self.warned = []

    def warn(self, text):
        self.warned.append(text)


def passed_in_sealed(path, write, read) -> tuple[list[Flip], int]:
    """Flips of a sealed file that its reader did not refuse, and how many were tried."""
    content = write(path).read_bytes()
    read(path)
    tried = list(flips(len(content), RANDOM_FLIPS))
    passed = []
    for flip in tried:
        put(path, flipped(content, flip))
        try:
            read(path)
        except BundleError as error:
            if str(path) in str(error) and "\n" not in str(error):
                continue
        passed.append(flip)
    return passed, len(tried)


@pytest.mark.parametrize("kind", SEALED)
def test_every_flipped_bit_of_a_sealed_file_is_refused(tmp_path, kind):
    passed, tried = passed_in_sealed(tmp_path / "x.safetensors", *SEALED[kind])
    assert (passed, tried) == ([], FLIPS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEALED)
def test_every_other_byte_in_a_header_is_refused(tmp_path, kind):
    """Spaces and brackets too: other JSON that means the same is not what was sealed."""
    write, read = SEALED[kind]
    path = write(tmp_path / "x.safetensors")
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    for place in range(8, end, tier(23, 1)):
        for byte in b' \t\n"\\{}[],:0a':
            if content[place] != byte:
                put(path, content[:place] + bytes([byte]) + content[place + 1 :])
                with pytest.raises(BundleError):
                    read(path)


def same_meaning(content: bytes) -> dict[str, bytes]:
    """Files that safetensors reads as it reads this one."""
    end = 8 + int.from_bytes(content[:8], "little")
    header, rest = content[8:end], content[end:]

    def with_header(new: bytes) -> bytes:
        return len(new).to_bytes(8, "little") + new + rest

    return {
        "more spaces": with_header(header + b" " * 8),
        "a space between": with_header(header.replace(b'":', b'": ', 1)),
        "an escape": with_header(header.replace(b'"dtype"', b'"\\u0064type"', 1)),
        "a name twice": with_header(header.replace(b'"seal":', b'"seal":"","seal":', 1)),
        "another remark": with_header(header.replace(b'"seal":', b'"note":"","seal":', 1)),
    }


@pytest.mark.parametrize("case", same_meaning(bytes(8)))
@pytest.mark.parametrize("kind", SEALED)
def test_a_header_that_means_the_same_but_is_spelled_otherwise_is_refused(tmp_path, kind, case):
    write, read = SEALED[kind]
    path = write(tmp_path / "x.safetensors")
    content = path.read_bytes()
    assert same_meaning(content)[case] != content
    put(path, same_meaning(content)[case])
    with pytest.raises(BundleError):
        read(path)


def test_every_flipped_bit_of_a_shard_makes_its_rows_missing(tmp_path):
    shard = write_store(tmp_path)
    content = shard.read_bytes()
    assert ROW in DiskStore(tmp_path, KEY, Silent())
    tried = list(flips(len(content), RANDOM_FLIPS))
    passed = []
    for flip in tried:
        put(shard, flipped(content, flip))
        reporter = Warned()
        if ROW in DiskStore(tmp_path, KEY, reporter) or shard.exists() or len(reporter.warned) != 1:
            passed.append(flip)
    assert (passed, len(tried)) == ([], FLIPS)


@pytest.mark.parametrize("kind", SEALED)
def test_every_shorter_or_longer_file_is_refused(tmp_path, kind):
    write, read = SEALED[kind]
    path = write(tmp_path / "x.safetensors")
    content = path.read_bytes()
    step = tier(len(content) // 50, max(1, len(content) // 2000))
    for other in [*(content[:size] for size in range(0, len(content), step)), content + b"\0", b"\0" + content]:
        put(path, other)
        with pytest.raises(BundleError):
            read(path)
