"""The scripts in `node/`, each run of which is one scenario and prints what it found."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from tests.clients.speech import FIRST, SECOND, spoken

NODE = Path(__file__).parent / "node"
TIMEOUT_S = 90


async def run(script: str, *, trust: Path | None = None, **asked: Any) -> dict[str, Any]:
    """Run one; `trust` is a certificate that it takes for a good one, `asked` is what it gets."""
    more = {"NODE_EXTRA_CA_CERTS": str(trust)} if trust else {}
    process = await asyncio.create_subprocess_exec(
        *("node", "--experimental-websocket", script),  # on by itself from Node 22
        json.dumps(asked),
        cwd=NODE,
        env={**os.environ, **more},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{script} {asked}:\n{out.decode()}{err.decode()}"
    found: dict[str, Any] = json.loads(out.decode().splitlines()[-1])
    return found


def speech(folder: Path) -> list[str]:
    """Files of what is said, as raw PCM16 at 24 kHz."""
    paths = []
    for name in (FIRST, SECOND):
        path = folder / f"{name}.pcm"
        path.write_bytes(spoken(name))
        paths.append(str(path))
    return paths
