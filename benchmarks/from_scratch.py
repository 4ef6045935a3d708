"""A network from random weights at 32 pixels: pictures a second beside the plain loop on the same network, in turn.

    python benchmarks/from_scratch.py CIFAR10_FOLDER --rounds 5
    python benchmarks/from_scratch.py CIFAR10_FOLDER --rounds 5 --model smallnet

Both train on 5,000 pictures, shifted and mirrored, by SGD; the second of two epochs counts. VGG-16 with BatchNorm
trains in batches of 128; SmallNet 1.25 times as wide, in batches of 256, a square cut out of each picture, as in
`cifar10-best`, but with every layer training. The plain loop is float32 on torchvision's ImageFolder and transforms.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, models, transforms

import measure
from frostline.network.build import NetworkSpec, build
from scaling import take

PICTURES = 5_000
EPOCHS = 2
WORKERS = 2
BATCH = {"vgg16_bn": 128, "smallnet": 256}
WIDTH = 1.25
"""Of SmallNet."""
CUTOUT = 12
"""Side of the square in pixels."""


def main() -> None:
    """Alternate the two and write the ratio of medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="with train/ and class folders in it")
    parser.add_argument("--model", choices=BATCH, default="vgg16_bn")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        take(options.data / "train", pictures, PICTURES)
        for number in range(options.rounds):
            ours = our_speed(pictures, Path(folder) / f"run{number}", options.model)
            child = [sys.executable, __file__, "--child", str(pictures), options.model]
            rounds.append({"frostline": ours, "plain_loop": float(measure.run(child).output.split()[-1])})
            print(rounds[-1], flush=True)
    medians = {name: measure.median([one[name] for one in rounds]) for name in rounds[0]}
    facts = {
        "what": f"{options.model}, 32 pixels, from scratch",
        "batch_size": BATCH[options.model],
        "n": options.rounds,
        "images_per_second": medians,
        "times_faster": medians["frostline"] / medians["plain_loop"],
        "rounds": rounds,
    }
    measure.write(measure.by_processor(f"from_scratch_{options.model}"), facts)


def our_speed(pictures: Path, out: Path, model: str) -> float:
    """Pictures a second of frostline's last epoch."""
    what = ["--model", model, "--weights", "none", "--image-size", "32", "--resize", "squash"]
    augment = "flip+pad:4"
    if model == "smallnet":
        what += ["--width", str(WIDTH), "--head", "official"]
        augment += f"+cutout:{CUTOUT}"
    how = ["--augment", augment, "--optimizer", "sgd", "--lr", "0.01", "--batch-size", str(BATCH[model])]
    flags = [*what, *how, "--stages", f"all:{EPOCHS}", "--out", str(out)]
    measure.frostline("train", str(pictures), *flags, cache=out.parent / "cache")
    return measure.epoch_speeds(out)[-1]


def plain_loop(pictures: Path, name: str) -> None:
    """Train as most people would begin; print the speed of the last epoch."""
    views = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    views.append(transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    if name == "smallnet":
        share = (CUTOUT / 32) ** 2
        views.append(transforms.RandomErasing(p=1, scale=(share, share), ratio=(1, 1)))
    data = datasets.ImageFolder(pictures, transforms.Compose(views))
    loader = DataLoader(data, BATCH[name], shuffle=True, num_workers=WORKERS)
    model = network(name, len(data.classes))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for _ in range(EPOCHS):
        start = time.perf_counter()
        for batch, labels in loader:
            optimizer.zero_grad()
            criterion(model(batch), labels).backward()
            optimizer.step()
        print(len(data) / (time.perf_counter() - start))


def network(name: str, classes: int) -> nn.Module:
    """The network in float32, as its library makes it."""
    if name == "smallnet":
        return build(NetworkSpec(model=name, width=WIDTH, classes=classes, image_size=32, head="official")).module
    features = models.vgg16_bn(weights=None).features
    return nn.Sequential(features, nn.Flatten(), nn.Linear(512, classes))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        plain_loop(Path(sys.argv[2]), sys.argv[3])
    else:
        main()
