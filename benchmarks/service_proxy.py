"""Measures what the proxy adds to a call: direct and through `compressor serve`, in turns, over open connections.

    python -m benchmarks --only service_proxy [--limit CALLS]

Provider, service and client are separate processes on the loopback address; the provider answers at once. A history
grows by a round with every call, as an agent's does. It needs no data: rounds are generated, and all differ.
"""

from __future__ import annotations

import json
import random
import statistics
from pathlib import Path
from typing import Any

from benchmarks.report import Report
from benchmarks.service_processes import Line, Serve, provider

PATH = "/v1/chat/completions"
LENGTHS = (1, 81, 401, 1001)
CALLS = 60  # measured at each length, after WARM
WARM = 5
BUDGET = 2_000_000  # tokens; no history here exceeds it
SHORT, LONG = 8, 120  # lines of a result: short ones cannot be compressed, of long ones most is dropped
ARMS: dict[str, dict[str, Any]] = {  # settings of the service: whether a history may be compacted
    "nothing to do": {"lines": SHORT, "tools": False, "compact": False},
    "nothing to do, tools": {"lines": SHORT, "tools": True, "compact": False},
    "results are cut": {"lines": LONG, "tools": True, "compact": False},
    "results are cut, and the history compacted": {"lines": LONG, "tools": True, "compact": True},
}
WORDS = "cache index shard worker queue batch offset cursor schema token lease region replica quota".split()
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"{name.replace('_', ' ').capitalize()} in the service at hand.",
            "parameters": {
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "Where to look."},
                    "from": {"type": "integer"},
                },
                "required": ["path"],
            },
        },
    }
    for name in ("read_log", "read_file", "search_code", "run_tests")
]


class Agent:
    """A history that grows by one round at a time."""

    def __init__(self, seed: int, lines: int) -> None:
        self._rng, self._lines = random.Random(seed), lines
        self.messages: list[dict[str, Any]] = [
            {"role": "user", "content": f"Case {seed}: find out why the import of last night stopped, and where."}
        ]

    def step(self) -> None:
        """One round: a call and its result."""
        rng, number = self._rng, len(self.messages)
        call = {"name": "read_log", "arguments": json.dumps({"path": f"logs/{rng.choice(WORDS)}-{number}.log"})}
        made = [{"id": f"call_{number}", "type": "function", "function": call}]
        said = f"Step {number}: I look at the {rng.choice(WORDS)} of {rng.choice(WORDS)}-{rng.randrange(999)} next."
        text = "\n".join(
            f"12:{rng.randrange(60):02d}:{rng.randrange(60):02d} INFO {rng.choice(WORDS)}-{rng.randrange(99)}: the "
            f"{rng.choice(WORDS)} {rng.choice(WORDS)} took {rng.randrange(9999)} ms"
            for _ in range(self._lines)
        )
        self.messages += [
            {"role": "assistant", "content": said, "tool_calls": made},
            {"role": "tool", "tool_call_id": f"call_{number}", "content": text},
        ]

    def body(self, tools: bool) -> bytes:
        """Returns the request."""
        body: dict[str, Any] = {"messages": self.messages, "model": "gpt-4o", "temperature": 0.2}
        return json.dumps(body | ({"tools": TOOLS} if tools else {}), ensure_ascii=False).encode()


def _serve(port: int, compact: bool) -> Serve:
    """Runs a service in front of a port, with the default log."""
    flags = ("--store", "memory", "--upstream", f"http://127.0.0.1:{port}/v1", "--budget", str(BUDGET))
    return Serve(*flags, env={"COMPRESSOR_LOG": "info", "COMPRESSOR_POLICY": json.dumps({"compact": compact})})


def measure(direct: Line, served: Serve, seed: int, length: int, arm: dict[str, Any], calls: int) -> dict[str, Any]:
    """Measures one history. Times are in milliseconds."""
    through = Line(served.port, PATH)
    agent = Agent(seed, arm["lines"])
    while len(agent.messages) < length:
        agent.step()
    first, _, _ = through.ask(agent.body(arm["tools"]))
    plain: list[float] = []
    proxied: list[float] = []
    sizes: dict[str, str] = {}
    size, worked = 0, 0.0
    for number in range(WARM + calls):
        if length > 1:
            agent.step()
        else:  # a new question each time, so nothing is cached
            agent.messages[0] = {"role": "user", "content": f"Case {seed}.{number}: what is a lease?"}
        body = agent.body(arm["tools"])
        if number == WARM:
            worked = served.seconds()
        pair = [(plain, direct), (proxied, through)]
        for times, line in pair if number % 2 else pair[::-1]:
            took, headers, _ = line.ask(body)
            sizes = {n: v for n, v in headers.items() if n.startswith("x-compressor-tokens")} or sizes
            if number >= WARM:
                times.append(took)
        size = len(body)
    cuts = [statistics.quantiles(times, n=20, method="inclusive") for times in (plain, proxied)]
    return {
        "messages": length,
        "bytes": size,
        "direct_p50": statistics.median(plain),
        "direct_p95": cuts[0][18],
        "proxy_p50": statistics.median(proxied),
        "proxy_p95": cuts[1][18],
        "added_p50": statistics.median(p - d for p, d in zip(proxied, plain, strict=True)),
        "added_p95": cuts[1][18] - cuts[0][18],
        "cpu": 1000 * (served.seconds() - worked) / calls,
        "first_ms": first,
        "tokens_before": int(sizes["x-compressor-tokens-before"]),
        "tokens_after": int(sizes["x-compressor-tokens-after"]),
    }


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures all arms and lengths, `limit` calls at each."""
    calls = limit or CALLS
    rows: list[dict[str, Any]] = []
    with (
        provider("benchmarks.service_upstream") as port,
        _serve(port, True) as compacting,
        _serve(port, False) as still,
    ):
        direct = Line(port, PATH)
        for number, (name, arm) in enumerate(ARMS.items()):
            served = compacting if arm["compact"] else still
            for length in LENGTHS:
                rows.append({"arm": name, **measure(direct, served, 100 * number + length, length, arm, calls)})
                print(f"{name}, {length}: {rows[-1]['added_p50']:.2f} ms", flush=True)
    head = ["what", "messages", "KB", "direct p50", "proxy p50", "added p50", "added p95", "processor", "first call"]
    table = [head] + [
        [
            row["arm"],
            str(row["messages"]),
            f"{row['bytes'] / 1000:.0f}",
            *(f"{row[key]:.2f} ms" for key in ("direct_p50", "proxy_p50", "added_p50", "added_p95", "cpu")),
            f"{row['first_ms']:.0f} ms",
        ]
        for row in rows
    ]
    notes = [
        f"{calls} calls at each length after {WARM} that do not count, a round longer each time (at one message: "
        "another question each time); direct and through the proxy in turns. Added p50 is the median of the "
        "differences, added p95 the difference of the two 95th percentiles. Processor: time the service worked, a "
        "call. First call: a history of which the service knows nothing yet.",
    ]
    return Report("service_proxy", "What the proxy adds to a call", notes, table, rows)
