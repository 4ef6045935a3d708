"""Convolutions over small maps, computed on several pictures laid side by side.

oneDNN's kernels multiply along the rows of a map. A row of seven or of two columns leaves most of a matrix tile empty,
and one of two most of a register, in the weight gradient above all. Here such maps stand next to one another with
columns of zeros between them, so that one row fills the 64 bytes; each output is the same sum as before. A 1x1
convolution of small maps is one matrix product.

Shapes: B pictures, in groups of G side by side, each with P columns.
"""

import torch
from torch import Tensor
from torch.nn import functional

from frostline.hardware import cpu_has_tiles

Pair = tuple[int, int]

ROW_BYTES = 64
"""A row of a matrix tile (AMX), and a register (AVX-512): 32 numbers in bf16, 16 in float32."""
WIDEST_FOR_TILES = {torch.bfloat16: 8, torch.float32: 4}
"""Columns of the maps that are laid side by side, at most, where the processor has matrix tiles."""
WIDEST_FOR_REGISTERS = {torch.bfloat16: 2}
"""The same where it has none: measured, wider maps and float32 gain nothing there."""


def fits_beside_others(x: Tensor, dtype: torch.dtype) -> bool:
    """Tell whether maps (B, C, H, W), computed in a dtype, are small enough, and more than one."""
    widest = WIDEST_FOR_TILES if cpu_has_tiles() else WIDEST_FOR_REGISTERS
    return len(x) > 1 and x.shape[3] <= widest.get(dtype, 0)


def convolve_side_by_side(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, dtype: torch.dtype
) -> Tensor:
    """Convolve as `torch.conv2d` does without dilation or groups.

    Args:
        x: (B, C, H, W).
        weight: (out channels, C, kernel height, kernel width).
        bias: (out channels,).
        stride: of rows and columns.
        padding: the same.
        dtype: that is computed in.

    Returns:
        (B, out channels, h, w), channels last.
    """
    kernel, step, side = weight.shape[3], stride[1], padding[1]
    if weight.shape[2:] == (1, 1) and stride == (1, 1) and padding == (0, 0):
        return functional.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)
    if 2 * side - kernel + step < 0:  # a panorama's last picture would end before its last column
        return torch.conv2d(x, weight, bias, stride, padding)
    columns = -(-(x.shape[3] + side) // step) * step
    group = min(len(x), -(-_numbers_in_a_row(dtype) // columns))
    wide = torch.conv2d(_lay(x, group, columns), weight, bias, stride, padding)
    width = (x.shape[3] + 2 * side - kernel) // step + 1
    return _part(wide, len(x), group, columns // step, width)


def _numbers_in_a_row(dtype: torch.dtype) -> int:
    return ROW_BYTES // dtype.itemsize


def _lay(x: Tensor, group: int, columns: int) -> Tensor:
    """Turn maps (B, C, H, W) into panoramas (B/G, C, H, G * P), channels last, what is missing zero."""
    maps = x.permute(0, 2, 3, 1)
    if len(x) % group:
        maps = functional.pad(maps, (0, 0, 0, 0, 0, 0, 0, -len(x) % group))
    maps = torch.unflatten(maps, 0, (-1, group)).transpose(1, 2)
    return functional.pad(maps, (0, 0, 0, columns - x.shape[3])).flatten(2, 3).permute(0, 3, 1, 2)


def _part(wide: Tensor, count: int, group: int, columns: int, width: int) -> Tensor:
    """Take `count` maps (B, C, h, w), channels last, out of panoramas (B/G, C, h, at least G * P)."""
    maps = torch.unflatten(wide.permute(0, 2, 3, 1)[:, :, : group * columns], 2, (group, columns))
    return maps[..., :width, :].transpose(1, 2).flatten(0, 1)[:count].contiguous().permute(0, 3, 1, 2)
