"""frostline: transfer learning for image classification that computes a frozen layer once."""

from frostline.api import Run, compare, evaluate, import_weights, inspect, load, open_run, plan, train, write_report
from frostline.errors import FrostlineError
from frostline.version import __version__

__all__ = [
    "FrostlineError",
    "Run",
    "__version__",
    "compare",
    "evaluate",
    "import_weights",
    "inspect",
    "load",
    "open_run",
    "plan",
    "train",
    "write_report",
]
