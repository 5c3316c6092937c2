"""The one error that a caller of this package has to expect, and how a disk's errors become it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class BootstrapError(Exception):
    """The models could not be put in place: one line of cause and one of what to do about it."""

    def __init__(self, cause: str, remedy: str) -> None:
        self.cause = " ".join(cause.split())
        self.remedy = " ".join(remedy.split())
        super().__init__(self.cause, self.remedy)

    def __str__(self) -> str:
        return f"{self.cause}. {self.remedy}."


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def disk_errors(volume: Path, missing: str) -> Iterator[None]:
    """Turn an OSError of the body into a BootstrapError about `missing`, which was to go there."""
    try:
        yield
    except OSError as error:
        where = f" at {error.filename}" if error.filename else ""
        cause = f"Cannot put {missing} into {volume}: {error.strerror or error}{where}"
        if error.errno in _FULL:
            remedy = "Free some space or give a larger volume, and start again"
        else:
            remedy = "Give a volume that can be written to, or fill this one where it can be"
        raise BootstrapError(cause, remedy) from error
