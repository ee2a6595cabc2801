"""The figures of `compressor serve` with two workers: gauges are summed, dead workers do not linger, a restart keeps
what was recorded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.scripted_server import Reply, Request, ScriptedServer
from support.service_tools import history
from support.waiting import wait_for

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

pytestmark = pytest.mark.slow


@contextmanager
def serving(store: Path, upstream: str) -> Iterator[tuple[str, int]]:
    """Two workers; yields their URL and the supervisor's process id."""
    command = [sys.executable, "-m", "compressor.cli", "serve", "--port", "0", "--workers", "2"]
    command += ["--store", str(store), "--upstream", upstream]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = json.loads(process.stderr.readline())
            while line["event"] != "listening":
                line = json.loads(process.stderr.readline())
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield line["urls"][0], process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def ask(url: str, path: str, **options: Any) -> httpx.Response:
    """On a new connection each time: to any of the two workers."""
    return httpx.request("POST" if options else "GET", url + path, timeout=60, **options)


def gauge(url: str, name: str) -> float:
    """The sum over the tenants; the probe itself may be in flight."""
    text = ask(url, "/metrics").text
    values = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(name + "{")]
    return sum(map(float, values))


def workers_of(supervisor: int) -> list[int]:
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [int(pid) for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]


def test_gauges_of_two_workers_are_summed_and_the_dead_do_not_linger(tmp_path: Path) -> None:
    release = threading.Event()

    def wait(_: Request) -> Reply:
        release.wait(60)
        return Reply("Done.")

    body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Slowly, please."}]}
    with ScriptedServer([wait] * 12, extends=None) as server, serving(tmp_path / "s.db", server.url) as (url, pid):

        def call() -> None:
            with suppress(httpx.HTTPError):  # its worker is killed
                ask(url, "/v1/chat/completions", json=body)

        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(server.requests) == 8, 30)
        in_flight = {gauge(url, "compressor_requests_in_flight") for _ in range(8)}
        assert in_flight <= {9.0}, in_flight  # the eight, and the one that asks; whichever worker is asked
        victim = workers_of(pid)[0]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: victim not in workers_of(pid) and len(workers_of(pid)) == 2, 30)
        release.set()
        for thread in threads:
            thread.join(60)
        wait_for(lambda: {gauge(url, "compressor_requests_in_flight") for _ in range(6)} == {1.0}, 30)


def test_figures_of_two_workers_add_up_and_survive_a_restart(tmp_path: Path) -> None:
    def reply(_: Request) -> Reply:
        return Reply("Done.")

    with ScriptedServer([reply] * 100, extends=None) as server:
        with serving(tmp_path / "s.db", server.url) as (url, pid):
            for i in range(10):
                body = {"messages": history(), "model": "gpt-4o", "budget": 1_500 + i}
                assert ask(url, "/v1/compress", json=body).status_code == 200
                ask(url, "/v1/chat/completions", content=b"{not json")  # forwarded as it is, which the provider refuses
                named = {"x-compressor-session": "shared"}  # calls of one session in both workers count once
                turns = history()
                for k in range(i):
                    turns += [{"role": "assistant", "content": f"No {k}."}, {"role": "user", "content": f"And {k}?"}]
                body = {"messages": turns, "model": "gpt-4o"}
                assert ask(url, "/v1/chat/completions", json=body, headers=named).status_code == 200

            report = ask(url, "/v1/sessions/shared/view", json={}).json()["cost_report"]
            assert report["billed_tokens"] > 0

            def figures() -> dict[str, Any]:
                found: dict[str, Any] = ask(url, "/v1/stats/breakdown?range=24h").json()
                return {name: found[name] for name in ("tools", "models", "reasons")}

            def is_complete() -> bool:
                found = figures()
                if not (found["models"] and found["reasons"]):
                    return False
                model, reason = found["models"][0], found["reasons"][0]
                if [tool["results"] for tool in found["tools"]] != [11]:  # ten single calls, and one in the session
                    return False
                is_billed = model["billed_tokens"] == report["billed_tokens"]
                is_saved = model["saved_usd"] == pytest.approx(report["saved_cost"], abs=1e-9)
                return bool(model["calls"] == 20 == 2 * reason["count"] and is_billed and is_saved)

            # Each worker knows what both did. Several answers in a row may come from the same one.
            wait_for(lambda: all(is_complete() for _ in range(20)), 60)
            assert gauge(url, "compressor_saved_dollars") == pytest.approx(report["saved_cost"], abs=1e-6)
            (tool,) = figures()["tools"]
            assert tool["name"] == "read_log"
            seen: list[dict[str, Any]] = []
            last = 0

            def all_calls() -> bool:
                nonlocal last
                found = ask(url, f"/v1/stats/calls?after={last}").json()
                assert found["workers"] == "all"
                seen.extend(found["calls"])
                last = found["last"]
                return len(seen) >= 20

            wait_for(all_calls, 30)
            assert len({call["id"] for call in seen}) == 20 and [call["id"] for call in seen] == sorted(
                call["id"] for call in seen
            )
            os.kill(workers_of(pid)[0], signal.SIGKILL)
            time.sleep(0.5)
            wait_for(lambda: len(workers_of(pid)) == 2, 30)

            def is_complete_again() -> bool:  # a new worker does not know all at once, and counts nothing twice
                count = sum(reason["count"] for reason in figures()["reasons"])
                assert count <= 10
                return count == 10 and is_complete()

            wait_for(lambda: all(is_complete_again() for _ in range(20)), 60)
            before = figures()
        with serving(tmp_path / "s.db", server.url) as (url, pid):

            def breakdown() -> dict[str, Any]:
                found = ask(url, "/v1/stats/breakdown?range=24h").json()
                return {name: found[name] for name in before}

            wait_for(lambda: breakdown() == before, 30)
