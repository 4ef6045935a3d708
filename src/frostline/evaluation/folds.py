"""Folds: every picture is predicted by a model that was not trained on it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from frostline.training.fit import QUICKLY, LogisticFit

FOLDS = 5
DECAYS = (1e-1, 1e-2, 1e-3)
"""Fewer than a head's fit tries: here a fold's picture is to be doubted, not the last point to be won."""


def dealt_into_folds(labels: Sequence[int], units: Sequence[str], folds: int, *, seed: int = 0) -> list[np.ndarray]:
    """Deal pictures into folds, as even by class as can be, those of one unit together; gives the places of each."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    _, groups = np.unique(units, return_inverse=True)
    how = {"shuffle": True, "random_state": seed % 2**32}
    if len(np.unique(groups)) == len(groups):  # as mostly; dealing groups takes hundreds of times as long
        parts = StratifiedKFold(folds, **how).split(groups, labels)
    else:
        parts = StratifiedGroupKFold(folds, **how).split(groups, labels, groups)
    return [held for _, held in parts]


def out_of_fold(features_ND: Tensor, labels: Sequence[int], units: Sequence[str], classes: int) -> np.ndarray:
    """Give the probabilities (pictures, classes) of logistic regressions, each of pictures that it was not fitted on.

    Their weight decay is the one with which they do best, by log loss.

    Args:
        features_ND: float32; channels are standardised here.
        labels: classes, by number.
        units: pictures of one unit are in one fold.
        classes: how many there are.

    Raises:
        ValueError: fewer units than folds.
    """
    labels_N = torch.tensor(labels, device=features_ND.device)
    features_ND = standardised(features_ND)
    probabilities = {decay: torch.zeros(len(labels), classes) for decay in DECAYS}
    for held in dealt_into_folds(labels, units, FOLDS):
        is_held = torch.zeros(len(labels), dtype=torch.bool, device=features_ND.device)
        is_held[torch.from_numpy(held)] = True
        fit = LogisticFit(features_ND[~is_held], labels_N[~is_held], classes, iterations=QUICKLY)
        for decay in DECAYS:
            probabilities[decay][held] = fit.with_decay(decay, features_ND[is_held]).softmax(dim=1).cpu()

    def loss(decay: float) -> float:
        return float(-probabilities[decay][range(len(labels)), list(labels)].clamp_min(1e-12).log().mean())

    return probabilities[min(DECAYS, key=loss)].numpy()


def standardised(features_ND: Tensor) -> Tensor:
    """Give each channel mean 0 and deviation 1; one that does not move stays 0."""
    deviation_D = features_ND.std(dim=0)
    centred_ND = features_ND - features_ND.mean(dim=0)
    return centred_ND.div_(torch.where(deviation_D > 0, deviation_D, 1))
