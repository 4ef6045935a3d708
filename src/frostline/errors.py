"""Every error that frostline raises on purpose.

    FrostlineError                 exit code 1
    |-- UsageError (ValueError)    exit code 2: a flag, a path or a name is wrong
    |   |-- ConfigError            a setting is wrong: names the setting, its value, what is allowed
    |   |-- DataError              the pictures cannot be used as they are
    |   |-- ModelError             no such network, or it cannot be traced
    |   |-- WeightsError           a weights file does not fit: names the keys and both shapes
    |   `-- PlanError              a stage cannot be carried out: names it, lists what exists
    |-- DecodeError                one picture cannot be read: why (caught; the picture is left out)
    |   `-- RefusedError           it is sound, but not allowed: of another format, or
    |       `-- TooLargeError      of too many pixels
    |-- CacheError                 the activation store cannot be used
    |-- BundleError                a model file or a run folder is damaged or foreign
    |-- ExportError              an exported file does not say what the model says, or cannot be made
    |-- DivergedError              the loss is no longer finite: step, rate, pictures
    `-- LimitError                 a limit of the system was met: which, and the setting to lower

A message is one line: what was wrong, what is allowed, what to do next.
"""


class FrostlineError(Exception):
    """Base of all errors that a user is meant to read; the command line prints it as one line."""

    exit_code = 1


class UsageError(FrostlineError, ValueError):
    """A flag, a path or a name is wrong; trying again unchanged cannot help."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting has a value that is not allowed."""


class DataError(UsageError):
    """DATA is missing, empty, or its pictures and labels cannot make a training."""


class ModelError(UsageError):
    """No network has that name, or the network cannot be traced or split."""


class WeightsError(UsageError):
    """Weights are missing, damaged, or do not fit the network."""


class PlanError(UsageError):
    """A stage of the plan is malformed or names a part that does not exist."""


class DecodeError(FrostlineError):
    """One picture cannot be decoded. The text is the reason alone, without the path."""


class RefusedError(DecodeError):
    """One picture may be sound but is not allowed: too many pixels, another format, values of unknown range."""


class TooLargeError(RefusedError):
    """One picture has more pixels than are allowed."""


class CacheError(FrostlineError):
    """The activation store cannot be read or written."""


class BundleError(FrostlineError):
    """A bundle or a run folder is damaged, foreign or from another version."""

    exit_code = 2


class ExportError(FrostlineError):
    """A model cannot be exported to a format, or the exported file differs from it; no file is left."""


class DivergedError(FrostlineError):
    """The loss is no longer a finite number.

    Args:
        message: for people.
        facts: stage, epoch, step, learning rate and the pictures of the step's batch.
    """

    def __init__(self, message: str, facts: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.facts = facts or {}


class LimitError(FrostlineError):
    """Memory, files, disk or time that the system gives have run out."""
