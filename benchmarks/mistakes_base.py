"""What the measurements of the tutorials' mistakes share: places, frozen features, a head trained on them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models, transforms
from torchvision.datasets import ImageFolder

import measure
from tutorial_data import folder_arrays, load_weights

Finding = dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Where the pictures and weights lie."""

    sign_digits: Path
    hymenoptera: Path
    cifar: Path
    vgg16: Path
    resnet18: Path
    seeds: int = 20
    """Repeats of what is cheap; networks that train from pixels are repeated `network_seeds` times."""

    @property
    def network_seeds(self) -> int:
        """Repeats of what trains or runs a network."""
        return max(1, self.seeds // 5)


@dataclass(frozen=True)
class Pictures:
    """Pictures or their features, and classes."""

    x: Tensor
    y: Tensor

    def take(self, index: Tensor) -> "Pictures":
        """Some of them."""
        return Pictures(self.x[index], self.y[index])


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and range."""
    return {"mean": sum(values) / len(values), "min": min(values), "max": max(values)}


@contextmanager
def one_thread() -> Iterator[None]:
    """Small layers run on one thread: two spend more time waiting for each other than they save."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def generator(seed: int) -> torch.Generator:
    """A seeded source of randomness."""
    return torch.Generator().manual_seed(seed)


def resnet_body(places: Places) -> nn.Module:
    """The pretrained ResNet-18 without its classifier: 512 features a picture."""
    network = models.resnet18(weights=None)
    load_weights(network, places.resnet18, "fc.")
    network.fc = nn.Identity()  # type: ignore[assignment]
    return network.requires_grad_(False).eval()


def in_batches(body: Callable[[Tensor], Tensor], x: Tensor, size: int = 32) -> Tensor:
    """What a network gives for pictures, without gradients."""
    with torch.no_grad():
        return torch.cat([body(part) for part in x.split(size)])


@lru_cache(maxsize=1)
def sign_features(places: Places) -> tuple[Tensor, Tensor, Tensor]:
    """VGG-16's average-pooled features of the hand signs at 112 pixels (they are 100): as they are, mirrored; classes.

    In bfloat16 where the processor multiplies it in tiles, which changes the features by 0.4%.
    """
    size = [transforms.Resize([112, 112]), transforms.ToTensor()]
    finish = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    folder = ImageFolder(places.sign_digits, transforms.Compose([*size, finish]))
    network = models.vgg16(weights=None)
    load_weights(network, places.vgg16, "classifier.")
    network.features.requires_grad_(False).eval().to(memory_format=torch.channels_last)
    tiles = measure.machine()["amx_bf16"]

    def body(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=tiles):
            return network.features(x.contiguous(memory_format=torch.channels_last)).mean((2, 3)).float()

    plain, mirrored, labels = [], [], []
    for pictures, classes in torch.utils.data.DataLoader(folder, batch_size=32):
        plain.append(in_batches(body, pictures))
        mirrored.append(in_batches(body, pictures.flip(-1)))
        labels.append(classes)
    return torch.cat(plain), torch.cat(mirrored), torch.cat(labels)


@lru_cache(maxsize=1)
def insects(places: Places) -> tuple[Pictures, Pictures]:
    """Ants and bees at 64 pixels, as ResNet-18's weights were trained, normalised as T2 does; no augmentation."""
    size = [transforms.Resize(73), transforms.CenterCrop(64), transforms.ToTensor()]
    transform = transforms.Compose([*size, transforms.Normalize([0.5] * 3, [0.25] * 3)])
    parts = []
    for part in ("train", "val"):
        pairs = list(ImageFolder(places.hymenoptera / part, transform))
        parts.append(Pictures(torch.stack([x for x, _ in pairs]), torch.tensor([y for _, y in pairs])))
    return parts[0], parts[1]


@lru_cache(maxsize=4)
def cifar(places: Places, part: str, count: int) -> Pictures:
    """Some of CIFAR-10 in a seeded order, mean and deviation 0.5."""
    arrays, labels = folder_arrays(places.cifar / part, limit=count)
    x = torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / 127.5 - 1
    return Pictures(x, torch.tensor(labels))


def head_epochs(
    features: Callable[[Tensor], Tensor],
    y: Tensor,
    *,
    epochs: int,
    batch: int,
    seed: int,
    optimizer: Callable[[nn.Linear], torch.optim.Optimizer],
    begin: Callable[[torch.optim.Optimizer, int], None] | None = None,
) -> Iterator[nn.Linear]:
    """Train a linear head and hand it over after every epoch.

    Args:
        features: gives the features of the pictures with these numbers, asked for every batch.
        y: classes of all training pictures.
        epochs: passes over them.
        batch: pictures a step.
        seed: of the head's start and of the order.
        optimizer: makes the optimizer.
        begin: called before each epoch with optimizer and epoch, to set the rate.
    """
    torch.manual_seed(seed)
    head = nn.Linear(512, int(y.max()) + 1)
    updates = optimizer(head)
    for epoch in range(epochs):
        if begin is not None:
            begin(updates, epoch)
        for index in torch.randperm(len(y)).split(batch):
            loss = functional.cross_entropy(head(features(index)), y[index])
            updates.zero_grad()
            loss.backward()
            updates.step()
        yield head


def accuracy(outputs: Tensor, y: Tensor) -> float:
    """Fraction right."""
    return float((outputs.argmax(1) == y).float().mean())
