import pytest
import torch

from frostline.evaluation.heatmaps import heat_maps
from frostline.network.build import NetworkSpec, build


def pixels(count=2, side=64):
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_on_a_network_that_averages_its_maps_it_is_the_maps_times_the_heads_weights():
    """Then Grad-CAM is CAM (Zhou et al. 2016): worked out from the layers themselves."""
    network = build(NetworkSpec(model="resnet18", classes=3, width=0.125, image_size=64))
    module = network.module.eval()
    seen = {}
    module.layer4.register_forward_hook(lambda _, __, output: seen.update(maps=output.detach()))
    with torch.no_grad():
        module(network.preprocess.normalise(pixels()))
    head = module.get_submodule(network.head)
    weights = (head.linear.weight * head.scale)[[2, 0]]
    expected = torch.einsum("nc,nchw->nhw", weights, seen["maps"]).relu()
    expected /= expected.amax(dim=(1, 2), keepdim=True)
    got = heat_maps(network, network.trace(), pixels(), [2, 0])
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("spec", "side"),
    [
        ({"model": "vgg11_bn", "width": 0.125, "head": "official"}, 64),
        ({"model": "efficientnet_lite0", "head": "multi"}, 64),
        ({"model": "vit_b_32"}, 224),
    ],
    ids=lambda value: value["model"] if isinstance(value, dict) else "",
)
def test_maps_are_square_and_between_nothing_and_one(spec, side):
    network = build(NetworkSpec(classes=2, image_size=side, **spec))
    maps = heat_maps(network, network.trace(), pixels(side=side), [0, 1])
    assert maps.shape[0] == 2
    assert maps.shape[1] == maps.shape[2] > 1
    assert float(maps.min()) >= 0
    assert float(maps.max()) == pytest.approx(1)
