"""`python -m bootstrap` with a test's plan: child.py PLAN.json ARGUMENTS...

With AUDIT set it reports, on standard error, each event that a run without work must not cause.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from fake_index import plan_from_json

import bootstrap.hub
import bootstrap.profiles

ARMED = {"now": False}
SEEN: list[str] = []

CHANGES = ("mkdir", "rename", "remove", "rmdir", "truncate", "link", "symlink", "chmod", "utime")
PROCESSES = ("os.fork", "os.exec", "os.posix_spawn", "os.system", "subprocess.Popen")
REQUESTS = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname")
LOCKS = ("fcntl.flock", "fcntl.lockf")
FORBIDDEN = {*(f"os.{change}" for change in CHANGES), *PROCESSES, *REQUESTS, *LOCKS}


def watch(event: str, arguments: tuple[object, ...]) -> None:
    """The audit hook."""
    if not ARMED["now"]:
        return
    if event in FORBIDDEN or (event == "open" and writes(arguments[2])):
        SEEN.append(f"{event} {arguments!r}")
    if event == "import" and str(arguments[0]).startswith(("tiny_", "huggingface_hub")):
        SEEN.append(f"import {arguments[0]}")


def writes(flags: object) -> bool:
    """Whether a file is being opened for anything but reading."""
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    return isinstance(flags, int) and bool(flags & writing)


def run() -> int:
    """The command, watched."""
    plan = plan_from_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    bootstrap.profiles.PLANS = {plan.profile: plan}
    bootstrap.hub.ATTEMPTS, bootstrap.hub.DELAY_S = 3, 0.05
    from bootstrap.__main__ import main

    sys.addaudithook(watch)
    ARMED["now"] = "AUDIT" in os.environ
    status = main(sys.argv[2:])
    ARMED["now"] = False
    if "AUDIT" in os.environ:
        print(f"AUDIT {json.dumps(SEEN)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(run())
