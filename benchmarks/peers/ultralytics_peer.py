"""Ultralytics: its classification trainer around torchvision's ResNet-18, which it can take; every layer trains."""

import tempfile
from typing import Any

import torch
from common import SIZE, WORKERS, Epochs, options, picture_count, pretrained
from torch import nn
from ultralytics.models.yolo.classify import ClassificationTrainer
from ultralytics.nn.tasks import ClassificationModel

given = options()


class Taken(nn.Module):
    """Torchvision's network as the trainer calls its own: with a batch it gives the loss, with pictures the logits."""

    criterion = None

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Any, *_: Any, **__: Any) -> Any:
        """Give the loss and its items, or the logits."""
        return self.loss(x) if isinstance(x, dict) else self.network(x)

    def loss(self, batch: dict[str, Any], logits: Any = None) -> tuple[Any, dict[str, Any]]:
        """Give the loss of a batch and its items."""
        logits = self.network(batch["img"]) if logits is None else logits
        loss = nn.functional.cross_entropy(logits, batch["cls"])
        return loss, {"loss": loss.detach()}


class Trainer(ClassificationTrainer):
    """Starts from the weights given instead of a download."""

    def setup_model(self) -> None:
        """Build the network; its last layer gets the classes of the data."""
        network = pretrained(given.model, given.weights)
        ClassificationModel.reshape_outputs(network, self.data["nc"])
        self.model = Taken(network)
        for parameter in self.model.parameters():
            parameter.requires_grad_(True)


clock = Epochs(picture_count(given.data))
with tempfile.TemporaryDirectory() as folder:
    trainer = Trainer(
        overrides={
            "model": given.model,
            "data": str(given.data.resolve()),
            "epochs": given.epochs,
            "imgsz": SIZE,
            "batch": given.batch_size,
            "workers": WORKERS,
            "device": "cpu",
            "seed": given.seed,
            "project": folder,
            "plots": False,
            "val": True,
            "verbose": False,
        }
    )
    trainer.add_callback("on_train_epoch_start", lambda _: clock.begin())
    trainer.add_callback("on_train_epoch_end", lambda _: clock.end())
    with torch.enable_grad():
        trainer.train()
    accuracy = trainer.metrics["metrics/accuracy_top1"]
clock.report(float(accuracy))
