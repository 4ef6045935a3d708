"""Score the network on a split: loss and accuracy, or all logits."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from frostline.activations.feed import Feed
from frostline.data.index import Image
from frostline.data.views import TEST_VIEWS
from frostline.network.splitting import Split
from frostline.training.step import predict_batches
from frostline.training.task import Task, test_requests

EVALUATION_BATCH = 64


def evaluate(task: Task, divided: Split, feed: Feed, images: list[Image]) -> tuple[float, float]:
    """Mean loss and accuracy over pictures, shared by all processes."""
    fabric = task.fabric
    mine = images[fabric.global_rank :: fabric.world_size]
    sums = torch.zeros(2, device=fabric.device, dtype=torch.float64)
    start = 0
    for logits in predict_images(task, divided, feed, mine):
        labels = torch.tensor([image.label for image in mine[start : start + len(logits)]], device=logits.device)
        start += len(logits)
        sums[0] += functional.cross_entropy(logits, labels, reduction="sum")
        sums[1] += (logits.argmax(dim=1) == labels).sum()
    loss, correct = over_processes(task, sums).tolist()
    return loss / len(images), correct / len(images)


def predict_images(task: Task, divided: Split, feed: Feed, images: list[Image]) -> Iterator[Tensor]:
    """Logits of pictures, in batches: the mean over the run's test views, which are computed together."""
    views = len(TEST_VIEWS[task.config.test_views])
    requests = test_requests(task, images)
    step = views * max(1, EVALUATION_BATCH // views)
    batches = [requests[i : i + step] for i in range(0, len(requests), step)]
    for logits in predict_batches(divided.evaluating, feed, batches, task.fabric):
        yield logits.view(-1, views, logits.shape[1]).mean(dim=1)


def over_processes(task: Task, sums: Tensor) -> Tensor:
    """Add up over all processes."""
    if task.fabric.world_size == 1:
        return sums
    total = task.fabric.all_reduce(sums, reduce_op="sum")
    assert isinstance(total, Tensor)
    return total
