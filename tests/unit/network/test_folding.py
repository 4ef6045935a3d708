"""Folded BatchNorm computes what the two layers did, gradients too; what trains or is read twice stays."""

import pytest
import torch
from torch import Tensor, fx, nn

from frostline.network.build import NetworkSpec, build
from frostline.network.folding import fold
from frostline.network.splitting import split


def _suffix(model: str, part: str = "all", side: int = 32) -> tuple[fx.GraphModule, Tensor]:
    network = build(NetworkSpec(model=model, classes=3, image_size=side))
    traced = network.trace()
    divided = split(traced, traced.before(part))
    draw = torch.Generator().manual_seed(0)
    for name, buffer in divided.suffix.named_buffers():
        if buffer.is_floating_point():
            buffer.copy_(torch.rand(buffer.shape, generator=draw) + (0.5 if "var" in name else 0.0))
    with torch.no_grad():
        values = divided.prefix.eval()(torch.randn(4, 3, side, side, generator=draw))
    return divided.suffix, values[0]


def _keep(suffix: nn.Module) -> nn.Module:
    for part in suffix.train().modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
        if isinstance(part, nn.Dropout) or type(part).__name__ == "DropPath":
            part.eval()
    return suffix


def _run(suffix: nn.Module, x: Tensor) -> dict[str, Tensor]:
    suffix.zero_grad()
    out = suffix(x)
    (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    return {"out": out.detach()} | {name: p.grad.clone() for name, p in suffix.named_parameters()}


@pytest.mark.parametrize(
    ("model", "part", "side"),
    [
        ("resnet18", "all", 32),
        ("resnet18", "layer3", 96),
        ("vgg11_bn", "all", 64),
        ("efficientnet_lite0", "blocks.4", 64),
    ],
)
def test_outputs_and_gradients_are_the_same(model: str, part: str, side: int) -> None:
    """Small maps are convolved and then normalised, large ones at once; both come up here."""
    suffix, x = _suffix(model, part, side)
    _keep(suffix)

    expected, found = _run(suffix, x), _run(fold(suffix), x)

    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = value.abs().max().clamp(min=1e-3)
        torch.testing.assert_close(
            found[name] / scale, value / scale, rtol=0, atol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )


def _norms(graph: fx.GraphModule) -> int:
    nodes = [node for node in graph.graph.nodes if node.op == "call_module"]
    return sum(isinstance(graph.get_submodule(str(node.target)), nn.BatchNorm2d) for node in nodes)


def test_kept_ones_are_folded_and_others_stay() -> None:
    suffix, _ = _suffix("resnet18")
    _keep(suffix)
    assert _norms(fold(suffix)) == 0
    suffix.get_submodule("layer4.0.bn1").train()
    assert _norms(fold(suffix)) == 1
    assert _norms(fold(suffix.train())) == 20


def test_parameters_and_statistics_are_shared() -> None:
    suffix, _ = _suffix("resnet18", "layer4")
    folded = fold(_keep(suffix))
    own, shared = (dict(module.named_parameters()) for module in (suffix, folded))
    assert own.keys() == shared.keys()
    assert all(own[name] is shared[name] for name in own)


class Twice(nn.Module):
    """The convolution's own output is read too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        """Add the two."""
        x = self.conv(x)
        return x + self.norm(x)


def test_a_convolution_that_others_read_is_not_folded() -> None:
    graph = fx.symbolic_trace(Twice().eval())
    assert _norms(fold(graph)) == 1
