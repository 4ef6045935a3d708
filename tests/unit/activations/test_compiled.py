import os

from frostline.activations import compiled
from frostline.activations.compiled import Shelf


def test_what_is_kept_is_found_again(tmp_path):
    Shelf(tmp_path / "new").put("one", b"\x00\x01", {"dtypes": ["float32"]})
    facts, content = Shelf(tmp_path / "new").take("one")
    assert content == b"\x00\x01"
    assert facts["dtypes"] == ["float32"]
    assert Shelf(tmp_path / "new").take("other") is None


def test_a_flipped_bit_is_not_used(tmp_path):
    Shelf(tmp_path).put("one", b"\x00\x01", {})
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert Shelf(tmp_path).take("one") is None


def test_what_was_used_longest_ago_makes_room(tmp_path, monkeypatch):
    shelf = Shelf(tmp_path)
    for name, seconds in (("old", 1), ("older", 0)):
        shelf.put(name, bytes(100), {})
        os.utime(tmp_path / f"{name}.safetensors", (seconds, seconds))
    assert shelf.take("older")  # which is a use
    size = (tmp_path / "old.safetensors").stat().st_size
    monkeypatch.setattr(compiled, "LIMIT", 2 * size)
    shelf.put("new", bytes(100), {})
    assert {path.stem for path in tmp_path.iterdir()} == {"new", "older"}


def test_what_would_take_most_of_the_room_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "LIMIT", 199)
    Shelf(tmp_path).put("large", bytes(100), {})
    assert Shelf(tmp_path).take("large") is None


def test_a_folder_that_is_a_file_keeps_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    Shelf(tmp_path / "file").put("one", b"\x00", {})
    assert Shelf(tmp_path / "file").take("one") is None
