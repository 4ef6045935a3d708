"""The ways in which a CPU convolves faster than torch does by itself, and when each is taken."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from frostline.network.depthwise import convolve_depthwise
from frostline.network.panorama import convolve_side_by_side, fits_beside_others
from frostline.network.patches import convolve_patches, has_few_places


class FastConvolutions(TorchFunctionMode):
    """While entered, CPU convolutions over small maps, over few places, or depthwise (the last two in bf16) are faster.

    Their gradients do too, wherever they are computed. Every other call is as it was. Results differ from those without
    by rounding only; which way is taken follows from shapes, precision and the kind of processor, so a run that goes on
    computes as it began.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Stand in for torch.conv2d as its layers call it: seven values by position."""
        if func is torch.conv2d and len(args) == 7 and not kwargs:
            x, weight, bias, stride, padding, dilation, groups = args
            if x.device.type == "cpu" and x.dim() == 4 and dilation == (1, 1) and not isinstance(padding, str):
                dtype = _computed_in(x)
                if groups == 1 and dtype == torch.bfloat16 and has_few_places(x, weight, stride, padding):
                    return convolve_patches(x, weight, bias, stride, padding)
                if groups == 1 and fits_beside_others(x, dtype):
                    return convolve_side_by_side(x, weight, bias, stride, padding, dtype)
                if groups == len(weight) == x.shape[1] and dtype == torch.bfloat16 and torch.is_grad_enabled():
                    return convolve_depthwise(x.to(dtype), weight, bias, stride, padding)
        return func(*args, **(kwargs or {}))


def _computed_in(x: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
