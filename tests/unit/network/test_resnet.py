import pytest
import torch
import torchvision
from torch import Tensor, nn

from frostline.errors import ModelError
from frostline.network.resnet import LAYERS, ResNet, resnet


def images(size: int, *, channels: int = 3) -> Tensor:
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(1))


def stir_norms(model: nn.Module) -> None:
    """Set each BatchNorm apart from the identity, so that a mix-up of two of them shows."""
    generator = torch.Generator().manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var):
                values.uniform_(0.5, 1.5, generator=generator)


@pytest.mark.parametrize("name", LAYERS)
def test_agrees_with_torchvision_both_ways(name):
    ours = resnet(name).eval()
    theirs = torchvision.models.get_model(name, weights=None).eval()
    x = images(64)

    stir_norms(theirs)
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        want = theirs(x)
        torch.testing.assert_close(ours(x), want)
    assert want.std() > 1e-3

    for parameter in ours.parameters():
        parameter.data.mul_(1.01)
    theirs.load_state_dict(ours.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(theirs(x), ours(x))
        assert not torch.allclose(theirs(x), want)


@pytest.mark.parametrize("name", LAYERS)
def test_state_dict_has_the_official_names_in_order(name):
    with torch.device("meta"):
        ours, theirs = resnet(name), torchvision.models.get_model(name, weights=None)
    assert list(ours.state_dict()) == list(theirs.state_dict())


@pytest.mark.parametrize(("name", "parameters"), [("resnet18", 11_689_512), ("resnet34", 21_797_672)])
def test_number_of_parameters(name, parameters):
    with torch.device("meta"):
        model = resnet(name)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_width_scales_every_stage():
    model = ResNet(layers=(1, 1, 1, 1), width=0.125, num_classes=5)
    stages = (model.layer1, model.layer2, model.layer3, model.layer4)
    assert [stage[0].conv2.out_channels for stage in stages] == [8, 16, 32, 64]
    assert model.fc.in_features == 64
    assert model(images(32)).shape == (2, 5)


def test_width_keeps_one_channel():
    model = ResNet(layers=(1, 1, 1, 1), width=0.001, num_classes=5).eval()
    assert {layer.out_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)} == {1}
    assert model(images(32)).shape == (2, 5)


def test_grey_images():
    model = ResNet(layers=(1, 1, 1, 1), width=0.125, num_classes=5, in_channels=1)
    assert model(images(32, channels=1)).shape == (2, 5)


def test_shortcut_projects_only_where_the_shape_changes():
    model = ResNet(layers=(2, 2, 2, 2), width=0.125)
    projected = {name.rpartition(".downsample")[0] for name in model.state_dict() if ".downsample." in name}
    assert projected == {"layer2.0", "layer3.0", "layer4.0"}


def test_each_stage_from_layer2_halves_the_image():
    model = ResNet(layers=(1, 1, 1, 1), width=0.125).eval()
    x = model.maxpool(model.conv1(images(64)))
    sides = []
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = stage(x)
        sides.append(x.shape[-1])
    assert sides == [16, 8, 4, 2]


def test_fx_traces_it_for_every_input_size():
    model = ResNet(layers=(2, 1, 1, 1), width=0.125, num_classes=5).eval()
    traced = torch.fx.symbolic_trace(model)
    with torch.no_grad():
        for size in (32, 45, 1):
            torch.testing.assert_close(traced(images(size)), model(images(size)))


@pytest.mark.parametrize("name", ["resnet50", "ResNet18", ""])
def test_unknown_name_lists_the_known_ones(name):
    with pytest.raises(ModelError, match="resnet18, resnet34"):
        resnet(name)
