"""ResNet-18 and ResNet-34 (arXiv 1512.03385): residual blocks of two 3x3 convolutions."""

from typing import Any

from torch import Tensor, nn

from frostline.errors import ModelError

LAYERS: dict[str, tuple[int, int, int, int]] = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
}
"""Residual blocks in layer1 to layer4: the 18- and 34-layer columns of the paper's table 1."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions whose result is added to the block's own input.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: step of the first convolution; 2 halves the image's sides.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = _shortcut(in_channels, out_channels, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, height, width) to (batch, out_channels, height / stride, width / stride)."""
        residual = self.relu(self.bn1(self.conv1(x)))
        residual = self.bn2(self.conv2(residual))
        out: Tensor = self.relu(residual + self.downsample(x))
        return out


class ResNet(nn.Module):
    """A ResNet of basic blocks.

    Layers start with torch's own initial values; `init.initialise` gives others. The state dict has the names and
    shapes of torchvision's resnet18 and resnet34.

    Args:
        layers: number of residual blocks in layer1 to layer4.
        num_classes: number of logits.
        width: factor on the channels of every convolution; each keeps at least one.
        in_channels: 3 for colour, 1 for grey.
    """

    def __init__(
        self,
        *,
        layers: tuple[int, int, int, int] = (2, 2, 2, 2),
        num_classes: int = 1000,
        width: float = 1.0,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        c1, c2, c3, c4 = (max(1, round(channels * width)) for channels in (64, 128, 256, 512))
        self.conv1 = nn.Conv2d(in_channels, c1, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(c1)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = _stage(c1, c1, num_blocks=layers[0], stride=1)  # the max-pool has just halved the image
        self.layer2 = _stage(c1, c2, num_blocks=layers[1], stride=2)
        self.layer3 = _stage(c2, c3, num_blocks=layers[2], stride=2)
        self.layer4 = _stage(c3, c4, num_blocks=layers[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(c4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Classify a batch of images.

        Args:
            x: float images, (batch, in_channels, height, width), any size; layer4 sees 1/32 of each side, rounded up.

        Returns:
            Logits, (batch, num_classes).
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def resnet(name: str, **kwargs: Any) -> ResNet:
    """Build a ResNet by its usual name.

    Args:
        name: resnet18 or resnet34.
        kwargs: settings of `ResNet`, except layers.

    Raises:
        ModelError: no ResNet here has that name.
    """
    if name not in LAYERS:
        raise ModelError(f"no ResNet of basic blocks is named {name!r}; choose one of {', '.join(LAYERS)}")
    return ResNet(layers=LAYERS[name], **kwargs)


def _stage(in_channels: int, out_channels: int, *, num_blocks: int, stride: int) -> nn.Sequential:
    """Chain the blocks of one stage; the first changes the size and the channels, the others keep both."""
    first = BasicBlock(in_channels, out_channels, stride=stride)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels) for _ in range(num_blocks - 1)))


def _shortcut(in_channels: int, out_channels: int, *, stride: int) -> nn.Module:
    """Bring a block's input to the shape of its output: option B of the paper's section 4.1."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()  # has no parameters, so it adds no entry to the state dict
    projection = nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)
    return nn.Sequential(projection, nn.BatchNorm2d(out_channels))
