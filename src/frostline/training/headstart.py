"""Start a head from a logistic regression on the activations that its stage is going to use anyway."""

import time

import torch
from torch import Tensor
from torch.nn import functional

from frostline.network.heads import DepthHead
from frostline.network.splitting import split
from frostline.training.fit import concatenate, fit_depth_head
from frostline.training.history import EpochRow
from frostline.training.order import base_requests, train_requests
from frostline.training.task import Task, open_feed, stage_requests


def fit_head(task: Task) -> EpochRow:
    """Fit the head by logistic regression before the first epoch; what comes out is epoch 0."""
    start = time.perf_counter()
    divided = split(task.traced, task.traced.before("head"))
    images, val = task.train_images(), task.val_images()
    shown = train_requests(images, task.views, seed=task.config.seed, epoch=0)
    mode = "disk" if task.config.feature_cache == "auto" else task.config.feature_cache
    feed = open_feed(task, divided, mode if task.views.can_be_stored else "off", stage_requests(task))
    with task.watch.span("training"):
        train_ND, val_MD = (concatenate(list(feed.batches([requests]))) for requests in (shown, base_requests(val)))
        labels_N, labels_M = (torch.tensor([i.label for i in group], device=train_ND.device) for group in (images, val))
        head = task.network.module.get_submodule(task.network.head)
        assert isinstance(head, DepthHead)
        choice = fit_depth_head(head, train_ND, labels_N, val_MD, labels_M)
        train_loss, train_accuracy = _score(head, train_ND, labels_N)
        val_loss, val_accuracy = _score(head, val_MD, labels_M)
    task.reporter.say(
        f"head fitted on {choice.depths} of {len(head.widths)} depths (decay {choice.decay:g}): val {val_accuracy:.1%}"
    )
    seconds = time.perf_counter() - start
    return EpochRow(
        1, 0, train_loss, train_accuracy, val_loss, val_accuracy, 0.0, seconds, len(images) / seconds, feed.is_stored
    )


def _score(head: DepthHead, features_ND: Tensor, labels_N: Tensor) -> tuple[float, float]:
    with torch.no_grad():
        logits = head(features_ND)
    return float(functional.cross_entropy(logits, labels_N)), float((logits.argmax(dim=1) == labels_N).double().mean())
