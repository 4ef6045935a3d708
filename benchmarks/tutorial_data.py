"""Pictures for the tutorials' loops: class folders, small pictures kept in memory, IDX files, starting weights."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision.datasets import ImageFolder

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
"""Where pictures and weights are looked for when no place is given: beside the checkout."""
FASHION = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package `dataset-fashion-mnist` puts its files."""


class InMemory(Dataset[tuple[Tensor, int]]):
    """Pictures held as one array, as torchvision's CIFAR10 and FashionMNIST do; the transform runs per picture."""

    def __init__(self, pictures: np.ndarray, labels: list[int], transform: Callable[[Image.Image], Tensor]) -> None:
        self.pictures, self.labels, self.transform = pictures, labels, transform

    def __len__(self) -> int:
        """The number of pictures."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """The transformed picture and its class."""
        return self.transform(Image.fromarray(self.pictures[index])), self.labels[index]


def folder_arrays(folder: Path, *, limit: int | None = None, seed: int = 0) -> tuple[np.ndarray, list[int]]:
    """Read a folder of class folders whose pictures are all of one size, in a seeded order that mixes the classes.

    CIFAR-10's own files are mixed too, which matters where a batch is normalised by itself. With a limit, only so many.
    """
    samples = ImageFolder(folder).samples
    order = torch.randperm(len(samples), generator=torch.Generator().manual_seed(seed))[:limit].tolist()
    arrays = []
    for index in order:
        with Image.open(samples[index][0]) as picture:
            arrays.append(np.asarray(picture.convert("RGB")))
    return np.stack(arrays), [samples[index][1] for index in order]


def fashion_arrays(folder: Path, part: str) -> tuple[np.ndarray, list[int]]:
    """Read Fashion-MNIST from its gzipped IDX files; `part` is "train" or "t10k"."""
    pictures = _idx(folder / f"{part}-images-idx3-ubyte.gz", header_bytes=16).reshape(-1, 28, 28)
    return pictures, _idx(folder / f"{part}-labels-idx1-ubyte.gz", header_bytes=8).tolist()


def _idx(path: Path, *, header_bytes: int) -> np.ndarray:
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), dtype=np.uint8, offset=header_bytes).copy()


def load_weights(model: nn.Module, path: Path | None, head: str) -> str:
    """Put a file's tensors into a network, all but those of its head; say in a sentence what the network starts from.

    Args:
        model: a network of torchvision's.
        path: a safetensors file with torchvision's names, or None to leave the network as it was drawn.
        head: beginning of the names that the file's own classes shaped, "fc." or "classifier.6.".

    Raises:
        ValueError: the file holds tensors that the network does not know.
    """
    if path is None:
        return "no weights given: the network starts at random, its accuracy says nothing, its seconds do"
    state = {name: value.float() for name, value in load_file(path).items() if not name.startswith(head)}
    missing, unknown = model.load_state_dict(state, strict=False)
    if unknown:
        raise ValueError(f"{path.name} holds {unknown[:3]}, which the network does not know")
    rest = [name for name in missing if not name.startswith(head) and not name.endswith("num_batches_tracked")]
    at_random = f"; at random, because the file lacks them: {', '.join(rest)}" if rest else ""
    return f"starts from {path.name}{at_random}"
