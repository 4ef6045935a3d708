"""What `frostline quickstart` does: scikit-learn's digits, EfficientNet-Lite0 as pip installed it, one thaw."""

from typing import Any

SETTINGS: dict[str, Any] = {
    "model": "efficientnet_lite0",
    "image_size": 96,
    "head": "multi",
    "stages": "head:8, blocks.6:4@3e-4",
    "batch_size": 64,
}

NEXT_STEPS = """
Next:
  look at      {run}/curves.png, confusion_matrix.png, batch.png
  your own     frostline train FOLDER          (a folder with a folder of pictures per class)
  what it costs  frostline plan FOLDER --stages "head:10, blocks.5:5@1e-4"
  use it       frostline predict {run} PICTURE_OR_FOLDER"""
