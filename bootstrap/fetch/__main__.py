"""python -m bootstrap.fetch: read an order, carry it out, tell the parent in lines of JSON."""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from typing import Any, NoReturn

DONE, FAILED, ORPHANED = 0, 1, 2

_writing = threading.Lock()


def emit(message: dict[str, Any]) -> None:
    """Tell the parent. A parent that is gone ends this process."""
    line = (json.dumps(message) + "\n").encode()
    with _writing:
        try:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        except OSError:
            os._exit(ORPHANED)


def end_with_parent() -> NoReturn:
    """Wait for the end of standard input: the parent never closes it while it lives."""
    while os.read(0, 1024):
        continue
    os._exit(ORPHANED)


def main() -> int:
    """Do it; the last message is `done` or `failed`. Standard error has the details."""
    line = sys.stdin.buffer.readline()
    threading.Thread(target=end_with_parent, daemon=True).start()

    # Late: the watch above is to be there before something that takes half a second.
    from bootstrap.errors import BootstrapError
    from bootstrap.fetch.work import carry_out
    from bootstrap.order import order_from_line

    try:
        snapshots = carry_out(order_from_line(line), emit)
    except BootstrapError as error:
        if error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        emit({"is": "failed", "cause": error.cause, "remedy": error.remedy})
        return FAILED
    emit({"is": "done", "snapshots": [snapshot.as_json() for snapshot in snapshots]})
    return DONE


if __name__ == "__main__":
    try:
        status = main()
    except Exception:  # a bug: the parent tells its last line
        traceback.print_exc()
        status = FAILED
    sys.stderr.flush()
    os._exit(status)  # other files may still be arriving in threads; they go on next time
