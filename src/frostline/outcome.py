"""What a run comes to: validation and test read once with the best weights, probabilities made honest, mistakes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from frostline.data.index import Image
from frostline.data.split import SplitName
from frostline.evaluation.calibration import expected_error, fit_temperature, reliability
from frostline.evaluation.metrics import Metrics, log_losses, measure
from frostline.evaluation.predictions import Said, say, worst_mistakes
from frostline.network.splitting import split
from frostline.training.scoring import predict_images
from frostline.training.task import Origin, Task, engine_of, open_feed, test_requests


@dataclass(frozen=True, slots=True)
class Scored:
    """Pictures of a split, and the network's logits (pictures, classes) for them."""

    images: list[Image]
    logits: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """Places of the classes."""
        return np.array([image.label for image in self.images])

    def probabilities(self, temperature: float) -> np.ndarray:
        """Of the classes, (pictures, classes)."""
        return torch.from_numpy(self.logits).div(temperature).softmax(dim=1).numpy()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How good the network is."""

    temperature: float
    """What logits are divided by, fitted on validation."""
    measured: Mapping[str, Metrics]
    """By split: val, and test where there is one."""
    said: list[Said]
    """Of every picture of those splits."""
    calibration: dict[str, Any]
    """The error of the probabilities before and after the division, and on which split."""

    @property
    def shown(self) -> str:
        """The split that counts: test where there is one."""
        return "test" if "test" in self.measured else "val"

    def worst_mistakes(self) -> list[dict[str, Any]]:
        """Those of the split that counts."""
        return worst_mistakes([row for row in self.said if row.split == self.shown])


def assess(task: Task, choice: str) -> Outcome:
    """Measure the network as it is.

    Args:
        task: the run's.
        choice: where the last stage had its frozen layers from.
    """
    scored = {name: _score(task, name, choice) for name in ("val", "test") if task.index.of(name)}
    temperature = fit_temperature(scored["val"].logits, scored["val"].labels)
    classes = task.index.classes
    measured, said = {}, []
    for name, one in scored.items():
        probabilities = one.probabilities(temperature)
        measured[name] = measure(probabilities, one.labels, classes)
        said += say(one.images, classes, probabilities)
    shown = "test" if "test" in scored else "val"
    uncorrected, labels = scored[shown].probabilities(1.0), scored[shown].labels
    before = reliability(uncorrected, labels)
    calibration = {
        "split": shown,
        "temperature": temperature,
        "ece_before": expected_error(before),
        "ece_after": measured[shown].ece,
        "ece_by_chance": measured[shown].ece_by_chance,
        "log_loss_before": float(log_losses(uncorrected, labels).mean()),
        "log_loss_after": measured[shown].log_loss,
        "reliability_before": [asdict(one) for one in before],
    }
    return Outcome(temperature, measured, said, calibration)


def _score(task: Task, name: SplitName, choice: str) -> Scored:
    """Run the network over one split, frozen layers from where the last stage had them."""
    divided = split(task.traced, task.plan[-1].cut)
    images = task.index.of(name)
    feed = open_feed(task, divided, Origin(engine_of(task, divided), choice), test_requests(task, images))
    logits = torch.cat(list(predict_images(task, divided, feed, images)))
    return Scored(images, logits.float().cpu().numpy())
