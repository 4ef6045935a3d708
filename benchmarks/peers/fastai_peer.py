"""fastai: `vision_learner` and `fine_tune`, as its introduction does; with --all, `fit_one_cycle` on every layer."""

import torchvision
from common import MEAN, SIZE, STD, WORKERS, Epochs, options, picture_count, pretrained
from fastai.vision.all import (
    Callback,
    ImageDataLoaders,
    Normalize,
    Resize,
    accuracy,
    aug_transforms,
    create_body,
    set_seed,
    vision_learner,
)


class Clock(Callback):
    """Times the training part of each epoch."""

    def __init__(self, epochs: Epochs) -> None:
        self.epochs = epochs

    def before_train(self) -> None:
        """An epoch begins."""
        self.epochs.begin()

    def after_train(self) -> None:
        """Its training part ends."""
        self.epochs.end()


given = options()
set_seed(given.seed)
loaders = ImageDataLoaders.from_folder(
    given.data,
    train="train",
    valid="val",
    bs=given.batch_size,
    num_workers=WORKERS,
    item_tfms=Resize(SIZE),
    batch_tfms=[*aug_transforms(), Normalize.from_stats(MEAN, STD)],
)
clock = Epochs(picture_count(given.data))
network = pretrained(given.model, given.weights)
if given.model == "resnet18":
    learner = vision_learner(loaders, torchvision.models.resnet18, pretrained=False, metrics=accuracy)
    learner.model[0].load_state_dict(create_body(network, cut=-2).state_dict())
else:
    learner = vision_learner(loaders, given.model, pretrained=False, metrics=accuracy)
    learner.model[0].model.load_state_dict(network.state_dict(), strict=False)
with learner.no_bar(), learner.no_logging():
    learner.add_cb(Clock(clock))
    if given.all:
        learner.unfreeze()
        learner.fit_one_cycle(given.epochs)
    else:
        learner.fine_tune(given.epochs)
clock.report(float(learner.recorder.values[-1][-1]))
