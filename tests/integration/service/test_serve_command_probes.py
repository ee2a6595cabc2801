"""The probe port, and what `compressor serve` refuses before it listens."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import httpx
import pytest

from compressor.service.auth import new_key
from support.redis_tools import free_port
from support.serve_process import Running, Slow, run_main
from support.waiting import wait_for


def ask(port: int, path: str, method: str = "GET") -> int:
    try:
        return httpx.request(method, f"http://127.0.0.1:{port}{path}", timeout=5).status_code
    except httpx.HTTPError:
        return 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_probes_need_no_key(tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    key, entry = new_key("search")
    (tmp_path / "keys").write_text(entry.line())
    probes = free_port()
    flags = ("--workers", str(workers), "--store", str(tmp_path / "s.db"), "--keys", str(tmp_path / "keys"))
    env = {"COMPRESSOR_PROBE_PORT": str(probes), "COMPRESSOR_SHUTDOWN_DELAY": "1"}
    with Slow(0.6) as upstream, Running(tmp_path, "--upstream", upstream.url, *flags, env=env) as service:
        wait_for(lambda: service.events().count("Application startup complete.") == workers, 60)
        assert {ask(probes, path) for path in ("/healthz", "/readyz") for _ in range(6)} == {200}
        assert ask(probes, "/healthz", "HEAD") == 200 and ask(probes, "/healthz?x=1") == 200
        for path in ("/metrics", "/", "/v1/stats", f"/k/{key}/v1/stats", "/healthz/", "/v1/chat/completions"):
            assert ask(probes, path) == 404, path
        assert ask(probes, "/healthz", "POST") == 404
        assert ask(service.port, "/metrics") == 401
        monkeypatch.setenv("COMPRESSOR_PROBE_PORT", str(probes))
        assert run_main(monkeypatch, "healthcheck") == 0

        lines = service.streams({"x-compressor-key": key})
        next(lines)
        service.process.terminate()
        wait_for(lambda: ask(probes, "/readyz") == 503)
        wait_for(lambda: run_main(monkeypatch, "healthcheck") == 1)  # a worker may be told later
        assert run_main(monkeypatch, "healthcheck", "--live") == 0
        wait_for(lambda: not service.connects())
        assert ask(probes, "/healthz") == 200 and ask(probes, "/readyz") == 503  # until the end
        assert [*lines][-1] == "data: [DONE]" and service.ends() == 0
    assert ask(probes, "/healthz") == 0


@pytest.mark.slow
def test_metrics_without_a_key_only_if_wanted(tmp_path: Path) -> None:
    key, entry = new_key("search")
    (tmp_path / "keys").write_text(entry.line())
    probes = free_port()
    env = {"COMPRESSOR_PROBE_PORT": str(probes), "COMPRESSOR_PROBE_METRICS": "yes", "COMPRESSOR_PROBE_HOST": "0.0.0.0"}
    with Running(tmp_path, "--store", "memory", "--keys", str(tmp_path / "keys"), env=env) as service:
        assert httpx.get(f"{service.url}/v1/stats", headers={"x-compressor-key": key}).status_code == 200
        answer = httpx.get(f"http://127.0.0.1:{probes}/metrics")
        assert answer.status_code == 200 and 'compressor_requests_total{route="/v1/stats"' in answer.text
        service.process.terminate()
        assert service.ends() == 0


@pytest.mark.parametrize(
    ("env", "flags", "why"),
    [
        (
            {"COMPRESSOR_BUDGTE": "1"},
            [],
            "COMPRESSOR_BUDGTE is not a setting that exists: did you mean COMPRESSOR_BUD",
        ),
        ({"COMPRESSOR_KEY_FILE": "k"}, [], "did you mean COMPRESSOR_KEYS_FILE?"),
        ({"COMPRESSOR_WORKERS": "abc"}, [], "COMPRESSOR_WORKERS='abc' is not a valid integer"),
        ({}, ["--scorer", "nope"], "--scorer='nope' is not a scorer"),
        ({}, ["--scorer", "cascade:fast"], "unknown scorer"),
        ({}, ["--store", "postgres://me:hush@host"], "is not a store: use 'memory'"),
    ],
)
def test_refused_before_it_listens(
    env: dict[str, str],
    flags: list[str],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert run_main(monkeypatch, "serve", *flags) == 2
    said = capsys.readouterr()
    assert not said.out and said.err.startswith("error: ") and said.err.count("\n") == 1
    assert why in said.err and "hush" not in said.err


@pytest.mark.slow
def test_variables_of_others_are_reported_or_known(tmp_path: Path) -> None:
    """Kubernetes gives every pod the addresses of its services: COMPRESSOR_PORT for one named "compressor"."""
    links = {
        "COMPRESSOR_PORT": "tcp://10.0.0.1:8787",
        "COMPRESSOR_PORT_8787_TCP_ADDR": "10.0.0.1",
        "COMPRESSOR_SERVICE_HOST": "10.0.0.1",
        "COMPRESSOR_REDIS_PORT": "tcp://10.0.0.2:6379",
    }
    with Running(tmp_path, "--store", "memory", env=links, COMPRESSOR_FAVOURITE_COLOUR="blue") as service:
        warnings = [line["event"] for line in service.log_lines("warning")]
        assert warnings == ["these variables are no settings, and are ignored: COMPRESSOR_FAVOURITE_COLOUR"]
        service.process.terminate()
        assert service.ends() == 0


@pytest.mark.slow
def test_a_signal_while_it_starts_does_not_end_it(tmp_path: Path) -> None:
    """SIGHUP, to all processes at any time: it once ended the service."""
    flags = ("--workers", "2", "--store", str(tmp_path / "s.db"))
    with Running(tmp_path, *flags, ready=False) as service:
        wait_for(lambda: "listening" in service.said.read_text())
        for _ in range(40):
            for pid in (service.process.pid, *service.workers()):
                os.kill(pid, signal.SIGHUP)
            wait_for(lambda: True)
        wait_for(lambda: service.asks("/readyz") == 200, 60)
        assert service.process.poll() is None and "killed by" not in service.said.read_text()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a pseudo-terminal")
def test_a_closed_terminal_ends_it(tmp_path: Path) -> None:
    import pty

    port = free_port()
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored, and the service stay
        command = [sys.executable, "-m", "compressor.cli", "serve", "--port", str(port), "--store", "memory"]
        os.execve(sys.executable, command, {**os.environ})
    wait_for(lambda: ask(port, "/readyz") == 200, 60)
    os.kill(pid, signal.SIGHUP)  # somebody's reload
    wait_for(lambda: ask(port, "/readyz") == 200)
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    os.close(terminal)
    wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid)
