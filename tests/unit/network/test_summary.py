import copy
from dataclasses import FrozenInstanceError

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from frostline.network.resnet import resnet
from frostline.network.summary import LayerRow, layer_rows
from frostline.network.vgg import vgg


def total(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_rows_worked_out_by_hand():
    model = nn.Sequential(
        nn.Conv2d(3, 8, kernel_size=3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, kernel_size=(3, 1), stride=2, groups=4, bias=False),
        nn.Flatten(),
        nn.Linear(16 * 4 * 5, 7),
    )
    assert layer_rows(model, (3, 10, 10)) == [
        LayerRow("0", "Conv2d", (8, 10, 10), 3 * 9 * 8 + 8, 8 * 10 * 10 * 3 * 9),
        LayerRow("1", "BatchNorm2d", (8, 10, 10), 16, 0),
        LayerRow("2", "ReLU", (8, 10, 10), 0, 0),
        LayerRow("3", "Conv2d", (16, 4, 5), 16 * 2 * 3, 16 * 4 * 5 * 2 * 3),
        LayerRow("4", "Flatten", (320,), 0, 0),
        LayerRow("5", "Linear", (7,), 320 * 7 + 7, 320 * 7),
    ]


def test_linear_on_tokens_and_convolution_on_a_line():
    model = nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 6, kernel_size=5, groups=3), nn.Linear(12, 2))
    _, convolution, linear = layer_rows(model, (3, 4, 4))
    assert (convolution.output_shape, convolution.macs) == ((6, 12), 6 * 12 * 5)
    assert (linear.output_shape, linear.macs) == ((6, 2), 6 * 2 * 12)


def test_vgg16_at_224():
    with torch.device("meta"):
        model = vgg("vgg16")
    rows = layer_rows(model, (3, 224, 224))
    # (in, out, side) of each convolution
    shapes = [(3, 64, 224), (64, 64, 224), (64, 128, 112), (128, 128, 112), (128, 256, 56), *[(256, 256, 56)] * 2]
    shapes += [(256, 512, 28), *[(512, 512, 28)] * 2, *[(512, 512, 14)] * 3]
    assert [row.macs for row in rows if row.kind == "Conv2d"] == [i * o * 9 * side**2 for i, o, side in shapes]
    assert [row.macs for row in rows if row.kind == "Linear"] == [25088 * 4096, 4096 * 4096, 4096 * 1000]
    assert sum(row.macs for row in rows) == 15_470_264_320
    assert sum(row.parameters for row in rows) == 138_357_544
    assert [row.name for row in rows if row.kind == "MaxPool2d"] == [f"features.{i}" for i in (4, 9, 16, 23, 30)]
    assert rows[-1] == LayerRow("classifier.6", "Linear", (1000,), 4_097_000, 4_096_000)


def test_resnet18_at_224():
    with torch.device("meta"):
        model = resnet("resnet18")
    rows = layer_rows(model, (3, 224, 224))
    by_name = {row.name: row for row in rows}
    assert len(by_name) == len(rows)  # the ReLU that a block calls twice has one row
    assert by_name["conv1"] == LayerRow("conv1", "Conv2d", (64, 112, 112), 9408, 64 * 112**2 * 147)
    assert by_name["layer2.0.downsample.0"].macs == 128 * 28**2 * 64
    assert by_name["layer4.1.conv2"].output_shape == (512, 7, 7)
    assert sum(row.macs for row in rows) == 1_814_073_344
    assert sum(row.parameters for row in rows) == 11_689_512


class Twice(nn.Module):
    """Call one convolution at two sizes, and tie the weights of two others."""

    def __init__(self):
        super().__init__()
        self.again = nn.Conv2d(3, 3, kernel_size=1)
        self.tied = nn.Conv2d(3, 3, kernel_size=1, bias=False)
        self.tied.weight = self.again.weight
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        return self.tied(self.again(self.again(x)[..., ::2, ::2]))


def test_layer_called_twice_has_one_row_and_the_cost_of_both():
    again, tied = layer_rows(Twice(), (3, 8, 8))
    assert again == LayerRow("again", "Conv2d", (3, 8, 8), 12, 9 * 64 + 9 * 16)
    assert tied == LayerRow("tied", "Conv2d", (3, 4, 4), 0, 9 * 16)  # its weight stands in the row above


class Attend(nn.Module):
    """Attend from 4 tokens to 9, with keys and values of their own widths."""

    def __init__(self, batch_first):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, num_heads=2, kdim=6, vdim=5, batch_first=batch_first)

    def forward(self, x):
        batch = x.shape[0] * 2
        shapes = [(batch, n, d) if self.attention.batch_first else (n, batch, d) for n, d in ((4, 8), (9, 6), (9, 5))]
        query, key, value = (x.new_zeros(shape) for shape in shapes)
        return self.attention(query, key=key, value=value)[0]


@pytest.mark.parametrize("batch_first", [True, False])
def test_attention_is_one_row(batch_first):
    model = Attend(batch_first)
    (row,) = layer_rows(model, (3, 8, 8))
    projections = 4 * 8 * 8 + 9 * 6 * 8 + 9 * 5 * 8 + 4 * 8 * 8
    products = 4 * 9 * 8 + 4 * 9 * 8
    assert row == LayerRow("attention", "MultiheadAttention", (4, 8), total(model), 2 * (projections + products))


def test_torchvision_vit_counts_every_parameter():
    model = torchvision.models.VisionTransformer(
        image_size=32, patch_size=16, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=3
    )
    rows = layer_rows(model, (3, 32, 32))
    assert sum(row.parameters for row in rows) == total(model)
    attention = next(row for row in rows if row.kind == "MultiheadAttention")
    assert attention.output_shape == (5, 8)  # 4 patches and the class token
    assert attention.macs == 4 * 5 * 8 * 8 + 2 * 5 * 5 * 8
    assert rows[0] == LayerRow("", "VisionTransformer", (3,), 8, 0)  # its class token


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "vit_tiny_patch16_224", "levit_128s"])
def test_timm_networks_count_every_parameter(name):
    with torch.device("meta"):
        model = timm.create_model(name)
    rows = layer_rows(model, (3, 224, 224))
    assert sum(row.parameters for row in rows) == total(model)
    assert all(row.output_shape for row in rows)


def test_macs_agree_with_the_operators_that_torch_counts():
    """torch counts two operations for each multiply-accumulate, at the operators instead of the layers."""
    small_vit = {"image_size": 32, "patch_size": 8, "num_layers": 2, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 16}
    with torch.device("meta"):
        models = [
            timm.create_model("tf_efficientnet_lite0"),
            torchvision.models.densenet121(weights=None),
            torchvision.models.VisionTransformer(**small_vit),
        ]
    for model, size in zip(models, (64, 64, 32), strict=True):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model.eval()(torch.empty(1, 3, size, size, device="meta"))
        assert 2 * sum(row.macs for row in layer_rows(model, (3, size, size))) == counter.get_total_flops()


def test_module_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, kernel_size=3), nn.BatchNorm2d(4).eval(), nn.Dropout())
    before = copy.deepcopy(model.state_dict())
    flags = [layer.training for layer in model.modules()]
    layer_rows(model, (3, 8, 8))
    assert [layer.training for layer in model.modules()] == flags == [True, True, False, True]
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules())
    assert all(p.requires_grad and not p.is_meta for p in model.parameters())


def test_half_precision_and_other_channels():
    (row,) = layer_rows(nn.Conv2d(1, 2, kernel_size=1).to(torch.bfloat16), (1, 4, 4))
    assert row == LayerRow("", "Conv2d", (2, 4, 4), 4, 32)


def test_row_is_a_value():
    row = LayerRow("a", "ReLU", (1,), 0, 0)
    assert row == LayerRow("a", "ReLU", (1,), 0, 0)
    with pytest.raises(FrozenInstanceError):
        row.macs = 1
