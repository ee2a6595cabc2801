"""Erasing a tenant leaves nothing of it: in the store, in the memory of any worker, and in what comes back later."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from compressor.storage import codec
from support.client_tools import LOG
from support.scripted_server import Reply, ScriptedServer
from support.service_tools import Service, history, two_tenants
from support.waiting import wait_for

MARKER = "PACEMAKER-4711"


class Writer:
    """A client of a tenant that goes on while the tenant is erased: it opens sessions again that a worker knows."""

    def __init__(self, service: Service, head: dict[str, str]) -> None:
        self._url, self._head = service.url, head
        self.statuses: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        wait_for(lambda: len(self.statuses) > 3)
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, headers=self._head, timeout=30) as http:
            while not self._stop.is_set():
                self.statuses.append(http.post("/v1/sessions/run/view", json={}).status_code)
                self.statuses.append(http.get("/v1/stats").status_code)


def fill(service: Service, head: dict[str, str]) -> str:
    """Everything that a tenant may have in the store; returns a ref."""
    messages = history(f"{MARKER}\n{LOG}")
    for session in ("run", f"run-{MARKER}"):
        url = f"/v1/sessions/{session}"
        options = {"messages": messages, "model": "gpt-4o", "tools_budget": 100}
        assert service.http.post(f"{url}/append", json=options, headers=head).status_code == 200
        assert service.http.post(f"{url}/view", json={}, headers=head).status_code == 200
    made = service.http.post("/v1/compress", json={"messages": messages, "budget": 900}, headers=head)
    small = {"messages": [{"role": "user", "content": MARKER}], "budget": 900}
    assert service.http.post("/v1/compress", json=small, headers=head).status_code == 200
    return str(made.json()["refs"][0])


def contents(path: Path) -> str:
    """Everything that is in a SQLite file, decompressed."""
    with closing(sqlite3.connect(path)) as db:
        found = [*db.execute("SELECT key, value FROM entries WHERE value IS NOT NULL")]
        found += db.execute("SELECT name, record FROM logs JOIN records ON records.log = logs.id")
    return "\n".join(f"{key!r}: {codec.decompress(value, '')!r}" for key, value in found)


def test_nothing_is_left_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    keys, known = two_tenants()
    heads = {name: {"x-compressor-key": key} for name, key in keys.items()}
    settings = {"store": str(path), "key_store": "database", "redact": "off", **known}
    with Service(**settings) as one, Service(**settings) as other:
        refs = {name: fill(one, heads[name]) for name in ("red", "blue")}
        for service in (one, other):  # both hold the session, and usage that is not written yet
            assert MARKER in service.http.post("/v1/sessions/run/view", json={}, headers=heads["red"]).text
        assert contents(path).count(MARKER) > 5
        with Writer(other, heads["red"]) as writer:
            answer = one.http.delete("/admin/v1/tenants/red/data", headers=heads["ops"])
            assert answer.status_code == 200 and answer.json()["erased"]["values"] >= 4, answer.text
            assert answer.json()["erased"]["logs"] >= 3
            writer.stop()
            assert set(writer.statuses) <= {200, 404, 503}, "no request broke"
        for service in (one, other):
            assert service.http.get(f"/v1/retrieve/{refs['red']}", headers=heads["red"]).status_code == 404
            assert service.http.post("/v1/sessions/run/view", json={}, headers=heads["red"]).status_code == 404
            assert service.http.get("/v1/sessions", headers=heads["red"]).json()["sessions"] == []
            assert MARKER in service.http.get(f"/v1/retrieve/{refs['blue']}", headers=heads["blue"]).text
        assert one.http.delete("/admin/v1/tenants/blue/data", headers=heads["ops"]).status_code == 200
        audit = one.http.get("/admin/v1/audit", headers=heads["ops"]).json()["records"]
        assert [(each["act"], each["target"]) for each in audit[:2]] == [
            ("tenant.erase", "blue"),
            ("tenant.erase", "red"),
        ]
        assert MARKER not in json.dumps(audit)
        assert MARKER not in contents(path)
        for file in tmp_path.iterdir():
            assert MARKER.encode() not in file.read_bytes(), file.name
        begun = other.http.post(
            "/v1/sessions/run/append", json={"messages": [{"role": "user", "content": "new"}]}, headers=heads["red"]
        )
        assert begun.status_code == 200 and begun.json()["count"] == 1, "the tenant may go on"
    assert MARKER not in contents(path), "nothing was written back at the end"


def test_an_erased_tenant_may_lose_its_settings_too(tmp_path: Path) -> None:
    keys, known = two_tenants()
    head = {"x-compressor-key": keys["ops"]}
    with Service(store=str(tmp_path / "s.db"), key_store="database", **known) as service:
        url = "/admin/v1/tenants/red"
        service.http.put(f"{url}/settings", json={"budget": 5000}, headers=head)
        service.http.delete(f"{url}/data", headers=head)
        assert service.http.get(f"{url}/settings", headers=head).json()["database"] == {"budget": 5000}
        service.http.delete(f"{url}/data?settings=true", headers=head)
        assert service.http.get(f"{url}/settings", headers=head).json()["database"] == {}
        assert service.http.get("/admin/v1/keys?tenant=red", headers=head).json()["total"] == 1, "keys stay"


def test_vectors_of_texts_go_as_well(tmp_path: Path) -> None:
    keys, known = two_tenants()
    head = {"x-compressor-key": keys["ops"]}
    with Service(store=str(tmp_path / "s.db"), **known) as service:
        shared = service.gate._tenants.stores.shared
        shared.put({"vector:model:abc": b"12", "other": b"3"})
        done = service.http.delete("/admin/v1/tenants/red/data", headers=head).json()["erased"]
        assert done["vectors"] == 1 and shared.get("other") == b"3"
        with pytest.raises(Exception, match="unknown"):
            shared.get("vector:model:abc")


@pytest.mark.parametrize("store", ["s.db", "memory"])
def test_an_unnamed_conversation_is_deleted(tmp_path: Path, store: str) -> None:
    body = {"model": "gpt-4o", "messages": [*history(f"{MARKER}\n{LOG}"), {"role": "user", "content": "Go on."}]}
    place = store if store == "memory" else str(tmp_path / store)
    with ScriptedServer([Reply("Well.")] * 2, extends=None) as server, Service(store=place, upstream=server.url) as one:

        def listed() -> list[str]:
            return [each["id"] for each in one.http.get("/admin/v1/sessions").json()["sessions"]]

        assert one.http.post("/v1/chat/completions", json=body).status_code == 200
        (id,) = listed()
        for wrong in ("auto-", "auto-%25", "auto-" + "0" * 16):
            assert one.http.delete(f"/v1/sessions/{wrong}").status_code == 404
        assert one.http.delete(f"/admin/v1/tenants/local/sessions/{id}").json()["deleted"] == id
        assert listed() == [] and one.http.delete(f"/v1/sessions/{id}").status_code == 404
        if store != "memory":
            with closing(sqlite3.connect(place)) as db:
                assert not db.execute("SELECT 1 FROM logs WHERE name LIKE 'conversation:%' AND last > 0").fetchall()
        assert one.http.post("/v1/chat/completions", json=body).status_code == 200, "its client may go on"


def test_a_proxied_session_is_deleted_in_all_workers(tmp_path: Path) -> None:
    keys, known = two_tenants()
    head = {"x-compressor-key": keys["red"], "x-compressor-session": "run"}
    messages = [*history(f"{MARKER}\n{LOG}"), {"role": "user", "content": "Go on."}]
    body = {"model": "gpt-4o", "messages": messages}
    with ScriptedServer([Reply("Well.")] * 4, extends=None) as server:
        settings = {"store": str(tmp_path / "s.db"), "key_store": "database", "upstream": server.url, **known}
        with Service(**settings) as one, Service(**settings) as other:
            for service in (one, other):
                assert service.http.post("/v1/chat/completions", json=body, headers=head).status_code == 200
            assert MARKER in contents(tmp_path / "s.db")
            assert one.http.delete("/v1/sessions/run", headers=head).json()["originals"] >= 1

            def view(service: Service) -> httpx.Response:
                return service.http.post("/v1/sessions/run/view", json={}, headers=head)

            for service in (one, other):
                assert view(service).status_code == 404
            assert MARKER not in contents(tmp_path / "s.db")
            wait_for(lambda: not other.gate._tenants.get("red").sessions.open_ids())
            assert other.http.get("/v1/sessions", headers=head).json()["sessions"] == []
            for service in (other, one):  # its client goes on, with its whole history
                assert service.http.post("/v1/chat/completions", json=body, headers=head).status_code == 200
                assert view(service).json()["count"] == 4, "its options are known again"
