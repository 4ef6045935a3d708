import pytest
import torch
from torch import nn
from torch.nn import functional

from frostline.errors import ModelError, PlanError
from frostline.network.build import NetworkSpec, build
from frostline.network.cuts import average_pool, channel_axis, trace_network

SHAPE = (3, 8, 8)


def cut_names(module, shape=SHAPE, **options):
    return [cut.name for cut in trace_network(module, shape, **options).cuts]


class Chain(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.relu(self.norm(self.conv(x)))
        return self.head(self.dropout(x.mean((2, 3))))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.inside = nn.Conv2d(4, 4, 3, padding=1)
        self.end = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.inside(x)
        return self.head(self.end(x).mean((2, 3)))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.left = nn.Conv2d(3, 4, 1)
        self.right = nn.Conv2d(3, 4, 1)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        left = self.left(x).mean((2, 3))
        right = self.right(x).mean((2, 3))
        return self.head(torch.cat([left, right], 1))


class UsedTwice(nn.Module):
    def __init__(self):
        super().__init__()
        self.before = nn.Conv2d(3, 3, 1)
        self.shared = nn.Conv2d(3, 3, 1)
        self.between = nn.Conv2d(3, 3, 1)
        self.after = nn.Conv2d(3, 2, 1)

    def forward(self, x):
        x = self.shared(self.before(x))
        x = self.shared(self.between(x))
        return self.after(x).mean((2, 3))


class TiedWeight(nn.Module):
    """The second use reads the parameter itself, not the module."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(192, 192)
        self.between = nn.Linear(192, 192)
        self.after = nn.Linear(192, 2)

    def forward(self, x):
        x = self.between(self.first(x.flatten(1)))
        return self.after(functional.linear(x, self.first.weight))


class FoldedBatch(nn.Module):
    """Windows folded into the batch axis: a row is no picture there."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.inside = nn.Conv2d(4, 4, 1)
        self.outside = nn.Conv2d(4, 4, 1)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.stem(x)
        batch, channels, height, width = x.shape
        x = x.reshape(batch * 2, channels, height // 2, width)
        x = self.inside(x)
        x = self.outside(x.reshape(batch, channels, height, width))
        return self.head(x.mean((2, 3)))


class BatchLast(nn.Module):
    """The batch axis is the second for a while."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(64, 5)
        self.inside = nn.Linear(5, 5)
        self.head = nn.Linear(5, 2)

    def forward(self, x):
        x = self.inside(self.stem(x.flatten(2)).transpose(0, 1))
        return self.head(x.transpose(0, 1).mean(1))


class AcrossPictures(nn.Module):
    """A row per picture whose length is the number of pictures."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(192, 5)
        self.head = nn.Linear(1, 2)

    def forward(self, x):
        x = self.stem(x.flatten(1))
        return self.head((x @ x.T).mean(1, keepdim=True))


class MadeWeight(nn.Module):
    """A module is used on the picture, then on a parameter that the picture meets later."""

    def __init__(self):
        super().__init__()
        self.shared = nn.Linear(8, 8)
        self.between = nn.Linear(8, 8)
        self.query = nn.Parameter(torch.zeros(8))

    def forward(self, x):
        x = self.between(self.shared(x.mean((1, 2))))
        return x * self.shared(self.query)


class Counting(nn.Module):
    """An integer tensor is alive alone between two layers."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(256, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        codes = (x.mean((2, 3)).sigmoid() * 255).long()
        return self.head(self.embedding(codes).mean(1))


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


def test_every_place_in_a_chain_is_a_cut():
    assert cut_names(Chain()) == ["input", "conv", "norm", "relu", "mean", "dropout", "head"]


def test_a_cut_tells_its_value_and_shape():
    traced = trace_network(Chain(), SHAPE)
    assert (traced.cut("relu").values, traced.cut("relu").shapes) == (("relu",), ((4, 8, 8),))
    assert traced.cut("mean").shapes == ((4,),)
    assert [cut.position for cut in traced.cuts] == list(range(7))


def test_no_cut_inside_a_residual_block():
    assert cut_names(Residual()) == ["input", "stem", "add", "end", "mean", "head"]


def test_no_cut_between_branches():
    assert cut_names(Branches()) == ["input", "cat", "head"]


def test_no_cut_between_two_uses_of_a_module():
    assert cut_names(UsedTwice()) == ["input", "before", "shared#2", "after", "mean"]


def test_no_cut_between_two_uses_of_a_parameter():
    assert cut_names(TiedWeight()) == ["input", "flatten", "linear", "after"]


def test_no_cut_where_a_module_used_above_makes_a_value_below():
    assert cut_names(MadeWeight()) == ["input", "mean", "mul"]


def test_no_cut_where_rows_depend_on_the_number_of_pictures():
    assert cut_names(AcrossPictures()) == ["input", "flatten", "stem", "mean", "head"]


def test_no_cut_where_the_batch_is_folded():
    names = cut_names(FoldedBatch())
    assert names == ["input", "stem", "reshape#2", "outside", "mean", "head"]


def test_no_cut_where_the_batch_axis_is_not_the_first():
    assert cut_names(BatchLast()) == ["input", "flatten", "stem", "transpose#2", "mean", "head"]


def test_no_cut_at_an_integer_tensor():
    assert cut_names(Counting()) == ["input", "mean", "sigmoid", "mul", "embedding", "mean#2", "head"]


def test_a_network_that_branches_on_its_input_is_refused():
    with pytest.raises(ModelError, match=r"Branching cannot be traced .* does not branch on its input"):
        trace_network(Branching(), SHAPE)


class LostChange(nn.Module):
    """Changes its activation in place and goes on with the old name."""

    def __init__(self, change):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)
        self.relu = nn.ReLU(inplace=True)
        self.change = change

    def forward(self, x):
        x = self.conv(x)
        self.change(self, x)
        return x.mean((2, 3))


@pytest.mark.parametrize(
    "change",
    [
        lambda module, x: module.relu(x),
        lambda module, x: functional.relu(x, inplace=True),
        lambda module, x: torch.relu_(x),
        lambda module, x: x.mul_(2).add_(1),
    ],
)
def test_an_in_place_change_that_tracing_would_lose_is_refused(change):
    with pytest.raises(ModelError, match=r"LostChange changes a tensor in place \(.*write x = relu\(x\)"):
        trace_network(LostChange(change), SHAPE)


def test_tracing_leaves_the_modes_of_modules_as_they_were():
    module = Chain()
    module.norm.eval()
    trace_network(module, SHAPE)
    assert (module.training, module.norm.training, module.dropout.training) == (True, False, True)


def test_cuts_of_resnet18():
    network = build(NetworkSpec(model="resnet18", classes=2, head="official", image_size=32, width=0.05))
    blocks = [
        name
        for stage in (1, 2, 3, 4)
        for name in (f"layer{stage}.0.add", f"layer{stage}.0", f"layer{stage}.1.add", f"layer{stage}")
    ]
    expected = ["input", "conv1", "bn1", "relu", "maxpool", *blocks, "avgpool", "flatten", "fc"]
    assert [cut.name for cut in network.trace().cuts] == expected


def test_cuts_of_vgg16():
    network = build(NetworkSpec(model="vgg16", classes=2, head="small", image_size=32, width=0.05))
    expected = [
        "input",
        *(f"features.{i}" for i in range(30)),
        "features",
        "avgpool",
        "flatten",
        *(f"classifier.{i}" for i in range(6)),
        "classifier",
    ]
    assert [cut.name for cut in network.trace().cuts] == expected


@pytest.mark.parametrize(
    ("model", "head", "part", "cut"),
    [
        ("resnet18", "official", "all", "input"),
        ("resnet18", "official", "conv1", "input"),
        ("resnet18", "official", "head", "flatten"),
        ("resnet18", "official", "layer4", "layer3"),
        ("resnet18", "official", "layer4.0", "layer3"),
        ("resnet18", "official", "layer4.1", "layer4.0"),
        ("resnet18", "official", "layer4.1.conv2", "layer4.0"),  # inside a residual block: where the block begins
        ("vgg16", "official", "block1", "input"),
        ("vgg16", "official", "block5", "features.23"),
        ("vgg16", "official", "features.24", "features.23"),
        ("vgg16", "official", "classifier", "flatten"),
        ("vgg16", "official", "head", "classifier.4"),  # its dropout, classifier.5, is the head's
    ],
)
def test_before_a_part_is_the_last_cut_above_it(model, head, part, cut):
    network = build(NetworkSpec(model=model, classes=2, head=head, image_size=32, width=0.05))
    assert network.trace().before(part).name == cut


def test_before_the_head_goes_above_its_dropout():
    traced = trace_network(Chain(), SHAPE, head="head")
    assert (traced.before("head").name, traced.before("dropout").name) == ("mean", "mean")


def test_a_name_is_no_prefix_of_another():
    """features.2 is not features.24."""
    network = build(NetworkSpec(model="vgg16", classes=2, head="small", image_size=32, width=0.05))
    assert network.trace().before("features.2").name == "features.1"


def test_an_unknown_part_lists_the_known_ones():
    traced = trace_network(Chain(), SHAPE, head="head", aliases={"stem": "conv"})
    with pytest.raises(PlanError) as error:
        traced.before("nrom")
    assert str(error.value) == (
        "no part of the network is called 'nrom': did you mean 'norm'? there are all, stem, conv, norm, head, head"
    )


def test_an_unknown_cut_lists_the_known_ones():
    with pytest.raises(PlanError, match="no cut is called 'nowhere'; there are input, conv, norm, relu"):
        trace_network(Chain(), SHAPE).cut("nowhere")


def test_an_alias_stands_for_its_module():
    assert trace_network(Chain(), SHAPE, aliases={"block2": "norm"}).before("block2").name == "conv"


class Tapped(nn.Module):
    """Chain with a place for a head on three depths: conv (4 maps), wide (6 maps), mean (6 numbers)."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.wide = nn.Conv2d(4, 6, 3, padding=1)
        self.old = nn.Identity()
        self.tapped = Joined(10)

    def forward(self, x):
        return self.old(self.wide(self.relu(self.conv(x))).mean((2, 3)))


class Joined(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear = nn.Linear(width, 2)

    def forward(self, *pooled):
        return self.linear(torch.cat(pooled, 1))


@pytest.fixture
def tapped():
    torch.manual_seed(0)
    return trace_network(Tapped(), SHAPE, taps=("conv", "mean"), tapped_head="tapped")


def test_taps_cross_the_cuts_below_them(tapped):
    assert tapped.before("wide").shapes == ((4, 8, 8), (4,))
    assert tapped.before("relu").shapes[0] == (4, 8, 8)
    assert tapped.cuts[0].shapes == ((3, 8, 8),)
    assert tapped.head == "tapped"


def test_before_a_tapped_head_only_pooled_taps_are_alive(tapped):
    assert tapped.before("head").shapes in (((4,), (6,)), ((6,), (4,)))


def test_a_tap_is_pooled_before_an_in_place_layer_changes_it(tapped):
    module = tapped.module.eval()
    x = torch.randn(2, *SHAPE)
    wanted = module.tapped(module.conv(x).mean((2, 3)), module(x))
    whole = torch.fx.GraphModule(module, tapped.evaluating.graph)
    torch.testing.assert_close(whole(x), wanted)


def test_an_unknown_tap_is_refused():
    with pytest.raises(PlanError, match="no cut is called 'x'"):
        trace_network(Tapped(), SHAPE, taps=("x",), tapped_head="tapped")


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((512,), 0),
        ((197, 768), 1),  # tokens of a ViT
        ((64, 56, 56), 0),
        ((56, 56, 96), 2),  # Swin
        ((7, 7, 7), 0),
    ],
)
def test_channel_axis(shape, axis):
    assert channel_axis(shape, (3, 224, 224)) == axis


def test_average_pool_by_hand():
    x = torch.arange(8, dtype=torch.float64).view(1, 2, 2, 2)
    assert average_pool(x, 0).tolist() == [[1.5, 5.5]]
    assert average_pool(x, 2).tolist() == [[3.0, 4.0]]
    assert average_pool(x, 0).dtype == torch.float32
    assert average_pool(torch.ones(2, 3), 0).shape == (2, 3)
