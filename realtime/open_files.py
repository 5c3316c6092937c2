"""How many files and sockets the process may have open: as many as it may give itself.

Each caller is a socket, and another while the language model replies. What most systems begin with
is 1,024, or 256 on a Mac, and without a free descriptor nobody is let in or answered.
"""

from __future__ import annotations

import logging
import sys

log = logging.getLogger("banter")

ENOUGH = 65_536
"""Some systems have no bound, or one of a thousand million, for which libraries make tables."""


def raise_limit() -> None:
    """Raise the soft limit to the hard one; Windows has none of this kind."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = raised(soft, hard, resource.RLIM_INFINITY)
    if wanted == soft:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:  # macOS has another bound, which it does not tell
        log.warning("%d files may be open, and no more: %s", soft, error)


def raised(soft: int, hard: int, no_limit: int) -> int:
    """What the soft limit should be: never less than it is."""
    if soft == no_limit:
        return soft
    return max(soft, ENOUGH if hard == no_limit else min(hard, ENOUGH))
