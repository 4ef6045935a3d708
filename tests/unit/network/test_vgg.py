import pytest
import torch
import torchvision
from torch import Tensor, nn

from frostline.errors import ConfigError, ModelError
from frostline.network.vgg import BLOCKS, NAMES, VGG, vgg

TINY = ((1, 4), (2, 8))


def random_state(model: nn.Module) -> dict[str, Tensor]:
    """Draw values that keep activations near 1 and set each BatchNorm apart from the identity."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, entry in model.state_dict().items():
        if entry.ndim > 1:
            fan_in = entry[0].numel()
            state[name] = torch.empty(entry.shape).uniform_(-1, 1, generator=generator) * (6 / fan_in) ** 0.5
        elif entry.is_floating_point():
            state[name] = torch.rand(entry.shape, generator=generator) + 0.5
        else:
            state[name] = torch.zeros(entry.shape, dtype=entry.dtype)
    return state


def images(size: int, *, channels: int = 3) -> Tensor:
    return torch.randn(2, channels, size, size, generator=torch.Generator().manual_seed(1))


def meta_pair(name: str) -> tuple[VGG, nn.Module]:
    with torch.device("meta"):
        return vgg(name).eval(), torchvision.models.get_model(name, weights=None).eval()


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_has_the_official_names_and_shapes(name):
    ours, theirs = meta_pair(name)
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [
        (k, v.shape) for k, v in theirs.state_dict().items()
    ]


def test_whole_network_agrees_with_torchvision_both_ways():
    ours, theirs = meta_pair("vgg11")
    state = random_state(ours)
    theirs.load_state_dict(state, assign=True)
    ours.load_state_dict(theirs.state_dict(), assign=True)  # theirs into ours, without a second copy in memory
    x = images(32)
    with torch.no_grad():
        want = theirs(x)
        torch.testing.assert_close(ours(x), want)
        _, again = meta_pair("vgg11")
        again.load_state_dict(ours.state_dict(), assign=True)  # ours into theirs
        torch.testing.assert_close(again(x), want)
    assert want.std() > 1e-3  # equal because computed, not because all zero


@pytest.mark.parametrize("name", ["vgg11_bn", "vgg16", "vgg16_bn"])
def test_features_agree_with_torchvision_both_ways(name):
    ours, theirs = meta_pair(name)
    ours.classifier = nn.Sequential()  # 120 million parameters that vgg11 has tested
    theirs.classifier = nn.Sequential()
    ours.load_state_dict(random_state(ours), assign=True)
    theirs.load_state_dict(ours.state_dict(), assign=True)
    x = images(64)
    with torch.no_grad():
        want = theirs(x)
        torch.testing.assert_close(ours(x), want)
        back, _ = meta_pair(name)
        back.classifier = nn.Sequential()
        back.load_state_dict(theirs.state_dict(), assign=True)
        torch.testing.assert_close(back(x), want)
    assert want.std() > 1e-3


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("vgg11", 132_863_336), ("vgg13", 133_047_848), ("vgg16", 138_357_544), ("vgg19", 143_667_240)],
)
def test_number_of_parameters(name, parameters):
    with torch.device("meta"):
        model = vgg(name)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_vgg16_has_13_convolutions_and_3_linear_layers():
    with torch.device("meta"):
        kinds = [type(layer) for layer in vgg("vgg16").modules()]
    assert kinds.count(nn.Conv2d) == 13
    assert kinds.count(nn.Linear) == 3


@pytest.mark.parametrize(
    ("name", "starts"),
    [("vgg11", (0, 3, 6, 11, 16)), ("vgg16", (0, 5, 10, 17, 24)), ("vgg16_bn", (0, 7, 14, 24, 34))],
)
def test_block_starts(name, starts):
    with torch.device("meta"):
        model = vgg(name)
    assert model.block_starts() == {f"block{i}": f"features.{start}" for i, start in enumerate(starts, start=1)}
    for first in model.block_starts().values():
        assert isinstance(model.get_submodule(first), nn.Conv2d)


def test_width_scales_every_convolution():
    model = vgg("vgg16", width=0.125, classifier="linear")
    convolutions = [layer for layer in model.features if isinstance(layer, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [8] * 2 + [16] * 2 + [32] * 3 + [64] * 6


def test_width_keeps_one_channel():
    model = VGG(blocks=TINY, width=0.001, classifier="linear", num_classes=3)
    assert [layer.out_channels for layer in model.features if isinstance(layer, nn.Conv2d)] == [1, 1, 1]
    assert model(images(32)).shape == (2, 3)


def test_grey_images():
    model = VGG(blocks=TINY, in_channels=1, classifier="linear", num_classes=3)
    assert model(images(32, channels=1)).shape == (2, 3)


def test_linear_classifier_is_one_layer_on_the_channel_means():
    model = VGG(blocks=TINY, classifier="linear", num_classes=3)
    x = images(33)
    assert [name for name, _ in model.classifier.named_parameters()] == ["0.weight", "0.bias"]
    torch.testing.assert_close(model(x), model.classifier[0](model.features(x).mean(dim=(2, 3))))


def test_small_classifier_has_two_hidden_layers_of_512():
    model = VGG(blocks=TINY, classifier="small", num_classes=3, dropout=0.25)
    shapes = [tuple(layer.weight.shape) for layer in model.classifier if isinstance(layer, nn.Linear)]
    assert shapes == [(512, 8), (512, 512), (3, 512)]
    assert [layer.p for layer in model.classifier if isinstance(layer, nn.Dropout)] == [0.25, 0.25]
    assert model(images(32)).shape == (2, 3)


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("size", [32, 47])
def test_works_from_32_pixels_on(name, size):
    with torch.device("meta"):
        assert vgg(name)(torch.empty(2, 3, size, size)).shape == (2, 1000)


def test_31_pixels_are_too_few():
    model = vgg("vgg11", width=0.05, classifier="linear")
    with pytest.raises(RuntimeError, match="too small"):
        model(images(31))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("classifier", ["official", "small", "linear"])
def test_fx_traces_it_for_every_input_size(classifier, batch_norm):
    model = VGG(blocks=TINY, width=0.5, classifier=classifier, batch_norm=batch_norm, num_classes=3).eval()
    traced = torch.fx.symbolic_trace(model)
    with torch.no_grad():
        for size in (32, 45):
            torch.testing.assert_close(traced(images(size)), model(images(size)))


@pytest.mark.parametrize("name", ["vgg12", "VGG16", "vgg16_bn_bn", ""])
def test_unknown_name_lists_the_known_ones(name):
    with pytest.raises(ModelError, match=r"vgg11, vgg13, vgg16, vgg19, vgg11_bn"):
        vgg(name)


def test_unknown_classifier_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"'huge'.*official, small, linear"):
        VGG(blocks=TINY, classifier="huge")
