"""Whether tensors hold nothing but numbers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def finite_tensors(module: nn.Module) -> tuple[Tensor, ...]:
    """Give the floating-point parameters and buffers that are finite; a mask of infinities is meant to be none."""
    own = [value for value in module.state_dict().values() if value.is_floating_point()]
    return tuple(value for value in own if are_finite([value]))


def are_finite(tensors: Sequence[Tensor]) -> bool:
    """Tell whether all numbers are finite, by the sum of each tensor: the quickest look at all of them.

    A sum that float32 cannot hold counts as infinite; numbers whose sum is, are none that a network works with.
    """
    sums = [value.sum(dtype=torch.promote_types(value.dtype, torch.float32)).float() for value in tensors]
    return not sums or bool(torch.stack(sums).isfinite().all())
