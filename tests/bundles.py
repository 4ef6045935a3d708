"""Small networks in bundles, for the tests of bundles and of what uses them."""

import torch

from frostline.bundle import write_bundle
from frostline.network.build import NetworkSpec, build

SPECS = {
    "resnet18": {"model": "resnet18", "width": 0.125, "image_size": 32},
    "grey": {"model": "resnet18", "width": 0.125, "image_size": 32, "channels": 1},
    "multi": {"model": "resnet18", "width": 0.125, "image_size": 32, "head": "multi"},
    "mlp": {"model": "vgg11_bn", "width": 0.125, "image_size": 32, "head": "mlp"},
    "official": {"model": "vgg11", "width": 0.0625, "image_size": 32, "head": "official", "dropout": 0.3},
}
CLASSES = ("ants", "蜜蜂", "z")


def network_of(name="resnet18"):
    """A small network whose head and statistics are not those it is built with."""
    network = build(NetworkSpec(classes=3, **SPECS[name]), seed=5)
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in network.module.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand(value.shape, generator=draw) / 10)
    return network


def write(path, network=None, **facts):
    network = network or network_of()
    write_bundle(path, network, network.module.state_dict(), CLASSES, facts)
    return path


def outspoken(name, pixels):
    """A network that says another thing of every picture: logits with a mean of 0 and a deviation of 1 over them.

    Args:
        name: as for `network_of`.
        pixels: uint8 (batch, channels, size, size).
    """
    network = build(NetworkSpec(classes=3, **SPECS[name]), seed=5)
    network.module.eval()
    graph = torch.fx.GraphModule(network.module, network.trace(for_training=False).evaluating.graph)
    with torch.no_grad():
        logits = graph(network.preprocess.normalise(pixels))
        mean, deviation = logits.mean(dim=0), logits.std(dim=0)
        weight, bias = [value for value in network.module.parameters() if value.shape[:1] == (3,)][-2:]
        weight.div_(deviation[:, None])
        bias.sub_(mean).div_(deviation)
        spread = graph(network.preprocess.normalise(pixels)).std(dim=0)
    torch.testing.assert_close(spread, torch.ones(3), rtol=1e-3, atol=1e-3)
    return network
