"""A network for small pictures (24 to 64 pixels), made to be trained from scratch on a CPU.

VGG spends most of its work on wide early maps, ResNet's stem throws small pictures away. This one has a stem of 2x2
patches and three blocks, each a convolution with a pool and then a residual one: 0.13 G multiply-accumulates at 32
pixels, four tenths of VGG-16's. The stem is computed from the training pictures, not trained: its filters are the
patches' principal directions, each scaled to unit variance, with both signs (D. Page, "How to Train Your ResNet",
2018). From arXiv 2404.00498 come the blocks' widths, their start as identities and the scale of the logits.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

NAME = "smallnet"
PATCH = 2
WIDTHS = (64, 256, 256)
SIDE = 32
"""Pixels, where none are asked for."""
SMALLEST = 9
"""The stem and three pools leave nothing of less."""
SCALE = 1 / 9
"""Of what the last layer reads; its logits start small and move slowly."""


class _DiracConv2d(nn.Conv2d):
    """3x3; its first outputs start as its inputs, as many as there are, the others at random."""

    def reset_parameters(self) -> None:
        """Draw new weights."""
        super().reset_parameters()
        nn.init.dirac_(self.weight.data[: self.in_channels])


def _convolution(in_channels: int, out_channels: int, *, pool: bool = False) -> nn.Sequential:
    """Convolve 3x3, halve if asked, normalise, rectify."""
    layers: list[nn.Module] = [_DiracConv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)]
    if pool:
        layers.append(nn.MaxPool2d(kernel_size=2))
    return nn.Sequential(*layers, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class Block(nn.Module):
    """A convolution that halves the map, and one whose output is added to its input."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.down = _convolution(in_channels, out_channels, pool=True)
        self.residual = _convolution(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, in_channels, h, w) to (batch, out_channels, h/2, w/2)."""
        x = self.down(x)
        out: Tensor = x + self.residual(x)
        return out


class SmallNet(nn.Module):
    """Stem, three blocks, the largest value of each channel, a linear layer.

    Args:
        num_classes: number of logits.
        width: factor on the blocks' channels.
        in_channels: 3 for colour, 1 for grey.
    """

    scale: Tensor

    def __init__(self, *, num_classes: int, width: float = 1.0, in_channels: int = 3) -> None:
        super().__init__()
        stem, widths = 2 * in_channels * PATCH**2, [max(1, round(channels * width)) for channels in WIDTHS]
        self.whitening = nn.Conv2d(in_channels, stem, kernel_size=PATCH, bias=False)
        self.rectify = nn.ReLU(inplace=True)
        self.block1 = Block(stem, widths[0])
        self.block2 = Block(widths[0], widths[1])
        self.block3 = Block(widths[1], widths[2])
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.register_buffer("scale", torch.tensor(SCALE))
        self.fc = nn.Linear(widths[2], num_classes)

    def whiten(self, pictures: Tensor, *, floor: float = 5e-4) -> None:
        """Compute the stem from normalised pictures (count, in_channels, height, width).

        Args:
            pictures: some hundreds suffice.
            floor: added to each direction's variance, so that noise is not blown up.
        """
        variances, directions = torch.linalg.eigh(_patch_covariance(pictures))
        filters = (directions / (variances + floor).sqrt()).T.flip(0).view(-1, *self.whitening.weight.shape[1:])
        with torch.no_grad():
            self.whitening.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, x: Tensor) -> Tensor:
        """Give logits (batch, num_classes) of float pictures (batch, in_channels, height, width)."""
        x = self.block3(self.block2(self.block1(self.rectify(self.whitening(x)))))
        logits: Tensor = self.fc(self.pool(x).flatten(1) * self.scale)
        return logits


def _patch_covariance(pictures: Tensor) -> Tensor:
    """Covariance of all patches, float64 (in_channels * PATCH**2, same); few pictures at a time are unfolded."""
    count, total, products = 0, torch.zeros(()), torch.zeros(())
    for some in pictures.float().contiguous().split(32):  # type: ignore[no-untyped-call]  # torch leaves it untyped
        patches = functional.unfold(some, PATCH).transpose(1, 2).flatten(0, 1).double()
        count, total, products = count + len(patches), total + patches.sum(dim=0), products + patches.T @ patches
    return (products - torch.outer(total, total) / count) / (count - 1)
