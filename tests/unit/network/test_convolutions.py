"""Faster convolutions give what torch gives, gradients too, and are taken where they should be."""

from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from frostline.network import convolutions, panorama
from frostline.network.convolutions import FastConvolutions
from frostline.network.patches import convolve_patches

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


@pytest.fixture(params=[True, False], ids=["tiles", "registers"])
def has_tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(panorama, "cpu_has_tiles", lambda: request.param)
    return bool(request.param)


def _calls(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> list[object]:
    calls: list[object] = []
    ours = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *given: calls.append(given) or ours(*given))
    return calls


def _run(layer: nn.Conv2d, x: Tensor) -> tuple[Tensor, ...]:
    out = layer(x)
    weights = torch.linspace(-1, 1, out.numel()).view_as(out)
    return out.detach(), *torch.autograd.grad((out * weights).sum(), (x, *layer.parameters()))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.usefixtures("has_tiles")
def test_outputs_and_gradients_are_those_of_torch(case: tuple[int, ...]) -> None:
    layer, x = _layer_and_maps(case)

    expected = _run(layer, x)
    with FastConvolutions():
        found = _run(layer, x)

    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_patches_give_outputs_and_gradients_of_torch(case: tuple[int, ...]) -> None:
    layer, x = _layer_and_maps(case)

    expected = _run(layer, x)
    layer.forward = lambda x: convolve_patches(x, layer.weight, layer.bias, layer.stride, layer.padding)
    found = _run(layer, x)

    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("pictures", "width", "stride", "autocast", "expected"),
    [
        (4, 2, 1, True, True),
        (5, 2, 1, True, False),
        (4, 4, 2, True, True),
        (4, 4, 1, True, False),
        (4, 2, 1, False, False),
    ],
)
def test_patches_are_taken_where_places_are_few(
    monkeypatch: pytest.MonkeyPatch, pictures: int, width: int, stride: int, autocast: bool, expected: bool
) -> None:
    calls = _calls(monkeypatch, convolutions, "convolve_patches")
    layer, x = _layer_and_maps((pictures, 4, width, width, 64, 3, stride, 1))

    with torch.autocast("cpu", torch.bfloat16, enabled=autocast), FastConvolutions():
        out = layer(x)

    assert bool(calls) is expected
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("case", CASES[:2], ids=str)
@pytest.mark.usefixtures("has_tiles")
def test_the_maps_stay_channels_last(case: tuple[int, ...]) -> None:
    layer, x = _layer_and_maps(case)
    with FastConvolutions():
        assert layer(x).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("width", "autocast", "with_tiles", "with_registers"),
    [
        (1, False, True, False),
        (4, False, True, False),
        (5, False, False, False),
        (2, True, True, True),
        (3, True, True, False),
        (8, True, True, False),
        (9, True, False, False),
    ],
)
def test_how_small_depends_on_precision_and_processor(
    monkeypatch: pytest.MonkeyPatch,
    has_tiles: bool,
    width: int,
    autocast: bool,
    with_tiles: bool,
    with_registers: bool,
) -> None:
    laid = _calls(monkeypatch, panorama, "_lay")
    layer, x = _layer_and_maps((8, 4, width, width, 4, 3, 1, 1))

    with torch.autocast("cpu", torch.bfloat16, enabled=autocast), FastConvolutions():
        layer(x)

    assert bool(laid) is (with_tiles if has_tiles else with_registers)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 8, 3, padding=1, groups=2),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2),
        nn.Conv2d(8, 8, 3, padding="same"),
        nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
    ],
    ids=["depthwise in float32", "grouped", "dilated", "same", "reflect"],
)
def test_other_convolutions_are_as_they_were(layer: nn.Conv2d) -> None:
    x = torch.randn(8, 8, 4, 4)
    with FastConvolutions():
        found = layer(x)
    torch.testing.assert_close(found, layer(x))


def test_a_single_map_is_as_it_was() -> None:
    layer, x = _layer_and_maps((1, 4, 2, 2, 4, 3, 1, 1))
    with FastConvolutions():
        found = layer(x)
    assert torch.equal(found, layer(x))


@pytest.mark.parametrize(
    ("kernel", "stride", "bias"), [(3, 1, False), (3, 2, True), (5, 2, False), (5, 1, True), ((1, 3), (1, 2), True)]
)
def test_depthwise_gradients_in_bfloat16_are_those_of_float32(
    kernel: int, stride: int, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = _calls(monkeypatch, convolutions, "convolve_depthwise")
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 6, kernel, stride, padding=1, groups=6, bias=bias)
    with torch.no_grad():  # values that bfloat16 holds exactly
        for parameter in layer.parameters():
            parameter.copy_(parameter.bfloat16())
    x = torch.randn(4, 6, 12, 12).bfloat16().float().requires_grad_()

    expected = _run(layer, x)
    with torch.autocast("cpu", torch.bfloat16), FastConvolutions():
        found = _run(layer, x)

    assert calls
    assert found[0].dtype == torch.bfloat16
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine.float(), theirs, rtol=2e-2, atol=2e-2 * theirs.abs().max().item())


@pytest.mark.parametrize("part", ["x", "weight"])
def test_only_wanted_depthwise_gradients_are_computed(part: str) -> None:
    layer = nn.Conv2d(6, 6, 3, stride=2, groups=6).requires_grad_(part == "weight")
    x = torch.randn(4, 6, 12, 12).requires_grad_(part == "x")
    with torch.autocast("cpu", torch.bfloat16), FastConvolutions():
        layer(x).float().sum().backward()
    assert (x.grad is not None, layer.weight.grad is not None) == (part == "x", part == "weight")


def test_measuring_leaves_depthwise_convolutions_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(convolutions, "convolve_depthwise")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), FastConvolutions():
        nn.Conv2d(6, 6, 3, groups=6)(torch.randn(4, 6, 12, 12))
