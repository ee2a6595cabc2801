"""Draining under load: real processes, real clients, a provider that streams slowly."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from support.load_clients import LoadClients, Outcome
from support.serve_process import STREAMED, Running, Slow
from support.waiting import wait_for

CONTEXT = {"messages": [{"role": "user", "content": "Is it up?"}], "model": "gpt-4o", "budget": 2000}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_drain_under_load_loses_nothing(tmp_path: Path, workers: int) -> None:
    """Every request is answered whole or its connection is refused, soon; streams in flight end as they should."""
    flags = ("--workers", str(workers), "--store", str(tmp_path / "s.db"))
    with Slow(0.2) as upstream, Running(tmp_path, "--upstream", upstream.url, *flags) as service:
        wait_for(lambda: service.events().count("Application startup complete.") == workers, 60)
        port = service.port
        with (
            LoadClients(port, "/v1/chat/completions", STREAMED, 6, last="data: [DONE]") as streams,
            LoadClients(port, "/v1/compress", CONTEXT, 3) as new,
            LoadClients(port, "/v1/compress", CONTEXT, 3, keeps=True) as kept,
            LoadClients(port, "/healthz", None, 4) as tiny,
        ):
            wait_for(lambda: len(streams.outcomes) > 3 and len(kept.outcomes) > 20)
            drained = time.monotonic()
            service.process.terminate()
            clients = (streams, new, kept, tiny)
            outcomes = [outcome for one in clients for outcome in one.wait()]
        assert service.ends() == 0
        after = [o for o in outcomes if o.started + o.seconds > drained]
        assert not [o for o in outcomes if o.kind == "lost"], outcomes
        assert {o.status for o in outcomes if o.kind == "answered"} == {200}
        refused = [o for o in outcomes if o.kind == "refused"]
        assert len(refused) == 16 and max(o.seconds for o in refused) < 2  # the streams take longer
        assert any(o.kind == "answered" and o.seconds > 1 for o in after)  # streams that were under way
    assert service.log_lines("error") == [] and "Exception in ASGI" not in service.said.read_text()


@pytest.mark.slow
def test_new_connections_are_refused_while_streams_end(tmp_path: Path) -> None:
    """With two workers they once were accepted by the kernel and served by nobody."""
    flags = ("--workers", "2", "--store", str(tmp_path / "s.db"))
    with Slow(0.8) as upstream, Running(tmp_path, "--upstream", upstream.url, *flags) as service:
        lines = service.streams()
        next(lines)
        service.process.terminate()
        wait_for(lambda: service.connects() is False, 4)
        for _ in range(5):
            start = time.monotonic()
            assert service.asks("/readyz") == 0 and time.monotonic() - start < 4
        assert service.process.poll() is None
        assert [*lines][-1] == "data: [DONE]" and service.ends() == 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_readyz_turns_first_and_the_rest_is_served(tmp_path: Path, workers: int) -> None:
    flags = ("--workers", str(workers), "--store", str(tmp_path / "s.db"))
    with Running(tmp_path, *flags, COMPRESSOR_SHUTDOWN_DELAY="5") as service:
        wait_for(lambda: service.events().count("Application startup complete.") == workers, 60)
        with LoadClients(service.port, "/v1/compress", CONTEXT, 3, keeps=True) as kept:
            service.process.terminate()
            wait_for(lambda: all(service.asks("/readyz") == 503 for _ in range(6)))
            assert {service.asks("/healthz") for _ in range(6)} == {200} and service.compresses() <= 2000
            outcomes = kept.wait()
        assert service.ends() == 0
        assert {o.kind for o in outcomes} == {"answered", "refused"}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_drain_that_cuts_says_so_in_one_line(tmp_path: Path, workers: int) -> None:
    flags = ("--workers", str(workers), "--shutdown-timeout", "1", "--store", str(tmp_path / "s.db"))
    with Slow(1.5) as upstream, Running(tmp_path, "--upstream", upstream.url, *flags) as service:
        with LoadClients(service.port, "/v1/chat/completions", STREAMED, 2, last="data: [DONE]") as streams:
            wait_for(lambda: upstream.started == 2)
            time.sleep(1.0)  # the beginning of both is on its way
            service.process.terminate()
            outcomes: list[Outcome] = streams.wait()
        assert service.ends() == 0
        assert [o.kind for o in outcomes] == ["lost", "lost"]  # broken off, not as if they were whole
    text = service.said.read_text()
    assert "Traceback" not in text and "ASGI" not in text and service.log_lines("error") == []
    cut = [line for line in service.log_lines("warning") if line["event"].startswith("requests cut")]
    assert sum(line["requests"] for line in cut) == 2 and len(cut) <= workers


@pytest.mark.slow
def test_a_request_without_a_response_gets_a_503_when_it_is_cut(tmp_path: Path) -> None:
    flags = ("--shutdown-timeout", "1", "--store", "memory")
    with Slow(0.0, silence=20) as upstream, Running(tmp_path, "--upstream", upstream.url, *flags) as service:
        with LoadClients(service.port, "/v1/chat/completions", {**STREAMED, "stream": False}, 1) as calls:
            wait_for(lambda: upstream.started == 1)
            service.process.terminate()
            assert [(o.kind, o.status) for o in calls.wait()] == [("answered", 503), ("refused", 0)]
        assert service.ends() == 0
    assert "Traceback" not in service.said.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_whole_process_group_may_get_the_signal(tmp_path: Path, sig: signal.Signals) -> None:
    """As systemd does without KillMode=mixed, and a terminal with Ctrl-C."""
    flags = ("--workers", "2", "--store", str(tmp_path / "s.db"))
    with Slow(0.2) as upstream, Running(tmp_path, "--upstream", upstream.url, *flags) as service:
        lines = service.streams()
        next(lines)
        for pid in (service.process.pid, *service.workers()):
            service.signal(pid, sig)
        assert [*lines][-1] == "data: [DONE]"
        assert service.ends() == 0
