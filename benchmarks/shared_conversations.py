"""Measures whether several workers send what one worker would have sent, and what that costs.

    python -m benchmarks --only shared_conversations [--limit CONVERSATIONS]

Unnamed conversations are replayed through services on one real Redis; each request goes to a worker that is chosen at
random. Some requests are sent twice, some histories go back and go on otherwise. The table counts the conversations
whose requests reached the provider byte for byte as with one worker, and adds up their tokens (bytes / 4).
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Mapping, Sequence
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
    recorded,
    request_body,
    written,
)
from benchmarks.report import Report
from benchmarks.service_processes import RedisProcess

CONVERSATIONS = 200
SIMULTANEOUS = 4
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

    def differing(self, other: Replay) -> list[str]:
        """Returns the names of the scripts of which another body reached the provider."""
        keys = self.seen.keys() | other.seen.keys()
        return sorted({key.split("|")[0] for key in keys if self.seen.get(key) != other.seen.get(key)})


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
            await app._proxy.close()

    def _make(self) -> Any:
        from compressor.service.app import create_app
        from compressor.service.settings import Settings

        self._all.append(create_app(Settings(log="error", **self._settings)))
        return self._all[-1]


async def play(script: Script, workers: Workers, out: Replay, seed: int) -> None:
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
            headers = {"x-replay": f"{script.name}|{number}|{attempt}", "x-compressor-budget": script.budget}
            transport = httpx.ASGITransport(app=workers.pick(rng))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=120) as client:
                start = time.perf_counter()
                body = request_body(script, history)
                response = await client.post(PATHS[script.api], json=body, headers=headers)
                out.seconds.append(time.perf_counter() - start)
            response.raise_for_status()
            if "x-compressor-warning" in response.headers:
                out.warnings.append(response.headers["x-compressor-warning"])
            answer = response.json()
        history += answer_items(script.api, answer)


async def replay(scripts: Sequence[Script], count: int, seed: int = 1, restart: int = 0, **settings: Any) -> Replay:
    """Plays all scripts, several at the same time."""
    provider = Provider({script.name.lower(): script for script in scripts})
    await provider.start()
    url = f"http://127.0.0.1:{provider.port}"
    workers = Workers(count, restart, upstream=url, upstream_anthropic=url, **settings)
    out, places = Replay(provider.seen), asyncio.Semaphore(SIMULTANEOUS)

    async def one(script: Script) -> None:
        async with places:
            await play(script, workers, out, seed)

    await asyncio.gather(*map(one, scripts))
    await workers.close()
    provider.close()
    return out


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
                    "median_ms": 1000 * statistics.median(made.seconds),
                    "warnings": sorted(set(made.warnings)),
                }
            )
    table = [["set-up", "conversations", "requests", "differ from one worker", "tokens", "median of a request"]]
    table += [
        [
            row["set-up"],
            str(row["conversations"]),
            str(row["requests"]),
            str(len(row["differing"])),
            f"{row['tokens']:,}",
            f"{row['median_ms']:.0f} ms",
        ]
        for row in rows
    ]
    notes = [
        "Unnamed conversations through workers on one Redis, each request to a random one (`shared_conversations.py`)."
    ]
    return Report("shared_conversations", "Conversations over several workers", notes, table, rows)
