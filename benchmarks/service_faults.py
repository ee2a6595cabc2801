"""Counts what happens to requests while something breaks: Redis, a worker, the provider.

    python -m benchmarks --only service_faults [--limit SECONDS]

Eight clients send requests without a pause, during the fault and after it. Each response is compared with the expected
one. A request that gets 503 or no response is retried, as a client with retries does. In the end everything that was
acknowledged has to be there, once, in order.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any

from benchmarks.data import records
from benchmarks.report import Report
from benchmarks.service_processes import RedisProcess, Serve, provider
from compressor import BudgetTooSmallError, Compressor
from compressor.context.refs import find_refs

CLIENTS = 8
SECONDS = 24
RETRY_SECONDS = 60.0  # for which a client retries; then the request is lost
UPSTREAM = ("429", "500", "reset", "stall", "half")
Case = tuple[dict[str, Any], list[Any], dict[str, str]]  # body, expected messages, originals by ref


class Client:
    """A client with its own connection. It counts what it sees."""

    def __init__(self, port: int, number: int) -> None:
        self.port, self.number = port, number
        self.seen: Counter[str] = Counter()
        self.longest = 0.0
        self.said: list[str] = []  # what went wrong, for the report
        self._line: http.client.HTTPConnection | None = None

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Returns status and response, after retries; (0, None) if that took too long."""
        start, again = time.monotonic(), False
        while time.monotonic() - start < RETRY_SECONDS:
            try:
                status, answer = self._once(path, body)
            except (OSError, http.client.HTTPException, ValueError):
                self._line, status, answer = None, 503, None
            if status != 503:
                self.seen["again" if again else "at once"] += 1
                self.longest = max(self.longest, time.monotonic() - start)
                return status, answer
            again = True
            time.sleep(0.2)
        self.seen["lost"] += 1
        return 0, None

    def wrong(self, what: str) -> None:
        """Counts a wrong response."""
        self.seen["wrong"] += 1
        self.said.append(what)

    def _once(self, path: str, body: Any) -> tuple[int, Any]:
        if self._line is None:
            self._line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        data = None if body is None else json.dumps(body).encode()
        self._line.request("GET" if body is None else "POST", path, data, {"content-type": "application/json"})
        answer = self._line.getresponse()
        return answer.status, json.loads(answer.read())


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures every fault. It raises nothing: the table shows what was lost."""
    seconds, cases = float(limit or SECONDS), _cases(root)
    rows = [_redis(name, fault, cases, seconds) for name, fault in FAULTS.items()]
    rows += [_workers(cases, seconds), *_upstream()]
    head = [
        "fault",
        "requests",
        "answered at once",
        "asked again",
        "error passed on",
        "wrong",
        "lost",
        "longest",
    ]
    table = [head]
    for row in rows:
        numbers = [str(row[name]) for name in ("requests", "at once", "again", "passed on", "wrong", "lost")]
        table.append([row["fault"], *numbers, f"{row['longest']:.1f} s"])
    notes = [
        f"{CLIENTS} clients, {seconds:.0f} s a fault, which begins after a sixth and ends after half of the time. Each "
        "compresses contexts (the answer has to be the same bytes as without a service), gets originals back, and "
        "appends to a session of its own and to one that all share. *Asked again*: answered 503, or the line broke. "
        "*Wrong* counts the check at the end, too: all that was acknowledged, once, in order.",
        "Upstream: half of the calls fail, each client's others have to be answered right; an error has to reach the "
        "client as it is (502 for a line that breaks, 504 for a stall), and half a stream must not look whole.",
    ]
    return Report("service_faults", "Faults", notes, table, rows)


# -- Redis and workers


def _killed(redis: RedisProcess, wait: Callable[[], None]) -> None:
    redis.kill()
    wait()
    redis.start()


def _paused(redis: RedisProcess, wait: Callable[[], None]) -> None:
    redis.send(SIGSTOP)
    wait()
    redis.send(SIGCONT)


def _full(redis: RedisProcess, wait: Callable[[], None]) -> None:
    redis.ask("CONFIG", "SET", "maxmemory", "1mb")
    wait()
    redis.ask("CONFIG", "SET", "maxmemory", "0")


def _locked(redis: RedisProcess, wait: Callable[[], None]) -> None:
    _say(redis, "CONFIG SET requirepass another", "CLIENT KILL TYPE normal")
    wait()
    _say(redis, "AUTH another", 'CONFIG SET requirepass ""')


def _say(redis: RedisProcess, *lines: str) -> None:
    """Sends the commands over one connection, which stays authenticated when a password is set."""
    with socket.create_connection(("127.0.0.1", redis.port), 2) as sock:
        for line in lines:
            sock.sendall(f"{line}\r\n".encode())
            if not (said := sock.recv(1000)).startswith((b"+", b":")):
                raise RuntimeError(f"Redis says {said!r} to {line}")


def _garbage(redis: RedisProcess, wait: Callable[[], None]) -> None:
    redis.kill()
    with _noise(redis.port):
        wait()
    redis.start()


FAULTS: dict[str, Callable[[RedisProcess, Callable[[], None]], None]] = {
    "Redis killed, started again": _killed,
    "Redis paused (SIGSTOP)": _paused,
    "Redis full": _full,
    "Redis with another password": _locked,
    "Redis answers garbage": _garbage,
}


@contextmanager
def _noise(port: int) -> Iterator[None]:
    """A server whose responses are not those of Redis."""
    listening, end = socket.create_server(("127.0.0.1", port)), threading.Event()

    def serve() -> None:
        while not end.is_set():
            with suppress(OSError):
                line, _ = listening.accept()
                line.sendall(random.randbytes(64) + b"\r\n")
                line.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield
    end.set()
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
    thread.join(5)
    listening.close()


def _redis(
    name: str, fault: Callable[[RedisProcess, Callable[[], None]], None], cases: list[Case], seconds: float
) -> dict[str, Any]:
    with RedisProcess() as redis, Serve("--store", redis.url) as service:

        def happens() -> None:
            time.sleep(seconds / 6)
            fault(redis, lambda: time.sleep(seconds / 3))

        return _worked(name, service.port, cases, seconds, happens)


def _workers(cases: list[Case], seconds: float) -> dict[str, Any]:
    with RedisProcess() as redis, Serve("--store", redis.url, "--workers", "2") as service:

        def happens() -> None:
            end = time.monotonic() + seconds * 2 / 3
            chance = random.Random(5)
            while time.monotonic() < end:
                time.sleep(seconds / 6)
                if workers := [pid for pid in service.family()[1:] if _is_worker(pid)]:
                    with suppress(ProcessLookupError):
                        os.kill(chance.choice(workers), SIGKILL)

        return _worked("a worker killed, again and again", service.port, cases, seconds, happens)


def _is_worker(pid: int) -> bool:
    """Returns the workers, without the helper process of multiprocessing."""
    with suppress(OSError):
        return b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _worked(name: str, port: int, cases: list[Case], seconds: float, happens: Callable[[], None]) -> dict[str, Any]:
    """Runs clients during a fault, and counts the outcomes of their requests."""
    clients = [Client(port, n) for n in range(CLIENTS)]
    end = time.monotonic() + seconds
    kept: list[list[str]] = [[] for _ in clients]
    threads = [threading.Thread(target=_work, args=(c, cases, end, kept[c.number])) for c in clients]
    threads.append(threading.Thread(target=happens))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _check(clients[0], kept)
    total: Counter[str] = sum((c.seen for c in clients), Counter())
    return _row(name, total, max(c.longest for c in clients), [text for c in clients for text in c.said])


def _work(client: Client, cases: list[Case], end: float, kept: list[str]) -> None:
    chance, count, shared = random.Random(client.number), 0, 0
    while time.monotonic() < end:
        body, messages, originals = chance.choice(cases)
        status, answer = client.ask("/v1/compress", body)
        if status and (status != 200 or answer["messages"] != messages):
            client.wrong(f"compress: {status}")
        for ref, text in list(originals.items())[:2]:
            status, answer = client.ask(f"/v1/retrieve/{ref}")
            if status and (status != 200 or answer["original_content"] != text):
                client.wrong(f"retrieve: {status} {str(answer)[:200]}")
        words = f"client {client.number} says {len(kept)}"
        count = _append(client, f"own-{client.number}", words, count)
        shared = _append(client, "shared", words, shared)
        if count < 0 or shared < 0:
            return
        kept.append(words)


def _append(client: Client, id: str, words: str, count: int) -> int:
    """Appends a message exactly once; returns the session's length, or -1 on failure."""
    while True:
        body = {"messages": [{"role": "user", "content": words}], "index": count, "budget": 60_000}
        status, answer = client.ask(f"/v1/sessions/{id}/append", body)
        if status == 200:
            return int(answer["count"])
        if status != 409 or id != "shared":
            client.wrong(f"append: {status} {str(answer)[:200]}")
            return -1
        count = int(answer["error"]["count"])  # another client was first


def _check(client: Client, kept: Sequence[Sequence[str]]) -> None:
    """Checks that everything that was acknowledged is there, once, in order."""
    for number, words in enumerate(kept):
        if client.ask(f"/v1/sessions/own-{number}/view", {})[1] != {} and words:
            _, answer = client.ask(f"/v1/sessions/own-{number}/view", {})
            there = [m["content"] for m in answer["messages"]]
            if there[: len(words)] != list(words) or len(there) > len(words) + 1:
                client.wrong(f"session own-{number}: {len(there)} messages of {len(words)}")
    _, answer = client.ask("/v1/sessions/shared/view", {})
    there = [m["content"] for m in answer["messages"]]
    if len(set(there)) != len(there) or not {w for words in kept for w in words} <= set(there):
        client.wrong(f"shared session: {len(there)} messages, {len(set(there))} different")


# -- the provider


def _upstream() -> list[dict[str, Any]]:
    with (
        provider("benchmarks.service_faulty") as port,
        Serve(
            "--store", "memory", "--upstream", f"http://127.0.0.1:{port}/v1", env={"COMPRESSOR_UPSTREAM_TIMEOUT": "2"}
        ) as service,
    ):
        return [_failing(service.port, fault) for fault in UPSTREAM]


def _failing(port: int, fault: str) -> dict[str, Any]:
    """Runs clients whose every second call fails at the provider."""
    seen: Counter[str] = Counter()
    said: list[str] = []
    longest = [0.0]

    def work(number: int) -> None:
        for n in range(20):
            bad, stream = fault if n % 2 else "", n % 4 >= 2
            start = time.monotonic()
            kind = _call(port, bad, stream, f"number {number}.{n} of {fault}")
            longest[0] = max(longest[0], time.monotonic() - start)
            seen["passed on" if bad else "at once"] += 1
            if kind != "right":
                seen["wrong"] += 1
                said.append(f"{fault} {bad} {stream}: {kind}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {"reset": "breaks the line", "stall": "never answers", "half": "breaks off in its answer"}
    return _row(f"upstream {names.get(fault, 'answers ' + fault)}", seen, longest[0], said)


def _call(port: int, fault: str, stream: bool, words: str) -> str:
    """Returns "right", or what was received instead."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": words}], "stream": stream}
    line.request(
        "POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json", "x-fault": fault}
    )
    try:
        answer = line.getresponse()
        text = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return "right" if fault == "half" and stream else type(error).__name__
    finally:
        line.close()
    if not fault:
        deltas = [json.loads(e[6:])["choices"][0]["delta"] for e in text.split("\n\n") if e.startswith("data: {")]
        got = "".join(d.get("content", "") for d in deltas).strip() if stream else None
        got = got if stream else json.loads(text)["choices"][0]["message"]["content"]
        whole = not stream or text.rstrip().endswith("[DONE]")
        return (
            "right" if answer.status == 200 and got == f"You said: {words}" and whole else f"{answer.status} {text!r}"
        )
    wanted = {"429": 429, "500": 500, "reset": 502, "stall": 504, "half": 502}[fault]
    passed = fault not in ("429", "500") or f"fault {fault}" in text
    waits = fault != "429" or answer.headers.get("retry-after") == "7"
    return "right" if answer.status == wanted and passed and waits else f"{answer.status} {text!r}"


# -- both


def _cases(root: Path) -> list[Case]:
    """Returns contexts of recorded sessions with the expected results."""
    out: list[Case] = []
    with_store = Compressor(store="memory")
    for path in sorted((root / "sessions").glob("*.jsonl.gz")):
        for record in list(records(path))[:6]:
            body = {"messages": record["messages"], "model": "gpt-4o", "budget": 0.5}
            with suppress(BudgetTooSmallError):
                made = with_store.compress(**body)
                refs = dict.fromkeys(find_refs(json.dumps(made.messages, ensure_ascii=False)))
                out.append((body, json.loads(json.dumps(made.messages)), {r: with_store.expand(r) for r in refs}))
    return out


def _row(name: str, seen: Counter[str], longest: float, said: list[str]) -> dict[str, Any]:
    counted = {kind: seen[kind] for kind in ("at once", "again", "passed on", "wrong", "lost")}
    requests = sum(counted.values()) - counted["wrong"]  # these were answered as well
    return {"fault": name, "requests": requests, **counted, "longest": longest, "said": said[:5]}
