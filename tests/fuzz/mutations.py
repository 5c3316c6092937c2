"""Mutations that leave a message JSON: bytes changed at random would mostly fail at the parser."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

Mutate = Callable[[bytes, int], bytes]
"""The fuzzer's own: bytes and the largest size -> bytes."""

VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 0.5, 1e308, 1e-9, 2**31, 2**63, -(2**63), 2**64, 10**30),
    *("", "root", "none", "auto", "inf", "item_1", "\x00", "\u2028", "\U0001f4ac", "a" * 300),
    *([], {}, [[]], [{}], {"type": "message"}, {"type": "server_vad"}, {"": {"": {}}}),
]
RAW = ["\\ud800", "1e999", "-0", "1" * 400, "NaN", "[" * 200 + "]" * 200]
"""What `json.dumps` would not write."""

LINES = [b"~9", b"_9", b"%9", b"%120", b"!\x01\x02\x03"]


def mutated(data: bytes, max_size: int, random: Random, mutate: Mutate) -> bytes:
    """A story with one of its lines changed, or its lines in another order."""
    if not data or random.random() < 0.1:
        return mutate(data, max_size)
    head, lines = data[:1], data[1:].split(b"\n")
    at = random.randrange(len(lines))
    match random.randrange(10):
        case 0:
            head = bytes([random.randrange(256)])
        case 1:
            lines.insert(at, random.choice(lines))
        case 2 if len(lines) > 1:
            del lines[at]
        case 3:
            other = random.randrange(len(lines))
            lines[at], lines[other] = lines[other], lines[at]
        case 4:
            lines.insert(at, random.choice(LINES))
        case _:
            lines[at] = _line(lines[at], max_size, random, mutate)
    return (head + b"\n".join(lines))[:max_size]


def _line(line: bytes, max_size: int, random: Random, mutate: Mutate) -> bytes:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return mutate(line, max_size).replace(b"\n", b" ")
    places = list(_places(value))
    if not places:
        return mutate(line, max_size).replace(b"\n", b" ")
    holder, key = random.choice(places)
    raw = None
    match random.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[random.choice([*map(str, holder), "type", "id"])] = holder[key]
        case 2:
            raw = random.choice(RAW)
            holder[key] = "RAW"
        case 3:
            other, place = random.choice(places)
            holder[key] = json.loads(json.dumps(other[place]))
        case 4 if isinstance(holder[key], str):
            text = mutate(holder[key].encode(errors="surrogatepass"), 200)
            holder[key] = text.decode(errors="replace")
        case _:
            holder[key] = random.choice(VALUES)
    text = json.dumps(value, separators=(",", ":"))
    if raw:
        text = text.replace('"RAW"', f'"{raw}"' if raw.startswith("\\") else raw)
    return text.encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a message that holds a value."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        if isinstance(holder, dict):
            keys: list[Any] = list(holder)
        elif isinstance(holder, list):
            keys = list(range(len(holder)))
        else:
            continue
        found += [(holder, key) for key in keys]
        waiting += [holder[key] for key in keys]
    return found
