"""A small model behind the routes, asked without a socket."""

import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from frostline.predictor import Predictor
from frostline.serve.app import make_app
from frostline.serve.corrections import Corrections
from frostline.serve.server import about
from frostline.serve.service import Service
from frostline.serve.settings import Settings

sys.path.insert(0, str(Path(__file__).parents[1]))  # for bundles
from bundles import write


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return write(
        tmp_path_factory.mktemp("model") / "model.safetensors", temperature=1e11
    )  # the logits of random weights are as large


@pytest.fixture
def serving(bundle):
    """A function that serves the model: `with serving(threshold=0.9) as client`."""

    @contextmanager
    def start(**settings):
        made = Settings(**settings)
        predictor = Predictor(bundle, precision="fp32", engine="torch")
        service = Service(predictor, made)
        kept = made.corrections and Corrections(made.corrections, predictor, made.max_pixels)
        app = make_app(service, about(service, bundle), kept or None)
        with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
            client.service = service
            yield client

    return start


@pytest.fixture
def client(serving):
    with serving() as started:
        yield started
