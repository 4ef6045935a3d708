"""Depthwise convolutions in bfloat16 whose gradients are computed in float32.

oneDNN has no fast kernels for these gradients in bfloat16: on a processor with AMX that of the weights takes 2 to 5
times as long as in float32, and with a stride that of the input 10 to 20 times. The forward pass stays in bfloat16.
"""

from typing import Any

import torch
from torch import Tensor

Pair = tuple[int, int]
Wanted = tuple[bool, bool, bool]
"""Which gradients: of the input, of the weight, of the bias."""


def convolve_depthwise(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair) -> Tensor:
    """Convolve each channel by itself, as `torch.conv2d` does where there are as many groups as channels.

    Args:
        x: bfloat16 (batch, channels, height, width).
        weight: (channels, 1, kernel height, kernel width).
        bias: (channels,).
        stride: of rows and columns.
        padding: the same.

    Returns:
        bfloat16.
    """
    out: Tensor = _Depthwise.apply(x, weight, bias, stride, padding)
    return out


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        bias = None if bias is None else bias.to(x.dtype)
        return torch.conv2d(x, weight.to(x.dtype), bias, stride, padding, 1, len(weight))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,), (x, weight) = grads, ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad[:3]
        is_fast = max(ctx.stride) == 1
        quick = _gradients(ctx, grad, x, weight.to(x.dtype), (of_x and is_fast, False, False))
        exact = _gradients(ctx, grad.float(), x.float(), weight.float(), (of_x and not is_fast, of_weight, of_bias))
        grad_x = quick[0] if is_fast else exact[0]
        return *(_like(found, x if found is grad_x else weight) for found in (grad_x, *exact[1:])), None, None


def _gradients(ctx: Any, grad: Tensor, x: Tensor, weight: Tensor, wanted: Wanted) -> list[Tensor | None]:
    if not any(wanted):
        return [None, None, None]
    places = (ctx.stride, ctx.padding, (1, 1), False, (0, 0), len(weight))
    found = torch.ops.aten.convolution_backward(grad, x, weight, [len(weight)], *places, wanted)
    return [tensor if is_wanted else None for tensor, is_wanted in zip(found, wanted, strict=True)]


def _like(found: Tensor | None, other: Tensor) -> Tensor | None:
    return None if found is None else found.to(other.dtype)
