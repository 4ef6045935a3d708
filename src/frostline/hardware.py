"""Which device computes, in which precision, over how many processes: decided once, through Lightning Fabric."""

import ctypes
import logging
import os
import platform
import sys
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import nn

from frostline.errors import ConfigError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # of malloc.h


class Computer(Protocol):
    """What computes: a device and a precision. A Fabric is one."""

    @property
    def device(self) -> torch.device:
        """Where tensors are to be."""

    @property
    def world_size(self) -> int:
        """Processes that compute together."""

    def autocast(self) -> AbstractContextManager[None]:
        """Compute in the precision while entered."""


class Single:
    """One process by itself: enough to predict with, and spares it a second of importing Fabric.

    Args:
        device: auto, cpu, cuda, cuda:N or mps.
        precision: fp32, bf16, or auto: bf16 where the device multiplies matrices in it.

    Raises:
        ConfigError: no such device or precision here.
    """

    world_size = 1

    def __init__(self, device: str, precision: str) -> None:
        accelerator, devices = _accelerator(device)
        if accelerator == "cpu":
            _keep_freed_memory()
        number = devices[0] if isinstance(devices, list) else 0
        self.device = torch.device(accelerator, number) if accelerator == "cuda" else torch.device(accelerator)
        self.precision = choose_precision(precision, accelerator)

    def autocast(self) -> AbstractContextManager[None]:
        """Compute in the precision while entered."""
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def make_fabric(device: str, precision: str) -> "Fabric":
    """Make the Fabric that a run computes with; under torchrun it joins the other processes.

    Args:
        device: auto, cpu, cuda, cuda:N or mps.
        precision: fp32, bf16, or auto: bf16 where the device multiplies matrices in it.

    Raises:
        ConfigError: no such device here.
    """
    from lightning_fabric import Fabric

    accelerator, devices = _accelerator(device)
    if accelerator == "cpu":
        _keep_freed_memory()
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    chosen = choose_precision(precision, accelerator)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it would announce the precision on stderr
    fabric = Fabric(
        accelerator=accelerator,
        devices=local if processes > 1 else devices,
        num_nodes=processes // local,
        strategy="ddp" if processes > 1 else "auto",
        precision=PRECISIONS[chosen],  # type: ignore[arg-type]  # Fabric spells out every name it takes
    )
    fabric.launch()
    return fabric


def choose_precision(precision: str, accelerator: str) -> str:
    """Settle `auto`: bf16 where hardware multiplies matrices in it, else fp32.

    Raises:
        ConfigError: no such precision.
    """
    if precision in PRECISIONS:
        return precision
    if precision != "auto":
        raise ConfigError(f"precision {precision!r} is not known; allowed are auto, {', '.join(PRECISIONS)}")
    if accelerator == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if accelerator == "cpu" and _cpu_has_fast_bf16() else "fp32"


def precision_name(computer: Computer) -> str:
    """The precision of a Fabric, or of a process by itself, in our words."""
    if isinstance(computer, Single):
        return computer.precision
    full = str(computer._precision.precision)  # type: ignore[attr-defined]  # a Fabric's
    return next(name for name, theirs in PRECISIONS.items() if theirs == full)


def default_accelerator() -> str:
    """What `--device auto` comes to."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def cpu_name() -> str:
    """The processor's model, as far as the system tells."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


@cache
def cpu_has_tiles() -> bool:
    """Whether the processor multiplies matrices tile by tile (AMX), where rows have to be long to pay."""
    return _cpu_can("_is_amx_tile_supported")


def seed_device(device: torch.device, seed: int) -> None:
    """Seed the generator from which layers on a device draw.

    torch.manual_seed seeds those of all devices, and where there is no GPU writes down the stack of every call, which
    takes as long as a small step.
    """
    match device.type:
        case "cuda":
            torch.cuda.default_generators[device.index or 0].manual_seed(seed)
        case "mps":
            torch.mps.manual_seed(seed)
        case _:
            torch.default_generator.manual_seed(seed)


def put_on(module: nn.Module, device: torch.device) -> None:
    """Move a network to a device, its maps laid out as convolutions compute fastest."""
    module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # known with a dtype only


def _accelerator(device: str) -> tuple[str, int | list[int]]:
    kind, _, number = (default_accelerator() if device == "auto" else device).partition(":")
    if kind not in {"cpu", "cuda", "mps"} or (number and not (kind == "cuda" and number.isdigit())):
        raise ConfigError(f"--device {device!r} is not known; allowed are auto, cpu, cuda, cuda:N, mps")
    if kind == "cuda" and (not torch.cuda.is_available() or int(number or 0) >= torch.cuda.device_count()):
        raise ConfigError(f"--device {device}: torch sees {torch.cuda.device_count()} CUDA devices; use --device cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("--device mps: torch sees no Apple GPU; use --device cpu")
    return kind, [int(number)] if number else 1


def _cpu_has_fast_bf16() -> bool:
    return cpu_has_tiles() or _cpu_can("_is_avx512_bf16_supported")


def _cpu_can(probe: str) -> bool:
    able: bool = getattr(torch.cpu, probe, lambda: False)()  # private, so absent in some releases
    return able


def _keep_freed_memory() -> None:
    """Have glibc's allocator keep what is freed, so that the next step need not fault its pages in anew.

    Activations of a training step are large; by default each is mapped when made and unmapped when freed, and the
    kernel zeroes every page of it again (mallopt(3): M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD).
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_TOP_PAD, 64 * 2**20)
