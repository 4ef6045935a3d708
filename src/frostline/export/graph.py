"""What is exported: from the network's input, or from pictures as they are, to calibrated probabilities."""

import torch
from torch import Tensor, nn

from frostline.export.resampling import frame
from frostline.predictor import Predictor, seen


class FromInput(nn.Module):
    """From normalised input, float32 (batch, channels, size, size), to probabilities (batch, classes)."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.network, self.views, self.temperature = predictor.module, predictor.views, predictor.temperature

    def forward(self, inputs: Tensor) -> Tensor:
        """Average the logits of each picture's views, as the predictor does."""
        views = torch.cat([seen(inputs, view) for view in self.views]) if len(self.views) > 1 else inputs
        logits: Tensor = self.network(views).unflatten(0, (len(self.views), -1)).mean(dim=0)
        return (logits / self.temperature).softmax(dim=1)


class FromPictures(nn.Module):
    """From pictures, uint8 (batch, height, width, channels) of any size, to probabilities (batch, classes)."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.from_input, self.preprocess = FromInput(predictor), predictor.preprocess

    def forward(self, pictures: Tensor) -> Tensor:
        """Frame, normalise, and go on as from the input."""
        framed = frame(pictures.permute(0, 3, 1, 2).float(), self.preprocess)
        probabilities: Tensor = self.from_input(self.preprocess.normalise(framed))
        return probabilities
