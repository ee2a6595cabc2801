"""The control plane with a Redis that several machines share: near caches, erasure, and a Redis that is away."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from compressor.storage import codec
from support.client_tools import LOG
from support.redis_tools import RedisServer, shared_server
from support.service_tools import Service, history, two_tenants
from support.waiting import wait_for

pytest.importorskip("fastapi")
MARKER = "PACEMAKER-4711"
WITHIN = 20.0  # on a busy machine, or else in a second


@pytest.fixture
def server() -> RedisServer:
    server = shared_server()
    server.admin.execute_command("FLUSHALL")
    return server


def everything(server: RedisServer) -> bytes:
    """All keys and what they hold, decompressed where that is possible."""
    found = []
    for name in server.names():
        kind = server.admin.execute_command("TYPE", name)
        if kind == b"list":
            parts = server.admin.execute_command("LRANGE", name, 0, -1)
            parts = [part[8:] for part in parts[1:]]
        else:
            parts = [server.admin.execute_command("GET", name) or b""]
        found += [name, *parts, *(codec.decompress(part, "") for part in parts if part[:1] in (b"R", b"Z"))]
    return b"\n".join(found)


def settings_for(server: RedisServer, **more: Any) -> tuple[dict[str, dict[str, str]], dict[str, Any]]:
    keys, known = two_tenants()
    heads = {name: {"x-compressor-key": key} for name, key in keys.items()}
    return heads, {"store": server.url, "key_store": "database", "redact": "off", **known, **more}


def fill(service: Service, head: dict[str, str]) -> str:
    messages = history(f"{MARKER}\n{LOG}")
    for call, body in (("append", {"messages": messages}), ("view", {})):
        assert service.http.post(f"/v1/sessions/run/{call}", json=body, headers=head).status_code == 200
    made = service.http.post("/v1/compress", json={"messages": messages, "budget": 900}, headers=head)
    return str(made.json()["refs"][0])


def test_erasure_reaches_the_caches_of_other_workers(server: RedisServer) -> None:
    heads, settings = settings_for(server)
    with Service(**settings) as one, Service(**settings) as other:
        refs = {name: fill(one, heads[name]) for name in ("red", "blue")}
        url = f"/v1/retrieve/{refs['red']}"
        for service in (one, other):
            assert MARKER in service.http.get(url, headers=heads["red"]).text
            assert service.http.post("/v1/sessions/run/view", json={}, headers=heads["red"]).status_code == 200
        assert MARKER.encode() in everything(server) and b":red:" in everything(server)
        erased = one.http.delete("/admin/v1/tenants/red/data", headers=heads["ops"]).json()["erased"]
        assert erased["values"] >= 3 and erased["logs"] >= 2 and erased["bytes"] > 0
        for service in (one, other):
            assert service.http.get(url, headers=heads["red"]).status_code == 404, "no near cache has it"
            assert service.http.post("/v1/sessions/run/view", json={}, headers=heads["red"]).status_code == 404
            assert MARKER in service.http.get(f"/v1/retrieve/{refs['blue']}", headers=heads["blue"]).text
        assert b":red:" not in b"\n".join(server.names())
        assert one.http.delete("/admin/v1/tenants/blue/data", headers=heads["ops"]).status_code == 200
        assert MARKER.encode() not in everything(server)
    assert MARKER.encode() not in everything(server), "nothing is written back at the end"


def test_a_deleted_ref_leaves_the_near_caches(server: RedisServer) -> None:
    heads, settings = settings_for(server)
    with Service(**settings) as one, Service(**settings) as other:
        ref = fill(one, heads["red"])

        def get() -> int:
            return other.http.get(f"/v1/retrieve/{ref}", headers=heads["red"]).status_code

        assert get() == 200
        assert one.http.delete(f"/v1/retrieve/{ref}", headers=heads["red"]).status_code == 200
        wait_for(lambda: get() == 410, WITHIN)
        assert one.http.delete("/v1/sessions/run", headers=heads["red"]).json()["deleted"] == "run"
        answer = other.http.post("/v1/sessions/run/view", json={}, headers=heads["red"])
        assert answer.status_code == 404


def test_keys_and_settings_reach_every_machine(server: RedisServer) -> None:
    heads, settings = settings_for(server)
    with Service(**settings) as one, Service(**settings) as other:
        made = one.http.post("/admin/v1/keys", json={"tenant": "green"}, headers=heads["ops"]).json()

        def status() -> int:
            return other.http.get("/v1/stats", headers={"x-compressor-key": made["key"]}).status_code

        wait_for(lambda: status() == 200, WITHIN)
        one.http.patch(f"/admin/v1/keys/{made['id']}", json={"blocked": True}, headers=heads["ops"])
        wait_for(lambda: status() == 401, WITHIN)
        url = "/admin/v1/tenants/red/settings"
        assert one.http.put(url, json={"budget": 1234, "originals_ttl": "1h"}, headers=heads["ops"]).status_code == 200
        wait_for(lambda: other.gate._tenants.settings_of("red").budget == 1234, WITHIN)
        ref = fill(other, heads["red"])
        left = [
            server.admin.execute_command("PTTL", name) for name in server.names() if b"{v:%s}" % ref.encode() in name
        ]
        assert 3_500_000 < min(left) <= 3_600_000
        other_left = server.admin.execute_command("PTTL", b"acr:1:=admin:{l:control:1}")
        assert other_left > 50 * 365 * 86_400_000, "keys do not expire"


def test_keys_stay_known_while_redis_is_away(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "r", appendonly="yes", appendfsync="always")
    heads, settings = settings_for(server)
    try:
        with Service(**settings) as service:
            made = service.http.post("/admin/v1/keys", json={"tenant": "green"}, headers=heads["ops"]).json()
            green = {"x-compressor-key": made["key"]}
            body = {"messages": [{"role": "user", "content": "x"}], "budget": 100}
            assert service.http.post("/v1/compress", json=body, headers=green).status_code == 200
            server.kill()
            time.sleep(1.0)  # some polls fail meanwhile
            assert service.http.post("/v1/compress", json=body, headers=green).status_code == 200
            answer = service.http.patch(f"/admin/v1/keys/{made['id']}", json={"blocked": True}, headers=heads["ops"])
            assert answer.status_code == 503
            server.start()
            url = f"/admin/v1/keys/{made['id']}"
            wait_for(lambda: service.http.patch(url, json={"blocked": True}, headers=heads["ops"]).status_code == 200)
            assert service.http.post("/v1/compress", json=body, headers=green).status_code == 401
        server.admin.execute_command("FLUSHALL")
        with Service(**settings) as service:  # nothing but the file is left
            assert service.http.post("/v1/compress", json=body, headers=green).status_code == 401
    finally:
        server.stop()


def test_a_service_that_starts_without_redis_knows_the_keys_later(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "r", appendonly="yes", appendfsync="always")
    heads, settings = settings_for(server)
    try:
        with Service(**settings) as service:
            made = service.http.post("/admin/v1/keys", json={"tenant": "green"}, headers=heads["ops"]).json()
        server.kill()
        green = {"x-compressor-key": made["key"]}
        with Service(**settings) as service:
            assert service.http.get("/v1/stats", headers=green).status_code == 401
            assert service.http.get("/v1/stats", headers=heads["red"]).status_code == 200, "the file is there"
            server.start()
            wait_for(lambda: service.http.get("/v1/stats", headers=green).status_code == 200)
    finally:
        server.stop()


def test_an_expired_original_is_served_from_no_cache(server: RedisServer) -> None:
    heads, settings = settings_for(server, tenants={"red": {"originals_ttl": 5}})
    with Service(**settings) as service:
        refs = {name: fill(service, heads[name]) for name in ("red", "blue")}
        get = {name: f"/v1/retrieve/{ref}" for name, ref in refs.items()}
        assert service.http.get(get["red"], headers=heads["red"]).status_code == 200
        time.sleep(5.3)  # every use would renew the TTL
        answer = service.http.get(get["red"], headers=heads["red"])
        assert answer.status_code == 410 and answer.json()["error"]["type"] == "expired_ref"
        assert service.http.get(get["blue"], headers=heads["blue"]).status_code == 200
        # A result whose original is gone is computed again, and has it again.
        assert fill(service, heads["red"]) == refs["red"]
        assert service.http.get(get["red"], headers=heads["red"]).status_code == 200
