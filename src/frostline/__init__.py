"""frostline: transfer learning for image classification that computes a frozen layer once."""

from frostline.api import (
    Run,
    card,
    compare,
    evaluate,
    export_model,
    import_weights,
    inspect,
    load,
    open_run,
    plan,
    train,
    write_report,
)
from frostline.errors import FrostlineError
from frostline.version import __version__

__all__ = [
    "FrostlineError",
    "Run",
    "__version__",
    "card",
    "compare",
    "evaluate",
    "export_model",
    "import_weights",
    "inspect",
    "load",
    "open_run",
    "plan",
    "train",
    "write_report",
]
