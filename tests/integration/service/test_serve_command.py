"""`compressor serve` and `compressor healthcheck` as they are run: real processes, real signals, a provider that takes
its time."""

from __future__ import annotations

import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from compressor import CompressorError
from compressor.service.auth import new_key
from compressor.service.settings import Settings
from compressor.service.settings_sources import load
from compressor.storage.wrappers.encryption_keys import new_encryption_key
from support.serve_process import LINES, Running, Slow, run_main
from support.service_tools import Service, two_tenants
from support.waiting import wait_for


def test_a_stream_under_way_is_finished(tmp_path: Path) -> None:
    with Slow(0.1) as upstream, Running(tmp_path, "--upstream", upstream.url, "--store", "memory") as service:
        lines = service.streams()
        first = next(lines)
        service.process.send_signal(signal.SIGTERM)
        wait_for(lambda: service.asks("/healthz") == 0)  # nobody is let in any more
        assert service.process.poll() is None
        got = [first, *lines]
        assert len(got) == LINES + 1 and got[-1] == "data: [DONE]"
        assert service.ends() == 0
    assert "draining" in service.events()


@pytest.mark.slow
def test_what_takes_too_long_is_cut(tmp_path: Path) -> None:
    flags = ("--shutdown-timeout", "1", "--store", "memory")
    with Slow(1.0) as upstream, Running(tmp_path, "--upstream", upstream.url, *flags) as service:
        lines = service.streams()
        next(lines)
        start = time.monotonic()
        service.process.terminate()
        with pytest.raises(httpx.HTTPError):  # it does not end as if it were whole
            list(lines)
        assert service.ends() == 0 and 0.9 < time.monotonic() - start < 10


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_signal_ends_it_at_once(tmp_path: Path, workers: str) -> None:
    flags = ("--workers", workers, "--store", str(tmp_path / "s.db"))
    with Slow(1.0) as upstream, Running(tmp_path, "--upstream", upstream.url, *flags) as service:
        lines = service.streams()
        next(lines)
        pids = service.workers()
        service.process.terminate()
        wait_for(lambda: "draining" in service.events())
        start = time.monotonic()
        service.process.send_signal(signal.SIGINT)
        assert service.ends() == 128 + signal.SIGINT and time.monotonic() - start < 9
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        lines.close()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_balancer_is_told_before_the_door_closes(tmp_path: Path) -> None:
    with Running(tmp_path, "--store", "memory", COMPRESSOR_SHUTDOWN_DELAY="5") as service:
        service.process.terminate()
        wait_for(lambda: service.asks("/readyz") == 503)
        assert service.asks("/healthz") == 200 and service.compresses() <= 2000
        assert service.ends() == 0


@pytest.mark.slow
def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    """What the others have under way does not notice; what is asked afterwards is answered."""
    flags = ("--workers", "2", "--store", str(tmp_path / "s.db"))
    keys = new_encryption_key()  # which no process hands to another
    with (
        Slow(0.3) as upstream,
        Running(tmp_path, "--upstream", upstream.url, *flags, COMPRESSOR_ENCRYPTION_KEYS=keys) as service,
    ):
        wait_for(lambda: service.events().count("Application startup complete.") == 2)
        first, second = service.workers()
        with ThreadPoolExecutor(8) as pool:
            streams = [pool.submit(lambda: list(service.streams())) for _ in range(8)]
            wait_for(lambda: upstream.started == 8)
            os.kill(first, signal.SIGKILL)
            ended = [stream.exception() is None and len(stream.result()) == LINES + 1 for stream in streams]
        assert 1 <= sum(ended) < 8  # each worker had some of them
        wait_for(lambda: len(service.workers()) == 2)
        assert second in service.workers() and first not in service.workers()
        wait_for(lambda: service.events().count("Application startup complete.") == 3)
        for _ in range(10):
            assert service.compresses() <= 2000
        assert any("killed by SIGKILL" in event for event in service.events())
        service.process.terminate()
        assert service.ends() == 0


@pytest.mark.slow
def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    with Running(tmp_path, "--workers", "2", "--store", str(tmp_path / "s.db")) as service:
        pids = service.workers()
        service.process.kill()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
        assert len(pids) == 2 and service.asks("/healthz") == 0


@pytest.mark.slow
def test_workers_that_cannot_start_end_it_all(tmp_path: Path) -> None:
    flags = ("--workers", "2", "--store", str(tmp_path / "s.db"), "--scorer", "pruner:/no/such/model")
    with Running(tmp_path, *flags, ready=False) as service:
        assert service.ends() == 1
        assert "error: the service could not start" in service.said.read_text().splitlines()[-1]


@pytest.mark.slow
def test_a_signal_while_it_starts_ends_it(tmp_path: Path) -> None:
    for workers in ("1", "2"):
        flags = ("--workers", workers, "--store", str(tmp_path / "s.db"))
        with Running(tmp_path, *flags, ready=False) as service:
            wait_for(lambda: "listening" in service.said.read_text())
            service.process.terminate()
            assert service.ends() == 0, service.said.read_text()


@pytest.mark.slow
def test_https(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=here"]
    make += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert]
    subprocess.run(make, check=True, capture_output=True)
    with Running(tmp_path, "--store", "memory", "--tls-cert", cert, "--tls-key", key, tls=cert) as service:
        assert service.asks("/readyz") == 200
        monkeypatch.setenv("COMPRESSOR_PORT", str(service.port))
        monkeypatch.setenv("COMPRESSOR_TLS_CERT", cert)
        monkeypatch.setenv("COMPRESSOR_TLS_KEY", key)
        assert run_main(monkeypatch, "healthcheck") == 0 and capsys.readouterr().out == "ready\n"
        service.process.terminate()
        assert service.ends() == 0
    assert run_main(monkeypatch, "serve", "--tls-key", cert) == 2
    assert "Cannot use" in capsys.readouterr().err


@contextmanager
def taken() -> Iterator[str]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield str(other.getsockname()[1])


def test_what_cannot_be_had_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, mine = tmp_path / "bad.json", tmp_path / "mine"
    bad.write_text('{"prot": 1}')
    mine.write_text("no key at all")
    with taken() as port:
        for words, why in (
            (["--port", port, "--store", "memory"], "in use"),
            (["--port", "70000"], "65535"),
            (["--host", "no.such.host.invalid", "--keys", str(mine)], "TENANT"),
            (["--keys", str(tmp_path / "none")], "Cannot read"),
            (["--config", str(tmp_path / "none")], "Cannot read"),
            (["--config", str(bad)], "prot"),
            (["--upstream", "ftp://user:secret@host"], "base URL"),
            (["--workers", "2", "--store", "memory"], "share"),
            (["--workers", "0"], "minimum is 1"),
            (["--tls-cert", str(mine)], "together"),
            (["--tls-cert", str(mine), "--tls-key", str(mine)], "Cannot use"),
            (["--tls-cert", str(tmp_path / "none"), "--tls-key", str(mine)], "No such file"),
            (["--store", "a.db", "--redis-url", "redis://h"], "one of them"),
            (["--shutdown-timeout", "-1"], "--shutdown-timeout=-1"),
            (["--budget", "much"], "neither"),
        ):
            assert run_main(monkeypatch, "serve", *words) == 2, words
            said = capsys.readouterr()
            assert not said.out and said.err.startswith("error: ") and said.err.count("\n") == 1, said
            assert why in said.err and "secret" not in said.err, said.err


def test_no_secret_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key, kept = new_key("team")
    (tmp_path / "keys").write_text(kept.line())
    (tmp_path / "password").write_text("hush-1\n")
    monkeypatch.setenv("COMPRESSOR_KEYS_FILE", str(tmp_path / "keys"))
    monkeypatch.setenv("COMPRESSOR_REDIS_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("COMPRESSOR_ENCRYPTION_KEYS", secret := new_encryption_key())
    monkeypatch.setenv("COMPRESSOR_UPSTREAM", "https://me:hush-2@host/v1")
    for store in (
        "redis://redis:6379/0",
        "rediss://me:hush-3@h/0?ssl_ca_certs=/x&password=hush-4",
        "redis+sentinel://:hush-5@a:1,b:2/main/0?sentinel_password=hush-6",
        "redis://:hu/sh-7@host",
        "redis://:hu?sh-8@host",
        "redis://h/0?password=hush@9",
    ):
        assert run_main(monkeypatch, "serve", "--show", "--store", store) == 0
        said = capsys.readouterr().out
        shown = json.loads(said)
        assert shown["store"].startswith(store.split("://")[0]) and shown["upstream"] == "https://***@host/v1"
        assert shown["keys"] == ["team"] and "hush" not in said and "sh-" not in said and "h@9" not in said
        assert key not in said and kept.hash not in said and secret not in said


def test_the_password_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss/word\n")
    env = {"COMPRESSOR_REDIS_PASSWORD_FILE": str(file)}

    def store(url: str) -> str | None:
        return load(env=env, flags={"store": url}).store

    assert store("redis://redis:6379/0") == "redis://:p%40ss%2Fword@redis:6379/0"
    assert store("rediss+sentinel://me@a:1,b:2/main") == "rediss+sentinel://me:p%40ss%2Fword@a:1,b:2/main"
    for kept in ("redis://:own@h", "memory", "/data/store.db"):
        assert store(kept) == kept
    file.unlink()
    with pytest.raises(CompressorError, match="Cannot read"):
        store("redis://h")


def test_healthcheck(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _, known = two_tenants()
    with Service(**known) as service:
        for words in (["--url", service.url], ["--url", service.url, "--live"]):
            assert run_main(monkeypatch, "healthcheck", *words) == 0
        assert capsys.readouterr().out == "ready\nok\n"
        monkeypatch.setenv("COMPRESSOR_PORT", service.url.rpartition(":")[2])
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # a probe of this machine asks no proxy
        assert run_main(monkeypatch, "healthcheck") == 0 and capsys.readouterr().out == "ready\n"
        service.gate.drain()
        assert run_main(monkeypatch, "healthcheck") == 1 and "503" in capsys.readouterr().err
    assert run_main(monkeypatch, "healthcheck") == 1 and "does not answer" in capsys.readouterr().err


def test_settings_of_the_environment() -> None:
    env = {"COMPRESSOR_WORKERS": "3", "COMPRESSOR_SHUTDOWN_DELAY": "1.5", "COMPRESSOR_SHUTDOWN_TIMEOUT": "0"}
    assert load(env=env) == Settings(workers=3, shutdown_delay=1.5, shutdown_timeout=0)


def test_every_address_of_a_name(tmp_path: Path) -> None:
    """localhost may be an IPv6 address first, and clients ask the other."""
    from compressor.service.processes.listening_sockets import listen

    sockets = listen("localhost", 0)
    try:
        ports = {one.getsockname()[1] for one in sockets}
        assert len(ports) == 1
        http.client.HTTPConnection("127.0.0.1", ports.pop(), timeout=60).connect()
    finally:
        for one in sockets:
            one.close()


def test_secrets_that_would_be_kept_in_a_redis_are_said() -> None:
    key = load(env={"COMPRESSOR_ENCRYPTION_KEYS": new_encryption_key()}).encryption_keys
    assert Settings(store="redis://localhost").warns_about_unencrypted_secrets()
    assert not Settings(store="redis://localhost", encryption_keys=key).warns_about_unencrypted_secrets()
    assert not Settings(
        store="redis://localhost", redact="off"
    ).warns_about_unencrypted_secrets()  # who wants them kept knows it
    assert not Settings(store="memory").warns_about_unencrypted_secrets()
