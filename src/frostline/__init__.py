"""frostline: transfer learning for image classification that computes a frozen layer once."""

from frostline.api import Run, evaluate, load, open_run, plan, train
from frostline.errors import FrostlineError
from frostline.version import __version__

__all__ = ["FrostlineError", "Run", "__version__", "evaluate", "load", "open_run", "plan", "train"]
