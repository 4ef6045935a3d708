"""Average pooling of an activation, wherever its channels are."""

from collections.abc import Sequence

from torch import Tensor


def channel_axis(shape: Sequence[int], picture: Sequence[int]) -> int:
    """Find the channel axis of an activation, batch axis excluded.

    (C,) and (tokens, C) end with channels; of three axes, channels come first (CHW) unless only the first two
    have the picture's aspect (HWC, as in Swin).
    """
    if len(shape) < 3:
        return len(shape) - 1
    height, width = picture[-2:]
    is_hwc = shape[0] * width == shape[1] * height and shape[1] * width != shape[2] * height
    return 2 if is_hwc else 0


def average_pool(x: Tensor, axis: int) -> Tensor:
    """Average an activation (batch, ...) over all axes but the batch's and the channels'; float32 (batch, channels)."""
    others = [i for i in range(1, x.dim()) if i != axis + 1]
    return x.float().mean(dim=others) if others else x.float()
