import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from frostline.network.receptive import Field, fields_of
from frostline.network.tracing import flow_of, path_of, trace


def sides(module, side=64):
    """Side of the field of each node's value, in order, under its name in the graph."""
    flow = flow_of(module, trace(module, training=False), (3, side, side))
    return {node.name: field.side for node, field in fields_of(module, flow).items()}


def last(module, side=64):
    return list(sides(module, side).values())[-1]


def test_worked_out_by_hand():
    module = nn.Sequential(
        nn.Conv2d(3, 4, kernel_size=7, stride=2, padding=3),  # 7, neighbours 2 apart
        nn.BatchNorm2d(4),
        nn.MaxPool2d(3, stride=2, padding=1),  # 7 + 2 * 2 = 11, 4 apart
        nn.Conv2d(4, 4, kernel_size=3, dilation=2, padding=2),  # 11 + 2 * 2 * 4 = 27
        nn.AvgPool2d(2),  # 27 + 4 = 31, 8 apart
        nn.Conv2d(4, 4, kernel_size=1, stride=2),  # 31, 16 apart
        nn.Conv2d(4, 4, kernel_size=2),  # 31 + 16 = 47
    )
    assert list(sides(module).values()) == [1, 7, 7, 11, 27, 31, 31, 47]


def test_a_field_knows_height_from_width():
    field = Field().seen_through((1, 7), (1, 2)).seen_through((3, 1), (1, 1))
    assert field == Field((3, 7), (1, 2))
    assert field.side == 7
    assert last(nn.Conv2d(3, 4, kernel_size=(5, 1))) == 5


class Functions(nn.Module):
    """Pool by functions, two of them with arguments by place."""

    def forward(self, x):
        x = functional.max_pool2d(x, 3, 2, 1)  # 3, 2 apart
        x = functional.avg_pool2d(x, kernel_size=2)  # 3 + 2 = 5, 4 apart
        return functional.max_pool2d(x, 2, 1, 0, 3)  # 5 + 3 * 4 = 17


def test_pooling_by_functions():
    assert last(Functions()) == 17


class Standardised(nn.Module):
    """Convolve with weights that are made on the way."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 3, 3, 5))

    def forward(self, x):
        x = functional.conv2d(x, self.weight / 2, None, (2, 2), dilation=3)  # 13, 2 apart
        return functional.avg_pool2d(x, 2)  # 13 + 2


def test_convolution_by_a_function():
    assert last(Standardised()) == 15


class Residual(nn.Module):
    """A block whose shortcut sees less than its branch."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, kernel_size=3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(4, 4, kernel_size=3, padding=1)
        self.shortcut = nn.Conv2d(3, 4, kernel_size=1, stride=2)

    def forward(self, x):
        return self.shortcut(x) + self.conv2(self.conv1(x))


def test_where_branches_meet_the_largest_counts():
    assert sides(Residual()) == {"x": 1, "shortcut": 1, "conv1": 3, "conv2": 7, "add": 7}


@pytest.mark.parametrize(
    ("pool", "side"),
    [(1, math.inf), (64, 1), (32, 2), (48, 2), (3, 22)],
    ids=["global", "same", "half", "odd", "third"],
)
def test_adaptive_pooling(pool, side):
    assert last(nn.AdaptiveAvgPool2d(pool)) == side


class Mean(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


class ChannelMean(nn.Module):
    def forward(self, x):
        return x.mean(1, keepdim=True)


class Excite(nn.Module):
    """Scale each channel by what the whole map says."""

    def forward(self, x):
        return x * functional.adaptive_avg_pool2d(x, 1).sigmoid()


class Tokens(nn.Module):
    """Patches as tokens with a class token, and a linear layer on each."""

    def __init__(self, *, attends):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, kernel_size=16, stride=16)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.linear = nn.Linear(8, 8)
        self.attention = nn.MultiheadAttention(8, num_heads=2, batch_first=True) if attends else None

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = self.linear(torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1))
        return self.attention(x, x, x)[0] if self.attention else x


@pytest.mark.parametrize(
    ("module", "side"),
    [
        (Mean(), math.inf),
        (ChannelMean(), 1),
        (Excite(), math.inf),
        (nn.Sequential(nn.Conv2d(3, 1, kernel_size=5), nn.Flatten()), 5),
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 2)), math.inf),
        (Tokens(attends=False), 16),
        (Tokens(attends=True), math.inf),
    ],
    ids=["mean", "channel mean", "squeeze and excite", "flatten", "linear", "tokens", "attention"],
)
def test_what_sees_the_whole_picture_and_what_does_not(module, side):
    assert last(module) == side


class Opaque(nn.Module):
    """A block that tracing keeps as one node, as it keeps some of timm's."""

    def __init__(self):
        super().__init__()
        self.inside = Residual()
        self.__class__.__module__ = "torch.nn.modules.made_up"

    def forward(self, x):
        return self.inside(x)


def test_behind_a_block_that_is_one_node_the_field_is_unknown_until_all_is_seen():
    module = nn.Sequential(Opaque(), nn.Conv2d(4, 4, kernel_size=3), nn.AdaptiveAvgPool2d(1))
    _, first, second, third = sides(module).values()
    assert math.isnan(first)
    assert math.isnan(second)
    assert third == math.inf


def test_the_gradient_reaches_exactly_as_far():
    module = nn.Sequential(
        nn.Conv2d(3, 2, kernel_size=3, stride=2),
        nn.Conv2d(2, 3, kernel_size=3, dilation=3),
        Residual(),
        nn.AvgPool2d(3, stride=2),
        nn.Conv2d(4, 1, kernel_size=2),
    )
    for parameter in module.parameters():
        nn.init.constant_(parameter, 1)
    picture = torch.zeros(1, 3, 128, 128, requires_grad=True)
    out = module(picture)
    out[0, 0, out.shape[2] // 2, out.shape[3] // 2].backward()
    rows = picture.grad[0].sum(dim=(0, 2)).nonzero().flatten()
    assert last(module, 128) == int(rows[-1] - rows[0]) + 1


def test_every_node_of_a_block_has_a_field():
    module = Residual()
    flow = flow_of(module, trace(module, training=False), (3, 8, 8))
    fields = fields_of(module, flow)
    assert {path_of(node) for node in fields} >= {"conv1", "conv2", "shortcut"}
