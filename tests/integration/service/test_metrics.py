"""The service's metrics: what is counted, for whom, over several processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from compressor import CompressorError
from support.paths import ROOT
from support.waiting import wait_for

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from prometheus_client.parser import text_string_to_metric_families

from compressor.scoring.runtime.batch_scheduler import BatchLimits, BatchScheduler
from compressor.scoring.runtime.executor import QUEUE_WAIT_HOOK
from compressor.service.group_figures import GroupCall, GroupFigures
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.no_savings_alert import MIN_CALLS, WINDOW_CALLS
from compressor.service.telemetry.records import CompressionEvent, RequestRecord
from compressor.storage.wrappers.resilient import StoreHealth
from compressor.tokens.pricing import find_price
from support.service_tools import Service, history
from support.telemetry_tools import lines

DOCS = ROOT / "docs" / "observability.md"


def families(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def busy() -> Metrics:
    """Metrics in which everything has happened."""
    metrics = Metrics()
    metrics.requests.labels("red", "/v1/compress", "200").inc()
    metrics.request_seconds.labels("red", "/v1/compress").observe(0.02)
    metrics.overhead.labels("red").observe(0.001)
    metrics.in_flight.labels("red").inc()
    metrics.expansions.labels("red").inc()
    metrics.upstream_errors.labels("red", "503").inc()
    metrics.limited.labels("red", "tokens_per_day").inc()
    metrics.limit_fallbacks.labels("red").inc()
    metrics.sessions.labels("red").set(3)
    metrics.record_queue_wait("thread", 0.01)
    metrics.record_fallback("red", "StoreError")
    for k in range(MIN_CALLS):
        warnings = ("something new",) * (k + 1)
        metrics.record(
            CompressionEvent("red", "session", 100, 60, 0.1, 0.01, "hit", "fast", "s", warnings, (), 100, 40)
        )
    metrics.record(CompressionEvent("red", "append", 0, 0, seconds=2.52, session="s"))
    metrics.record(CompressionEvent("red", "answer", 0, 0, billed_tokens=10, session="s"))
    metrics.record(CompressionEvent("red", "conversation", 900_000, 4_000, over_window=True))
    metrics.auth_failures.labels("unknown_key").inc()
    metrics.record_first_token("red", RequestRecord("1", "POST", "red", "/v1/messages"))
    metrics.record(CompressionEvent("blue", "call", 100, 100, -0.5, 0.01, "miss", "mine"))
    metrics.record_store_health(
        {"red": StoreHealth("open", 3, 1, 7, 2, "gone"), "blue": StoreHealth("open", 3, 1, 0, 0, "gone")}
    )
    figures, usage = GroupFigures(metrics), {"prompt_tokens": 7, "completion_tokens": 1}
    figures.record(GroupCall("red", "holdout", "key", find_price("gpt-4o"), 0.01, [usage], True))
    figures.record_audit("red", (9, 5), (0.2, 0.1))
    return metrics


def test_every_metric_parses_follows_the_conventions_and_is_documented() -> None:
    metrics, docs = busy(), DOCS.read_text(encoding="utf-8")
    text = metrics.text().decode()
    found = families(text)
    made = {metric.name for metric in metrics._registry.collect()}
    assert set(found) == made  # each of them has a sample here
    for name, family in found.items():
        shown = f"{name}_total" if family.type == "counter" else name
        assert re.fullmatch(r"compressor_[a-z_]+", name) and f"`{shown}`" in docs, shown
        assert family.documentation.endswith("."), name
        if family.type == "histogram":
            assert name.endswith("_seconds")
        assert not name.endswith(("_total", "_created"))
    assert "_created" not in text
    for name in set(re.findall(r"compressor_[a-z_]+", docs)):  # and nothing is documented that is not there
        base = re.sub(r"_(total|bucket|sum|count)$", "", name)
        assert base in found or base in ("compressor_agents",), name


def test_a_tenant_sees_its_own_numbers_only() -> None:
    metrics = busy()
    mine = metrics.text("red").decode()
    assert 'tenant="red"' in mine and "blue" not in mine and "store_circuit" not in mine and "build_info" not in mine
    assert all(sample.labels["tenant"] == "red" for family in families(mine).values() for sample in family.samples)
    assert families(metrics.text("nobody").decode()) == {}


def test_what_is_counted() -> None:
    found = families(busy().text().decode())

    def value(name: str, **labels: str) -> float:
        family = re.sub(r"_(total|count|sum)$", "", name)
        return sum(
            float(s.value) for s in found[family].samples if s.name == name and labels.items() <= s.labels.items()
        )

    assert value("compressor_result_cache_total", tenant="red", outcome="hit") == MIN_CALLS
    assert value("compressor_compressions_total", tenant="blue", tier="other") == 1  # not the scorer's own name
    assert value("compressor_saved_dollars", tenant="red") == pytest.approx(0.1 * MIN_CALLS)
    assert value("compressor_saved_dollars", tenant="blue") == -0.5  # it goes down, too
    assert value("compressor_lost_dollars_total") == 0.5
    assert value("compressor_gained_dollars_total") == pytest.approx(0.1 * MIN_CALLS)
    # A session has all warnings it ever had: each counts once.
    assert value("compressor_warnings_total", tenant="red", reason="other") == MIN_CALLS
    assert value("compressor_provider_prompt_tokens_total", tenant="red", cached="yes") == 40 * MIN_CALLS
    assert value("compressor_provider_prompt_tokens_total", tenant="red", cached="no") == 60 * MIN_CALLS + 10
    assert value("compressor_store_circuit_open") == 1 and value("compressor_store_failures_total") == 3
    assert value("compressor_store_dropped_values_total", tenant="red") == 2
    assert value("compressor_calls_without_savings_ratio", tenant="red") == pytest.approx(1 / (MIN_CALLS + 2))
    assert value("compressor_calls_without_savings_total", tenant="blue") == 1
    # What compresses no context counts as no compression, but its time does.
    assert value("compressor_compressions_total", tenant="red") == MIN_CALLS + 1
    assert value("compressor_compression_seconds_count", tenant="red") == MIN_CALLS + 2
    assert value("compressor_compression_seconds_sum", tenant="red", kind="append") == 2.52
    assert value("compressor_calls_over_window_total", tenant="red") == 1


def test_compression_that_saves_nothing_is_said_once() -> None:
    metrics = Metrics()
    with lines() as seen:
        for k in range(3 * WINDOW_CALLS):
            if k % 2:
                metrics.record_fallback("red", "StoreError")
            else:
                metrics.record(CompressionEvent("red", "call", 1000, 995))
            metrics.record(CompressionEvent("blue", "call", 1000, 100 if k == 150 else 1000))
        assert [(line["tenant"], line["level"]) for line in seen()] == [
            ("red", "warning"),
            ("blue", "warning"),
            ("blue", "warning"),  # for it had saved something since
        ]
        assert seen()[0]["reasons"] == {"nothing_to_cut": 50, "store_error": 50} and seen()[0]["calls"] == WINDOW_CALLS
    found = families(metrics.text().decode())["compressor_calls_without_savings_ratio"]
    assert {sample.labels["tenant"]: sample.value for sample in found.samples} == {"red": 1, "blue": 1}


def test_waits_are_counted_for_threads_and_for_the_scorer() -> None:
    with Service() as service:
        service.http.post("/v1/compress", json={"messages": history(), "budget": 1500})
        assert service.metric("queue_wait_seconds_count", queue="thread") > 0
        assert service.metric("sessions_open") == 0
        service.http.post("/v1/compress", json={"messages": history(), "model": "gpt-4o"})
        assert 'compressor_sessions_open{tenant="local"} 1.0' in service.http.get("/metrics").text
    told: list[tuple[str, float]] = []

    begun = threading.Event()

    def slow(items: Sequence[int]) -> list[int]:
        if not begun.is_set():
            begun.set()
            wait_for(lambda: lane.stats().waiting_items)
            time.sleep(0.05)
        return list(items)

    lane: BatchScheduler[int, int] = BatchScheduler(slow, lambda _: 1, "test-waits", BatchLimits())

    def ask() -> None:
        QUEUE_WAIT_HOOK.set(lambda queue, seconds: told.append((queue, seconds)))
        lane.map([1])

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
        assert begun.wait(60)
    for thread in threads:
        thread.join()
    assert {queue for queue, _ in told} == {"scorer"} and 0.05 <= max(seconds for _, seconds in told) < 30


WORKER = """
import sys
from compressor.service.telemetry.metrics import Metrics, use_metrics_slot
from compressor.service.telemetry.records import CompressionEvent
use_metrics_slot(int(sys.argv[2]))
metrics = Metrics()
metrics.record(CompressionEvent("red", "call", 100, 40, saved=float(sys.argv[1]), seconds=0.01))
metrics.record(CompressionEvent("blue", "call", 10, 10))
metrics.in_flight.labels("red").inc(2)
metrics.sessions.labels("red").set(5)
metrics.request_seconds.labels("red", "/v1/compress").observe(0.02)
print("up", flush=True)
sys.stdin.readline()
metrics.refresh()
print(metrics.text(sys.argv[3] if len(sys.argv) > 3 else None).decode(), flush=True)
"""


def test_several_processes_count_as_one(tmp_path: Path) -> None:
    """Real processes, started as `compressor serve --workers` starts them; one is killed, and what it did stays."""
    start = (
        "from compressor.service.telemetry.metrics import prepare_multiprocess, worker_ended\n"
        "import json, os, subprocess, sys\n"
        "folder = prepare_multiprocess()\n"
        "def worker(*args): return subprocess.Popen([sys.executable, '-c', sys.argv[1], *args], text=True,\n"
        "    stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "one, two = worker('0.5', '0'), worker('-2.0', '1')\n"
        "for w in (one, two): assert w.stdout.readline() == 'up\\n'\n"
        "one.kill(); one.wait(); worker_ended(0)\n"
        "files = sorted(os.listdir(folder))\n"
        "three = worker('1.25', '0', 'red')\n"
        "assert three.stdout.readline() == 'up\\n'\n"
        "assert {f for f in os.listdir(folder) if 'live' not in f} <= set(files)  # it goes on in the dead one's\n"
        "out = [w.communicate('go\\n')[0] for w in (three, two)]\n"
        "print(json.dumps([folder, *out]))\n"
    )
    done = subprocess.run([sys.executable, "-c", start, WORKER], capture_output=True, text=True, timeout=60, check=True)
    folder, red, everything = json.loads(done.stdout)
    assert not os.path.exists(folder)  # it went with the parent
    assert "blue" not in red

    def value(text: str, line: str) -> float:
        return float(next(x for x in text.splitlines() if x.startswith(line)).rpartition(" ")[2])

    for text in (red, everything):
        assert value(text, 'compressor_tokens_before_total{tenant="red"}') == 300
        assert value(text, 'compressor_saved_dollars{tenant="red"}') == pytest.approx(-0.25)
        assert value(text, 'compressor_request_seconds_count{route="/v1/compress",tenant="red"}') == 3
        assert value(text, 'compressor_requests_in_flight{tenant="red"}') == 4  # the dead one's are gone
        assert value(text, 'compressor_sessions_open{tenant="red"}') == 10
        families(text)
    assert value(everything, "compressor_build_info") == 1


def test_a_folder_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "none"))
    with pytest.raises(CompressorError, match="PROMETHEUS_MULTIPROC_DIR"):
        Metrics()


def test_a_store_that_is_away_shows(tmp_path: Path) -> None:
    from support.redis_tools import RedisServer

    redis = RedisServer(tmp_path)
    with Service(store=redis.url) as service:
        body = {"messages": history(), "model": "gpt-4o", "budget": 1500}
        assert service.http.post("/v1/compress", json=body).status_code == 200
        assert "compressor_store_circuit_open 0.0" in service.http.get("/metrics").text
        redis.stop()

        def is_open() -> bool:
            service.http.post("/v1/compress", json={**body, "query": str(time.monotonic())})
            return "compressor_store_circuit_open 1.0" in service.http.get("/metrics").text

        wait_for(is_open, 20)
        assert 'compressor_store_pending_values{tenant="local"} 0.0' not in service.http.get("/metrics").text
        assert service.metric("store_failures_total") >= 1
        redis.start()
        wait_for(lambda: "compressor_store_circuit_open 0.0" in service.http.get("/metrics").text, 20)


@pytest.mark.slow
def test_workers_of_one_port_show_the_sum(tmp_path: Path) -> None:
    """The real command with two workers: whoever is asked shows what all did, also after one was killed."""
    command = [sys.executable, "-m", "compressor.cli", "serve", "--port", "0", "--workers", "2"]
    command += ["--store", str(tmp_path / "s.db")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            seen = [json.loads(process.stderr.readline())]
            while seen[-1]["event"] != "listening":
                seen.append(json.loads(process.stderr.readline()))
            threading.Thread(target=process.stderr.read, daemon=True).start()
            url = seen[-1]["urls"][0]
            _sums(url, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _sums(url: str, supervisor: int) -> None:
    import httpx

    body = {"messages": history(), "model": "gpt-4o", "budget": 1500}
    line = 'compressor_compressions_total{kind="call",tenant="local",tier="fast"} '

    def ask(path: str, **options: Any) -> Any:  # a new connection each time: to any of the two
        return httpx.request("POST" if options else "GET", url + path, timeout=30, **options)

    def totals() -> set[float]:
        return {
            float(found.rpartition(" ")[2])
            for _ in range(6)
            for found in ask("/metrics").text.splitlines()
            if found.startswith(line)
        }

    for _ in range(8):
        assert ask("/v1/compress", json=body).status_code == 200
    assert totals() == {8.0}
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    workers = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    os.kill(int(workers[0]), signal.SIGKILL)
    for _ in range(4):
        assert ask("/v1/compress", json=body).status_code == 200
    assert totals() == {12.0}
