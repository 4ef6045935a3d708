import pytest
import torch
from torch import nn

from frostline.training.averaging import Average


def a_module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def move(module, step):
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.add_(step + 1.0)


def test_the_average_follows_its_formula():
    module = a_module()
    expected = {name: value.clone() for name, value in module.state_dict().items() if value.is_floating_point()}
    average = Average(module, 0.95)
    for step in range(300):
        move(module, step)
        keep = min(0.95, (1 + step) / (10 + step))
        expected = {name: keep * old + (1 - keep) * module.state_dict()[name] for name, old in expected.items()}
        average.update()
    assert set(average.values) == set(expected)
    assert "1.running_var" in expected
    assert "1.num_batches_tracked" not in expected
    for name, value in expected.items():
        torch.testing.assert_close(average.values[name], value)


def test_it_is_applied_for_a_while_and_taken_over_for_good():
    module = a_module()
    average = Average(module, 0.5)
    move(module, 0)
    average.update()
    now = module[0].weight.clone()
    with average.applied():
        assert torch.equal(module[0].weight, average.values["0.weight"])
        assert not torch.equal(module[0].weight, now)
    assert torch.equal(module[0].weight, now)
    with pytest.raises(RuntimeError), average.applied():
        raise RuntimeError
    assert torch.equal(module[0].weight, now)
    average.take_over()
    assert torch.equal(module[0].weight, average.values["0.weight"])


def test_it_goes_on_from_where_it_was():
    one, two = a_module(), a_module()
    unbroken, first = Average(one, 0.9), Average(two, 0.9)
    for step in range(4):
        move(one, step)
        unbroken.update()
    for step in range(2):
        move(two, step)
        first.update()
    second = Average(two, 0.9, steps=2, values=first.values)
    for step in range(2, 4):
        move(two, step)
        second.update()
    for name, value in unbroken.values.items():
        assert torch.equal(second.values[name], value)
