"""Measures the service under load: 50 clients without pauses, compared with the same work in one process without it.

    python -m benchmarks --only service_load [--limit SECONDS]

Requests come from recorded sessions: contexts to compress to half (all different), and sessions that grow round by
round; once with one worker and its store in memory, once with as many workers as `compressor serve` starts by itself on
a SQLite file. Service, clients and the work without a service are separate processes on one machine. The service
additionally does HTTP, JSON in both directions, and 50 requests at a time. The network is not measured.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.data import records
from benchmarks.report import Report
from benchmarks.service_processes import RedisProcess, Serve
from compressor import BudgetTooSmallError, Compressor
from compressor.service.settings import Settings
from compressor.service.worker_count import with_worker_count
from compressor.sessions import Session

CLIENTS = 50
SECONDS = 60
WORKERS_START = 5.0  # seconds until all workers answer
BASELINE_SECONDS = 25  # of the work without a service, before and after the load
MODEL = "gpt-4o"
SHARE = 0.5
Ask = tuple[str, bytes]  # path, body


@dataclass
class Seen:
    """What clients saw. Times are in milliseconds."""

    times: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.times) / self.seconds


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures. RuntimeError if a request failed, because the numbers would mean nothing."""
    seconds = limit or SECONDS
    histories = [
        record["messages"] for path in sorted((root / "sessions").glob("*.jsonl.gz")) for record in records(path)
    ]
    random.Random(7).shuffle(histories)
    rows = [
        _arm("contexts cut to half", _contexts(histories), seconds),
        _arm("sessions, append and view", _growing(histories), seconds),
        _shared("contexts cut to half", _contexts(histories), seconds),
        _shared("sessions, append and view", _growing(histories), seconds),
        *(_hits(store, _contexts(histories), seconds // 4) for store in ("memory", "redis")),
    ]
    if wrong := [text for row in rows for text in row.pop("wrong")]:
        raise RuntimeError(f"{len(wrong)} requests failed: {wrong[:3]}")
    head = ["work", "workers", "clients", "requests", "errors", "requests/s", "per CPU second", "without service"]
    head += ["overhead", "p50", "p95", "p99"]
    table = [head]
    for row in rows:
        alone = row.get("alone_rate")
        compared = [f"{alone:.0f}/s", f"{row['overhead']:+.0%}"] if alone else ["–", "–"]
        times = [f"{row[name]:.1f} ms" for name in ("p50", "p95", "p99")]
        counts = [str(row[name]) for name in ("workers", "clients", "requests")]
        rates = [f"{row['rate']:.0f}", f"{row['cpu_rate']:.0f}"]
        table.append([row["work"], *counts, "0", *rates, *compared, *times])
    notes = [
        f"The `fast` tier; {CLIENTS} clients in another process, on the same cores, ask again as soon as they are "
        f"answered, for {seconds} s. One worker has its store in memory; more of them, which is the default, share a "
        "SQLite file. *Per CPU second*: requests in each second that the service computes, whatever else the machine "
        "does. *Without service*: the same requests one after another in one process that has them in memory, before "
        "and after; *overhead*: how much longer a request takes with the service.",
        "*Cached*: the same contexts again, one client, the whole answer over HTTP; `redis` is a real server here.",
    ]
    return Report("service_load", "The service under load", notes, table, rows)


# -- the work


def _contexts(histories: Sequence[list[Any]]) -> list[list[Ask]]:
    """Returns the contexts before each call, sessions interleaved; one list per client."""
    bodies = []
    for history in histories:
        ends = [
            i + 1
            for i, m in enumerate(history)
            if m["role"] == "tool" and (i + 1 == len(history) or history[i + 1]["role"] != "tool")
        ]
        for end in ends[3::4]:
            body = {"messages": history[:end], "model": MODEL, "budget": SHARE}
            bodies.append(("/v1/compress", json.dumps(body, ensure_ascii=False).encode()))
    random.Random(8).shuffle(bodies)
    return [bodies[n::CLIENTS] for n in range(CLIENTS)]


def _growing(histories: Sequence[list[Any]]) -> list[list[Ask]]:
    """Returns the requests of clients that work through sessions: append a round, get the view, continue."""
    out: list[list[Ask]] = [[] for _ in range(CLIENTS)]
    for number, history in enumerate(histories):
        at, path = 0, f"/v1/sessions/s{number}"
        for i in range(1, len(history) + 1):
            if i == len(history) or history[i]["role"] == "assistant":
                body = {"messages": history[at:i], "model": MODEL, "budget": 16_000, "index": at}
                out[number % CLIENTS].append((f"{path}/append", json.dumps(body, ensure_ascii=False).encode()))
                out[number % CLIENTS].append((f"{path}/view", b"{}"))
                at = i
    return out


# -- with the service


def _arm(work: str, asks: list[list[Ask]], seconds: float) -> dict[str, Any]:
    """Measures one kind of work with and without the service, in turns."""
    before = _baseline(asks)
    with Serve("--store", "memory", env={"COMPRESSOR_CACHE": "false"}) as service:
        row = _loaded(work, service, asks, seconds)
        memory = service.memory()
    after = _baseline(asks)
    alone = (before + after) / 2
    return row | {
        "alone_rate": alone,
        "alone_rates": [before, after],
        "overhead": alone / row["rate"] - 1,
        "memory_mb": memory,
    }


def _shared(work: str, asks: list[list[Ask]], seconds: float) -> dict[str, Any]:
    """Measures the same with the default number of workers, on a store that they share."""
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "store.db")
        with Serve("--store", store, "--workers", "auto", env={"COMPRESSOR_CACHE": "false"}) as service:
            workers = with_worker_count(Settings(store=store)).workers
            time.sleep(WORKERS_START)  # it answers as soon as one of them does
            row = _loaded(work, service, asks, seconds)
            return row | {"workers": workers, "memory_mb": service.memory()}


def _loaded(work: str, service: Serve, asks: list[list[Ask]], seconds: float) -> dict[str, Any]:
    cpu = service.seconds()
    seen = asyncio.run(_load(service.port, asks, seconds))
    return _row(work, seen, CLIENTS, service.seconds() - cpu)


def _hits(store: str, asks: list[list[Ask]], seconds: float) -> dict[str, Any]:
    """Sends the same contexts repeatedly, from one client."""
    known = [ask for client in asks for ask in client[:2]]
    redis = RedisProcess() if store == "redis" else None
    if redis is not None:
        redis.start()
    try:
        with Serve("--store", redis.url if redis else "memory") as service:
            first = asyncio.run(_load(service.port, [known], 600, once=True))
            cpu = service.seconds()
            seen = asyncio.run(_load(service.port, [known], seconds))
            cpu = service.seconds() - cpu
    finally:
        if redis is not None:
            redis.stop()
    made = _row(f"cached, store {store}", seen, 1, cpu)
    return made | {"first_p50": statistics.median(first.times), "wrong": first.wrong + seen.wrong}


def _row(work: str, seen: Seen, clients: int, cpu: float) -> dict[str, Any]:
    cuts = statistics.quantiles(seen.times, n=100, method="inclusive")
    return {
        "work": work,
        "workers": 1,
        "clients": clients,
        "requests": len(seen.times),
        "rate": seen.rate,
        "cpu_rate": len(seen.times) / max(cpu, 0.01),
        **{f"p{n}": cuts[n - 1] for n in (50, 95, 99)},
        "wrong": seen.wrong,
    }


async def _load(port: int, asks: list[list[Ask]], seconds: float, once: bool = False) -> Seen:
    """Runs clients that each work through their list, repeatedly unless `once`, until the time is over.

    A session that starts again gets another id, because its messages would conflict under its own.
    """
    seen, end = Seen(), time.perf_counter() + seconds

    async def client(mine: list[Ask]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**26)
        for path, body in _again(mine, 1 if once else 1_000_000):
            if time.perf_counter() > end:
                break
            start = time.perf_counter()
            status, answer = await _ask(reader, writer, path, body)
            seen.times.append(1000 * (time.perf_counter() - start))
            if status not in (200, 422):  # pinned text can exceed the budget, with a service and without
                seen.wrong.append(f"{path}: {status} {answer[:200]!r}")
        writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(client(mine) for mine in asks if mine))
    seen.seconds = time.perf_counter() - start
    return seen


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, body: bytes) -> tuple[int, bytes]:
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    writer.write(head.encode() + b"\r\n\r\n" + body)
    await writer.drain()
    lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
    return int(lines[0].split()[1]), await reader.readexactly(length)


def _again(asks: list[Ask], times: int) -> Iterator[Ask]:
    for turn in range(times):
        for path, body in asks:
            yield path.replace("/sessions/s", f"/sessions/{turn}-s") if turn else path, body


# -- without it


def _baseline(asks: list[list[Ask]]) -> float:
    """Returns the requests per second of one process that does the same work in the same order."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_work, (asks, BASELINE_SECONDS))


def _work(asks: list[list[Ask]], seconds: float) -> float:
    compressor, sessions = Compressor(store="memory"), dict[str, Session]()
    longest = max(map(len, asks))
    turns = [client[n] for n in range(longest) for client in asks if n < len(client)]
    given = [(path, json.loads(body)) for path, body in turns]

    done, start = 0, time.perf_counter()
    for path, body in given:
        if time.perf_counter() - start > seconds:
            break
        with suppress(BudgetTooSmallError):
            _do(compressor, sessions, path.split("/"), body)
        done += 1
    return done / (time.perf_counter() - start)


def _do(compressor: Compressor, sessions: dict[str, Session], name: list[str], body: dict[str, Any]) -> None:
    if name[-1] == "compress":
        compressor.compress(body["messages"], body["budget"], body["model"])
        return
    if name[-2] not in sessions:
        sessions[name[-2]] = compressor.session(name[-2], model=body["model"], budget=body["budget"])
    session = sessions[name[-2]]
    if name[-1] == "append":
        session.append(*body["messages"], index=body["index"])
    else:
        session.view()
    session.cost_report()
