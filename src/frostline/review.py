"""What deserves a look after a training: labels in doubt, worst mistakes, whether more pictures would help."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

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
        "label_issues": issues,
        "learning_curve": [asdict(point) for point in curve],
        "verdict": verdict(history, curve, said.interval, len(issues), len(known.images) if known else 0),
    }


def _known(task: Task, start: Tensors) -> _Known | None:
    """Compute or read the activations; None where pictures are too many or too few for what is to be done with them.

    A plan that begins with the head has stored those of the network as it was before: they have seen no label.
    """
    images = task.train_images() + task.val_images()
    divided = split(task.traced, task.traced.before("head"))
    (*_, shape) = divided.cut.shapes
    axis = channel_axis(shape, task.network.preprocess.input_shape)
    classes = len(task.index.classes)
    if len(images) * shape[axis] * classes > MOST_WORK or len({image.digest for image in images}) < FOLDS * classes:
        return None
    is_stored = task.config.weights != "none" and any(stage.cut == divided.cut for stage in task.plan)
    best = snapshot(task, tuple(start))
    if is_stored:
        task.network.module.load_state_dict(start, strict=False)
        divided = split(task.traced, task.traced.before("head"))
    mode = task.config.feature_cache if task.config.feature_cache != "auto" else "disk"
    origin = Origin(engine_of(task, divided), mode if is_stored else "off")
    try:
        requests = _shown(task)
        feed = open_feed(task, divided, origin, requests)
        size = task.config.batch_size
        batches = feed.batches([requests[i : i + size] for i in range(0, len(requests), size)])
        return _Known(images, torch.cat([average_pool(values[-1], axis) for values in batches]))
    finally:
        task.network.module.load_state_dict(best, strict=False)


def _shown(task: Task) -> list[Request]:
    """Each training picture as the first epoch showed it, where views can be stored, and each validation picture."""
    training = task.train_images()
    if not task.views.can_be_stored:
        return base_requests(training + task.val_images())
    return train_requests(training, task.views, seed=task.config.seed, epoch=0) + base_requests(task.val_images())


def _issues(task: Task, known: _Known) -> list[dict[str, Any]]:
    classes, images = task.index.classes, known.images
    labels, units = [image.label for image in images], [image.group or image.digest for image in images]
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
