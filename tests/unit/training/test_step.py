"""What a step reports of mixed pictures."""

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn, optim
from torch.nn import functional

from frostline.training.mixing import Mix, partners_of
from frostline.training.step import Rules, train_step


class Fixed(nn.Module):
    """Answers class 0 for pictures that begin with a positive number, class 1 for others."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x_BD):
        return torch.stack([x_BD[:, 0], -x_BD[:, 0]], dim=1) * self.scale


@pytest.mark.parametrize("share", [0.9, 0.25])
def test_a_mixed_picture_is_right_in_the_share_of_the_label_that_is_named(share):
    labels_B = torch.tensor([0, 0, 0, 1, 1, 1])
    values_BD = torch.where(labels_B == 0, 1.0, -1.0)[:, None].repeat(1, 3)
    suffix, seed = Fixed(), 3
    optimizer = optim.SGD(suffix.parameters(), lr=0.0)
    result = train_step(
        suffix,
        (values_BD,),
        labels_B,
        optimizer,
        Fabric(accelerator="cpu", devices=1),
        rules=Rules(mix=Mix(share), mix_seed=seed),
    )
    partners_B = partners_of(6, seed)
    mixed_BD = share * values_BD + (1 - share) * values_BD[partners_B]
    shares_BK = share * functional.one_hot(labels_B, 2) + (1 - share) * functional.one_hot(labels_B[partners_B], 2)
    named_B = suffix(mixed_BD).argmax(dim=1)
    assert sum(labels_B != labels_B[partners_B]) > 0, "some pairs are of two classes"
    assert float(result.correct) == pytest.approx(float(shares_BK.gather(1, named_B[:, None]).sum()), rel=1e-6)
    expected = functional.cross_entropy(suffix(mixed_BD).detach(), shares_BK) * 6
    assert float(result.loss) == pytest.approx(float(expected), rel=1e-6)
