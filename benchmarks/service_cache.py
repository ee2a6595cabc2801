"""Measures what the service's result cache saves: the time of a hit and of a miss, and of identical requests at once.

    python -m benchmarks --only service_cache [--limit CALLS]

`compressor serve`, redis-server and the client are separate processes on the loopback address, over a connection that
stays open. A request is a context of some 20,000 tokens; every miss is a different one. It needs no data.
"""

from __future__ import annotations

import collections
import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.report import Report
from benchmarks.service_processes import Line, RedisProcess, Serve
from benchmarks.service_proxy import LONG, Agent

CALLS = 200
WARM = 5
TOKENS = 20_000
BUDGET = 8_000
IDENTICAL = 100  # identical requests at once
ENV = {"COMPRESSOR_MAX_CONCURRENT_REQUESTS": "1000"}


class Client:
    """A connection to a service, which parses its responses."""

    def __init__(self, port: int) -> None:
        self._line = Line(port, "/v1/compress")

    def ask(self, body: bytes) -> tuple[float, dict[str, Any]]:
        """Returns milliseconds and the response."""
        took, _, data = self._line.ask(body)
        return took, dict(json.loads(data))


def context(seed: int) -> bytes:
    """Returns a request that differs from those of other seeds."""
    agent = Agent(seed, LONG)
    while sum(len(json.dumps(m)) for m in agent.messages) < 2.7 * TOKENS:
        agent.step()
    agent.messages.append({"role": "user", "content": "So where did it stop?"})
    return json.dumps({"messages": agent.messages, "model": "gpt-4o", "budget": BUDGET}, ensure_ascii=False).encode()


def times(name: str, serve: Serve, calls: int, seed: int) -> list[dict[str, Any]]:
    """Returns a row of misses and a row of hits."""
    line = Client(serve.port)
    for number in range(WARM):
        line.ask(context(seed + number))
    seen: dict[str, list[float]] = collections.defaultdict(list)
    known = context(seed)
    tokens = size = 0
    for number in range(calls):
        if number < calls // 4:
            took, made = line.ask(context(seed + WARM + number))
            seen[made["cached"]].append(took)
        took, made = line.ask(known)
        seen[made["cached"]].append(took)
        tokens, size = made["tokens_before"], len(known)
    if set(seen) != {"hit", "miss"}:
        raise RuntimeError(f"{name}: { ({how: len(found) for how, found in seen.items()}) }")
    return [
        {
            "store": name,
            "what": how,
            "calls": len(seen[how]),
            "tokens": tokens,
            "bytes": size,
            "p50": statistics.median(seen[how]),
            "p95": statistics.quantiles(seen[how], n=20, method="inclusive")[18],
        }
        for how in ("miss", "hit")
    ]


def identical(name: str, ports: list[int], seed: int) -> dict[str, Any]:
    """`IDENTICAL` requests at once, to these services in turns."""
    body, gate = context(seed), threading.Barrier(IDENTICAL + 1)
    lines = [Client(ports[number % len(ports)]) for number in range(IDENTICAL)]
    found: list[dict[str, Any]] = []

    def ask(line: Client) -> None:
        gate.wait()
        found.append(line.ask(body)[1])

    threads = [threading.Thread(target=ask, args=(line,)) for line in lines]
    for thread in threads:
        thread.start()
    gate.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    took = 1000 * (time.perf_counter() - start)
    how = collections.Counter(made["cached"] for made in found)
    if len(found) != IDENTICAL or len({json.dumps(made["messages"]) for made in found}) != 1:
        raise RuntimeError(f"{name}: {len(found)} answers, not all the same")
    return {"store": name, "services": len(ports), "computed": how["miss"], "how": dict(how), "all_ms": took}


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures all stores: `limit` hits in each, and a quarter as many misses."""
    calls = limit or CALLS
    rows: list[dict[str, Any]] = []
    with RedisProcess() as redis, tempfile.TemporaryDirectory() as folder:
        stores = {"memory": "memory", "SQLite": str(Path(folder) / "s.db"), "Redis": redis.url}
        for number, (name, store) in enumerate(stores.items()):
            with Serve("--store", store, env=ENV) as serve:
                rows += times(name, serve, calls, 10_000 * number)
                rows.append(identical(name, [serve.port], 10_000 * number + 9_999))
                print(rows[-3:], flush=True)
        with Serve("--store", redis.url, env=ENV) as one, Serve("--store", redis.url, env=ENV) as other:
            for number in (1, 2, 3):
                rows.append(identical("Redis", [one.port, other.port], 100_000 + number))
                print(rows[-1], flush=True)
    table = [["store", "what", "context", "p50", "p95"]] + [
        [
            row["store"],
            row["what"],
            f"{row['tokens']:,} tokens, {row['bytes'] / 1000:.0f} KB",
            f"{row['p50']:.2f} ms",
            f"{row['p95']:.2f} ms",
        ]
        for row in rows
        if "p50" in row
    ]
    table += [
        [
            row["store"],
            f"{IDENTICAL} identical at once, {row['services']} service{'s' * (row['services'] > 1)}",
            f"{row['computed']} computed",
            f"all after {row['all_ms']:.0f} ms",
            "",
        ]
        for row in rows
        if "computed" in row
    ]
    notes = [
        "Whole requests over HTTP, as a client sees them, one at a time; hits and misses in turns. Then identical "
        "requests, each on its own connection, sent at once; their responses were identical to the byte."
    ]
    return Report("service_cache", "What the service's result cache saves", notes, table, rows)
