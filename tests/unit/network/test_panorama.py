"""Convolutions over small maps laid side by side give what torch gives, gradients too."""

import pytest
import torch
from torch import Tensor, nn

from frostline.network import panorama
from frostline.network.panorama import SideBySide

# pictures, channels, height, width, then out channels, kernel, stride, padding
CASES = [
    (5, 8, 4, 4, 16, 3, 1, 1),
    (16, 8, 2, 2, 16, 3, 1, 1),
    (9, 8, 4, 4, 16, 3, 2, 1),
    (9, 8, 3, 3, 16, 3, 2, 1),
    (7, 3, 4, 2, 5, 5, 1, 2),
    (6, 4, 3, 4, 4, 5, 2, 2),
    (6, 4, 4, 4, 4, 2, 1, 0),
    (6, 4, 4, 4, 4, 2, 2, 0),
    (6, 4, 4, 4, 4, 1, 1, 0),
    (6, 4, 4, 4, 4, 1, 2, 0),
    (3, 4, 1, 1, 4, 3, 1, 1),
    (2, 4, 4, 4, 4, 4, 4, 0),
    (6, 4, 4, 4, 4, (1, 3), 1, (0, 1)),
]


def _layer_and_maps(case: tuple[int, ...]) -> tuple[nn.Conv2d, Tensor]:
    pictures, channels, height, width, out_channels, kernel, stride, padding = case
    torch.manual_seed(0)
    x = torch.randn(pictures, channels, height, width).contiguous(memory_format=torch.channels_last)
    return nn.Conv2d(channels, out_channels, kernel, stride, padding), x.requires_grad_()


def _run(layer: nn.Conv2d, x: Tensor) -> tuple[Tensor, ...]:
    out = layer(x)
    weights = torch.linspace(-1, 1, out.numel()).view_as(out)
    return out.detach(), *torch.autograd.grad((out * weights).sum(), (x, *layer.parameters()))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_outputs_and_gradients_are_those_of_torch(case: tuple[int, ...]) -> None:
    layer, x = _layer_and_maps(case)

    expected = _run(layer, x)
    with SideBySide():
        found = _run(layer, x)

    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES[:2], ids=str)
def test_the_maps_stay_channels_last(case: tuple[int, ...]) -> None:
    layer, x = _layer_and_maps(case)
    with SideBySide():
        assert layer(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("width", "autocast", "expected"), [(4, False, True), (8, False, False), (8, True, True), (9, True, False)]
)
def test_how_small_depends_on_the_precision(
    monkeypatch: pytest.MonkeyPatch, width: int, autocast: bool, expected: bool
) -> None:
    laid: list[Tensor] = []
    lay = panorama._lay
    monkeypatch.setattr(panorama, "_lay", lambda x, group, columns: laid.append(x) or lay(x, group, columns))
    layer, x = _layer_and_maps((8, 4, width, width, 4, 3, 1, 1))

    with torch.autocast("cpu", torch.bfloat16, enabled=autocast), SideBySide():
        layer(x)

    assert bool(laid) is expected


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2),
        nn.Conv2d(8, 8, 3, padding="same"),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
    ],
    ids=["depthwise", "dilated", "same", "reflect"],
)
def test_other_convolutions_are_as_they_were(layer: nn.Conv2d) -> None:
    x = torch.randn(8, 8, 4, 4)
    with SideBySide():
        found = layer(x)
    torch.testing.assert_close(found, layer(x))


def test_a_single_map_is_as_it_was() -> None:
    layer, x = _layer_and_maps((1, 4, 2, 2, 4, 3, 1, 1))
    with SideBySide():
        found = layer(x)
    assert torch.equal(found, layer(x))
