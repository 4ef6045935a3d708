import pytest
from encoding import encoded

from frostline.files import digest_bytes
from frostline.serve import corrections


def send(client, content, name, filename="../../x.png"):
    return client.post("/v1/corrections", files={"picture": (filename, content)}, data={"class": name})


def files_in(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_a_correction_is_named_by_its_content(serving, tmp_path):
    content, folder = encoded(kind="JPEG"), tmp_path / "kept"
    name = f"{digest_bytes(content)}.jpeg"
    with serving(corrections=folder) as client:
        assert send(client, content, "蜜蜂").json() == {"digest": digest_bytes(content)}
        assert files_in(folder) == [f"蜜蜂/{name}"]
        assert send(client, content, "ants").status_code == 200
        assert files_in(folder) == [f"ants/{name}"]
        assert (folder / "ants" / name).read_bytes() == content
    assert files_in(tmp_path) == [f"kept/ants/{name}"]


@pytest.mark.parametrize(
    ("content", "name", "status"),
    [(encoded(), "../ants", 422), (encoded(), "", 422), (encoded()[:200], "ants", 422), (b"words", "ants", 415)],
)
def test_what_is_not_for_training_is_refused(serving, tmp_path, content, name, status):
    with serving(corrections=tmp_path / "kept") as client:
        assert send(client, content, name).status_code == status
    assert files_in(tmp_path) == []


def test_the_folder_has_a_limit(serving, tmp_path, monkeypatch):
    monkeypatch.setattr(corrections, "MOST", 1)
    with serving(corrections=tmp_path) as client:
        assert [send(client, encoded(seed), "ants").status_code for seed in (1, 1, 2)] == [200, 200, 507]


def test_it_is_off_unless_asked_for(client):
    assert send(client, encoded(), "ants").status_code == 404
    assert client.get("/v1/model").json()["corrections"] is False
