"""How near the pass comes to what the processor can do: each engine's operations per second over those of a GEMM.

    python benchmarks/the_pass.py --rounds 5

Networks run on pixels in memory at 224 pixels, from input to the frost line of `head`, in bfloat16, with random weights
(speed does not depend on them). Each round measures a 2048 x 2048 x 2048 product in bfloat16, then every network by
every engine. A network's limit is the sum over its layers of the longer of two times: its operations at the rate of
that product (depthwise convolutions, which no matrix unit takes: at the float32 rate), and moving its input and output
once, at the rate at which a copy of the same size runs here.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import measure
from frostline.activations.engines import Engine, TorchEngine
from frostline.activations.openvino_engine import OpenVinoEngine
from frostline.hardware import make_fabric
from frostline.network.build import NetworkSpec, build
from frostline.network.splitting import split
from frostline.network.summary import layer_rows

NETWORKS = ("resnet18", "vgg16", "efficientnet_lite0")
SIDE = 2048
BATCH = 32
MOMENT = 2.0
"""Seconds that each measurement lasts at least."""


def main() -> None:
    """Measure all in turn and write medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    networks = {name: Measured(name) for name in NETWORKS}
    rounds: list[dict[str, Any]] = []
    for _ in range(options.rounds):
        one: dict[str, Any] = {"gemm": {str(dtype): gemm_rate(dtype) for dtype in (torch.bfloat16, torch.float32)}}
        for name, network in networks.items():
            one[name] = {kind: network.pictures_per_second(kind) for kind in network.engines}
        rounds.append(one)
        print(one, flush=True)
    rates = {kind: measure.median([one["gemm"][kind] for one in rounds]) for kind in rounds[0]["gemm"]}
    table = {name: summary(network, rounds, rates) for name, network in networks.items()}
    measure.write(
        measure.by_processor("the_pass"), {"n": options.rounds, "gemm": rates, "networks": table, "rounds": rounds}
    )


class Measured:
    """A network below its head, and its engines."""

    def __init__(self, name: str) -> None:
        self.name = name
        network = build(NetworkSpec(model=name, classes=10, image_size=224, head="linear"))
        network.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        traced = network.trace()
        self.prefix = split(traced, traced.before("head")).prefix
        plain = TorchEngine(self.prefix, network.preprocess, make_fabric("cpu", "bf16"))
        self.engines: dict[str, Engine] = {"torch": plain, "openvino": OpenVinoEngine(plain, "bf16")}
        self.layers = layer_rows(self.prefix, (3, 224, 224))

    @property
    def macs(self) -> int:
        """Of one picture."""
        return sum(row.macs for row in self.layers)

    def pictures_per_second(self, kind: str) -> float:
        """Of one engine, on batches that follow each other."""
        pixels = torch.randint(0, 256, (BATCH, 3, 224, 224), dtype=torch.uint8)
        batches = [pixels] * max(2, round(MOMENT * 1e12 / (2 * self.macs * BATCH)))
        return BATCH * len(batches) / seconds(lambda: [None for _ in self.engines[kind].run(batches)])

    def least_seconds(self, rates: dict[str, float]) -> float:
        """The limit: of one picture, on all cores together."""
        modules = dict(self.prefix.named_modules())
        total, shape = 0.0, (3, 224, 224)
        for row in self.layers:
            if row.macs:
                rate = rates["torch.float32" if is_depthwise(modules[row.name]) else "torch.bfloat16"]
                total += max(2 * row.macs / rate, seconds_to_move(shape, row.output_shape))
            shape = row.output_shape  # type: ignore[assignment]
        return total


def is_depthwise(layer: nn.Module) -> bool:
    """Whether each channel is convolved by itself."""
    return isinstance(layer, nn.Conv2d) and 1 < layer.groups == layer.in_channels


def seconds_to_move(read: tuple[int, ...], written: tuple[int, ...]) -> float:
    """Reading one tensor of a picture and writing another, in bfloat16, at the rate of a copy of their size."""
    count = (torch.Size(read).numel() + torch.Size(written).numel()) // 2
    source = torch.zeros(torch.get_num_threads() * count, dtype=torch.bfloat16)
    target = torch.empty_like(source)
    repeats = max(1, 4_000_000 // count)
    best = min(seconds(lambda: [target.copy_(source) for _ in range(repeats)]) for _ in range(3))
    return best / repeats / torch.get_num_threads()


def gemm_rate(dtype: torch.dtype) -> float:
    """Operations per second of a product of two square matrices."""
    a, b = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
    repeats = 10 if dtype == torch.float32 else 40
    return repeats * 2 * SIDE**3 / seconds(lambda: [torch.mm(a, b) for _ in range(repeats)])


def seconds(work: Callable[[], list[Tensor] | list[None]]) -> float:
    """Time work, after one run to warm up."""
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def summary(network: Measured, rounds: list[dict[str, Any]], rates: dict[str, float]) -> dict[str, Any]:
    """Medians, the share of the GEMM's rate reached, and how many times the limit it takes."""
    least = network.least_seconds(rates)
    result: dict[str, Any] = {"macs": network.macs, "limit_pictures_per_second": 1 / least}
    for kind in network.engines:
        speed = measure.median([one[network.name][kind] for one in rounds])
        share = measure.median(
            [2 * network.macs * one[network.name][kind] / one["gemm"]["torch.bfloat16"] for one in rounds]
        )
        result[kind] = {"pictures_per_second": speed, "share_of_gemm": share, "times_limit": 1 / least / speed}
    return result


if __name__ == "__main__":
    main()
