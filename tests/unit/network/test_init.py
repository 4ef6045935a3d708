import pytest
import torch
from torch import nn

from frostline.errors import ConfigError
from frostline.network.init import METHODS, initialise


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(16, 32, kernel_size=3),
        nn.BatchNorm2d(32),
        nn.Conv2d(32, 64, kernel_size=3, groups=2, bias=False),
        nn.GroupNorm(4, 64),
        nn.Flatten(),
        nn.Linear(64, 128),
        nn.LayerNorm(128),
    )


def spoil(module: nn.Module) -> None:
    for entry in module.state_dict().values():
        entry.fill_(7)


@pytest.mark.parametrize("method", METHODS)
def test_seed_decides_every_value(method):
    first, second, other = network(), network(), network()
    spoil(first)
    initialise(first, method, seed=3)
    initialise(second, method, seed=3)
    initialise(other, method, seed=4)
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
    for layer in (0, 2, 5):
        assert not torch.equal(first[layer].weight, other[layer].weight)


@pytest.mark.parametrize("method", METHODS)
def test_global_generator_is_left_as_it_was(method):
    model = network()
    before = torch.get_rng_state()
    initialise(model, method, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("method", METHODS)
def test_norm_layers_start_as_the_identity(method):
    model = network()
    spoil(model)
    initialise(model, method, seed=0)
    for layer in (1, 3, 6):
        assert torch.all(model[layer].weight == 1)
        assert torch.all(model[layer].bias == 0)
    assert torch.all(model[1].running_mean == 0)
    assert torch.all(model[1].running_var == 1)
    assert model[1].num_batches_tracked == 0


def test_he_deviation_comes_from_the_fan():
    model = network()
    initialise(model, "he", seed=0)
    convolution, linear = model[0].weight, model[5].weight
    assert convolution.std().item() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.05)  # fan_out: 32 channels, 3x3
    assert linear.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.05)  # fan_in: 64
    assert convolution.mean().item() == pytest.approx(0, abs=0.005)


def test_xavier_fills_its_interval():
    model = network()
    initialise(model, "xavier", seed=0)
    for weight, fans in ((model[0].weight, (16 + 32) * 9), (model[5].weight, 64 + 128)):
        bound = (6 / fans) ** 0.5
        assert weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)


@pytest.mark.parametrize("method", ["he", "xavier"])
def test_biases_start_at_zero(method):
    model = network()
    spoil(model)
    initialise(model, method, seed=0)
    assert torch.all(model[0].bias == 0)
    assert torch.all(model[5].bias == 0)


def test_default_is_what_torch_would_have_drawn():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        want = network()
    model = network()
    initialise(model, "default", seed=5)
    torch.testing.assert_close(model.state_dict(), want.state_dict(), rtol=0, atol=0)


def test_parameter_outside_a_known_layer_keeps_its_value():
    model = nn.Module()
    model.token = nn.Parameter(torch.full((3,), 7.0))
    initialise(model, "he", seed=0)
    assert torch.all(model.token == 7)


def test_unknown_method_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"'orthogonal'.*default, he, xavier"):
        initialise(network(), "orthogonal", seed=0)
