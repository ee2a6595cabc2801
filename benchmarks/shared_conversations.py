"""Measures whether several workers send what one worker would have sent, and what that costs.

    python -m benchmarks --only shared_conversations [--limit CONVERSATIONS]

Unnamed conversations are replayed through services on one real Redis; each request goes to a worker that is chosen at
random. Some requests are sent twice, some histories go back and go on otherwise. The table counts the conversations
whose requests reached the provider byte for byte as with one worker, and adds up their tokens (bytes / 4).
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.conversation_scripts import (
    PATHS,
    Message,
    Provider,
    Script,
    answer_items,
    client_items,
    greeted,
    long_run,
    recorded,
    request_body,
    written,
)
from benchmarks.report import Report
from benchmarks.service_processes import RedisProcess

CONVERSATIONS = 200
SIMULTANEOUS = 4
TURNS, COST_CONVERSATIONS = 30, 6  # of the conversations whose time is measured
REPEATED = 0.08  # of the requests are sent twice


@dataclass
class Replay:
    """What one replay sent.

    Attributes:
        seen: The bodies that reached the provider, by script, step and try.
        seconds: The time of each request.
        warnings: The values of `x-compressor-warning`.
    """

    seen: dict[str, list[bytes]]
    seconds: list[float] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def tokens(self) -> int:
        """Returns about how many tokens reached the provider."""
        return sum(len(body) for bodies in self.seen.values() for body in bodies) // 4

    def uncached_tokens(self) -> int:
        """Returns about how many of them an ideal prompt cache would not have."""
        seen: dict[str, list[bytes]] = {}
        total = 0
        for key in sorted(self.seen, key=lambda key: (key.split("|")[0], int(key.split("|")[1]), key)):
            earlier = seen.setdefault(key.split("|")[0], [])
            for body in self.seen[key]:
                total += len(body) - max((_common_length(body, one) for one in earlier[-6:]), default=0)
                earlier.append(body)
        return total // 4

    def differing(self, other: Replay) -> list[str]:
        """Returns the names of the scripts of which another body reached the provider."""
        keys = self.seen.keys() | other.seen.keys()
        return sorted({key.split("|")[0] for key in keys if self.seen.get(key) != other.seen.get(key)})


def _common_length(one: bytes, other: bytes) -> int:
    """Returns how many bytes two bodies have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


class Workers:
    """Services that take turns at random, each an application of its own in this process.

    Args:
        count: How many there are.
        restart: After how many requests each of them is replaced by a new one; 0 means never.
        settings: Their settings.
    """

    def __init__(self, count: int, restart: int = 0, **settings: Any) -> None:
        self._settings, self._restart, self._served = settings, restart, 0
        self._all: list[Any] = []
        self._apps = [self._make() for _ in range(count)]

    def pick(self, rng: random.Random) -> Any:
        """Returns the application that serves the next request."""
        number = rng.randrange(len(self._apps))
        self._served += 1
        if self._restart and self._served % self._restart == 0:
            self._apps[number] = self._make()
        return self._apps[number]

    async def close(self) -> None:
        """Closes their connections to the provider."""
        for app in self._all:
            await app.proxy.close()

    def _make(self) -> Any:
        from compressor.service.app import create_app
        from compressor.service.settings import Settings

        self._all.append(create_app(Settings(log="error", **self._settings)))
        return self._all[-1]


async def play(script: Script, workers: Workers | Processes, out: Replay, seed: int) -> None:
    """Plays one conversation to its end."""
    rng = random.Random(f"{seed} {script.name}")
    history: list[Message] = []
    lengths: list[int] = []
    for number, step in enumerate(script.steps):
        if step.back and len(lengths) > step.back:
            del history[lengths[-step.back] :]
        lengths.append(len(history))
        history += client_items(script.api, step)
        answer: Message = {}
        for attempt in range(2 if random.Random(f"{script.name} {number}").random() < REPEATED else 1):
            answer = await _ask(workers.pick(rng), script, history, f"{script.name}|{number}|{attempt}", out)
        history += answer_items(script.api, answer)


class Processes:
    """The workers of a real service, and what happens to them between two requests.

    Args:
        url: The service.
        between: Is called with the number of each request before it is sent.
    """

    def __init__(self, url: str, between: Callable[[int], None]) -> None:
        self._url, self._between, self._served = url, between, 0

    def pick(self, rng: random.Random) -> str:
        """Returns the service: the system chooses a worker for each new connection."""
        self._served += 1
        self._between(self._served)
        return self._url

    async def close(self) -> None:
        """Does nothing: whoever started the service ends it."""


async def replay(
    scripts: Sequence[Script],
    count: int,
    seed: int = 1,
    restart: int = 0,
    serve: Callable[[str], Processes] | None = None,
    **settings: Any,
) -> Replay:
    """Plays all scripts, several at the same time.

    Args:
        scripts: The conversations.
        count: How many workers there are.
        seed: Chooses the worker of each request.
        restart: After how many requests a worker is replaced; 0 means never.
        serve: Starts a real service in front of a provider's URL, instead of applications in this process.
        settings: The settings of the service.
    """
    provider = Provider({script.name.lower(): script for script in scripts})
    await provider.start()
    url = f"http://127.0.0.1:{provider.port}"
    workers = serve(url) if serve else Workers(count, restart, upstream=url, upstream_anthropic=url, **settings)
    out, places = Replay(provider.seen), asyncio.Semaphore(SIMULTANEOUS)

    async def one(script: Script) -> None:
        async with places:
            await play(script, workers, out, seed)

    await asyncio.gather(*map(one, scripts))
    await workers.close()
    provider.close()
    return out


async def cost(store: str) -> tuple[float, float]:
    """Returns the median milliseconds of a request in conversations of 30 turns, with sharing and without.

    Each request goes to a service of either kind, one after the other, so that a busy machine slows both.
    """
    long = [
        Script(f"long {number}", "chat", "You are an agent.", "", long_run(number, TURNS))
        for number in range(COST_CONVERSATIONS)
    ]
    provider = Provider({script.name: script for script in long})
    await provider.start()
    arms = [
        Workers(1, upstream=f"http://127.0.0.1:{provider.port}", store=store, share_conversations=share)
        for share in (True, False)
    ]
    outs = [Replay({}), Replay({})]
    rng = random.Random(1)
    for script in long:
        history: list[Message] = []
        for number, step in enumerate(script.steps):
            history += client_items(script.api, step)
            answer: Message = {}
            for arm in (0, 1) if number % 2 else (1, 0):
                answer = await _ask(arms[arm].pick(rng), script, history, f"{script.name}|{number}|{arm}", outs[arm])
            history += answer_items(script.api, answer)
    for workers in arms:
        await workers.close()
    provider.close()
    with_sharing, without = (1000 * statistics.median(out.seconds) for out in outs)
    return with_sharing, without


async def _ask(app: Any, script: Script, history: list[Message], key: str, out: Replay) -> Message:
    """Sends one request to an application or to a URL, and returns the answer."""
    headers = {"x-replay": key} | ({"x-compressor-budget": script.budget} if script.budget else {})
    transport = None if isinstance(app, str) else httpx.ASGITransport(app=app)
    base = app if isinstance(app, str) else "http://127.0.0.1"
    async with httpx.AsyncClient(transport=transport, base_url=base, timeout=120) as client:
        body = request_body(script, history)
        start = time.perf_counter()
        for is_last in (False, False, True):
            try:
                response = await client.post(PATHS[script.api], json=body, headers=headers)
                break
            except httpx.TransportError:  # its worker was killed: a client sends the request again
                if is_last:
                    raise
                out.seen.pop(key, None)
        out.seconds.append(time.perf_counter() - start)
    response.raise_for_status()
    if "x-compressor-warning" in response.headers:
        out.warnings.append(response.headers["x-compressor-warning"])
    answer: Message = response.json()
    return answer


def scripts(root: Path | None, count: int) -> list[Script]:
    """Returns conversations: about 40 % recorded, a tenth that begin with the same words, the rest written."""
    known = recorded(root, count * 2 // 5) if root is not None else []
    same = [greeted(number) for number in range(count // 10)]
    return [*known, *same, *(written(number) for number in range(count - len(known) - len(same)))]


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Replays all conversations with each set-up."""
    all_scripts = scripts(root, limit or CONVERSATIONS)
    rows: list[dict[str, Any]] = []
    with RedisProcess(appendonly="no") as redis:
        arms: Mapping[str, dict[str, Any]] = {
            "one worker": {"count": 1},
            "two workers": {"count": 2},
            "four workers, restarts": {"count": 4, "restart": 40},
            "one worker, nothing shared": {"count": 1, "share_conversations": False},
            "two workers, nothing shared": {"count": 2, "share_conversations": False},
        }
        reference: Replay | None = None
        for name, settings in arms.items():
            redis.ask("FLUSHALL")
            made = asyncio.run(replay(all_scripts, store=redis.url, **settings))
            reference = reference or made
            rows.append(
                {
                    "set-up": name,
                    "conversations": len(all_scripts),
                    "requests": len(made.seconds),
                    "differing": made.differing(reference),
                    "tokens": made.tokens(),
                    "uncached_tokens": made.uncached_tokens(),
                    "median_ms": 1000 * statistics.median(made.seconds),
                    "warnings": sorted(set(made.warnings)),
                }
            )
        redis.ask("FLUSHALL")
        times = {"Redis": asyncio.run(cost(redis.url))}
    with tempfile.TemporaryDirectory() as folder:
        times["SQLite"] = asyncio.run(cost(os.path.join(folder, "store.db")))
    table = [["set-up", "conversations", "requests", "differ from one worker", "tokens", "not in the prompt cache"]]
    table += [
        [
            row["set-up"],
            str(row["conversations"]),
            str(row["requests"]),
            str(len(row["differing"])),
            f"{row['tokens']:,}",
            f"{row['uncached_tokens']:,}",
        ]
        for row in rows
    ]
    notes = [
        "Unnamed conversations through workers on one Redis, each request to a worker chosen at random. 8 % of the",
        "requests are sent twice (`shared_conversations.py`). Tokens are bytes / 4; the prompt cache is an ideal one.",
        f"Median of a request in conversations of {TURNS} turns, one worker, shared and not: "
        + "; ".join(f"{name} {a:.1f} and {b:.1f} ms" for name, (a, b) in times.items())
        + ".",
    ]
    rows.append({"set-up": "cost", "milliseconds": times})
    return Report("shared_conversations", "Conversations over several workers", notes, table, rows)
