"""Trace and split every torchvision classifier and many of timm's; write docs/networks.md and results/networks.json.

    python benchmarks/networks_table.py

Each network is built with random weights in a process of its own and cut at a quarter, half and three quarters of its
cuts. Prefix and suffix together must give what the whole gives (rtol 1e-4, atol 1e-5; float32, two pictures), and the
suffix's training graph must run. No network access; about ten minutes on two cores.
"""

import argparse
import json
import multiprocessing
import platform
import time
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torchvision import models

from frostline.network.cuts import trace_network
from frostline.network.splitting import Split, split

ROOT = Path(__file__).resolve().parent.parent
PLACES = (0.25, 0.5, 0.75)
SMALL = 64
CLASSES = 10
RTOL, ATOL = 1e-4, 1e-5

TIMM = (
    "beit_base_patch16_224",
    "cait_xxs24_224",
    "coatnet_0_rw_224",
    "convnext_atto",
    "convnext_tiny",
    "convnextv2_atto",
    "crossvit_tiny_240",
    "cspdarknet53",
    "cspresnet50",
    "deit3_small_patch16_224",
    "deit_tiny_patch16_224",
    "densenet121",
    "dla34",
    "dm_nfnet_f0",
    "dpn68",
    "ecaresnet26t",
    "edgenext_xx_small",
    "efficientformer_l1",
    "efficientnet_b0",
    "efficientnetv2_rw_t",
    "eva02_tiny_patch14_224",
    "fastvit_t8",
    "fbnetc_100",
    "ghostnet_100",
    "hrnet_w18_small",
    "inception_next_tiny",
    "inception_v4",
    "lcnet_050",
    "levit_128s",
    "maxvit_tiny_rw_224",
    "mixer_b16_224",
    "mixnet_s",
    "mobilenetv2_100",
    "mobilenetv3_large_100",
    "mobilenetv4_conv_small",
    "mobilevit_xs",
    "mobilevitv2_050",
    "nf_resnet50",
    "poolformer_s12",
    "pvt_v2_b0",
    "regnety_008",
    "repvgg_a0",
    "repvit_m0_9",
    "res2net50_26w_4s",
    "resmlp_12_224",
    "resnest14d",
    "resnet18d",
    "resnet50",
    "resnetv2_50",
    "rexnet_100",
    "seresnet50",
    "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256",
    "tf_efficientnet_lite0",
    "tf_efficientnetv2_b0",
    "tiny_vit_5m_224",
    "tinynet_a",
    "twins_pcpvt_small",
    "vgg16_bn",
    "visformer_tiny",
    "vit_base_patch16_clip_224",
    "vit_small_patch16_224",
    "xception41",
    "xcit_nano_12_p16_224",
)


def build(name: str) -> nn.Module:
    """Build a network with random weights; `timm:` comes before the names of timm."""
    if name.startswith("timm:"):
        module: nn.Module = timm.create_model(name.removeprefix("timm:"), num_classes=CLASSES)
        return module
    options = {"aux_logits": False, "init_weights": False} if name in {"googlenet", "inception_v3"} else {}
    module = models.get_model(name, weights=None, num_classes=CLASSES, **options)
    return module


def native_size(name: str, module: nn.Module) -> int:
    """Side of the picture that the network was made for."""
    if name.startswith("timm:"):
        return int(module.default_cfg["input_size"][-1])
    return int(models.get_model_weights(name).DEFAULT.transforms().crop_size[0]) if name == "inception_v3" else 224


def stir(module: nn.Module, pictures: Tensor) -> None:
    """Make every layer matter: no constant parameters (zero heads, layer scales), and fitting batch statistics."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    for parameter in module.parameters():
        if parameter.numel() > 1 and parameter.max() == parameter.min():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    if norms:
        module(pictures)
    module.eval()


def accepted_size(name: str, module: nn.Module) -> int:
    """Give 64 pixels where the network takes them, else its own size."""
    try:
        module(torch.zeros(2, 3, SMALL, SMALL))
    except Exception:  # a network may refuse a size in any way it likes
        return native_size(name, module)
    return SMALL


@torch.no_grad()
def examine(name: str) -> dict[str, Any]:
    """Trace and split one network; give its row of the table."""
    start = time.perf_counter()
    torch.manual_seed(0)
    module = build(name).eval()
    size = accepted_size(name, module)
    pictures = torch.randn(2, 3, size, size)
    stir(module, torch.randn(4, 3, size, size))
    whole = module(pictures)
    traced = trace_network(module, (3, size, size))
    inner = traced.cuts[1:]  # the first is the input
    splits = [split(traced, inner[round(place * (len(inner) - 1))]) for place in PLACES]
    parts = [_run_parts(divided, pictures) for divided in splits]
    trained = _train_forward(splits[1], pictures)  # last, for it changes batch statistics
    return {
        "network": name,
        "pixels": size,
        "cuts": len(traced.cuts),
        "splits": [
            {
                "cut": divided.cut.name,
                "equal": torch.allclose(part, whole, rtol=RTOL, atol=ATOL),
                "difference": float((part - whole).abs().max()),
            }
            for divided, part in zip(splits, parts, strict=True)
        ],
        "training_runs": bool(torch.isfinite(trained).all()),
        "largest_output": float(whole.abs().max()),
        "pictures_differ": bool((whole[0] - whole[1]).abs().max() > ATOL),
        "seconds": round(time.perf_counter() - start, 1),
    }


def _run_parts(divided: Split, pictures: Tensor) -> Tensor:
    values = divided.prefix(pictures)
    logits: Tensor = divided.evaluating.eval()(*(value.clone() for value in values))  # an in-place ReLU may come first
    return logits


def _train_forward(divided: Split, pictures: Tensor) -> Tensor:
    values = divided.prefix(pictures)
    logits: Tensor = divided.suffix.train()(*(torch.cat([value, value]) for value in values))
    return logits


def _child(name: str, threads: int, pipe: Connection) -> None:
    torch.set_num_threads(threads)
    try:
        pipe.send(examine(name))
    except Exception as error:  # what a network does wrong belongs in the table
        pipe.send(
            {"network": name, "error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
        )


def examine_apart(name: str, threads: int) -> dict[str, Any]:
    """Examine a network in a process of its own, so that its memory is given back."""
    context = multiprocessing.get_context("fork")  # this process has computed nothing, so it is safe
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(name, threads, theirs))
    process.start()
    theirs.close()
    try:
        row: dict[str, Any] = ours.recv()
    except EOFError:
        process.join()
        row = {"network": name, "error": f"the process ended with {process.exitcode}"}
    process.join()
    return row


def is_sound(row: dict[str, Any]) -> bool:
    """Tell whether all splits of a network agree with the whole."""
    return (
        "error" not in row
        and row["pictures_differ"]
        and row["training_runs"]
        and all(one["equal"] for one in row["splits"])
    )


def as_markdown(rows: list[dict[str, Any]], versions: dict[str, str]) -> str:
    """Lay the rows out as the page `docs/networks.md`."""
    sound = sum(map(is_sound, rows))
    lines = [
        "# Networks",
        "",
        "[中文](networks.zh.md)",
        "",
        f"{sound} of {len(rows)} networks can be traced and split, with the same outputs as the whole network. "
        "Written by `python benchmarks/networks_table.py`",
        f"with {', '.join(f'{name} {number}' for name, number in versions.items())}, on a CPU in float32.",
        "",
        "Random weights, two pictures (64 pixels where the network takes them, else its own size), split at a quarter, "
        "half and three quarters of its cuts; the suffix of the middle one also runs in training.",
        f"Equal means rtol {RTOL:g} and atol {ATOL:g}. Networks of timm are written `timm:NAME`, as for `--model`.",
        "",
        "| network | cuts | split at | outputs equal | largest difference |",
        "| --- | ---: | --- | --- | ---: |",
    ]
    for row in rows:
        if "error" in row:
            lines.append(f"| {row['network']} | | | no: {row['error'].replace('|', '/')} | |")
            continue
        places = ", ".join(f"`{one['cut']}`" for one in row["splits"])
        largest = max(one["difference"] for one in row["splits"])
        lines.append(
            f"| {row['network']} | {row['cuts']} | {places} | {'yes' if is_sound(row) else 'no'} | {largest:.1e} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Examine all networks, or those named, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only these (printed, nothing is written)")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    names = arguments.names or [*models.list_models(module=models), *(f"timm:{name}" for name in TIMM)]
    rows = []
    for name in names:
        rows.append(examine_apart(name, arguments.threads))
        print(json.dumps(rows[-1]), flush=True)
    if arguments.names:
        return
    packages = ("frostline", "torch", "torchvision", "timm")
    versions = {"Python": platform.python_version()} | {package: version(package) for package in packages}
    results = {"versions": versions, "rtol": RTOL, "atol": ATOL, "networks": rows}
    (ROOT / "benchmarks" / "results" / "networks.json").write_text(json.dumps(results, indent=1) + "\n")
    (ROOT / "docs" / "networks.md").write_text(as_markdown(rows, versions))
    print(f"{sum(map(is_sound, rows))} of {len(rows)} networks are sound")


if __name__ == "__main__":
    main()
