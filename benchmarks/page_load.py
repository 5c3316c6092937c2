"""How soon is the page there, and how much of it is sent?

    python -m benchmarks.page_load --loads 10

Every load is in a browser without a cache. First paint is the browser's own first contentful paint;
ready is when the button can be pressed.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from benchmarks.browser import Visit, add_browser_option, room, visit
from benchmarks.report import emit, machine, spread, spread_rows, table
from benchmarks.server import add_server_options, server_for

MEASURED = """
() => {
  const [page] = performance.getEntriesByType("navigation");
  const files = [page, ...performance.getEntriesByType("resource")];
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  const sum = (key) => files.reduce((total, file) => total + file[key], 0);
  return {
    first_paint_ms: paint?.startTime ?? null,
    files: files.length,
    sent_bytes: sum("transferSize"),
    raw_bytes: sum("decodedBodySize"),
  };
}
"""


async def load(visited: Visit) -> dict[str, Any]:
    """One load's figures, once the page can be used and has been painted."""
    await visited.page.wait_for_selector("#toggle:enabled")
    ready_ms = await visited.page.evaluate("performance.now()")
    await visited.page.wait_for_timeout(500)
    return {**await visited.page.evaluate(MEASURED), "ready_ms": ready_ms}


async def run(args: argparse.Namespace) -> dict[str, object]:
    loads = []
    async with server_for(args) as server:
        for _ in range(args.loads):
            async with visit(server.url, args.chromium, room((), 1.0)) as visited:
                loads.append(await load(visited))
    spreads = {
        name: spread(each[name] for each in loads) for name in ("first_paint_ms", "ready_ms")
    }
    print(table(["ms", "n", "median", "p95", "max"], spread_rows(spreads)))
    last = loads[-1]
    print(f"{last['files']} files, {last['raw_bytes']} bytes, {last['sent_bytes']} as sent")
    sizes = {key: last[key] for key in ("files", "raw_bytes", "sent_bytes")}
    return {"benchmark": "page_load", "machine": machine(), **spreads, **sizes}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add_server_options(parser)
    add_browser_option(parser)
    parser.add_argument("--loads", type=int, default=10)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    emit(asyncio.run(run(args)), args.json)


if __name__ == "__main__":
    main()
