"""The five tutorials' systems, faithful with their mistakes: data, network, optimizer, schedule, what they keep.

Each class is one tutorial. A line that repeats a mistake says so in a comment that begins with "Mistake".
"""

import copy
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, random_split
from torchvision import models, transforms
from torchvision.datasets import ImageFolder

from tutorial_base import Loop, Tally, with_warm_up
from tutorial_data import FASHION, SHARED, InMemory, fashion_arrays, folder_arrays, load_weights
from tutorial_networks import CifarFirst, CifarSecond, faces_vgg16, fashion_vgg11

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


class Faces(Loop):
    """T1: VGG-16 on a folder of class folders; "frozen", "thawed" (the tuned version) or "scratch" (built by hand)."""

    tutorial, epochs, by_batch = "T1", 40, True
    data, weights = SHARED / "data" / "sign-digits", SHARED / "weights" / "vgg16-features-imagenet.safetensors"

    def loaders(self, data: Path) -> tuple[DataLoader[Any], DataLoader[Any]]:
        """Four fifths to train, one to test, drawn unseeded (a mistake) and both flipped at random (another)."""
        steps = [transforms.Resize([224, 224]), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
        pictures = ImageFolder(data, transforms.Compose([*steps, transforms.Normalize(*IMAGENET)]))
        self.num_classes = len(pictures.classes)
        train = int(0.8 * len(pictures))
        parts = random_split(pictures, [train, len(pictures) - train])
        first, second = (DataLoader(part, batch_size=32, shuffle=True, num_workers=1) for part in parts)
        return first, second

    def network(self, weights: Path | None) -> tuple[nn.Module, torch.optim.Optimizer]:
        """The tutorial's network, all its parameters in SGD."""
        if self.variant == "scratch":
            model: nn.Module = faces_vgg16(self.num_classes)
            self.notes.append("starts at random, as the tutorial's does")
        else:
            model = models.vgg16(weights=None)
            self.notes.append(load_weights(model, weights, "classifier.6."))
            self._freeze(model)
            model.classifier[6] = nn.Linear(4096, self.num_classes)
        # Mistake: the frozen parameters are handed over too.
        return model, torch.optim.SGD(model.parameters(), lr=1e-4)

    def _freeze(self, model: nn.Module) -> None:
        # Mistake: only the flag. Dropout stays in training mode.
        if self.variant == "frozen":
            model.requires_grad_(False)
        # Mistake: blocks 1 to 3 hold 14 parameters; number 16 is the weight of block 4's second convolution.
        if self.variant == "thawed":
            for index, parameter in enumerate(model.features.parameters()):
                parameter.requires_grad = index >= 17

    def begin_epoch(self, epoch: int) -> None:
        """The rate times 0.92 every two epochs."""
        for group in self.optimizer.param_groups:
            group["lr"] = 1e-4 * 0.92 ** (epoch // 2)

    def end_epoch(self, test: dict[str, float] | None) -> None:
        """Keep a copy of the best network. Mistake: the best on the test part."""
        if test is not None and test["accuracy"] > self.best_accuracy:
            self.best_accuracy = test["accuracy"]
            self.best = copy.deepcopy(self.model)


class Insects(Loop):
    """T2: ResNet-18 on ants and bees; "finetune" all layers or "frozen" but for the head."""

    tutorial, epochs = "T2", 25
    data, weights = SHARED / "data" / "hymenoptera", SHARED / "weights" / "resnet18-tiny-imagenet.safetensors"

    def loaders(self, data: Path) -> tuple[DataLoader[Any], DataLoader[Any]]:
        """Random crops to train, central ones to score; batches of four, no workers."""
        finish = [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.25] * 3)]
        train = transforms.Compose(
            [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), *finish],
        )
        val = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), *finish])
        parts = ImageFolder(data / "train", train), ImageFolder(data / "val", val)
        first, second = (DataLoader(part, batch_size=4, shuffle=True, num_workers=0) for part in parts)
        return first, second

    def network(self, weights: Path | None) -> tuple[nn.Module, torch.optim.Optimizer]:
        """ResNet-18 with two outputs; SGD with a step schedule."""
        model = models.resnet18(weights=None)
        self.notes.append(load_weights(model, weights, "fc."))
        frozen = self.variant == "frozen"
        if frozen:
            model.requires_grad_(False)  # Mistake: only the flag. BatchNorm stays in training mode.
        model.fc = nn.Linear(model.fc.in_features, 2)
        trained = model.fc.parameters() if frozen else model.parameters()
        optimizer = torch.optim.SGD(trained, lr=1e-3, momentum=0.9 if frozen else 0.0)
        self.schedule = StepLR(optimizer, step_size=7, gamma=0.1)
        return model, optimizer

    def end_epoch(self, test: dict[str, float] | None) -> None:
        """Step the schedule and keep the best weights. Mistake: the best on the part that is reported."""
        self.schedule.step()
        if test is not None and test["accuracy"] > self.best_accuracy:
            self.best_accuracy = test["accuracy"]
            self.best = copy.deepcopy(self.model.state_dict())


class Fashion(Loop):
    """T3: VGG-11 with a quarter of the widths on Fashion-MNIST at 224 pixels."""

    tutorial, epochs, data = "T3", 10, FASHION

    def loaders(self, data: Path) -> tuple[DataLoader[Any], DataLoader[Any]]:
        """Batches of 128, four workers, as the course's own loader; no normalisation."""
        transform = transforms.Compose([transforms.Resize(224), transforms.ToTensor()])
        parts = (InMemory(*fashion_arrays(data, part), transform) for part in ("train", "t10k"))
        first, second = (
            DataLoader(part, batch_size=128, shuffle=shuffle, num_workers=4)
            for part, shuffle in zip(parts, (True, False), strict=True)
        )
        return first, second

    def network(self, weights: Path | None) -> tuple[nn.Module, torch.optim.Optimizer]:
        """VGG-11 from blocks, SGD."""
        model = fashion_vgg11()
        return model, torch.optim.SGD(model.parameters(), lr=0.05)

    def test_epoch(self, steps: int | None = None) -> dict[str, float]:
        """Score the test part. Mistake: the network runs twice, for the loss and for the accuracy."""
        self.model.eval()
        tally = Tally(self.by_batch, warm_up=steps is not None)
        with torch.no_grad():
            for pictures, labels in islice(self.test_loader, with_warm_up(steps)):
                loss = self.criterion(self.model(pictures), labels)
                tally.add(loss, self.model(pictures), labels)
        return tally.score()


class Cifar(Loop):
    """T4: VGG-16 on CIFAR-10; "first" at 224 pixels with softmax, or "bn" at 32.

    The text leaves the number of epochs open; ten are counted. The test part is scored once, at the end.
    """

    tutorial, epochs, data, scored_each_epoch = "T4", 10, SHARED / "data" / "cifar10", False

    def loaders(self, data: Path) -> tuple[DataLoader[Any], DataLoader[Any]]:
        """Batches of four, no workers. Mistake: the test part is flipped at random too."""
        resize = [transforms.Resize([224, 224])] if self.variant == "first" else []
        finish = [transforms.Normalize([0.5] * 3, [0.5] * 3), transforms.RandomHorizontalFlip()]
        transform = transforms.Compose([transforms.ToTensor(), *resize, *finish])
        parts = (InMemory(*folder_arrays(data / part), transform) for part in ("train", "test"))
        first, second = (
            DataLoader(part, batch_size=4, shuffle=shuffle, num_workers=0)
            for part, shuffle in zip(parts, (True, False), strict=True)
        )
        return first, second

    def network(self, weights: Path | None) -> tuple[nn.Module, torch.optim.Optimizer]:
        """The first or the second network, SGD."""
        self.notes.append("the text names no number of epochs: ten are counted")
        if self.variant == "first":
            self.notes.append("resized to 224, a line the text has commented out: at 32 the network does not run")
        model: nn.Module = CifarFirst() if self.variant == "first" else CifarSecond()
        return model, torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def test_epoch(self, steps: int | None = None) -> dict[str, float]:
        """Score the test part. Mistake: in training mode, so dropout draws and BatchNorm uses the batch."""
        self.model.train()
        tally = Tally(self.by_batch, warm_up=steps is not None)
        with torch.no_grad():
            for pictures, labels in islice(self.test_loader, with_warm_up(steps)):
                outputs = self.model(pictures)
                tally.add(self.criterion(outputs, labels), outputs, labels)
        return tally.score()

    def end_epoch(self, test: dict[str, float] | None) -> None:
        """Save the weights, a pickle."""
        with tempfile.TemporaryFile() as file:
            torch.save(self.model.state_dict(), file)


class Staged(Loop):
    """T5: ResNet-18 on CIFAR-10, the head alone for five epochs, then all layers.

    The text does not show its data: batches of 64, shifted crops and flips, enlarged to 64 pixels as in the recipe, are
    our choice.
    """

    tutorial, epochs, by_batch, frozen_epochs = "T5", 40, True, 5
    data, weights = SHARED / "data" / "cifar10", SHARED / "weights" / "resnet18-tiny-imagenet.safetensors"

    def loaders(self, data: Path) -> tuple[DataLoader[Any], DataLoader[Any]]:
        """Batches of 64, no workers."""
        finish = [
            transforms.Resize(64),
            transforms.ToTensor(),
            transforms.Normalize([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]),
        ]
        crops = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
        train = InMemory(*folder_arrays(data / "train"), transforms.Compose([*crops, *finish]))
        test = InMemory(*folder_arrays(data / "test"), transforms.Compose(finish))
        return DataLoader(train, batch_size=64, shuffle=True), DataLoader(test, batch_size=64)

    def network(self, weights: Path | None) -> tuple[nn.Module, torch.optim.Optimizer]:
        """ResNet-18 with ten outputs, Adam over all parameters, a schedule on the test loss."""
        self.notes.append(
            "the text does not show its loaders: batch 64, crops with 4 pixels of padding, flips, 64 pixels"
        )
        model = models.resnet18(weights=None)
        self.notes.append(load_weights(model, weights, "fc."))
        model.fc = nn.Linear(model.fc.in_features, 10)
        # Mistake: the frozen parameters are handed over from the start.
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4)
        self.schedule = ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=2)
        return model, optimizer

    def phases(self) -> dict[str, range]:
        """Frozen, then thawed."""
        return {"frozen": range(self.frozen_epochs), "thawed": range(self.frozen_epochs, self.epochs)}

    def begin_epoch(self, epoch: int) -> None:
        """Freeze at the start, thaw after five epochs. Mistake: only the flag, BatchNorm stays in training mode."""
        if epoch in (0, self.frozen_epochs):
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad = "fc" in name or epoch > 0
        if epoch == self.frozen_epochs:
            self.optimizer.param_groups[0]["lr"] = 1e-4

    def end_epoch(self, test: dict[str, float] | None) -> None:
        """Step the schedule. Mistake: on the test loss."""
        if test is not None:
            self.schedule.step(test["loss"])


SYSTEMS: dict[str, tuple[type[Loop], str]] = {
    "faces-vgg16-frozen": (Faces, "frozen"),
    "faces-vgg16-thawed": (Faces, "thawed"),
    "faces-vgg16-scratch": (Faces, "scratch"),
    "hymenoptera-resnet18-finetune": (Insects, "finetune"),
    "hymenoptera-resnet18-frozen": (Insects, "frozen"),
    "fashion-vgg11": (Fashion, "all"),
    "cifar10-vgg16": (Cifar, "first"),
    "cifar10-vgg16-bn": (Cifar, "bn"),
    "cifar10-resnet18-staged": (Staged, "staged"),
}
"""Each system by the name of its recipe."""
