from itertools import groupby

import pytest
import torch
from torch import nn

from frostline.config import make_config
from frostline.errors import PlanError
from frostline.network.build import NetworkSpec, build
from frostline.network.splitting import split
from frostline.plan.optimizers import layer_name, make_optimizer, set_lr
from frostline.plan.stages import freeze, resolve_plan, start_training_mode, trainable

SPECS = {
    "resnet18": {"model": "resnet18", "width": 0.25, "image_size": 32},
    "vgg11_bn": {"model": "vgg11_bn", "width": 0.125, "image_size": 32, "head": "official", "dropout": 0.5},
    "multi": {"model": "resnet18", "width": 0.25, "image_size": 32, "head": "multi"},
}
PARTS = {"resnet18": ("all", "layer2", "layer4.1", "head"), "vgg11_bn": ("all", "block3", "head"), "multi": ("layer4",)}
CASES = [(name, part) for name, parts in PARTS.items() for part in parts]


def configured(**settings):
    return make_config(data="photos", **settings)


@pytest.fixture(scope="module")
def networks():
    made = {}
    for name, spec in SPECS.items():
        network = build(NetworkSpec(classes=3, **spec))
        made[name] = (network, network.trace())
    return made


@pytest.fixture
def frozen(networks, request):
    name, part = request.param
    network, traced = networks[name]
    (stage,) = resolve_plan(configured(stages=f"{part}:2"), traced)
    divided = split(traced, stage.cut)
    return network, stage, divided, freeze(network.module, divided)


@pytest.mark.parametrize("frozen", CASES, indirect=True, ids=str)
def test_only_the_suffix_requires_gradients(frozen):
    network, _, divided, _ = frozen
    training = {id(parameter) for parameter in divided.suffix.parameters()}
    assert training
    for parameter in network.module.parameters():
        assert parameter.requires_grad == (id(parameter) in training)
        assert parameter.grad is None
    assert not training.intersection(map(id, divided.prefix.parameters()))


@pytest.mark.parametrize("frozen", CASES, indirect=True, ids=str)
def test_counts_add_up(frozen):
    network, stage, _, counts = frozen
    assert counts.frozen + counts.trainable == sum(p.numel() for p in network.module.parameters())
    assert counts.trainable == sum(p.numel() for p in network.module.parameters() if p.requires_grad)
    assert (counts.frozen == 0) == (stage.part == "all")


def test_counts_by_hand(networks):
    network, traced = networks["resnet18"]
    counts = freeze(network.module, split(traced, traced.before("head")))
    assert counts.trainable == 128 * 3 + 3  # width 0.25 leaves 128 of resnet18's 512 channels


@pytest.mark.parametrize("frozen", [case for case in CASES if case[1] != "all"], indirect=True, ids=str)
def test_the_prefix_is_a_fixed_function_through_training(frozen):
    """Evaluation mode survives, statistics stand still, and a picture's neighbours do not matter."""
    network, stage, divided, _ = frozen
    pictures = torch.randn(6, *network.preprocess.input_shape)
    with torch.no_grad():
        before = [value.clone() for value in divided.prefix(pictures)]
    kept = {name: value.clone() for name, value in divided.prefix.state_dict().items()}
    config = configured(lr=0.1, weights="none", weight_decay=0.1)
    optimizer = make_optimizer(config, stage, divided)
    start_training_mode(divided.suffix, config, network.head)
    for _ in range(2):
        with torch.no_grad():
            values = divided.prefix(pictures)
        logits = divided.suffix(*(value.clone() for value in values))
        nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0, 1, 2])).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert not any(module.training for module in divided.prefix.modules() if module is not divided.prefix)
    for name, value in divided.prefix.state_dict().items():
        assert torch.equal(value, kept[name]), name
    with torch.no_grad():
        for whole, alone, old in zip(divided.prefix(pictures), divided.prefix(pictures[:1]), before, strict=True):
            assert torch.equal(whole, old)
            torch.testing.assert_close(whole[:1], alone)


@pytest.mark.parametrize("frozen", CASES, indirect=True, ids=str)
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_the_optimizer_holds_each_trained_parameter_once_and_no_other(frozen, name):
    network, stage, divided, _ = frozen
    optimizer = make_optimizer(configured(optimizer=name, weight_decay=0.01), stage, divided)
    held = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    assert len(held) == len(set(held))
    assert set(held) == {id(parameter) for parameter in network.module.parameters() if parameter.requires_grad}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.01 if parameter.dim() > 1 else 0)
        assert group["lr"] == stage.lr


def test_trainable_names_are_the_networks(networks):
    network, traced = networks["vgg11_bn"]
    own = dict(network.module.named_parameters())
    named = dict(trainable(split(traced, traced.before("block5"))))
    assert named
    assert all(own[name] is parameter for name, parameter in named.items())


def test_set_lr_reaches_every_group(networks):
    _, traced = networks["resnet18"]
    (stage,) = resolve_plan(configured(stages="all:1"), traced)
    optimizer = make_optimizer(configured(), stage, split(traced, stage.cut))
    assert len(optimizer.param_groups) == 2
    set_lr(optimizer, 0.125)
    assert [group["lr"] for group in optimizer.param_groups] == [0.125, 0.125]


def test_layer_decay_slows_each_layer_down_more_the_further_it_is_from_the_head(networks):
    network, traced = networks["resnet18"]
    (stage,) = resolve_plan(configured(stages="layer3:1@0.5"), traced)
    optimizer = make_optimizer(configured(layer_decay=0.5), stage, split(traced, stage.cut))
    set_lr(optimizer, 0.5)
    names = {id(parameter): name for name, parameter in network.module.named_parameters()}
    rates = {names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    layers = ["depth_head.linear", "layer4.1", "layer4.0", "layer3.1", "layer3.0"]
    assert set(rates) == {name for name in names.values() if name.startswith(tuple(layers))}
    for name, rate in rates.items():
        assert rate == 0.5 * 0.5 ** layers.index(next(layer for layer in layers if name.startswith(layer))), name


@pytest.mark.parametrize("model", ["resnet18", "vgg11_bn", "timm:vit_tiny_patch16_224", "efficientnet_lite0"])
def test_layer_decay_gives_weight_and_bias_of_a_layer_one_rate(model):
    module = build(NetworkSpec(model=model, classes=3, head="official")).module
    names = [name for name, _ in module.named_parameters()]
    layers = [name for name, _ in groupby(names, key=layer_name)]
    assert len(layers) == len(set(layers)) > 5, "layers in a row"
    assert len({layer_name(name) for name in names if name.startswith(("fc.", "classifier.", "head."))}) <= 3
    for name in names:
        assert "." not in name or layer_name(name) == layer_name(name.rpartition(".")[0] + ".other")


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_momentum_and_kind(networks, name):
    _, traced = networks["resnet18"]
    (stage,) = resolve_plan(configured(stages="head:1"), traced)
    optimizer = make_optimizer(configured(optimizer=name, momentum=0.7), stage, split(traced, stage.cut))
    assert type(optimizer).__name__.lower() == name
    assert optimizer.defaults.get("momentum", 0.7) == 0.7


@pytest.mark.parametrize(
    ("settings", "keeps"),
    [
        ({"batch_norm": "auto", "weights": "imagenet"}, True),
        ({"batch_norm": "auto", "weights": "none"}, False),
        ({"batch_norm": "keep", "weights": "none"}, True),
        ({"batch_norm": "train", "weights": "imagenet"}, False),
    ],
)
def test_thawed_batch_norm(networks, settings, keeps):
    network, traced = networks["vgg11_bn"]
    suffix = split(traced, traced.before("block4")).suffix
    learning = start_training_mode(suffix, configured(**settings), network.head)
    assert bool(learning) != keeps
    norms = [part for part in suffix.modules() if isinstance(part, nn.BatchNorm2d)]
    drops = [part for part in suffix.modules() if isinstance(part, nn.Dropout)]
    assert norms
    assert drops
    assert all(norm.training == (not keeps) for norm in norms)
    assert all(drop.training for drop in drops)


def test_a_new_heads_own_batch_norm_trains_where_pretrained_ones_are_kept():
    network = build(NetworkSpec(model="resnet18", classes=3, head="mlp", width=0.1, image_size=32))
    traced = network.trace()
    suffix = split(traced, traced.before("layer4")).suffix
    assert start_training_mode(suffix, configured(batch_norm="keep"), network.head) == ["depth_head.layers.0"]
    assert suffix.get_submodule("depth_head.layers.0").training
    assert not suffix.get_submodule("layer4.0.bn1").training


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_rates(networks, optimizer):
    _, traced = networks["resnet18"]
    stages = "head:1, layer4:2, layer4:3@0.5"
    plan = resolve_plan(configured(stages=stages, optimizer=optimizer), traced)
    head, thawed = {"sgd": (1e-2, 1e-3)}.get(optimizer, (1e-3, 1e-4))
    assert [stage.lr for stage in plan] == [head, thawed, 0.5]
    plan = resolve_plan(configured(stages=stages, optimizer=optimizer, lr=0.25), traced)
    assert [stage.lr for stage in plan] == [0.25, 0.25, 0.5]
    assert [(stage.number, stage.epochs, stage.name) for stage in plan] == [
        (0, 1, "stage 1, head"),
        (1, 2, "stage 2, layer4"),
        (2, 3, "stage 3, layer4"),
    ]


@pytest.mark.parametrize(
    ("settings", "part", "epochs"),
    [
        ({}, "head", 10),
        ({"epochs": 3}, "head", 3),
        ({"weights": "none"}, "all", 20),
        ({"weights": "none", "epochs": 4}, "all", 4),
    ],
)
def test_the_default_plan(networks, settings, part, epochs):
    (stage,) = resolve_plan(configured(**settings), networks["resnet18"][1])
    assert (stage.part, stage.epochs, stage.lr) == (part, epochs, 1e-3)


def test_a_part_that_does_not_exist_is_named_with_those_that_do(networks):
    with pytest.raises(PlanError, match=r"'layer9': did you mean 'layer\d'\? there are all, .*layer4.*head"):
        resolve_plan(configured(stages="head:1, layer9:2"), networks["resnet18"][1])
