"""Lightning: a Trainer with BackboneFinetuning, which thaws after a fifth; with --all, from the start."""

import logging
import warnings

import lightning.pytorch as pl
import torch
from common import MEAN, SIZE, STD, WORKERS, Epochs, options, picture_count, pretrained
from lightning.pytorch.callbacks import BackboneFinetuning, Callback
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Classifier(pl.LightningModule):
    """A backbone and a linear head."""

    def __init__(self, network: nn.Module, name: str, classes: int) -> None:
        super().__init__()
        last = network.fc if name == "resnet18" else network.classifier
        setattr(network, "fc" if name == "resnet18" else "classifier", nn.Identity())
        self.backbone, self.head = network, nn.Linear(last.in_features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of pictures."""
        return self.head(self.backbone(x))

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Cross entropy."""
        return functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Accuracy, averaged over pictures."""
        right = (self(batch[0]).argmax(dim=1) == batch[1]).float().mean()
        self.log("accuracy", right, on_epoch=True, batch_size=len(batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Whatever requires a gradient when training begins; the callback adds the rest."""
        return torch.optim.Adam([p for p in self.parameters() if p.requires_grad], lr=1e-3)


class Clock(Callback):
    """Times the training part of each epoch."""

    def __init__(self, epochs: Epochs) -> None:
        self.epochs = epochs

    def on_train_epoch_start(self, *_: object) -> None:
        """An epoch begins."""
        self.epochs.begin()

    def on_validation_start(self, *_: object) -> None:
        """Its training part ends."""
        self.epochs.end()


given = options()
pl.seed_everything(given.seed, verbose=False)
normal = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
views = {
    "train": [transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip(), *normal],
    "val": [transforms.Resize(256), transforms.CenterCrop(SIZE), *normal],
}
sets = {name: datasets.ImageFolder(given.data / name, transforms.Compose(parts)) for name, parts in views.items()}
loaders = {
    name: DataLoader(part, given.batch_size, shuffle=name == "train", num_workers=WORKERS, persistent_workers=True)
    for name, part in sets.items()
}
clock = Epochs(picture_count(given.data))
thaw = [] if given.all else [BackboneFinetuning(unfreeze_backbone_at_epoch=max(1, given.epochs // 5))]
trainer = pl.Trainer(
    max_epochs=given.epochs,
    callbacks=[Clock(clock), *thaw],
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
    num_sanity_val_steps=0,
)
model = Classifier(pretrained(given.model, given.weights), given.model, len(sets["train"].classes))
trainer.fit(model, loaders["train"], loaders["val"])
clock.report(float(trainer.callback_metrics["accuracy"]))
