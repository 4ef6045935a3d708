"""VGG (arXiv 1409.1556): blocks of 3x3 convolutions, each block ending in a 2x2 max-pool."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from frostline.errors import ConfigError, ModelError

BLOCKS: dict[str, tuple[tuple[int, int], ...]] = {
    "vgg11": ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512)),
    "vgg13": ((2, 64), (2, 128), (2, 256), (2, 512), (2, 512)),
    "vgg16": ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)),
    "vgg19": ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)),
}
"""(convolutions, channels) of each block: configurations A, B, D and E of the paper's table 1."""

NAMES = (*BLOCKS, *(f"{name}_bn" for name in BLOCKS))
"""Every name that `vgg` accepts."""

CLASSIFIERS: dict[str, tuple[int, tuple[int, ...]]] = {
    "official": (7, (4096, 4096)),
    "small": (1, (512, 512)),
    "linear": (1, ()),
}
"""(side of the pooled map, widths of the hidden layers) of each classifier."""


class VGG(nn.Module):
    """A VGG whose blocks, width and classifier can be chosen.

    Layers start with torch's own initial values; `init.initialise` gives others. With the official classifier the state
    dict has the names and shapes of torchvision's vgg* and vgg*_bn.

    Args:
        blocks: (convolutions, channels) of each block, as in `BLOCKS`.
        num_classes: number of logits.
        batch_norm: BatchNorm (arXiv 1502.03167) between each convolution and its ReLU.
        width: factor on the channels of every convolution; each keeps at least one. Hidden layers do not scale.
        in_channels: 3 for colour, 1 for grey.
        classifier: "official" (7x7 map, 4096-4096), "small" (1x1 map, 512-512) or "linear" (1x1 map, no hidden layer).
        dropout: probability of dropping a hidden unit of the classifier.

    Raises:
        ConfigError: no classifier has that name.
    """

    def __init__(
        self,
        *,
        blocks: Sequence[tuple[int, int]],
        num_classes: int = 1000,
        batch_norm: bool = False,
        width: float = 1.0,
        in_channels: int = 3,
        classifier: str = "official",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if classifier not in CLASSIFIERS:
            raise ConfigError(f"classifier={classifier!r} is not known; choose one of {', '.join(CLASSIFIERS)}")
        side, hidden = CLASSIFIERS[classifier]

        layers: list[nn.Module] = []
        self._starts: list[int] = []
        channels = in_channels
        for num_convolutions, block_channels in blocks:
            self._starts.append(len(layers))
            out_channels = max(1, round(block_channels * width))
            for _ in range(num_convolutions):
                layers += _convolution(channels, out_channels, batch_norm=batch_norm)
                channels = out_channels
            layers.append(nn.MaxPool2d(kernel_size=2))

        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(side)
        self.classifier = _classifier(channels * side * side, hidden, num_classes, dropout=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Classify a batch of images.

        Args:
            x: float images, (batch, in_channels, height, width). Each block halves both sides, so five blocks need at
                least 32 pixels; below that the last max-pool raises torch's RuntimeError ("output size is too small").

        Returns:
            Logits, (batch, num_classes).
        """
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits

    def block_starts(self) -> dict[str, str]:
        """Name the first layer of each block: block3 of vgg16 starts at features.10."""
        return {f"block{number}": f"features.{start}" for number, start in enumerate(self._starts, start=1)}


def vgg(name: str, **kwargs: Any) -> VGG:
    """Build a VGG by its usual name.

    Args:
        name: vgg11, vgg13, vgg16 or vgg19; with BatchNorm when "_bn" follows.
        kwargs: settings of `VGG`, except blocks and batch_norm.

    Raises:
        ModelError: no VGG has that name.
    """
    if name not in NAMES:
        raise ModelError(f"no VGG is named {name!r}; choose one of {', '.join(NAMES)}")
    return VGG(blocks=BLOCKS[name.removesuffix("_bn")], batch_norm=name.endswith("_bn"), **kwargs)


def _convolution(in_channels: int, out_channels: int, *, batch_norm: bool) -> list[nn.Module]:
    """Convolve at the same size, normalise if asked, rectify."""
    # The bias has no effect before a BatchNorm; it stays because published vgg*_bn weights contain it.
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1)
    norm = [nn.BatchNorm2d(out_channels)] if batch_norm else []
    return [convolution, *norm, nn.ReLU(inplace=True)]


def _classifier(in_features: int, hidden: Sequence[int], num_classes: int, *, dropout: float) -> nn.Sequential:
    """Stack the hidden layers and the last linear one."""
    layers: list[nn.Module] = []
    for features in hidden:
        layers += [nn.Linear(in_features, features), nn.ReLU(inplace=True), nn.Dropout(dropout)]
        in_features = features
    return nn.Sequential(*layers, nn.Linear(in_features, num_classes))
