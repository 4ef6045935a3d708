"""What each peer is given, and what it prints at its end: one line of JSON.

Every script trains a network on DATA/train, measures it on DATA/val, and keeps to what its library's own introduction
does; given are only the network, its weights, the size of a batch and the number of epochs.
"""

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import timm
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZE = 224
WORKERS = 2


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", choices=["resnet18", "efficientnet_lite0"], default="resnet18")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--all", action="store_true", help="train every layer from the first epoch on")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    return given


def pretrained(name: str, weights: Path) -> nn.Module:
    """Build torchvision's ResNet-18 or timm's EfficientNet-Lite0 with its weights, the old head among them."""
    model = torchvision.models.resnet18() if name == "resnet18" else timm.create_model(name)
    state = {key: value.float() for key, value in load_file(weights).items()}
    own = model.state_dict()
    missing, _ = model.load_state_dict({k: v for k, v in state.items() if own[k].shape == v.shape}, strict=False)
    assert all("num_batches" in key or key.startswith(("fc.", "classifier.")) for key in missing), missing
    return model


@dataclass
class Epochs:
    """Seconds of each epoch's training part."""

    pictures: int
    seconds: list[float] = field(default_factory=list)
    started: float = 0.0

    def begin(self) -> None:
        """An epoch begins to train."""
        self.started = time.perf_counter()

    def end(self) -> None:
        """It has trained; measuring comes next."""
        self.seconds.append(time.perf_counter() - self.started)

    def report(self, accuracy: float) -> None:
        """Print the result."""
        speed = self.pictures / self.seconds[-1]
        print(json.dumps({"accuracy": accuracy, "images_per_second": speed, "epoch_seconds": self.seconds}))


def picture_count(data: Path) -> int:
    """Pictures to train on."""
    return sum(1 for path in (data / "train").glob("*/*") if path.is_file())
