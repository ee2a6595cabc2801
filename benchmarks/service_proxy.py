"""What the proxy adds to a call: direct and through `compressor serve`, in turns, over connections that stay open.

    python -m benchmarks.service_proxy [--limit CALLS]

Upstream, service and client are processes of their own on the loopback address; upstream answers at once. A history
grows by a round with every call, as an agent's does. Needs no data: rounds are made up, and no two are alike.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.report import Report
from benchmarks.service_upstream import upstream

LENGTHS = (1, 81, 401, 1001)
CALLS = 60  # measured at each length, after WARM
WARM = 5
BUDGET = 2_000_000  # tokens: no history here is over it
SHORT, LONG = 8, 120  # lines of a result: the one has nothing to cut, of the other most goes
ARMS: dict[str, dict[str, Any]] = {  # whether a history may be compacted is the service's setting
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
    """A history that grows by a round at a time."""

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
        """The request."""
        body: dict[str, Any] = {"messages": self.messages, "model": "gpt-4o", "temperature": 0.2}
        return json.dumps(body | ({"tools": TOOLS} if tools else {}), ensure_ascii=False).encode()


class Line:
    """A connection that stays open."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, body: bytes) -> tuple[float, dict[str, str]]:
        """Seconds, and the answer's headers. RuntimeError for an answer that is none."""
        start = time.perf_counter()
        self._connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        response = self._connection.getresponse()
        response.read()
        took = time.perf_counter() - start
        if response.status != 200 or response.headers.get("x-compressor-warning"):
            raise RuntimeError(f"status {response.status}: {response.headers}")
        return took, dict(response.headers)


class Service:
    """A service that runs: its port, and how long it has worked."""

    def __init__(self, port: int, process: int) -> None:
        self.port, self._process = port, process

    def worked(self) -> float:
        """Milliseconds of processor time so far; NaN where the system does not say. Counted in hundredths of a second,
        so it says something over many calls."""
        try:
            told = Path(f"/proc/{self._process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            return math.nan
        return 1000 * (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def service(port: int, compact: bool) -> Iterator[Service]:
    """Runs `compressor serve` in front of a port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        own = int(free.getsockname()[1])
    command = [sys.executable, "-m", "compressor.cli", "serve", "--port", str(own), "--store", "memory"]
    command += ["--upstream", f"http://127.0.0.1:{port}/v1", "--budget", str(BUDGET)]
    policy = {"COMPRESSOR_POLICY": json.dumps({"compact": compact})}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, **policy}) as process:
        try:
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", own), 1).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield Service(own, process.pid)
        finally:
            process.terminate()


def measure(direct: Line, served: Service, seed: int, length: int, arm: dict[str, Any], calls: int) -> dict[str, Any]:
    """One history. Times are milliseconds."""
    through = Line(served.port)
    agent = Agent(seed, arm["lines"])
    while len(agent.messages) < length:
        agent.step()
    first, _ = through.ask(agent.body(arm["tools"]))
    plain: list[float] = []
    proxied: list[float] = []
    sizes: dict[str, str] = {}
    size, worked = 0, 0.0
    for number in range(WARM + calls):
        if length > 1:
            agent.step()
        else:  # a new question each time: nothing is known of it
            agent.messages[0] = {"role": "user", "content": f"Case {seed}.{number}: what is a lease?"}
        body = agent.body(arm["tools"])
        if number == WARM:
            worked = served.worked()
        pair = [(plain, direct), (proxied, through)]
        for times, line in pair if number % 2 else pair[::-1]:
            took, headers = line.ask(body)
            sizes = {n: v for n, v in headers.items() if n.startswith("x-compressor-tokens")} or sizes
            if number >= WARM:
                times.append(1000 * took)
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
        "cpu": (served.worked() - worked) / calls,
        "first_ms": 1000 * first,
        "tokens_before": int(sizes["x-compressor-tokens-before"]),
        "tokens_after": int(sizes["x-compressor-tokens-after"]),
    }


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """All arms and lengths. `limit`: calls at each."""
    calls = limit or CALLS
    rows: list[dict[str, Any]] = []
    with upstream() as port, service(port, True) as compacting, service(port, False) as still:
        direct = Line(port)
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


def main() -> None:
    """Measures and writes `results/service_proxy.json`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service_proxy", description=__doc__)
    parser.add_argument("--limit", type=int, help="calls at each length, for a quick look")
    limit = parser.parse_args().limit
    report = run(Path(), limit, [])
    report.write("python -m benchmarks.service_proxy" + (f" --limit {limit}" if limit else ""))
    print(report.markdown())


if __name__ == "__main__":
    main()
