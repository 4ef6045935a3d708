import errno
import os
from pathlib import Path

import pytest
import torch

from frostline.errors import LimitError, UsageError
from frostline.limits import naming_limits


def system(number, path="/data/x"):
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "memory is exhausted; lower --batch-size"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"), "--batch-size"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "memory is exhausted"),
        (system(errno.ENOSPC), "/data/x cannot be written: No space left on device; free some space"),
        (system(errno.ENOSPC, "/dev/shm/torch_1"), "shared memory is full; use --workers 0"),
        (system(errno.EMFILE), r"too many open files \(/data/x\); raise the limit \(ulimit -n 4096\)"),
        (system(errno.EAGAIN), "no more processes"),
        (system(errno.EROFS), "/data/x cannot be used: Read-only file system"),
        (system(errno.EIO), "/data/x cannot be used: Input/output error"),
        (system(errno.ENOMEM), "memory is exhausted"),
    ],
)
def test_a_limit_is_one_line_with_the_setting_to_lower(error, told):
    with pytest.raises(LimitError, match=told) as caught, naming_limits():
        raise error
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), system(errno.ENOENT), KeyboardInterrupt()])
def test_other_errors_pass(error):
    with pytest.raises(type(error)) as caught, naming_limits():
        raise error
    assert caught.value is error


def test_a_path_that_is_too_long_is_wrong_use():
    with pytest.raises(UsageError, match=r"x{60}\.\.\. is longer than a name may be"), naming_limits():
        Path("x" * 5000).read_bytes()
