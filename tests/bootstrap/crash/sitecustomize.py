"""Kills a process at its n-th change to a volume; on the path of a child where a test wants that.

CRASH_IN: a word of the process's command line. CRASH_AT: the number of the change, from 1.
CRASH_BELOW: the volume.
"""

import os
import signal
import sys

CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.symlink", "os.link", "os.truncate")
seen = 0


def watch(event, arguments):
    """The audit hook: it comes before the change."""
    global seen
    if event == "open":
        changes = isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    else:
        changes = event in CHANGES
    if not changes or not any(str(each).startswith(below) for each in arguments[:2]):
        return
    seen += 1
    if seen == at:
        os.kill(os.getpid(), signal.SIGKILL)


if os.environ.get("CRASH_IN") in sys.orig_argv:
    at, below = int(os.environ["CRASH_AT"]), os.environ["CRASH_BELOW"]
    sys.addaudithook(watch)
