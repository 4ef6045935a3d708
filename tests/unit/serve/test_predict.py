import pytest
from encoding import encoded

from frostline.predictor import Predictor

DAMAGED = encoded()[:300]


def ask(client, *contents, **query):
    files = [("pictures", (f"{number}.png", content)) for number, content in enumerate(contents)]
    return client.post("/v1/predict", files=files, params=query)


def test_answers_are_those_of_the_predictor(client, bundle, tmp_path):
    contents = [encoded(seed) for seed in range(3)]
    files = []
    for number, content in enumerate(contents):
        files.append(tmp_path / f"{number}.png")
        files[-1].write_bytes(content)
    offline = Predictor(bundle, precision="fp32", engine="torch").predict(files, workers=0)
    answered = [ask(client, content).json()["pictures"][0] for content in contents]
    for one, expected in zip(answered, offline, strict=True):
        assert [(likely["class"], likely["probability"]) for likely in one["top"]] == [
            (name, pytest.approx(probability, abs=1e-6)) for name, probability in expected.top
        ]


def test_pictures_keep_their_order_and_names(client):
    together = ask(client, encoded(1), encoded(2)).json()["pictures"]
    assert [one["name"] for one in together] == ["0.png", "1.png"]
    alone = [ask(client, encoded(seed)).json()["pictures"][0]["top"][0] for seed in (1, 2)]
    for one, expected in zip(together, alone, strict=True):
        assert one["top"][0]["class"] == expected["class"]
        assert one["top"][0]["probability"] == pytest.approx(expected["probability"], abs=1e-5)


def test_a_picture_may_be_the_body(client):
    for kind in ("image/png", "application/octet-stream", ""):
        got = client.post("/v1/predict", content=encoded(), headers={"content-type": kind} if kind else {})
        assert got.status_code == 200
        assert len(got.json()["pictures"][0]["top"]) == 3


def test_a_damaged_one_among_others_has_its_error(client):
    good, bad = ask(client, encoded(), DAMAGED).json()["pictures"]
    assert (bool(good["top"]), good["error"]) == (True, "")
    assert bad["top"] == []
    assert "PNG" in bad["error"]


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (DAMAGED, 422, "PNG"),
        (b"words", 415, "not a picture in an allowed format"),
        (b"", 422, "empty file"),
        (b"\0" * 99, 422, "zero bytes"),
        (encoded(size=(200, 200)), 413, "200x200 pixels are more than the 10,000 allowed"),
    ],
)
def test_where_none_can_be_read_the_request_fails(serving, content, status, said):
    with serving(max_pixels=10_000) as client:
        got = ask(client, content)
    assert got.status_code == status
    assert said in got.json()["error"]


def test_topk_and_threshold(serving):
    with serving(threshold=1.0, topk=2) as client:
        assert [len(ask(client, encoded(), **query).json()["pictures"][0]["top"]) for query in ({}, {"topk": 1})] == [
            2,
            1,
        ]
        assert ask(client, encoded()).json()["pictures"][0]["unsure"] is True
        refused = ask(client, encoded(), topk=0)
        assert (refused.status_code, refused.json()["error"]) == (
            422,
            "topk: Input should be greater than or equal to 1",
        )
    with serving(threshold=0.0) as client:
        assert ask(client, encoded()).json()["pictures"][0]["unsure"] is False


def test_a_heat_map_is_drawn_where_asked_for(client):
    one, bad = ask(client, encoded(), DAMAGED, heat_map=True).json()["pictures"]
    assert one["heat_map"].startswith("data:image/png;base64,")
    assert bad["heat_map"] is None
    assert ask(client, encoded()).json()["pictures"][0]["heat_map"] is None


def test_hostile_names_come_back_as_text(client):
    name = "../../x\n<script>\u202e.png"
    got = client.post("/v1/predict", files=[("pictures", (name, encoded()))])
    assert "\n" not in got.json()["pictures"][0]["name"]
    assert "\u202e" not in got.json()["pictures"][0]["name"]


def test_the_model_is_told_without_paths(client, bundle):
    got = client.get("/v1/model")
    told = got.json()
    assert told["classes"] == ["ants", "蜜蜂", "z"]
    assert (told["network"], told["precision"], told["image_size"]) == ("resnet18", "fp32", 32)
    assert str(bundle.parent) not in got.text


def test_watching(client):
    ask(client, encoded(), DAMAGED)
    client.get("/nowhere")
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}
    text = client.get("/metrics").text
    assert 'frostline_pictures_total{outcome="not read"} 1.0' in text
    assert 'frostline_requests_total{path="/v1/predict",status="200"} 1.0' in text
    assert 'frostline_requests_total{path="other",status="404"} 1.0' in text
    assert "frostline_batch_pictures_count 1.0" in text
    assert "frostline_waiting_pictures 0.0" in text


def test_a_stopping_server_says_so(client):
    client.service.is_stopping = True
    for got in (client.get("/readyz"), ask(client, encoded())):
        assert got.status_code == 503
        assert int(got.headers["retry-after"]) >= 1
    assert client.get("/healthz").status_code == 200


def test_a_network_that_fails_is_no_trace(client, monkeypatch, capfd):
    def fail(*_):
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(client.service.predictor, "probabilities", fail)
    got = ask(client, encoded())
    assert got.status_code == 500
    assert "secret" not in got.text
    assert "content-security-policy" in got.headers
    assert "secret" in capfd.readouterr().err
    monkeypatch.undo()
    assert ask(client, encoded()).status_code == 200
