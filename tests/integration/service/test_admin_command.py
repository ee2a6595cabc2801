"""`compressor admin` as it is run: on a running service, on the store of a configuration, and on a key file."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compressor.cli.main import main
from compressor.service.auth import find_key, read_keys
from compressor.service.settings_sources import load
from support.client_tools import LOG
from support.service_tools import Service, history, two_tenants
from support.waiting import wait_for

Run = Callable[..., Any]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs a command and returns its JSON, or with `code` its one line of error."""
    for name in [name for name in os.environ if name.startswith("COMPRESSOR_")]:
        if name != "COMPRESSOR_CACHE_DIR":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, code: int = 0, text: bool = False) -> Any:
        monkeypatch.setattr(sys, "argv", ["compressor", "admin", *words, *([] if text or code else ["--json"])])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert ended.value.code == code, (words, out, err)
        if code:
            assert err.startswith("error: ") and err.count("\n") == 1 and not out, (words, out, err)
            return err
        return (out, err) if text else json.loads(out)

    return run


def test_keys_of_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    made = run("key", "create", "--tenant", "ops", "--admin", "--keys", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("# ours\n" + file.read_text())
    out, err = run("key", "create", "--tenant", "red", "--expires", "90d", "--keys", str(file), text=True)
    assert out.startswith("ck_") and out.count("\n") == 1 and "not shown again" in err
    keys = load(None, {}, {"keys": str(file)}).keys
    red = find_key(keys, out.strip())
    assert [key.admin for key in keys] == [True, False] and red is not None and red.expires is not None
    listed = run("key", "list", "--keys", str(file))
    assert [one["tenant"] for one in listed["keys"]] == ["ops", "red"] and listed["keys"][0]["source"] == "file"
    assert run("key", "block", red.id, "--keys", str(file))["state"] == "blocked"
    assert read_keys(file.read_text(), "file")[1].blocked
    assert run("key", "unblock", red.id, "--keys", str(file))["state"] == "valid"
    assert run("key", "expire", red.id, "--keys", str(file))["state"] == "expired"
    assert run("key", "expire", red.id, "never", "--keys", str(file))["expires"] is None
    new = run("key", "rotate", red.id, "--overlap", "1h", "--keys", str(file))
    assert new["replaces"]["id"] == red.id and new["tenant"] == "red"
    assert run("key", "delete", red.id, "--keys", str(file))["deleted"] == red.id
    assert file.read_text().startswith("# ours\n") and len(read_keys(file.read_text(), "file")) == 2
    assert "last valid admin key" in run("key", "delete", made["id"], "--keys", str(file), code=2)
    out, _ = run("key", "list", "--keys", str(file), text=True)
    assert out.splitlines()[0].split() == ["id", "tenant", "admin", "state", "expires"] and len(out.splitlines()) == 3


def test_keys_of_a_database_before_the_service_runs(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"key_store": "database", "store": str(tmp_path / "s.db"), "host": "0.0.0.0"}))
    made = run("key", "create", "--tenant", "ops", "--admin", "--config", str(config))
    monkeypatch.setenv("COMPRESSOR_CONFIG", str(config))
    run("tenant", "set", "red", "budget=5000", "originals_ttl=1h", 'pinned_tools=["read"]')
    shown = run("tenant", "show", "red")["settings"]
    assert shown["database"] == {"budget": 5000, "originals_ttl": 3600.0, "pinned_tools": ["read"]}
    assert run("tenant", "set", "red", "budget=")["database"].keys() == {"originals_ttl", "pinned_tools"}
    monkeypatch.delenv("COMPRESSOR_CONFIG")
    with Service(store=str(tmp_path / "s.db"), key_store="database") as service:
        head = {"x-compressor-key": made["key"]}
        assert service.http.get("/admin/v1/keys", headers=head).json()["total"] == 1
        assert service.gate._tenants.settings_of("red").originals_ttl == 3600
        # A change of the store reaches the running service.
        monkeypatch.setenv("COMPRESSOR_STORE", str(tmp_path / "s.db"))
        monkeypatch.setenv("COMPRESSOR_KEY_STORE", "database")
        red = run("key", "create", "--tenant", "red")
        wait_for(
            lambda: service.http.get("/v1/stats", headers={"x-compressor-key": red["key"]}).status_code == 200, 1.0
        )
        assert [one["who"] for one in run("audit", "--limit", "2")["records"]] == ["local", "local"]


def test_a_running_service(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, known = two_tenants()
    with Service(store=str(tmp_path / "s.db"), key_store="database", **known) as service:
        url: tuple[str, ...] = ("--url", service.url)
        head = {"x-compressor-key": keys["red"]}
        body = {"messages": history(LOG)}
        for id in ("run-1", "run-2"):
            service.http.post(f"/v1/sessions/{id}/append", json=body, headers=head)
            service.http.post(f"/v1/sessions/{id}/view", json={}, headers=head)
        ref = service.http.post("/v1/compress", json={**body, "budget": 900}, headers=head).json()["refs"][0]
        assert "Send your API key" in run("key", "list", *url, code=2)
        monkeypatch.setenv("COMPRESSOR_ADMIN_KEY", keys["red"])
        assert "admin key" in run("key", "list", *url, code=2)
        monkeypatch.delenv("COMPRESSOR_ADMIN_KEY")
        (tmp_path / "key").write_text(keys["ops"] + "\n")
        url = (*url, "--key-file", "key")
        made = run("key", "create", "--tenant", "green", *url)
        assert run("key", "block", made["id"], *url)["blocked"]
        assert {one["tenant"] for one in run("tenant", "list", *url)["tenants"]} == {"red", "blue", "ops", "green"}
        assert run("session", "list", "--q", "run-2", *url)["sessions"][0]["id"] == "run-2"
        assert run("session", "show", "red", "run-1", *url)["count"] == 3
        assert run("session", "delete", "red", "run-1", *url)["deleted"] == "run-1"
        assert "no session" in run("session", "show", "red", "run-1", *url, code=2)
        assert run("ref", "show", "red", ref, *url)["stored_bytes"] > 0
        assert run("ref", "delete", "red", ref, *url)["deleted"] == ref
        assert "expired" in run("ref", "show", "red", ref, *url, code=2)
        assert "--yes" in run("tenant", "erase", "red", *url, code=2)
        assert run("tenant", "erase", "red", "--yes", *url)["erased"]["logs"] >= 1
        out, err = run("audit", "--limit", "2", *url, text=True)
        assert "tenant.erase" in out and "go on with --before" in err
        for group, columns in (("tenant", "valid_keys"), ("session", "model"), ("key", "expires")):
            assert columns in run(group, "list", *url, text=True)[0]
        assert "originals_ttl: 604800" in run("tenant", "show", "red", *url, text=True)[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("key", "list"), "--keys FILE"),
        (("key", "list", "--keys", "no/such/file"), "Cannot"),
        (("tenant", "list", "--keys", "missing.txt"), "does not exist"),
        (("tenant", "list", "--config", "missing.json"), "Cannot read the config file"),
        (("tenant", "list", "--store", "memory"), "--url"),
        (("tenant", "list", "--store", "nonsense"), "not a store"),
        (("tenant", "list", "--url", "ftp://x"), "base URL"),
        (("tenant", "list", "--url", "http://127.0.0.1:1"), "does not answer"),
        (("tenant", "list", "--url", "http://127.0.0.1:1", "--store", "s.db"), "leave out"),
        (("tenant", "list", "--url", "http://127.0.0.1:1", "--key-file", "missing"), "Cannot read the file"),
        (("tenant", "set", "red", "budget", "--store", "s.db"), "NAME=VALUE"),
        (("tenant", "set", "red", "bugdet=1", "--store", "s.db"), "bugdet"),
        (("tenant", "set", "a b", "budget=1", "--store", "s.db"), "tenant"),
        (("key", "create", "--tenant", "a b", "--keys", "k.txt"), "tenant"),
        (("key", "create", "--tenant", "a", "--expires", "soon", "--keys", "k.txt"), "expires"),
        (("key", "block", "zzz", "--keys", "k.txt"), "Cannot read the key file"),
        (("ref", "show", "red", "abc", "--store", "s.db"), "abc"),
        (("session", "show", "red", "none", "--store", "s.db"), "no session"),
        (("session", "show", "red"), "Missing argument"),
        (("nonsense",), "nonsense"),
    ],
)
def test_errors_are_one_line(run: Run, words: tuple[str, ...], message: str) -> None:
    assert message in run(*words, code=2)


def test_an_admin_key_by_serve(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["compressor", "serve", "--new-key", "ops", "--admin"])
    with pytest.raises(SystemExit) as ended:
        main()
    plain, line = capsys.readouterr().out.splitlines()
    (key,) = read_keys(line, "line")
    assert not ended.value.code and key.admin and find_key([key], plain) == key
    monkeypatch.setattr(sys, "argv", ["compressor", "serve", "--admin"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and "--new-key TENANT" in capsys.readouterr().err
