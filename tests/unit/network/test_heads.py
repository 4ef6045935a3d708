import pytest
import torch
from torch import nn

from frostline.activations.key import graph_digest
from frostline.errors import ModelError
from frostline.network.build import NetworkSpec, build
from frostline.network.cuts import trace_network
from frostline.network.heads import (
    DEPTH_HEAD,
    DepthHead,
    MlpHead,
    choose_taps,
    drop_hidden_layers,
    find_head,
    tap_widths,
)
from frostline.network.splitting import split


def small(model, **options):
    return build(NetworkSpec(model=model, classes=3, image_size=32, width=0.05, **options))


def test_depth_head_by_hand():
    head = DepthHead([1, 2], classes=1)
    head.mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    head.scale.copy_(torch.tensor([2.0, 0.0, 0.5]))
    with torch.no_grad():
        head.linear.weight.copy_(torch.tensor([[1.0, 10.0, 100.0]]))
        head.linear.bias.fill_(0.5)
        out = head(torch.tensor([[4.0]]), torch.tensor([[50.0, 5.0]]))
    # (4-1)*2*1 + (50-2)*0*10 + (5-3)*0.5*100 + 0.5
    assert out.item() == 106.5


def test_depth_head_starts_without_standardising():
    head = DepthHead([2], classes=2)
    x = torch.randn(3, 2)
    torch.testing.assert_close(head(x), head.linear(x))


def test_statistics_of_a_depth_head_travel_with_its_weights():
    assert set(DepthHead([2, 3], 4).state_dict()) == {"mean", "scale", "linear.weight", "linear.bias"}
    assert DepthHead([2, 3], 4).linear.weight.shape == (4, 5)


def test_find_head_takes_the_last_layer_with_one_output_per_class():
    module = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3), nn.Linear(3, 7))
    assert find_head(module, 3) == "1"
    assert find_head(nn.Sequential(nn.Conv2d(3, 5, 1), nn.Flatten()), 5) == "0"


def test_find_head_says_where_there_is_none():
    with pytest.raises(ModelError, match="Sequential has no layer with one output per class"):
        find_head(nn.Sequential(nn.Linear(4, 3)), 2)


class Net(nn.Module):
    def __init__(self, classifier):
        super().__init__()
        self.classifier = classifier


def test_drop_hidden_layers_keeps_what_stands_before_the_first_linear():
    module = Net(nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)))
    assert drop_hidden_layers(module, "classifier.3", 3) == "classifier.1"
    assert [type(part) for part in module.classifier] == [nn.Dropout, nn.Linear]
    assert module.classifier[1].weight.shape == (3, 8)


def test_drop_hidden_layers_leaves_a_single_linear_alone():
    module = Net(nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 3)))
    linear = module.classifier[1]
    assert drop_hidden_layers(module, "classifier.1", 3) == "classifier.1"
    assert module.classifier[1] is linear
    assert drop_hidden_layers(nn.Linear(2, 3), "", 3) == ""


def test_mlp_has_a_hidden_layer():
    head = MlpHead(8, 3, 0.3)
    assert [type(part) for part in head.layers] == [nn.BatchNorm1d, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert head.layers[3].p == 0.3
    assert head(torch.randn(4, 8)).shape == (4, 3)


def test_mlp_reads_what_a_linear_head_reads():
    """So a second run with the other head computes no activation."""
    prefixes = []
    for head in ("linear", "mlp"):
        network = small("resnet18", head=head)
        traced = network.trace()
        prefixes.append(split(traced, traced.before("head")).prefix)
        assert network.head == DEPTH_HEAD
    assert graph_digest(prefixes[0]) == graph_digest(prefixes[1])


def test_linear_head_reads_the_last_depth():
    network = small("resnet18", head="linear")
    assert network.spec.taps == ("fc",)  # the place of the old head, now the identity
    assert network.head == DEPTH_HEAD
    assert isinstance(network.module.fc, nn.Identity)
    assert network.module.get_submodule(DEPTH_HEAD).widths == (26,)  # 512 * 0.05


def test_multi_head_reads_the_ends_of_all_shapes():
    network = small("resnet18", head="multi")
    assert network.spec.taps == ("relu", "layer1", "layer2", "layer3", "fc")
    assert network.module.get_submodule(DEPTH_HEAD).widths == (3, 3, 6, 13, 26)


def test_a_network_of_one_shape_gives_four_even_depths():
    layers = [nn.Sequential(nn.Linear(6, 6), nn.ReLU()) for _ in range(12)]
    traced = trace_network(nn.Sequential(nn.Flatten(), nn.Linear(12, 6), *layers), (3, 2, 2))
    assert choose_taps(traced) == ("4.0", "7.0", "10", "13")  # a quarter, half, three quarters, the end


def test_at_most_the_eight_deepest_depths():
    parts = [nn.Conv2d(3 + i, 4 + i, 1) for i in range(10)]
    traced = trace_network(nn.Sequential(*parts, nn.Flatten()), (3, 2, 2))
    taps = choose_taps(traced)
    assert taps == ("2", "3", "4", "5", "6", "7", "8", "10")  # flatten instead of the last convolution
    assert tap_widths(traced, taps, (3, 2, 2)) == (6, 7, 8, 9, 10, 11, 12, 52)


@pytest.mark.parametrize(("head", "hidden"), [("official", (4096, 4096)), ("small", (512, 512))])
def test_vgg_heads(head, hidden):
    with torch.device("meta"):
        module = small("vgg11", head=head).module
    linears = [part for part in module.classifier if isinstance(part, nn.Linear)]
    assert tuple(part.out_features for part in linears) == (*hidden, 3)


def test_given_taps_are_kept():
    network = build(
        NetworkSpec(model="resnet18", classes=3, image_size=32, width=0.05, head="multi", taps=("layer2", "fc"))
    )
    assert network.spec.taps == ("layer2", "fc")
    assert network.module.get_submodule(DEPTH_HEAD).widths == (6, 26)
