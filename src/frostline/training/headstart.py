"""Start a head from a logistic regression on the activations that its stage is going to use anyway."""

import time
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from frostline.activations.feed import Feed
from frostline.data.index import Image
from frostline.data.loader import Request
from frostline.network.heads import DepthHead
from frostline.network.splitting import split
from frostline.plan.stages import Stage
from frostline.training.beforehead import first_has_rows, open_before_head
from frostline.training.fit import choose_pictures, concatenate, fit_depth_head
from frostline.training.history import EpochRow
from frostline.training.order import base_requests, train_requests
from frostline.training.pricing import price_of
from frostline.training.scoring import evaluate
from frostline.training.task import Task, stage_requests, test_requests


def fit_head(task: Task) -> EpochRow:
    """Fit the head by logistic regression before the first epoch; what comes out is epoch 0."""
    head = task.network.module.get_submodule(task.network.head)
    assert isinstance(head, DepthHead)
    divided = split(task.traced, task.traced.before("head"))
    val, images = task.val_images(), task.train_images()
    some = [images[i] for i in choose_pictures(len(images), sum(head.widths) * head.linear.out_features)]
    shown = train_requests(some, task.views, seed=task.config.seed, epoch=0)
    requests = stage_requests(task) if first_has_rows(task) else shown + test_requests(task, val)
    feed = open_before_head(task, requests, partial(_choose, task))
    start = time.perf_counter()
    with task.watch.span("training"):
        train_ND, labels_N = _features(task, feed, some, shown)
        choice = fit_depth_head(head, train_ND, labels_N, *_features(task, feed, val, base_requests(val)))
        train_loss, train_accuracy = _score(head, train_ND, labels_N)
        val_loss, val_accuracy = evaluate(task, divided, feed, val)
    task.reporter.say(
        f"head fitted on {choice.depths} of {len(head.widths)} depths (decay {choice.decay:g}): val {val_accuracy:.1%}"
    )
    seconds = time.perf_counter() - start
    return EpochRow(
        1, 0, train_loss, train_accuracy, val_loss, val_accuracy, 0.0, seconds, len(some) / seconds, feed.is_stored
    )


def _choose(task: Task, stage: Stage) -> str:
    """Where the stage is going to have its rows from."""
    choice: str = task.fabric.broadcast(price_of(task, stage).choice)  # clocks differ between processes
    return choice


def _features(task: Task, feed: Feed, images: Sequence[Image], requests: Sequence[Request]) -> tuple[Tensor, Tensor]:
    """Pooled activations (N, D) of pictures, and their labels (N,); computed in batches where they are not stored."""
    size = task.config.batch_size
    features_ND = concatenate(list(feed.batches([requests[i : i + size] for i in range(0, len(requests), size)])))
    return features_ND, torch.tensor([image.label for image in images], device=features_ND.device)


def _score(head: DepthHead, features_ND: Tensor, labels_N: Tensor) -> tuple[float, float]:
    with torch.no_grad():
        logits = head(features_ND)
    return float(functional.cross_entropy(logits, labels_N)), float((logits.argmax(dim=1) == labels_N).double().mean())
