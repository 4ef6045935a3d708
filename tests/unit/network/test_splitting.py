from functools import partial
from itertools import combinations

import pytest
import torch
from torch import nn
from torch.nn import functional

from frostline.data.preprocess import Preprocess
from frostline.errors import ModelError
from frostline.hardware import make_fabric
from frostline.network.build import NetworkSpec, build
from frostline.network.cuts import trace_network
from frostline.network.splitting import apply_prefix, between, split

SHAPE = (3, 8, 8)


def pictures(count=4, shape=SHAPE):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


class Norms(nn.Module):
    """BatchNorm on both sides of every cut but the ends, one Dropout module used twice, an in-place ReLU."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout(0.5)
        self.last_norm = nn.BatchNorm1d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.dropout(self.relu(self.norm(self.conv(x))))
        return self.head(self.dropout(self.last_norm(x.mean((2, 3)))))


class FunctionalDropout(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(192, 50)
        self.second = nn.Linear(50, 50)
        self.head = nn.Linear(50, 2)

    def forward(self, x):
        x = functional.dropout(self.first(x.flatten(1)), 0.5, training=self.training)
        return self.head(functional.dropout(self.second(x), 0.5, training=self.training))


class Sizes(nn.Module):
    """Sizes read from the picture are needed far below, where the picture is gone."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.middle = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(16, 2)

    def forward(self, x):
        batch, _, height, width = x.shape
        rows, half = batch * 4, (height // 2, width // 2)
        x = self.middle(self.conv(x))
        x = functional.interpolate(x, size=half).reshape(rows, 16)
        return self.head(x).reshape(batch, 4, 2).mean(1)


class OddSize(nn.Module):
    """A plain value that is no multiple of the batch size."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, x):
        more = x.shape[0] + 1
        return self.conv(x).mean((2, 3)) * more


class SharedStatistics(nn.Module):
    """One BatchNorm without parameters, used twice."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4, affine=False)
        self.second = nn.Conv2d(4, 4, 1)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        return self.head(self.norm(self.second(self.norm(self.first(x))))).mean((2, 3))


def small(model, **options):
    return build(NetworkSpec(model=model, classes=3, **options))


NETWORKS = {
    "norms": lambda: _traced(Norms()),
    "functional dropout": lambda: _traced(FunctionalDropout()),
    "sizes": lambda: _traced(Sizes()),
    "shared statistics": lambda: _traced(SharedStatistics()),
    "resnet18": lambda: _built("resnet18", head="official", image_size=32, width=0.05),
    "vgg11_bn": lambda: _built("vgg11_bn", head="small", image_size=32, width=0.05),
}


def _traced(module):
    return module, trace_network(module, SHAPE), SHAPE


def _built(model, **options):
    network = small(model, **options)
    return network.module, network.trace(), network.preprocess.input_shape


@pytest.mark.parametrize("name", NETWORKS)
def test_prefix_and_suffix_are_the_whole_at_every_cut(name):
    module, traced, shape = NETWORKS[name]()
    assert len(traced.cuts) > 3
    x = pictures(3, shape)
    stir_norms(module)
    with torch.no_grad():
        whole = module.eval()(x)
        for cut in traced.cuts:
            divided = split(traced, cut)
            values = divided.prefix(x)
            assert [tuple(value.shape[1:]) for value in values] == list(cut.shapes)
            torch.testing.assert_close(divided.evaluating.eval()(*values), whole, msg=lambda m, c=cut: f"{c.name}: {m}")


def stir_norms(module):
    """Set each BatchNorm apart from the identity."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 1.5)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_sizes_from_above_the_cut_follow_the_batch(count):
    module = Sizes().eval()
    divided = split(trace_network(module, SHAPE), trace_network(module, SHAPE).cut("middle"))
    assert len(list(divided.suffix.graph.find_nodes(op="placeholder"))) == 1
    x = pictures(count)
    torch.testing.assert_close(divided.suffix(*divided.prefix(x)), module(x))


def test_a_size_that_cannot_be_restated_is_refused():
    traced = trace_network(OddSize(), SHAPE)
    with pytest.raises(ModelError, match="a value of 3 for two pictures and 4 for three crosses the cut"):
        split(traced, traced.cut("conv"))


def test_halves_hold_the_networks_own_parameters():
    module = Norms()
    traced = trace_network(module, SHAPE)
    divided = split(traced, traced.cut("dropout"))
    own = dict(module.named_parameters())
    above, below = dict(divided.prefix.named_parameters()), dict(divided.suffix.named_parameters())
    assert above.keys() == {"conv.weight", "conv.bias", "norm.weight", "norm.bias"}
    assert above.keys() | below.keys() == own.keys()
    assert not above.keys() & below.keys()
    assert all(own[name] is parameter for name, parameter in {**above, **below}.items())
    assert all(own[name] is parameter for name, parameter in divided.evaluating.named_parameters())
    assert dict(divided.suffix.named_buffers())["last_norm.running_mean"] is module.last_norm.running_mean


def test_the_first_cut_leaves_nothing_frozen():
    module = Norms()
    traced = trace_network(module, SHAPE)
    whole, divided = split(traced, traced.before("all")), split(traced, traced.cut("conv"))
    assert (whole.is_whole, divided.is_whole) == (True, False)
    assert not list(whole.prefix.parameters())
    assert whole.prefix(pictures())[0].equal(pictures())


@pytest.mark.parametrize("cut", ["dropout", "last_norm"])
def test_training_the_suffix_never_changes_the_prefix(cut):
    """A Dropout module is used on both sides, BatchNorm stands on both."""
    module = Norms()
    traced = trace_network(module, SHAPE)
    divided = split(traced, traced.cut(cut))
    x = pictures(16)
    with torch.no_grad():
        (before,) = divided.prefix(x)
        divided.suffix.train()
        divided.suffix(before.clone())
        (after,) = divided.prefix(x)
        (alone,) = divided.prefix(x[:1])
    assert after.equal(before)
    torch.testing.assert_close(alone, before[:1])
    assert module.norm.num_batches_tracked == 0
    assert module.last_norm.num_batches_tracked == (cut == "dropout")


def test_training_the_suffix_never_changes_statistics_that_the_prefix_reads():
    module = SharedStatistics()
    traced = trace_network(module, SHAPE)
    x = pictures(16)
    for cut in traced.cuts:
        divided = split(traced, cut)
        (before,) = divided.prefix(x)
        divided.suffix.train()
        divided.suffix(before.clone())
        assert divided.prefix(x)[0].equal(before), cut.name


def test_the_prefix_is_dead_to_dropout_when_the_network_was_in_training_mode():
    module = FunctionalDropout().train()
    traced = trace_network(module, SHAPE)
    divided = split(traced, traced.cut("second"))
    x = pictures()
    torch.testing.assert_close(divided.prefix(x)[0], module.second(module.first(x.flatten(1))))


def test_functional_dropout_is_alive_in_training_and_dead_in_evaluation():
    module = FunctionalDropout()
    traced = trace_network(module, SHAPE)
    divided = split(traced, traced.cut("first"))
    x = pictures()
    (value,) = divided.prefix(x)
    divided.suffix.train()
    assert not divided.suffix(value).equal(divided.suffix(value))
    torch.testing.assert_close(divided.evaluating.eval()(value), module.eval()(x))


def test_module_dropout_is_alive_in_training_and_dead_in_evaluation():
    module = Norms()
    traced = trace_network(module, SHAPE)
    divided = split(traced, traced.cut("last_norm"))
    (value,) = divided.prefix(pictures(16))
    divided.suffix.train()
    assert not divided.suffix(value).equal(divided.suffix(value))
    divided.evaluating.eval()
    assert divided.evaluating(value).equal(divided.evaluating(value))


@pytest.mark.parametrize("head", ["linear", "multi"])
def test_tapped_networks_split_at_every_cut(head):
    network = small("resnet18", head=head, image_size=32, width=0.05)
    traced = network.trace()
    stir_norms(network.module)
    x = pictures(3, network.preprocess.input_shape)
    whole = torch.fx.GraphModule(network.module, traced.evaluating.graph).eval()
    taps = len(network.spec.taps)
    with torch.no_grad():
        wanted = whole(x)
        crossing = set()
        for cut in traced.cuts:
            divided = split(traced, cut)
            crossing.add(len(cut.values))
            torch.testing.assert_close(divided.evaluating.eval()(*divided.prefix(x)), wanted)
    assert max(crossing) == taps  # above the head, all taps are alive
    assert (taps > 1) == (head == "multi")


@pytest.mark.parametrize("name", [*NETWORKS, "tapped"])
def test_layers_between_two_cuts_lead_from_one_to_the_other(name):
    tapped = partial(_built, "resnet18", head="multi", image_size=32, width=0.05)
    module, traced, shape = (NETWORKS | {"tapped": tapped})[name]()
    stir_norms(module)
    x = pictures(3, shape)
    with torch.no_grad():
        crossing = {cut: split(traced, cut).prefix(x) for cut in traced.cuts}
        for lower, upper in combinations(traced.cuts, 2):
            layers = between(traced, lower, upper).eval()
            found = layers(*(value.clone() for value in crossing[lower]))  # an in-place ReLU may come first
            message = f"{lower.name} to {upper.name}: ".__add__
            torch.testing.assert_close(found, crossing[upper], msg=message)


def test_apply_prefix_normalises_and_keeps_no_gradients():
    module = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 2))
    traced = trace_network(module, SHAPE)
    divided = split(traced, traced.cut("1"))
    preprocess = Preprocess(size=8, resize=8, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    pixels = torch.randint(0, 256, (2, *SHAPE), dtype=torch.uint8)
    (value,) = apply_prefix(divided.prefix, pixels, preprocess, make_fabric("cpu", "fp32"))
    mean, std = torch.tensor(preprocess.mean).view(3, 1, 1), torch.tensor(preprocess.std).view(3, 1, 1)
    torch.testing.assert_close(value, module[1](module[0]((pixels / 255 - mean) / std)))
    assert not value.requires_grad
