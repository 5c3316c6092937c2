"""The port that the server would listen on, and who is given the microphone there."""

from __future__ import annotations

import errno
import http.client
import ipaddress
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from realtime.doctor.finding import Finding, error, ok, warning

HEALTH_LIMIT_S = 3.0


@dataclass(frozen=True)
class Port:
    """What became of listening for a moment. `errno` is 0 where it worked."""

    errno: int
    reason: str = ""
    health: tuple[int, str] | None = None
    """Status and body of what answers `GET /health` there, where something does."""


def gather(host: str, port: int) -> Port:
    """Listen as the server would, and close; ask whoever listens there already for its health."""
    try:
        addresses = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in dict.fromkeys(addresses):
            _listen(family, kind, protocol, address)
    except OSError as problem:
        number = problem.errno or 0
        health = ask_health(host, port) if number == errno.EADDRINUSE else None
        # The errors of name servers have numbers of their own, which mean other things here.
        known = 0 if isinstance(problem, socket.gaierror) else number
        return Port(known or -1, problem.strerror or str(problem), health)
    return Port(0)


def _listen(family: int, kind: int, protocol: int, address: Any) -> None:
    with socket.socket(family, kind, protocol) as listener:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(1)


def ask_health(host: str, port: int) -> tuple[int, str] | None:
    """Status and body of `GET /health`; None where nothing speaks HTTP."""
    # Where a server that listens everywhere is asked.
    everywhere = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # nosec B104
    connection = http.client.HTTPConnection(
        everywhere.get(host, host), port, timeout=HEALTH_LIMIT_S
    )
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        return response.status, response.read(10_000).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def judge_port(host: str, port: int, found: Port) -> Finding:
    """Free, Banter's own already, or somebody else's."""
    subject, where = "port", f"{host}:{port}"
    if found.errno == 0:
        return ok(subject, f"{where} is free" if port else "a free one will be chosen")
    if found.errno == errno.EADDRINUSE:
        return _taken(where, found.health)
    if found.errno == errno.EACCES:
        return error(subject, f"{where}: {found.reason}", "choose a port above 1023 with --port")
    remedy = "name an address of this machine with --host, or 0.0.0.0 for all of them"
    return error(subject, f"{where}: {found.reason}", remedy)


def _taken(where: str, health: tuple[int, str] | None) -> Finding:
    if health is None or not is_banter(health[1]):
        seen = f"{where} is taken by another program"
        return error("port", seen, "end that program (ss -ltnp names it), or choose another --port")
    if health[0] == 200:
        return ok("port", f"{where}: a Banter runs there and is well")
    seen = f"{where}: a Banter runs there and says {health[1][:200]}"
    return warning("port", seen, "see its log; restart it")


def is_banter(body: str) -> bool:
    """Whether a body is that of Banter's `/health`: exactly two keys."""
    try:
        answer = json.loads(body)
        return set(answer) == {"status", "models"} and set(answer["models"]) == {"tts", "whisper"}
    except (ValueError, TypeError):
        return False


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def judge_microphone(host: str, port: int, *, tls: bool = False) -> Finding:
    """Browsers give the microphone to https and to localhost; programs do not care."""
    subject, shown = "microphone", str(port or "PORT")
    if tls:
        name = "localhost" if is_loopback(host) else "THIS-MACHINE"
        seen = f"browsers that trust the certificate give it to https://{name}:{shown}/"
        return ok(subject, seen)
    if is_loopback(host):
        return ok(subject, f"browsers on this machine give it to http://localhost:{shown}/")
    seen = f"at http://THIS-MACHINE:{shown}/ no browser gives it: that takes https or localhost"
    remedy = (
        "give --tls-cert, or put a proxy or a tunnel with TLS before it; or on the machine with "
        "the browser, "
        f"ssh -L {shown}:localhost:{shown} THIS-MACHINE, and open http://localhost:{shown}/"
    )
    return warning(subject, seen, remedy)


def look(host: str, port: int, tls: bool) -> Sequence[Finding]:
    found = judge_port(host, port, gather(host, port))
    return [found, judge_microphone(host, port, tls=tls)]
