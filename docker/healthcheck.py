"""The image's health check: asks `/health`; before the port opens, reads how the bootstrap fares.

Exit status 0 is healthy, 1 is not, with one line that says why. A first start downloads gigabytes,
and a container that is killed for that would never end it: until the port opens the check fails
only where the bootstrap has failed, or where nothing has moved for five minutes.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Any

STALL_S = 300.0
TIMEOUT_S = 4.0
"""Below Docker's own, so that there is a line that says why."""

Verdict = tuple[bool, str]


def check(port: int, volume: Path, age_s: float, now: float) -> Verdict:
    """Whether the server is well, `age_s` seconds after the container began."""
    try:
        connection = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
    except ConnectionRefusedError:
        return starting(read_state(volume), age_s, now)
    except OSError as error:
        return False, f"port {port}: {error}"
    connection.close()
    return asked(port)


def starting(state: dict[str, Any], age_s: float, now: float) -> Verdict:
    """The verdict while the port is closed; a state from before this container says nothing."""
    word, since_s = str(state.get("state", "")), now - number(state, "changed_at")
    still_s = min(age_s, max(0.0, since_s))
    if word == "failed" and since_s <= age_s:
        return False, f"bootstrap failed: {state.get('cause')}. {state.get('remedy')}."
    if still_s > STALL_S:
        return False, f"the port is closed and nothing has moved for {still_s:.0f} s"
    done, total = number(state, "done_bytes") / 1e6, number(state, "total_bytes") / 1e6
    if word == "downloading":
        return True, f"downloading {state.get('what')}: {done:.0f} of {total:.0f} MB"
    return True, "starting"


def number(state: dict[str, Any], key: str) -> float:
    """A number of the state, 0 where it is missing or something else."""
    value = state.get(key)
    return float(value) if isinstance(value, (int, float)) else 0.0


def read_state(volume: Path) -> dict[str, Any]:
    """The bootstrap's state, empty where there is none yet."""
    try:
        state = json.loads((volume / "bootstrap.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def asked(port: int) -> Verdict:
    """The verdict of `/health`, over TLS where the server does not speak plain HTTP."""
    own_certificate = ssl._create_unverified_context()  # our own server, on loopback
    plain = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    secure = http.client.HTTPSConnection(
        "127.0.0.1", port, timeout=TIMEOUT_S, context=own_certificate
    )
    for connection in (plain, secure):
        try:
            connection.request("GET", "/health")
            with connection.getresponse() as response:
                body = response.read(500).decode(errors="replace")
                return response.status == 200, f"{response.status} {body}"
        except TimeoutError:
            return False, f"/health did not answer within {TIMEOUT_S:.0f} s"
        except (OSError, http.client.HTTPException) as error:
            problem = error
        finally:
            connection.close()
    return False, f"/health cannot be asked: {problem!r}"


def container_age_s() -> float:
    """Seconds since process 1 of this container began; 0 where that cannot be read."""
    try:
        fields = Path("/proc/1/stat").read_text().rpartition(")")[2].split()
        begun_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, float(Path("/proc/uptime").read_text().split()[0]) - begun_s)
    except (OSError, ValueError, IndexError):
        return 0.0


def main() -> int:
    """Check what the environment says, print the line, return the exit status."""
    port = int(os.environ.get("BANTER_PORT") or "8000")
    volume = Path(os.environ.get("BANTER_VOLUME") or "/data")
    healthy, line = check(port, volume, container_age_s(), time.time())
    print(line)
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
