from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from frostline.activations.key import StoreKey, key_of, row_id
from frostline.data.loader import Request
from frostline.data.preprocess import Preprocess
from frostline.errors import CacheError
from frostline.network.build import NetworkSpec, build
from frostline.network.cuts import trace_network
from frostline.network.splitting import split
from frostline.sealed import digest_tensors

VALUES = {int: st.integers(0, 2**31), str: st.text(max_size=20)}
KEYS = st.builds(StoreKey, **{field.name: VALUES[field.type] for field in fields(StoreKey)})


@pytest.mark.parametrize("field", fields(StoreKey), ids=lambda field: field.name)
@given(key=KEYS, data=st.data())
def test_every_field_reaches_the_digest(field, key, data):
    other = data.draw(VALUES[field.type].filter(lambda value: value != getattr(key, field.name)))
    assert replace(key, **{field.name: other}).digest() != key.digest()
    assert replace(key).digest() == key.digest()
    assert len(key.digest()) == 32


def test_what_a_key_is_made_of():
    """A new field is a decision: without one that matters, what is stored may be stale."""
    assert [field.name for field in fields(StoreKey)] == [
        "layout",
        "weights",
        "graph",
        "cut",
        "preprocess",
        "precision",
        "engine",
    ]


PLAIN = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[3, 4]])}


@pytest.mark.parametrize(
    "changed",
    [
        {"a": PLAIN["a"], "c": PLAIN["b"]},
        {"a": PLAIN["a"]},
        {**PLAIN, "c": torch.tensor([])},
        {**PLAIN, "a": torch.tensor([1.0, 2.0000002])},
        {**PLAIN, "a": PLAIN["a"].double()},
        {**PLAIN, "a": PLAIN["a"].view(torch.int32)},  # the same bytes
        {**PLAIN, "a": PLAIN["a"].view(2, 1)},
        {**PLAIN, "b": torch.tensor([[4, 3]])},
        {"a": PLAIN["b"], "b": PLAIN["a"]},
        {**PLAIN, "a": torch.tensor([1.0, -2.0])},
    ],
)
def test_tensor_digests_depend_on_names_types_shapes_and_bytes(changed):
    assert digest_tensors(changed) != digest_tensors(PLAIN)


def test_tensor_digests_do_not_depend_on_order_layout_or_gradients():
    reference = digest_tensors(PLAIN)
    assert digest_tensors(dict(reversed(PLAIN.items()))) == reference
    strided = torch.stack([PLAIN["a"], PLAIN["a"]], dim=1)[:, 0]
    assert not strided.is_contiguous()
    assert digest_tensors({**PLAIN, "a": strided}) == reference
    assert digest_tensors({**PLAIN, "a": nn.Parameter(PLAIN["a"])}) == reference


@pytest.mark.parametrize("tensor", [torch.tensor(2.0), torch.zeros(0, 3), torch.ones(2).bfloat16(), torch.tensor(True)])
def test_any_tensor_can_be_digested(tensor):
    assert len(digest_tensors({"x": tensor})) == 64


def test_a_row_is_named_after_content_and_view_alone():
    row = row_id(Request(0, "ab" * 32, "base"))
    assert len(row) == 16
    assert row_id(Request(9, "ab" * 32, "base")) == row
    assert row_id(Request(0, "ac" * 32, "base")) != row
    assert row_id(Request(0, "ab" * 32, "mirror")) != row


@pytest.fixture
def network():
    return build(NetworkSpec(model="resnet18", classes=3, width=0.25, image_size=32))


def key_at(network, part="layer3", preprocess=None, precision="fp32", engine="torch 2"):
    traced = network.trace()
    return key_of(split(traced, traced.before(part)), preprocess or network.preprocess, precision, engine)


def change(module, name):
    """Change one parameter or buffer a little."""
    value = module.state_dict()[name]
    value.add_(1 if value.dtype == torch.int64 else 1e-3)


def test_a_key_is_the_same_for_the_same_network(network):
    again = build(NetworkSpec(model="resnet18", classes=3, width=0.25, image_size=32))
    assert key_at(network) == key_at(again)


@pytest.mark.parametrize("name", ["conv1.weight", "bn1.running_mean", "layer2.1.bn2.running_var", "layer1.0.bn1.bias"])
def test_a_key_depends_on_all_that_is_frozen(network, name):
    before = key_at(network)
    change(network.module, name)
    assert key_at(network).weights != before.weights


@pytest.mark.parametrize("name", ["layer3.0.conv1.weight", "layer4.0.bn1.running_mean", "depth_head.linear.bias"])
def test_a_key_does_not_depend_on_what_is_trained(network, name):
    before = key_at(network)
    change(network.module, name)
    assert key_at(network) == before


def test_a_key_depends_on_the_cut_the_preprocessing_the_precision_and_the_engine(network):
    key = key_at(network)
    assert key_at(network, "layer4").digest() != key.digest()
    assert key_at(network, preprocess=Preprocess(size=32, resize=33)).digest() != key.digest()
    assert key_at(network, precision="bf16").digest() != key.digest()
    assert key_at(network, engine="torch 3").digest() != key.digest()


class Body(nn.Module):
    """A prefix without weights, so that only its graph tells what it computes."""

    def __init__(self, stem, scale=2):
        super().__init__()
        self.stem, self.scale = stem, scale
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return self.head((self.stem(x) * self.scale).mean((2, 3)))


@pytest.mark.parametrize("other", [Body(nn.AvgPool2d(3)), Body(nn.MaxPool2d(2)), Body(nn.AvgPool2d(2), scale=3)])
def test_a_key_depends_on_what_the_graph_computes(other):
    def key(module):
        traced = trace_network(module, (3, 12, 12), head="head")
        return key_of(split(traced, traced.before("head")), Preprocess(size=12, resize=12), "fp32", "torch 2")

    same = Body(nn.AvgPool2d(2))
    assert key(other).graph != key(same).graph
    assert key(other).weights == key(same).weights


def test_what_cannot_be_digested_is_an_error():
    traced = trace_network(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), (3, 2, 2), head="1")
    divided = split(traced, traced.before("head"))
    for node in divided.prefix.graph.nodes:
        if node.op == "call_module":
            node.kwargs = {"odd": frozenset({1})}
    with pytest.raises(CacheError, match="use --feature-cache off"):
        key_of(divided, Preprocess(size=2, resize=2), "fp32", "torch 2")
