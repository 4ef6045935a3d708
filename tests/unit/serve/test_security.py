import pytest
from encoding import encoded

from frostline.serve.security import host_name
from frostline.serve.settings import Settings

KEY = "k" * 32


@pytest.mark.parametrize(
    ("host", "name"), [("a.B:80", "a.b"), ("[::1]:8000", "::1"), ("127.0.0.1", "127.0.0.1"), ("", "")]
)
def test_the_name_of_a_host(host, name):
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("settings", "host", "status"),
    [
        ({}, "localhost:8000", 200),
        ({}, "[::1]:8000", 200),
        ({}, "evil.example", 403),
        ({}, "localhost.evil.example", 403),
        ({"allowed_hosts": ("birds.example",)}, "birds.example", 200),
        ({"host": "0.0.0.0"}, "anything.example", 200),
        ({"host": "0.0.0.0", "allowed_hosts": ("birds.example",)}, "evil.example", 403),
    ],
)
def test_a_name_that_another_site_points_here_is_refused(serving, settings, host, status):
    with serving(**settings) as client:
        assert client.get("/v1/model", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://localhost", 200), ("https://localhost", 200), ("http://evil.example", 403), ("null", 403)],
)
def test_a_page_of_another_site_is_refused(client, origin, status):
    assert client.post("/v1/predict", content=encoded(), headers={"origin": origin}).status_code == status


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": f"Basic {KEY}"}, 401),
        ({"authorization": "Bearer \xe9".encode("latin-1")}, 401),
        ({"authorization": f"Bearer {KEY}"}, 200),
    ],
)
def test_a_key_is_asked_for(serving, given, status):
    with serving(api_key=KEY) as client:
        for path in ("/v1/model", "/metrics", "/openapi.json"):
            got = client.get(path, headers=given)
            assert got.status_code == status
            assert (got.headers.get("www-authenticate") == "Bearer") == (status == 401)
        assert client.get("/healthz").status_code == client.get("/").status_code == 200


def test_every_answer_forbids_foreign_content(client):
    for path in ("/", "/page.js", "/v1/model", "/nowhere", "/v1/predict"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_there_is_no_page_that_fetches_from_elsewhere(client):
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404
    assert "//cdn" not in client.get("/").text


def test_names_follow_from_where_it_listens():
    assert Settings(allowed_hosts=("a",)).names == ("127.0.0.1", "localhost", "::1", "a")
    assert Settings(host="0.0.0.0").names == ()
