import numpy as np
import pytest
from PIL import Image

from bundles import network_of, write
from frostline.data.targets import Targets
from frostline.errors import UsageError
from frostline.heat import draw_heat_maps, make_folder
from frostline.network.build import NetworkSpec, build
from frostline.predictor import Predictor


@pytest.fixture
def predictor(tmp_path):
    spec = NetworkSpec(model="resnet18", classes=3, width=0.125, image_size=64)
    return Predictor(write(tmp_path / "model.safetensors", build(spec, seed=1)), device="cpu", precision="fp32")


def draw(tmp_path, predictor, names):
    draws = np.random.default_rng(0)
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(draws.integers(0, 200, (70, 80, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "bad.png").write_bytes(b"no")
    targets = Targets.find([*(str(tmp_path / name) for name in names), str(tmp_path / "bad.png")])
    said = list(predictor.predictions(targets, workers=0))
    make_folder(tmp_path / "heat")
    return draw_heat_maps(predictor, targets, said, tmp_path / "heat"), said


def test_a_drawing_for_each_picture_is_the_picture_with_light(tmp_path, predictor):
    count, _ = draw(tmp_path, predictor, ["a/x.png", "b/x.png", "a/y.png"])
    assert count == 3
    assert sorted(path.name for path in (tmp_path / "heat").iterdir()) == ["x-2.jpg", "x.jpg", "y.jpg"]
    plain = predictor.frame((tmp_path / "b" / "x.png").read_bytes()).numpy().transpose(1, 2, 0).astype(int)
    with Image.open(tmp_path / "heat" / "x-2.jpg") as opened:
        lit = np.asarray(opened).astype(int)
    assert lit.shape == plain.shape
    assert (lit - plain)[..., 0].mean() > 3  # light is orange
    assert (lit - plain)[..., 0].mean() > 2 * (lit - plain)[..., 2].mean()


def test_a_folder_that_cannot_be_made_is_told(tmp_path, predictor):
    (tmp_path / "heat").write_text("")
    with pytest.raises(UsageError, match="cannot write to"):
        draw(tmp_path, predictor, ["x.png"])


def test_drawings_never_take_the_place_of_other_files(tmp_path, predictor):
    draw(tmp_path, predictor, ["x.png"])
    with pytest.raises(UsageError, match="holds files already; give a new folder"):
        make_folder(tmp_path / "heat")


def test_maps_of_a_network_for_small_pictures_are_drawn_too(tmp_path):
    small = Predictor(write(tmp_path / "small.safetensors", network_of("grey")), device="cpu", precision="fp32")
    assert draw(tmp_path, small, ["x.png"])[0] == 1
