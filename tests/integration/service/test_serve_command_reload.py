"""Settings that change while the service runs: keys, limits, policies, in all workers and without a drain."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from compressor.service.auth import ApiKey, new_key
from compressor.storage.wrappers.encryption_keys import new_encryption_key
from support.load_clients import LoadClients
from support.serve_process import Running, Slow
from support.waiting import wait_for

REVOKED_WITHIN = 1.0  # seconds
PATIENCE = 10  # times as long, on a busy machine


def write(path: Path, *entries: ApiKey) -> None:
    """As an editor does: over the old file, in place."""
    path.write_text("".join(entry.line() + "\n" for entry in entries))


def rename(path: Path, *entries: ApiKey) -> None:
    """As a tool does: a new file takes the old one's place."""
    other = path.with_name("new")
    write(other, *entries)
    os.replace(other, path)


def swap(path: Path, *entries: ApiKey) -> None:
    """As Kubernetes does: `path` is a link through `..data`, which is turned to another folder."""
    folder = path.parent / f"..{time.monotonic_ns()}"
    folder.mkdir()
    write(folder / path.name, *entries)
    os.symlink(folder.name, path.parent / "..new")
    os.replace(path.parent / "..new", path.parent / "..data")
    if not path.is_symlink():
        path.unlink(missing_ok=True)
        os.symlink(f"..data/{path.name}", path)


def status(service: Running, key: str) -> int:
    """On a connection of its own, so that any worker may get it."""
    answer = httpx.get(f"{service.url}/v1/stats", headers={"x-compressor-key": key}, timeout=60, verify=False)
    return answer.status_code


def statuses(service: Running, key: str, times: int = 12) -> set[int]:
    return {status(service, key) for _ in range(times)}


@pytest.mark.slow
@pytest.mark.parametrize(("change", "is_killed"), [(write, True), (rename, False), (swap, False)])
def test_keys_rotate_under_load(tmp_path: Path, change: Callable[..., None], is_killed: bool) -> None:
    """No valid key is refused; none is accepted a second after it was revoked, also not by a worker that is new."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    file = folder / "keys"
    (kept, kept_entry), (old, old_entry), (new, new_entry) = new_key("search"), new_key("search"), new_key("batch")
    change(file, kept_entry, old_entry)
    flags = ("--workers", "2", "--store", str(tmp_path / "s.db"), "--keys", str(file))
    with Running(tmp_path, *flags) as service:
        wait_for(lambda: service.events().count("Application startup complete.") == 2, 60)
        with (
            LoadClients(service.port, "/v1/stats", None, 3, keys=(kept,)) as valid,
            LoadClients(service.port, "/v1/stats", None, 2, keys=(old,)) as revoked,
        ):
            wait_for(lambda: len(revoked.outcomes) > 20)
            change(file, kept_entry, new_entry)
            changed = time.monotonic()
            wait_for(lambda: statuses(service, new) == {200}, PATIENCE * REVOKED_WITHIN)
            followed = max(time.monotonic(), changed + REVOKED_WITHIN)  # so all workers know it
            time.sleep(max(0.0, followed + 0.5 - time.monotonic()))
            if is_killed:
                os.kill(service.workers()[0], signal.SIGKILL)  # its replacement has the same keys
                wait_for(lambda: service.events().count("Application startup complete.") == 3)
            outcomes = revoked.stop()
            assert statuses(service, old, 20) == {401} and statuses(service, new, 20) == {200}
            answers = valid.stop()
        late = [o for o in outcomes if o.started > followed and o.kind == "answered"]
        assert late and {o.status for o in late} == {401}
        assert {o.status for o in outcomes if o.started + o.seconds < changed} == {200}
        assert {o.status for o in answers if o.kind == "answered"} == {200}
        assert [line["changed"] for line in service.log_lines("info") if line["event"] == "settings reloaded"] == [
            ["keys"]
        ]
        service.process.terminate()
        assert service.ends() == 0
    text = service.said.read_text()
    assert not any(secret in text for secret in (kept, old, new, kept_entry.hash, old_entry.hash, new_entry.hash))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_sighup_reloads_and_a_broken_file_changes_nothing(tmp_path: Path, workers: int) -> None:
    """Streams go on meanwhile; what only a restart can change is named; no worker differs from the others."""
    key, entry = new_key("search")
    file, config = tmp_path / "keys", tmp_path / "settings.json"
    write(file, entry)
    given = {"keys": str(file), "store": str(tmp_path / "s.db"), "requests_per_minute": 0}
    secret = new_encryption_key()
    with Slow(0.3) as upstream:
        given |= {"upstream": upstream.url}
        config.write_text(json.dumps(given))
        with Running(
            tmp_path, "--config", str(config), "--workers", str(workers), COMPRESSOR_ENCRYPTION_KEYS=secret
        ) as service:
            wait_for(lambda: service.events().count("Application startup complete.") == workers, 60)
            lines = service.streams({"x-compressor-key": key})
            next(lines)

            config.write_text('{"keys": ')
            wait_for(lambda: len(service.log_lines("error")) == 1)
            assert "not a valid JSON object" in service.log_lines("error")[0]["event"]
            assert statuses(service, key) == {200}

            config.write_text(json.dumps({**given, "tenants": {"search": {"requests_per_minute": 1}}, "cache": False}))
            wait_for(lambda: 429 in statuses(service, key))
            warning = wait_for(lambda: [w for w in service.log_lines("warning") if "restart" in w["event"]])[0]
            assert warning["event"].endswith(": cache")

            config.write_text(json.dumps(given))
            os.utime(config, (0, 0))
            service.process.send_signal(signal.SIGHUP)
            wait_for(lambda: statuses(service, key) == {200})
            if workers == 2:  # as of Kubernetes' kubelet, or of a terminal that ends: to every process
                for pid in service.workers():
                    os.kill(pid, signal.SIGHUP)
            assert [*lines][-1] == "data: [DONE]"  # the stream of before
            assert len(service.log_lines("error")) == 1
            assert service.events().count("Application startup complete.") == workers
            service.process.terminate()
            assert service.ends() == 0
    text = service.said.read_text()
    assert secret not in text and key not in text and "Traceback" not in text


@pytest.mark.slow
def test_a_setting_that_was_not_reloaded_does_not_differ_between_workers(tmp_path: Path) -> None:
    key, entry = new_key("search")
    file, config = tmp_path / "keys", tmp_path / "settings.json"
    write(file, entry)
    given = {"keys": str(file), "store": str(tmp_path / "s.db"), "max_body_bytes": 1_000}
    config.write_text(json.dumps(given))
    with Running(tmp_path, "--config", str(config), "--workers", "2") as service:
        wait_for(lambda: service.events().count("Application startup complete.") == 2, 60)
        config.write_text(json.dumps({**given, "max_body_bytes": 100_000}))  # only a restart can change it
        wait_for(lambda: any("restart" in w["event"] for w in service.log_lines("warning")))
        os.kill(service.workers()[0], signal.SIGKILL)
        wait_for(lambda: service.events().count("Application startup complete.") == 3)

        def post() -> int:
            headers = {"x-compressor-key": key}
            return httpx.post(f"{service.url}/v1/compress", headers=headers, content=b" " * 5_000).status_code

        assert {post() for _ in range(20)} == {413}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_keys_that_are_all_removed_do_not_open_it(tmp_path: Path, workers: int) -> None:
    key, entry = new_key("search")
    file = tmp_path / "keys"
    write(file, entry)
    flags = ("--workers", str(workers), "--store", str(tmp_path / "s.db"), "--keys", str(file), "--host", "0.0.0.0")
    with Running(tmp_path, *flags) as service:
        wait_for(lambda: service.events().count("Application startup complete.") == workers, 60)
        file.write_text("# nobody\n")
        wait_for(lambda: statuses(service, key) == {401})
        if workers == 2:
            os.kill(service.workers()[0], signal.SIGKILL)
            wait_for(lambda: service.events().count("Application startup complete.") == 3)
        assert statuses(service, key) == {401} and service.asks("/v1/stats") == 401
        assert any("no API key is valid" in line["event"] for line in service.log_lines("warning"))
        file.unlink()  # cannot be read: nothing changes
        wait_for(lambda: any("Cannot read" in line["event"] for line in service.log_lines("error")))
        write(file, entry)
        wait_for(lambda: statuses(service, key) == {200})


@pytest.mark.slow
def test_a_renewed_certificate_is_used(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def make(name: str) -> None:
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
        subprocess.run(command, check=True, capture_output=True)

    make("first")
    flags = ("--workers", "2", "--store", str(tmp_path / "s.db"), "--tls-cert", str(cert), "--tls-key", str(key))
    with Running(tmp_path, *flags, tls=str(cert)) as service:
        wait_for(lambda: service.events().count("Application startup complete.") == 2, 60)
        make("second")
        wait_for(lambda: [service.asks("/healthz") for _ in range(8)] == [200] * 8)  # trusts the new one only
        service.process.terminate()
        assert service.ends() == 0
