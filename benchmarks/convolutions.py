"""What faster convolutions give a thawed stage: pictures trained a second with them and without, in turn.

    python benchmarks/convolutions.py --rounds 5

Every layer trains, on random pictures in memory (speed does not depend on them), by SGD with momentum in bfloat16.
"""

import argparse
import time
from contextlib import nullcontext
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

import measure
from frostline.hardware import make_fabric
from frostline.network.build import NetworkSpec, build
from frostline.network.convolutions import FastConvolutions

NETWORKS = {
    "smallnet, 32 pixels": (NetworkSpec(model="smallnet", classes=10, head="official", width=1.25, image_size=32), 256),
    "resnet18, 64 pixels": (NetworkSpec(model="resnet18", classes=10, image_size=64), 64),
    "vgg16_bn, 32 pixels": (NetworkSpec(model="vgg16_bn", classes=10, head="small", image_size=32), 64),
    "resnet18, 224 pixels": (NetworkSpec(model="resnet18", classes=10, image_size=224), 32),
    "efficientnet_lite0, 224 pixels": (NetworkSpec(model="efficientnet_lite0", classes=10, image_size=224), 32),
}
KINDS = {"as they are": nullcontext, "faster": FastConvolutions}
MOMENT = 4.0
"""Seconds that each measurement lasts at least."""


def main() -> None:
    """Measure all in turn and write medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    fabric = make_fabric("cpu", "bf16")
    trainers = {name: Trainer(spec, batch, fabric) for name, (spec, batch) in NETWORKS.items()}
    rounds: list[dict[str, Any]] = []
    for _ in range(options.rounds):
        rounds.append({name: {kind: t.pictures_per_second(kind) for kind in KINDS} for name, t in trainers.items()})
        print(rounds[-1], flush=True)
    table = {name: _summary([one[name] for one in rounds]) for name in trainers}
    measure.write("convolutions", {"n": options.rounds, "networks": table, "rounds": rounds})


class Trainer:
    """A network and its optimizer."""

    def __init__(self, spec: NetworkSpec, batch: int, fabric: Fabric) -> None:
        self.network, self.fabric = build(spec), fabric
        self.module: nn.Module = self.network.module.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=1e-4, momentum=0.9, fused=True)
        pixels = torch.randn(batch, *self.network.preprocess.input_shape)
        self.pixels = pixels.contiguous(memory_format=torch.channels_last)
        self.labels = torch.randint(0, spec.classes, (batch,))

    def pictures_per_second(self, kind: str) -> float:
        """Train for a moment, after one step to warm up."""
        self._step(kind)
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < MOMENT:
            self._step(kind)
            steps += 1
        return steps * len(self.pixels) / (time.perf_counter() - start)

    def _step(self, kind: str) -> None:
        with self.fabric.autocast(), KINDS[kind]():
            logits: Tensor = self.module(self.pixels)
        functional.cross_entropy(logits.float(), self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def _summary(rounds: list[dict[str, float]]) -> dict[str, float]:
    speeds = {kind: measure.median([one[kind] for one in rounds]) for kind in KINDS}
    ratio = measure.median([one["faster"] / one["as they are"] for one in rounds])
    return {**speeds, "times_faster": ratio}


if __name__ == "__main__":
    main()
