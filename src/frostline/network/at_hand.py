"""Pretrained networks whose official weights this machine has already, the most accurate on ImageNet first.

A network that classifies ImageNet better gives features that classify other pictures better, frozen or thawed
(Kornblith et al. 2019, arXiv 1805.08974).
"""

from frostline.network.build import LITE0
from frostline.network.weights import official_path

LITE0_ACCURACY = 75.1
"""Percent, as its authors report it."""


def networks_at_hand() -> list[str]:
    """Names as `--model` takes them: torchvision's with a file in torch's hub folder, and the default network."""
    from torchvision import models

    accuracy = {LITE0: LITE0_ACCURACY}
    for name in models.list_models(module=models):
        weights = models.get_model_weights(name).DEFAULT
        if official_path(weights.url).is_file():
            accuracy[name] = weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    return sorted(accuracy, key=accuracy.__getitem__, reverse=True)
