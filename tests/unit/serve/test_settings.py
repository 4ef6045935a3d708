import pytest

from frostline.errors import ConfigError, UsageError
from frostline.serve import settings
from frostline.serve.settings import check_installed, read_api_key


def test_a_key_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("FROSTLINE_API_KEY", raising=False)
    assert read_api_key(None) == ""
    monkeypatch.setenv("FROSTLINE_API_KEY", "e" * 16)
    assert read_api_key(None) == "e" * 16
    (tmp_path / "key").write_text("f" * 20 + "\n")
    assert read_api_key(tmp_path / "key") == "f" * 20


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "has 0 characters"), ("short", "has 5 characters"), ("a b" * 9, "spaces"), ("é" * 20, "ASCII")],
)
def test_a_weak_key_is_refused(tmp_path, content, said):
    (tmp_path / "key").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        read_api_key(tmp_path / "key")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_api_key(tmp_path / "none")


def test_without_the_extra_the_way_to_get_it_is_told(monkeypatch):
    check_installed()
    monkeypatch.setattr(settings, "NEEDED", ("fastapi", "no_such_library"))
    with pytest.raises(UsageError, match=r'no_such_library, which is not installed; pip install "frostline\[serve\]"'):
        check_installed()
