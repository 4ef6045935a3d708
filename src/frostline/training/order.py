"""Which pictures make which batch, in which view: functions of (seed, stage, epoch), so resuming needs no state."""

from collections.abc import Sequence

import torch

from frostline.data.index import Image
from frostline.data.loader import Request
from frostline.data.views import BASE, Views
from frostline.randomness import seed_of


def shuffled_batches(
    count: int, batch_size: int, *, seed: int, stage: int, epoch: int, smallest: int = 2
) -> list[list[int]]:
    """Deal the numbers 0 to count-1 into batches, in an order of this epoch's own.

    A last batch of fewer than `smallest` joins the one before it: BatchNorm cannot train on a single picture.
    """
    generator = torch.Generator().manual_seed(seed_of(seed, "order", stage, epoch))
    order: list[int] = torch.randperm(count, generator=generator).tolist()
    batches = [order[i : i + batch_size] for i in range(0, count, batch_size)]
    if len(batches) > 1 and len(batches[-1]) < smallest:
        tail = batches.pop()
        batches[-1] += tail
    return batches


def share_of(batch: Sequence[int], rank: int, processes: int) -> list[int]:
    """The part of a global batch that one process computes; never empty, so that every process takes part.

    Raises:
        ValueError: the batch is smaller than the number of processes.
    """
    if len(batch) < processes:
        raise ValueError(f"a batch of {len(batch)} cannot be shared by {processes} processes")
    return list(batch[rank::processes])


def train_requests(images: Sequence[Image], views: Views, *, seed: int, epoch: int) -> list[Request]:
    """The view that each picture shows in an epoch (counted over all stages)."""
    return [Request(i.position, i.digest, views.of(i.digest, seed=seed, epoch=epoch)) for i in images]


def all_requests(images: Sequence[Image], views: Views) -> list[Request]:
    """Every view that training can ask for; views must be finitely many."""
    return [Request(image.position, image.digest, view) for image in images for view in views.names]


def base_requests(images: Sequence[Image], view: str = BASE) -> list[Request]:
    """Each picture as it is, or in another view."""
    return [Request(image.position, image.digest, view) for image in images]
