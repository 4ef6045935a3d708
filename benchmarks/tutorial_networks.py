"""The networks that the tutorials build by hand."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
VGG11_BLOCKS = ((1, 64), (1, 128), (2, 256), (2, 512), (2, 512))


def convolutions(plan: Sequence[int | str], *, batch_norm: bool = False) -> nn.Sequential:
    """3x3 convolutions (same size) with ReLU, and "M" for a 2x2 pool."""
    layers: list[nn.Module] = []
    channels = 3
    for width in plan:
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(2))
            continue
        layers.append(nn.Conv2d(channels, width, 3, padding=1))
        layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)] if batch_norm else [nn.ReLU(inplace=True)]
        channels = width
    return nn.Sequential(*layers)


def faces_vgg16(num_classes: int) -> nn.Sequential:
    """T1's VGG-16 by hand, drawn as torch draws layers by default; pictures of 224 pixels only."""
    return nn.Sequential(
        convolutions(VGG16),
        nn.Flatten(),
        *(nn.Linear(7 * 7 * 512, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5)),
        *(nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5)),
        nn.Linear(4096, num_classes),
    )


def fashion_vgg11(divisor: int = 4) -> nn.Sequential:
    """T3's VGG-11 from blocks: one input channel, widths divided, Xavier start."""
    blocks: list[nn.Module] = []
    channels = 1
    for count, width in VGG11_BLOCKS:
        layers: list[nn.Module] = []
        for _ in range(count):
            layers += [nn.Conv2d(channels, width // divisor, 3, padding=1), nn.ReLU()]
            channels = width // divisor
        blocks.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
    network = nn.Sequential(
        *blocks,
        nn.Flatten(),
        *(nn.Linear(channels * 7 * 7, 4096), nn.ReLU(), nn.Dropout(0.5)),
        *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(4096, 10),
    )
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
    return network


class CifarFirst(nn.Module):
    """T4's first VGG-16.

    The first convolution of every block has no padding, every pool pads by one, and the forward pass ends in softmax.
    """

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        channels = 3
        for count, width in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
            layers: list[nn.Module] = []
            for index in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=min(index, 1)), nn.ReLU()]
                channels = width
            self.blocks.append(nn.Sequential(*layers, nn.MaxPool2d(2, stride=2, padding=1)))
        self.classifier = nn.Sequential(
            *(nn.Linear(7 * 7 * 512, 4096), nn.ReLU()), *(nn.Linear(4096, 4096), nn.ReLU()), nn.Linear(4096, 10)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities, not logits."""
        for block in self.blocks:
            x = block(x)
        return functional.softmax(self.classifier(x.view(-1, 7 * 7 * 512)), dim=1)


class CifarSecond(nn.Module):
    """T4's second VGG-16, for 32 pixels: BatchNorm, He start, dropout, three small linear layers."""

    def __init__(self, divisor: int = 1) -> None:
        super().__init__()
        self.features = convolutions([w if isinstance(w, str) else w // divisor for w in VGG16], batch_norm=True)
        width = 512 // divisor
        self.classifier = nn.Sequential(
            *(nn.Dropout(), nn.Linear(width, width), nn.ReLU(True)),
            *(nn.Dropout(), nn.Linear(width, width), nn.ReLU(True)),
            nn.Linear(width, 10),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, 0, math.sqrt(2 / (9 * layer.out_channels)))
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.classifier(torch.flatten(self.features(x), 1))
