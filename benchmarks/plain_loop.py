"""The loop that the tutorials teach, as a baseline: every layer computed for every picture in every epoch.

Float32, torchvision's ImageFolder and transforms, frozen layers by `requires_grad = False`, SGD on the new head, a
training and a validation pass per epoch. Prints the seconds of each epoch, then of everything before the first.

    python benchmarks/plain_loop.py DATA WEIGHTS --model vgg16 --epochs 2
"""

import argparse
import time
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, models, transforms

START = time.perf_counter()
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def main() -> None:
    """Train a head on a frozen network for some epochs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--model", choices=["vgg16", "resnet18"], default="vgg16")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()

    resize = [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
    sets = {name: datasets.ImageFolder(options.data / name, transforms.Compose(resize)) for name in ("train", "val")}
    loaders = {
        name: DataLoader(part, batch_size=options.batch_size, shuffle=name == "train", num_workers=options.workers)
        for name, part in sets.items()
    }
    model, head = frozen(options.model, options.weights, len(sets["train"].classes))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(head.parameters(), lr=1e-2, momentum=0.9)
    print(f"startup {time.perf_counter() - START:.3f}", flush=True)

    for _ in range(options.epochs):
        start = time.perf_counter()
        accuracy = {}
        for phase, loader in loaders.items():
            model.train(phase == "train")
            correct = 0
            for pictures, labels in loader:
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    outputs = model(pictures)
                    loss = criterion(outputs, labels)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()
                correct += int((outputs.argmax(1) == labels).sum())
            accuracy[phase] = correct / len(sets[phase])
        print(f"epoch {time.perf_counter() - start:.3f} {accuracy['train']:.4f} {accuracy['val']:.4f}", flush=True)


def frozen(name: str, weights: Path, classes: int) -> tuple[nn.Module, nn.Linear]:
    """Build a network of which the head alone trains."""
    state = {key: value.float() for key, value in load_file(weights).items()}
    if name == "vgg16":
        features = models.vgg16(weights=None).features
        features.load_state_dict({key.removeprefix("features."): value for key, value in state.items()})
        head = nn.Linear(512, classes)
        model = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    else:
        model = models.resnet18(weights=None)
        own = {key: value for key, value in state.items() if not key.startswith("fc.")}
        model.load_state_dict(own, strict=False)
        head = model.fc = nn.Linear(512, classes)
    for parameter in model.parameters():
        parameter.requires_grad = False
    for parameter in head.parameters():
        parameter.requires_grad = True
    return model, head


if __name__ == "__main__":
    main()
