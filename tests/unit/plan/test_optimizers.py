"""SGD takes one kernel where that is faster, and gives the same values either way."""

import pytest
import torch
from torch import optim

from frostline.config import TrainConfig
from frostline.plan.optimizers import optimizer_over

SETTINGS = [
    ({}, False),
    ({"momentum": 0.9}, False),
    ({"momentum": 0.9, "nesterov": True}, True),
    ({"momentum": 0.9, "weight_decay": 1e-3}, True),
]


@pytest.mark.parametrize(("settings", "is_fused"), SETTINGS, ids=str)
def test_sgd_is_that_of_torch_step_by_step(settings: dict[str, float], is_fused: bool) -> None:
    start, gradients = torch.randn(6, 5, 3, 3), torch.randn(4, 6, 5, 3, 3)
    ours, theirs = (
        start.clone(memory_format=layout).requires_grad_() for layout in (torch.channels_last, torch.contiguous_format)
    )
    given = {"momentum": 0.0, "weight_decay": 0.0, **settings}
    config = TrainConfig(data="pictures", optimizer="sgd", **given)  # type: ignore[arg-type]
    groups = [{"params": [ours], "weight_decay": given["weight_decay"]}]
    mine = optimizer_over(config, groups, lr=0.1)
    other = optim.SGD([theirs], lr=0.1, fused=False, foreach=False, **given)  # type: ignore[arg-type]

    for gradient in gradients:
        ours.grad, theirs.grad = gradient.contiguous(memory_format=torch.channels_last), gradient.clone()
        mine.step()
        other.step()

    assert mine.defaults["fused"] is is_fused
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
