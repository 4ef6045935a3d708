"""VGG-16 with BatchNorm from random weights at 32 pixels: pictures a second beside the plain loop, in turn.

    python benchmarks/from_scratch.py CIFAR10_FOLDER --rounds 5

Both train on 5,000 pictures, shifted and mirrored, in batches of 128 (or --batch-size), by SGD; the second of two
epochs counts. The plain loop is float32 on torchvision's ImageFolder and transforms.
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
from scaling import take

PICTURES = 5_000
EPOCHS = 2
WORKERS = 2


def main() -> None:
    """Alternate the two and write the ratio of medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="with train/ and class folders in it")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        take(options.data / "train", pictures, PICTURES)
        for number in range(options.rounds):
            ours = our_speed(pictures, Path(folder) / f"run{number}", options.batch_size)
            child = [sys.executable, __file__, "--child", str(pictures), str(options.batch_size)]
            rounds.append({"frostline": ours, "plain_loop": float(measure.run(child).output.split()[-1])})
            print(rounds[-1], flush=True)
    medians = {name: measure.median([one[name] for one in rounds]) for name in rounds[0]}
    facts = {"what": "vgg16_bn, 32 pixels, from scratch", "batch_size": options.batch_size, "n": options.rounds}
    times = medians["frostline"] / medians["plain_loop"]
    measure.write("from_scratch", {**facts, "images_per_second": medians, "times_faster": times, "rounds": rounds})


def our_speed(pictures: Path, out: Path, batch_size: int) -> float:
    """Pictures a second of frostline's last epoch."""
    what = ["--model", "vgg16_bn", "--weights", "none", "--image-size", "32", "--resize", "squash"]
    how = ["--augment", "flip+pad:4", "--optimizer", "sgd", "--lr", "0.01", "--batch-size", str(batch_size)]
    flags = [*what, *how, "--stages", f"all:{EPOCHS}", "--out", str(out)]
    measure.frostline("train", str(pictures), *flags, cache=out.parent / "cache")
    return measure.epoch_speeds(out)[-1]


def plain_loop(pictures: Path, batch_size: int) -> None:
    """Train as most people would begin; print the speed of the last epoch."""
    views = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    normal = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    data = datasets.ImageFolder(pictures, transforms.Compose([*views, normal]))
    loader = DataLoader(data, batch_size, shuffle=True, num_workers=WORKERS)
    features = models.vgg16_bn(weights=None).features
    model = nn.Sequential(features, nn.Flatten(), nn.Linear(512, len(data.classes)))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for _ in range(EPOCHS):
        start = time.perf_counter()
        for batch, labels in loader:
            optimizer.zero_grad()
            criterion(model(batch), labels).backward()
            optimizer.step()
        print(len(data) / (time.perf_counter() - start))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        plain_loop(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
