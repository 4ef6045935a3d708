"""The loop of PyTorch's own transfer learning tutorial, on every layer, at the size of batch given."""

import torch
from common import MEAN, SIZE, STD, WORKERS, Epochs, options, picture_count, pretrained
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

given = options()
normal = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
views = {
    "train": [transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip(), *normal],
    "val": [transforms.Resize(256), transforms.CenterCrop(SIZE), *normal],
}
sets = {name: datasets.ImageFolder(given.data / name, transforms.Compose(parts)) for name, parts in views.items()}
loaders = {name: DataLoader(part, given.batch_size, shuffle=True, num_workers=WORKERS) for name, part in sets.items()}
model = pretrained(given.model, given.weights)
name = "fc" if given.model == "resnet18" else "classifier"
setattr(model, name, nn.Linear(getattr(model, name).in_features, len(sets["train"].classes)))
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
clock, accuracy = Epochs(picture_count(given.data)), 0.0
for _ in range(given.epochs):
    model.train()
    clock.begin()
    for pictures, labels in loaders["train"]:
        optimizer.zero_grad()
        criterion(model(pictures), labels).backward()
        optimizer.step()
    clock.end()
    schedule.step()
    model.eval()
    with torch.no_grad():
        right = sum(int((model(pictures).argmax(1) == labels).sum()) for pictures, labels in loaders["val"])
    accuracy = right / len(sets["val"])
clock.report(accuracy)
