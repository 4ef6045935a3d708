"""Convolutions over few places, computed as one matrix product.

Small batches of small maps leave a convolution little to do beside handling its weights, which oneDNN brings into an
order of its own in every step, forward and backward. A matrix product takes them as they lie in memory. The patches of
the input are copied for it, which costs little while they are few.

Shapes: B pictures, C channels, h rows and w columns of the output, K numbers of a kernel.
"""

import torch
from torch import Tensor
from torch.nn import functional

Pair = tuple[int, int]

CHANNELS_TO_A_PLACE = 4
"""Of the output, at least: with fewer, handling the weights is no great part (measured with 64 to 512 channels)."""


def has_few_places(x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> bool:
    """Tell whether a convolution of maps (B, C, H, W) has few places to compute, and many weights for each."""
    height, width = _output(x, weight, stride, padding)
    return len(x) * height * width * CHANNELS_TO_A_PLACE <= len(weight)


def convolve_patches(x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair) -> Tensor:
    """Convolve as `torch.conv2d` does without dilation or groups.

    Args:
        x: (B, C, H, W).
        weight: (out channels, C, kernel height, kernel width).
        bias: (out channels,).
        stride: of rows and columns.
        padding: the same.

    Returns:
        (B, out channels, h, w), channels last.
    """
    (height, width), (down, across) = _output(x, weight, stride, padding), stride
    maps = functional.pad(x.permute(0, 2, 3, 1), (0, 0, padding[1], padding[1], padding[0], padding[0]))
    patches_BhwK = torch.cat(
        [
            maps[:, top : top + down * height : down, left : left + across * width : across]
            for top in range(weight.shape[2])
            for left in range(weight.shape[3])
        ],
        dim=3,
    )
    return functional.linear(patches_BhwK, weight.permute(0, 2, 3, 1).flatten(1), bias).permute(0, 3, 1, 2)


def _output(x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Pair:
    """Rows and columns of the output."""
    sizes = zip(x.shape[2:], weight.shape[2:], stride, padding, strict=True)
    height, width = ((size + 2 * side - kernel) // step + 1 for size, kernel, step, side in sizes)
    return height, width
