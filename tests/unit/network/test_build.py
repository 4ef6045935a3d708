import json

import pytest
import torch
from torch import fx, nn

from frostline.config import make_config
from frostline.errors import ConfigError, ModelError
from frostline.network.build import NetworkSpec, build, build_weightless, model_names
from frostline.network.heads import DEPTH_HEAD


def logits(network, count=2):
    """Run the network on noise, its depth head included."""
    x = torch.randn(count, *network.preprocess.input_shape, generator=torch.Generator().manual_seed(0))
    graph = fx.GraphModule(network.module, network.trace().evaluating.graph).eval()
    with torch.no_grad():
        return graph(x)


@pytest.mark.parametrize(
    ("model", "old_head"),
    [
        ("vgg11", "classifier"),
        ("resnet18", "fc"),
        ("efficientnet_lite0", "classifier"),
        ("mobilenet_v3_small", "classifier"),
        ("shufflenet_v2_x0_5", "fc"),
        ("squeezenet1_1", "classifier"),
        ("timm:test_vit", "head"),
        ("timm:resnet10t", "fc"),
    ],
)
@pytest.mark.parametrize("head", ["linear", pytest.param("official", marks=pytest.mark.slow)])
def test_every_family_gives_one_logit_per_class(model, old_head, head):
    size = 160 if model == "timm:test_vit" else 32
    network = build(NetworkSpec(model=model, classes=5, head=head, image_size=size))
    assert network.preprocess.size == size
    assert network.old_head == old_head
    assert (network.head == DEPTH_HEAD) == (head == "linear")
    assert isinstance(network.module.get_submodule(network.head), nn.Module)
    assert logits(network).shape == (2, 5)
    assert network.trace().before("head").position > 3


def test_own_vgg_names_its_blocks():
    network = build(NetworkSpec(model="vgg11_bn", classes=2, image_size=32, width=0.05))
    assert network.aliases["block5"] == "features.22"
    assert "block5" in network.trace().parts()


def test_default_preprocessing_comes_with_the_network():
    lite = build(NetworkSpec(model="efficientnet_lite0", classes=2)).preprocess
    assert (lite.size, lite.resize, lite.interpolation, lite.mean, lite.std) == (
        224,
        256,
        "bicubic",
        (0.5, 0.5, 0.5),
        (0.5, 0.5, 0.5),
    )
    regnet = build(NetworkSpec(model="regnet_y_400mf", classes=2, head="official")).preprocess
    assert (regnet.size, regnet.resize, regnet.interpolation) == (224, 232, "bilinear")
    assert regnet.mean == (0.485, 0.456, 0.406)


def test_image_size_scales_the_resize_too():
    preprocess = build(NetworkSpec(model="regnet_y_400mf", classes=2, image_size=112)).preprocess
    assert (preprocess.size, preprocess.resize) == (112, 116)  # 224 and 232 halved


def test_a_vision_transformer_takes_another_size():
    network = build(NetworkSpec(model="timm:test_vit", classes=2, image_size=96, head="official"))
    assert logits(network).shape == (2, 2)
    assert network.preprocess.input_shape == (3, 96, 96)


@pytest.mark.parametrize("model", ["vgg11", "resnet18", "timm:resnet10t"])
def test_grey_input(model):
    network = build(NetworkSpec(model=model, classes=2, channels=1, image_size=32))
    assert network.preprocess.input_shape == (1, 32, 32)
    assert logits(network).shape == (2, 2)


def test_the_seed_alone_decides_the_weights():
    spec = NetworkSpec(model="resnet18", classes=2, width=0.05, image_size=32)
    torch.manual_seed(1)
    first = build(spec, seed=7).module.state_dict()
    before = torch.random.get_rng_state()
    again = build(spec, seed=7).module.state_dict()
    other = build(spec, seed=8).module.state_dict()
    assert all(first[name].equal(again[name]) for name in first)
    assert not first["conv1.weight"].equal(other["conv1.weight"])
    assert torch.random.get_rng_state().equal(before)


def test_init_reaches_every_layer():
    spec = NetworkSpec(model="vgg11", classes=2, head="small", width=0.05, image_size=32)
    he = build(spec, init="he", seed=3).module
    assert all(part.bias.eq(0).all() for part in he.modules() if isinstance(part, nn.Conv2d | nn.Linear))


@pytest.mark.parametrize("head", ["linear", "multi", "mlp", "official", "small"])
def test_a_network_is_built_again_from_json(head):
    spec = build(NetworkSpec(model="vgg11", classes=3, head=head, width=0.05, image_size=32, dropout=0.25)).spec
    back = NetworkSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert back == spec
    first, second = build(spec).module, build(back).module
    assert {k: v.shape for k, v in first.state_dict().items()} == {k: v.shape for k, v in second.state_dict().items()}


def test_settings_reach_the_spec():
    config = make_config(data="x", model="vgg13", head="small", image_size=48, channels=1, width=0.5, dropout=0.1)
    assert NetworkSpec.from_config(config, 4) == NetworkSpec(
        model="vgg13", classes=4, head="small", image_size=48, channels=1, width=0.5, dropout=0.1
    )


@pytest.mark.parametrize(("dropout", "head"), [(0.25, "small"), (0.25, "mlp")])
def test_dropout_reaches_the_head(dropout, head):
    network = build(NetworkSpec(model="vgg11", classes=2, head=head, width=0.05, image_size=32, dropout=dropout))
    found = {part.p for part in network.module.modules() if isinstance(part, nn.Dropout)}
    assert dropout in found


def test_model_names_hold_all_three_sources_sorted():
    names = model_names()
    assert {"efficientnet_lite0", "vgg16_bn", "resnet34", "densenet121", "vit_b_16"} <= set(names)
    assert names == sorted(set(names))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "resnet81"}, ModelError, "no network is called 'resnet81': did you mean .*resnet18"),
        ({"model": "timm:resnet10x"}, ModelError, "'timm:resnet10x': did you mean timm:resnet10t"),
        ({"model": "alexnet", "width": 0.5}, ConfigError, "--width 0.5 works with frostline's own networks only"),
        ({"model": "timm:resnet10t", "width": 2}, ConfigError, "--width 2 works with frostline's own"),
        ({"model": "alexnet", "channels": 1}, ConfigError, "alexnet takes colour input only; use --channels 3"),
        ({"model": "resnet18", "head": "small"}, ConfigError, "--head small belongs to VGG; resnet18 takes linear"),
        ({"model": "alexnet", "head": "small"}, ConfigError, "--head small belongs to VGG"),
        ({"model": "efficientnet_lite0", "head": "small"}, ConfigError, "--head small belongs to VGG"),
        ({"model": "vgg11", "image_size": 31}, ModelError, "needs at least 32 pixels; use --image-size 32"),
    ],
)
def test_what_does_not_fit_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        build(NetworkSpec(classes=3, **options))


@pytest.mark.parametrize(
    "model", ["resnet18", "vgg11_bn", "smallnet", "efficientnet_lite0", "regnet_y_400mf", "vit_b_32"]
)
@pytest.mark.parametrize("head", ["linear", "official"])
def test_a_weightless_network_is_the_built_one_without_its_numbers(model, head):
    spec = NetworkSpec(model=model, classes=3, head=head)
    weightless, built = build_weightless(spec), build(spec)
    assert (weightless.spec, weightless.head, weightless.preprocess) == (built.spec, built.head, built.preprocess)
    states = weightless.module.state_dict(), built.module.state_dict()
    assert [*states[0]] == [*states[1]]
    assert all(states[0][key].shape == value.shape for key, value in states[1].items())
    assert all(states[0][key].dtype == value.dtype for key, value in states[1].items())
    held = sum(value.nbytes for value in states[0].values() if not value.is_meta)
    assert held < 0.03 * sum(value.nbytes for value in states[1].values())
