import math

import pytest
import torch

from frostline.network.build import NetworkSpec, build
from frostline.network.outline import ITSELF, outline
from frostline.tables import summary_table

ALL = math.inf


def outlined(model, *, head="official", size=None):
    """Rows by name."""
    with torch.device("meta") if head == "official" else torch.device("cpu"):
        network = build(NetworkSpec(model=model, classes=10, head=head, channels=3, image_size=size))
    rows = outline(network)
    assert len({row.name for row in rows}) == len(rows)
    top = [row for row in rows if row.depth == 0]
    assert sum(row.parameters for row in top) == sum(p.numel() for p in network.module.parameters())
    return {row.name: row for row in rows}


def test_resnet18():
    rows = outlined("resnet18")
    names = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc"]
    assert [row.name for row in rows.values() if row.depth == 0] == names
    assert [rows[name].field for name in names] == [7, 7, 7, 11, 43, 99, 211, 435, ALL, ALL]
    block = rows["layer2.0"]
    assert (block.depth, block.kind, block.output_shape, block.field) == (1, "BasicBlock", (128, 28, 28), 67)
    inside = [row for name, row in rows.items() if name.startswith("layer2.0.") and row.depth == 2]
    assert block.parameters == sum(row.parameters for row in inside) == 230_144
    assert block.macs == sum(row.macs for row in inside) == (64 + 128) * 9 * 128 * 28**2 + 64 * 128 * 28**2
    assert (rows["layer2.0.downsample.0"].depth, rows["layer2.0.downsample.0"].field) == (3, 43)


def test_vgg16_has_its_blocks():
    rows = outlined("vgg16")
    blocks = [rows[f"block{i}"] for i in range(1, 6)]
    assert [row.field for row in blocks] == [6, 16, 44, 100, 212]
    assert [row.output_shape for row in blocks] == [
        (64, 112, 112),
        (128, 56, 56),
        (256, 28, 28),
        (512, 14, 14),
        (512, 7, 7),
    ]
    assert rows["features"].parameters == sum(row.parameters for row in blocks) == 14_714_688
    assert rows["features.28"].field == 196
    assert rows["avgpool"].field == 212, "7x7 is pooled to 7x7"
    assert rows["classifier.0"].field == ALL
    order = list(rows)
    assert order.index("block2") == order.index("features.4") + 1 == order.index("features.5") - 1


def test_efficientnet_lite0_leaves_out_what_does_nothing():
    rows = outlined("efficientnet_lite0")
    assert rows["blocks"].field == 851
    assert rows["blocks.1.0"].kind == "InvertedResidual"
    assert "Identity" not in {row.kind for row in rows.values()}
    assert rows["blocks.1.0.bn1"].parameters == 2 * 96
    assert rows["blocks.1.0.bn1.act"].field == rows["blocks.1.0.conv_pw"].field == 7


def test_vit_looks_at_patches_then_at_all():
    rows = outlined("vit_b_16")
    assert rows[ITSELF].parameters == 768
    assert (rows["conv_proj"].field, rows["encoder.layers.encoder_layer_0.ln_1"].field) == (16, 16)
    first = rows["encoder.layers.encoder_layer_0"]
    assert (first.kind, first.output_shape, first.field) == ("EncoderBlock", (197, 768), ALL)
    assert rows["encoder"].parameters > sum(
        row.parameters for row in rows.values() if row.depth == 1 and row.name.startswith("encoder.")
    ), "the position embedding is the encoder's own"


@pytest.mark.parametrize("model", ["timm:vit_tiny_patch16_224", "swin_t", "convnext_tiny"])
def test_other_families(model):
    rows = outlined(model)
    assert list(rows.values())[-1].field == ALL
    assert next(row.field for row in rows.values() if row.macs and row.kind == "Conv2d") in {4, 16}


def test_blocks_that_tracing_does_not_enter_are_marked():
    text = summary_table("timm:nf_regnet_b0", "3x64x64", 10, "official")
    line = next(line for line in text.splitlines() if line.strip().startswith("stages.1.0 "))
    assert line.split()[3] == "?"
    inside = next(line for line in text.splitlines() if line.strip().startswith("stages.1.0.attn "))
    assert inside.split()[3] == "?"


def test_a_head_on_pooled_depths_is_listed():
    rows = outlined("resnet18", head="linear", size=64)
    head = rows["depth_head"]
    assert (head.kind, head.output_shape, head.field, head.macs) == ("DepthHead", (10,), ALL, 512 * 10)
    assert head.parameters == 512 * 10 + 10


def test_the_table_shows_the_tree():
    lines = summary_table("resnet18", "3x64x64", 10, "official").splitlines()
    assert lines[0] == "resnet18, input 3x64x64"
    assert lines[1].split() == ["layer", "type", "output", "field", "parameters", "MACs", "share", "of", "MACs"]
    shown = {line.split()[0]: line for line in lines[3:70] if line}
    assert shown["layer1"].split() == [
        "layer1",
        "Sequential",
        "64x16x16",
        "43",
        "147,968",
        "37,748,736",
        "25.5%",
        "#####",
    ]
    assert shown["layer1.0.conv1"].startswith("    layer1.0.conv1 ")
    assert shown["fc"].split()[3] == "all"
    assert shown["relu"].split()[-1] == "0"
    assert "11,181,642 parameters" in "\n".join(lines)
