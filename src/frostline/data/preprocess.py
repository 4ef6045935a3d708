"""How a picture becomes a network's input: it comes with the weights and travels with them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Floats = tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocess:
    """Resize the shorter side and crop the centre, or squash; scale to [0, 1]; subtract the mean, divide by the std."""

    size: int = 224
    """Side of the square input, in pixels."""
    resize: int = 256
    """Length of the shorter side before the crop, in pixels."""
    squash: bool = False
    """Make both sides `size`, whatever the picture's shape, and crop nothing."""
    interpolation: Literal["bilinear", "bicubic", "nearest", "lanczos"] = "bilinear"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    @property
    def channels(self) -> int:
        """1 for grey pictures, 3 for colour."""
        return len(self.mean)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """One picture: (channels, height, width)."""
        return (self.channels, self.size, self.size)

    def at_size(self, size: int) -> "Preprocess":
        """Give the same for another input size; the share that the crop keeps stays as it is."""
        return replace(self, size=size, resize=max(size, round(self.resize * size / self.size)))

    def adjusted(self, resize: int | Literal["squash"] | None, mean: Floats | None, std: Floats | None) -> "Preprocess":
        """Give the same with what the user set; one number stands for every channel."""
        own = self if resize is None else replace(self, squash=resize == "squash")
        own = replace(own, resize=max(own.size, resize)) if isinstance(resize, int) else own
        return replace(own, mean=_per_channel(mean, own.mean), std=_per_channel(std, own.std))

    def in_grey(self) -> "Preprocess":
        """Give the same for one channel: means of mean and deviation over the colours."""
        return replace(self, mean=(sum(self.mean) / len(self.mean),), std=(sum(self.std) / len(self.std),))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Preprocess":
        """Undo `dataclasses.asdict` and JSON."""
        return cls(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])})

    def normalise(self, pixels: Tensor) -> Tensor:
        """Turn uint8 pixels (batch, channels, height, width) into the float32 input, on the same device."""
        mean = torch.tensor(self.mean, device=pixels.device).view(-1, 1, 1)
        std = torch.tensor(self.std, device=pixels.device).view(-1, 1, 1)
        return (pixels.float() / 255 - mean) / std


def _per_channel(given: Floats | None, own: Floats) -> Floats:
    return own if given is None else given * len(own) if len(given) == 1 else given
