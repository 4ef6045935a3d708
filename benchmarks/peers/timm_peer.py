"""timm's parts: its dataset, loader, augmentation, optimizer and schedule around a plain loop; every layer trains."""

import timm
import torch
from common import SIZE, WORKERS, Epochs, options, picture_count, pretrained
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2

given = options()
classes = len([path for path in (given.data / "train").iterdir() if path.is_dir()])
model = timm.create_model(given.model, num_classes=classes)
own = model.state_dict()
state = pretrained(given.model, given.weights).state_dict()
model.load_state_dict({key: value for key, value in state.items() if own[key].shape == value.shape}, strict=False)
config = resolve_data_config({}, model=model)


def loader(split: str, *, training: bool) -> object:
    """Make a loader of one split."""
    return create_loader(
        create_dataset("", root=given.data, split=split, is_training=training),
        (3, SIZE, SIZE),
        given.batch_size,
        is_training=training,
        mean=config["mean"],
        std=config["std"],
        interpolation=config["interpolation"],
        crop_pct=config["crop_pct"],
        num_workers=WORKERS,
        use_prefetcher=False,
    )


train, val = loader("train", training=True), loader("val", training=False)
optimizer = create_optimizer_v2(model, opt="adamw", lr=3e-4, weight_decay=0.05)
schedule, epochs = create_scheduler_v2(optimizer, sched="cosine", num_epochs=given.epochs, min_lr=1e-6)
criterion = torch.nn.CrossEntropyLoss()
clock, accuracy = Epochs(picture_count(given.data)), 0.0
for epoch in range(epochs):
    model.train()
    clock.begin()
    for pictures, labels in train:
        loss = criterion(model(pictures), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    clock.end()
    schedule.step(epoch + 1)
    model.eval()
    right, count = 0, 0
    with torch.no_grad():
        for pictures, labels in val:
            right += int((model(pictures).argmax(dim=1) == labels).sum())
            count += len(labels)
    accuracy = right / count
clock.report(accuracy)
