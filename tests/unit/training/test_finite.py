import math

import pytest
import torch
from torch import nn

from frostline.training.finite import are_finite, finite_tensors


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_number_that_is_none_is_found(dtype, value):
    tensors = [torch.full((300, 500), 60000.0, dtype=dtype), torch.ones((), dtype=torch.float32)]
    assert are_finite(tensors)
    tensors[0][299, 498] = value
    assert not are_finite(tensors)


def test_infinities_of_both_signs_do_not_cancel():
    assert not are_finite([torch.tensor([math.inf, -math.inf])])


def test_nothing_is_finite():
    assert are_finite([])
    assert are_finite([torch.empty(0)])


def test_a_mask_of_infinities_is_left_out_and_so_are_whole_numbers():
    module = nn.BatchNorm1d(3)
    module.register_buffer("mask", torch.tensor([0.0, -math.inf]))
    found = finite_tensors(module)
    assert [value.data_ptr() for value in found] == [
        value.data_ptr() for value in (module.weight, module.bias, module.running_mean, module.running_var)
    ]
