"""A hub on this machine for the real huggingface_hub: repositories of small files, and trouble."""

from __future__ import annotations

import threading
from collections import Counter

from fake_index import WAIT_S
from hub_handler import Handler, Server, Stored, Trouble
from small_models import COMMITS, FILES


class Hub:
    """Serves at `url`; remembers requests and bytes; makes trouble when asked to."""

    def __init__(self) -> None:
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.hub = self
        self._lock = threading.Lock()
        self._gate = threading.Event()
        self.stalled = threading.Event()
        self.reset()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def reset(self) -> None:
        """As new, for the next test."""
        self.release()
        self.repositories = {
            name: Stored(dict(files), COMMITS[name]) for name, files in FILES.items()
        }
        self.requests: list[str] = []
        self.ranges: dict[str, list[str]] = {}
        self.sent: Counter[str] = Counter()
        self.troubles: list[Trouble] = []
        self.bytes_a_second = 0
        self.tokens_at_storage = 0
        self.xet = False

    @property
    def url(self) -> str:
        """For HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def storage_url(self) -> str:
        """Another name of the same server: to the client, somebody else, who gets no token."""
        return f"http://localhost:{self._server.server_port}"

    @property
    def fetched(self) -> list[str]:
        """The paths of the files that were asked for, sorted."""
        return sorted(
            request.split("/resolve/")[1].partition("/")[2]
            for request in self.requests
            if request.startswith("GET ") and "/resolve/" in request
        )

    def trouble(
        self, part: str, kind: str, times: int = 1, status: int = 0, **headers: str
    ) -> None:
        """`status`: answer with it. `cut`: hang up half-way. `stall`: fall silent half-way, and go
        on with nothing. `short`: the same, as if that were all. `wrong`: other bytes. `whole`:
        ignore a range."""
        shown = {name.replace("_", "-"): value for name, value in headers.items()}
        self.troubles.append(Trouble(part, kind, times, status, shown))

    def take_trouble(self, path: str, kinds: tuple[str, ...]) -> Trouble | None:
        """The next trouble for a path, used up."""
        with self._lock:
            for trouble in self.troubles:
                if trouble.part in path and trouble.kind in kinds and trouble.times > 0:
                    trouble.times -= 1
                    return trouble
        return None

    def hold(self) -> None:
        """From now on send half of a large file, set `stalled`, and wait for `release`."""
        self.stalled.clear()
        self._gate.clear()

    def release(self) -> None:
        """Send the rest."""
        self._gate.set()

    def pass_gate(self) -> None:
        """Wait, in a handler, if the gate is closed."""
        if not self._gate.is_set():
            self.stalled.set()
            self._gate.wait(WAIT_S)

    def count(self, path: str, size_bytes: int) -> None:
        with self._lock:
            self.sent[path] += size_bytes

    def close(self) -> None:
        """Stop serving."""
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(WAIT_S)
