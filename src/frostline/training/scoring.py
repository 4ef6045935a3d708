"""Score the network on a split: loss and accuracy, or all logits."""

import torch
from torch import Tensor
from torch.nn import functional

from frostline.activations.feed import Feed
from frostline.data.index import Image
from frostline.data.views import TEST_VIEWS
from frostline.network.splitting import Split
from frostline.training.order import base_requests
from frostline.training.step import predict_batches
from frostline.training.task import Task

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


def predict_images(task: Task, divided: Split, feed: Feed, images: list[Image]) -> list[Tensor]:
    """Logits of pictures, in batches: the mean over the run's test views."""
    per_view = []
    for view in TEST_VIEWS[task.config.test_views]:
        requests = base_requests(images, view)
        batches = [requests[i : i + EVALUATION_BATCH] for i in range(0, len(requests), EVALUATION_BATCH)]
        per_view.append(predict_batches(divided.evaluating, feed, batches, task.fabric))
    return [torch.stack(logits).mean(dim=0) for logits in zip(*per_view, strict=True)]


def over_processes(task: Task, sums: Tensor) -> Tensor:
    """Add up over all processes."""
    if task.fabric.world_size == 1:
        return sums
    total = task.fabric.all_reduce(sums, reduce_op="sum")
    assert isinstance(total, Tensor)
    return total
