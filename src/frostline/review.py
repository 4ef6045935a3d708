"""What deserves a look after a training: labels in doubt, worst mistakes, whether more pictures would help."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from frostline.activations.feed import Feed
from frostline.data.index import Image
from frostline.data.loader import Request
from frostline.evaluation.curve import Point, learning_curve
from frostline.evaluation.folds import FOLDS, out_of_fold
from frostline.evaluation.labels import label_issues
from frostline.evaluation.verdict import verdict
from frostline.network.pooling import average_pool, channel_axis
from frostline.network.splitting import split
from frostline.outcome import Outcome
from frostline.sealed import Tensors
from frostline.training.beforehead import open_before_head, where_kept
from frostline.training.history import History
from frostline.training.loop import snapshot
from frostline.training.order import base_requests, train_requests
from frostline.training.task import Origin, Task, engine_of, open_feed

MOST_WORK = 2e9
"""Pictures times channels times classes above which the labels are not examined: it would take minutes."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Pictures with their activations before the head."""

    images: list[Image]
    features_ND: Tensor

    def of(self, name: str) -> tuple[Tensor, list[int]]:
        """Activations and labels of one split."""
        places = [place for place, image in enumerate(self.images) if image.split == name]
        return self.features_ND[places], [self.images[place].label for place in places]


def review(task: Task, outcome: Outcome, history: History, start: Tensors) -> dict[str, Any]:
    """Give what `review.json` holds.

    Args:
        task: the run's; its network holds the best weights, and does so again afterwards.
        outcome: what they were measured at.
        history: of the training.
        start: what the plan trains, as it was before training.
    """
    known = _known(task, start)
    issues = _issues(task, known) if known else []
    curve = _curve(task, known) if known else []
    said = outcome.measured[outcome.shown]
    return {
        "calibration": outcome.calibration,
        "worst_mistakes": outcome.worst_mistakes(),
        "examined": len(known.images) if known else 0,
        "is_pretrained": _is_pretrained(task),
        "label_issues": issues,
        "learning_curve": [asdict(point) for point in curve],
        "verdict": verdict(
            history, curve, len(task.val_images()), said.interval, len(issues), len(known.images) if known else 0
        ),
        "audit": asdict(task.index.audit),
    }


def _known(task: Task, start: Tensors) -> _Known | None:
    """Compute or read the activations; None where pictures are too many or too few for what is to be done with them.

    Those of a pretrained network are of it as it was before, and have seen no label. A network that began with no
    knowledge has none but what it learnt from these very labels.
    """
    images, cut = task.train_images() + task.val_images(), task.traced.before("head")
    axis = channel_axis(cut.shapes[-1], task.network.preprocess.input_shape)
    classes = len(task.index.classes)
    is_much = len(images) * cut.shapes[-1][axis] * classes > MOST_WORK
    units = Counter(label for label, _ in {(image.label, image.unit) for image in images})
    if (
        is_much or units.total() < FOLDS * classes or min(units.values()) < 2
    ):  # of a single one, no fold knows the class
        return None
    requests = _shown(task)
    if not _is_pretrained(task):
        divided = split(task.traced, cut)
        feed = open_feed(task, divided, Origin(engine_of(task, divided), "off"), requests)
        return _Known(images, _activations(task, feed, requests, axis))
    with _as_it_began(task, start):
        feed = open_before_head(task, requests, partial(where_kept, task))
        return _Known(images, _activations(task, feed, requests, axis))


def _is_pretrained(task: Task) -> bool:
    return task.config.weights != "none"


@contextmanager
def _as_it_began(task: Task, start: Tensors) -> Iterator[None]:
    """Give the network the values from before the training, for a while."""
    module, best = task.network.module, snapshot(task, tuple(start))
    module.load_state_dict(start, strict=False)
    try:
        yield
    finally:
        module.load_state_dict(best, strict=False)


def _activations(task: Task, feed: Feed, requests: Sequence[Request], axis: int) -> Tensor:
    """Average-pooled activations (pictures, channels) before the head.

    Args:
        task: the run's.
        feed: of what the head takes.
        requests: of pictures.
        axis: of the channels, the batch not counted.
    """
    size = task.config.batch_size
    batches = feed.batches([requests[i : i + size] for i in range(0, len(requests), size)])
    return torch.cat([average_pool(values[-1], axis) for values in batches])


def _shown(task: Task) -> list[Request]:
    """Each training picture as the first epoch showed it, where views can be stored, and each validation picture."""
    training = task.train_images()
    if not task.views.can_be_stored:
        return base_requests(training + task.val_images())
    return train_requests(training, task.views, seed=task.config.seed, epoch=0) + base_requests(task.val_images())


def _issues(task: Task, known: _Known) -> list[dict[str, Any]]:
    classes, images = task.index.classes, known.images
    labels, units = [image.label for image in images], [image.unit for image in images]
    probabilities = out_of_fold(known.features_ND, labels, units, len(classes))
    return [
        {
            "path": images[issue.place].path,
            "given": classes[issue.given],
            "suggested": classes[issue.suggested],
            "score": issue.score,
        }
        for issue in label_issues(probabilities, torch.tensor(labels).numpy())
    ]


def _curve(task: Task, known: _Known) -> list[Point]:
    return learning_curve(*known.of("train"), *known.of("val"), len(task.index.classes))
