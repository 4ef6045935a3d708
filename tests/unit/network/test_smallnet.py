import pytest
import torch

from frostline.errors import ModelError
from frostline.network.build import NetworkSpec, build
from frostline.network.smallnet import SmallNet
from frostline.network.splitting import split


@pytest.mark.parametrize(("side", "channels"), [(9, 1), (28, 1), (32, 3), (64, 3)])
def test_it_takes_any_size_from_its_smallest(side, channels):
    network = build(
        NetworkSpec(model="smallnet", classes=7, image_size=side, channels=channels, width=0.25, head="official")
    )
    assert network.module(torch.randn(2, channels, side, side)).shape == (2, 7)


def test_less_is_refused():
    with pytest.raises(ModelError, match="at least 9 pixels"):
        build(NetworkSpec(model="smallnet", classes=7, image_size=8))


def test_a_block_halves_the_map_and_adds_to_it():
    module = SmallNet(num_classes=2).eval()
    x = torch.randn(1, 24, 16, 16)
    down = module.block1.down(x)
    assert down.shape == (1, 64, 8, 8)
    torch.testing.assert_close(module.block1(x), down + module.block1.residual(down))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_stem_whitens_what_it_is_computed_from(channels):
    """Before the ReLU its responses are uncorrelated with unit variance, and come in pairs of opposite sign."""
    draw = torch.Generator().manual_seed(0)
    pictures = torch.randn(200, channels, 12, 12, generator=draw).cumsum(-1) + torch.randn(1, channels, 1, 1)
    module = SmallNet(num_classes=2, in_channels=channels)
    module.whiten(pictures, floor=0.0)
    responses = module.whitening(pictures).transpose(0, 1).flatten(1).double()
    half = len(responses) // 2
    torch.testing.assert_close(responses[:half], -responses[half:])
    torch.testing.assert_close(torch.cov(responses[:half]), torch.eye(half).double(), atol=1e-3, rtol=0)


def test_it_can_be_cut_at_every_block():
    network = build(NetworkSpec(model="smallnet", classes=3, image_size=16, width=0.25))
    traced = network.trace()
    cuts = [traced.before(part) for part in ("all", "block1", "block2", "block3", "head")]
    assert len({cut.name for cut in cuts}) == 5
    frozen = dict(split(traced, cuts[1]).prefix.named_parameters())
    assert set(frozen) == {"whitening.weight"}


def test_it_is_made_for_small_pictures():
    assert build(NetworkSpec(model="smallnet", classes=3)).preprocess.input_shape == (3, 32, 32)


@pytest.mark.parametrize("init", ["default", "he"])
def test_blocks_start_as_identities_unless_asked_otherwise(init: str) -> None:
    network = build(NetworkSpec(model="smallnet", classes=2, width=0.25), init=init)
    convolution = network.module.get_submodule("block2.residual.0")
    x = torch.randn(2, convolution.weight.shape[1], 5, 5)

    passed = torch.equal(convolution(x)[:, : x.shape[1]], x)

    assert passed is (init == "default")
