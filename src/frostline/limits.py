"""What a system gives only so much of: which limit was met, in one line, and the setting to lower."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from frostline.errors import LimitError, UsageError

_MEMORY = ("can't allocate memory", "cannot allocate memory", "not enough memory", "out of memory", "std::bad_alloc")
"""What torch and others say of exhausted memory, in lower case."""
SHOWN = 60
"""Characters of a path that is too long."""
_SHARED = ("/dev/shm", "shared memory", "(shm)", "torch_")


@contextmanager
def naming_limits() -> Iterator[None]:
    """Turn what the system raises where a limit is met into one line for people.

    Raises:
        LimitError: memory, disk, files or rights have run out.
        UsageError: a path is longer than the system allows.
    """
    try:
        yield
    except (OSError, MemoryError, RuntimeError) as error:
        if getattr(error, "errno", None) == errno.ENAMETOOLONG:
            name = str(getattr(error, "filename", None) or "a path")
            raise UsageError(f"{name[:SHOWN]}... is longer than a name may be; check the path") from error
        told = _told(error)
        if told is None:
            raise
        raise LimitError(told) from error


def _told(error: BaseException) -> str | None:
    """One line for a limit; None where it is none."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno is not None:
        return _told_of_system(error, text)
    if isinstance(error, MemoryError) or any(word in text.lower() for word in _MEMORY):
        return (
            "memory is exhausted; lower --batch-size, --image-size or --workers, or train fewer layers (--stages "
            "head:10); what was saved goes on with --resume"
        )
    return None


def _told_of_system(error: OSError, text: str) -> str | None:
    where, why = error.filename or "a file", error.strerror or text
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG} and any(word in text for word in _SHARED):
        return "shared memory is full; use --workers 0, or give the container more of it (docker: --shm-size 1g)"
    match error.errno:
        case errno.EMFILE | errno.ENFILE:
            return f"too many open files ({where}); raise the limit (ulimit -n 4096) or lower --workers"
        case errno.ENOMEM:
            return "memory is exhausted; lower --batch-size, --image-size or --workers"
        case errno.EAGAIN:
            return "no more processes can be started; raise the limit (ulimit -u) or use --workers 0"
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return f"{where} cannot be written: {why}; free some space, then go on with --resume"
        case errno.EROFS | errno.EACCES | errno.EPERM | errno.EIO:
            return f"{where} cannot be used: {why}; check the disk and its rights, then go on with --resume"
    return None
