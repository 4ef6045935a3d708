"""What each mistake of the five tutorials costs, measured one by one on what lies at hand.

    python benchmarks/tutorial_mistakes.py --sign-digits D --hymenoptera D --cifar D --vgg16 W --resnet18 W
    python benchmarks/tutorial_mistakes.py --only padding          # one, printed and not written
    python benchmarks/tutorial_mistakes.py --table                 # the written results as a Markdown table

Frozen features are computed once and read for all seeds. About ten minutes on two cores. With --only, nothing is
written unless --json says where.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import measure
import mistakes_building as building
import mistakes_choosing as choosing
import mistakes_freezing as freezing
from mistakes_base import Finding, Places
from tutorial_data import SHARED

MISTAKES: dict[str, Callable[[Places], Finding | list[Finding]]] = {
    "best-on-test": choosing.best_on_test,
    "flipped-test-t1": choosing.flipped_test,
    "unseeded-split": choosing.unseeded_split,
    "batch-means": choosing.batch_means,
    "dropout": choosing.dropout_on_features,
    "schedule-on-test": choosing.schedule_on_test,
    "batch-norm-t2": freezing.batch_norm_t2,
    "batch-norm-t5": freezing.batch_norm_t5,
    "batch-mates": freezing.batch_mates,
    "frozen-in-optimizer": freezing.frozen_in_optimizer,
    "cut-by-index": freezing.cut_by_index,
    "softmax-first": building.softmax_first,
    "flipped-test-t4": building.flipped_test,
    "scored-in-training-mode": building.scored_in_training_mode,
    "padding": building.padding,
    "two-passes": building.two_passes,
    "todays-libraries": building.todays_libraries,
}


def main() -> None:
    """Measure all, or one."""
    options = arguments()
    if options.table:
        print(markdown(json.loads((measure.RESULTS / "tutorial_mistakes.json").read_text())["findings"]))
        return
    places = Places(
        options.sign_digits, options.hymenoptera, options.cifar, options.vgg16, options.resnet18, options.seeds
    )
    findings: list[Finding] = []
    for name in [options.only] if options.only else MISTAKES:
        start = time.perf_counter()
        found = MISTAKES[name](places)
        seconds = round(time.perf_counter() - start, 1)
        print(f"{name}: {seconds} s", flush=True)
        findings += [
            {"name": name, **one, "seconds": seconds} for one in (found if isinstance(found, list) else [found])
        ]
    result = {"what": "the tutorials' mistakes", "threads": torch.get_num_threads(), "findings": findings}
    if options.only and not options.json:
        print(json.dumps(result, indent=1, ensure_ascii=False))
    else:
        measure.write("tutorial_mistakes", result, options.json)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sign-digits", type=Path, default=SHARED / "data" / "sign-digits")
    parser.add_argument("--hymenoptera", type=Path, default=SHARED / "data" / "hymenoptera")
    parser.add_argument("--cifar", type=Path, default=SHARED / "data" / "cifar10", help="folder of train/ and test/")
    parser.add_argument("--vgg16", type=Path, default=SHARED / "weights" / "vgg16-features-imagenet.safetensors")
    parser.add_argument("--resnet18", type=Path, default=SHARED / "weights" / "resnet18-tiny-imagenet.safetensors")
    parser.add_argument("--seeds", type=int, default=20, help="repeats of what is cheap; a fifth of it for networks")
    parser.add_argument("--only", choices=MISTAKES)
    parser.add_argument("--json", type=Path, help="where to write (default: results/tutorial_mistakes.json)")
    parser.add_argument("--table", action="store_true", help="print the written results as Markdown and stop")
    return parser.parse_args()


def markdown(findings: list[Finding]) -> str:
    """A Markdown table of findings."""
    rows = ["| tutorial | mistake | as the tutorial | repaired | unit | n |", "| --- | --- | --- | --- | --- | --- |"]
    for one in findings:
        cells = (one["tutorial"], one["mistake"], told(one["as_the_tutorial"]), told(one["repaired"]), one["unit"])
        rows.append(f"| {' | '.join(cells)} | {one['n']} |")
    return "\n".join(rows)


def told(value: Any) -> str:
    """A value in a table's cell: mean and range, named values, or a number of four digits."""
    if isinstance(value, dict) and value.keys() == {"mean", "min", "max"}:
        return f"{told(value['mean'])} ({told(value['min'])} to {told(value['max'])})"
    if isinstance(value, dict):
        return "; ".join(f"{name.replace('_', ' ')}: {told(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(told(one) for one in value)
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
