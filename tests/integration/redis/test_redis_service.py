"""The service on a real Redis: shared by services, separate for tenants, unavailable and back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.client_tools import LOG, TASK
from support.redis_tools import RedisServer, free_port, need_redis, shared_server
from support.store_tools import noise
from support.waiting import wait_for

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from compressor.pipeline.result_cache import STORE_UNAVAILABLE
from compressor.service.settings import Settings
from compressor.service.tenant_storage import TenantStores
from compressor.service.tenants import LOCAL_TENANT
from compressor.storage.redis.store import RedisStore
from compressor.storage.wrappers.encryption_keys import Keyring, new_encryption_key
from support.service_tools import Service, error_of, two_tenants

Message = dict[str, Any]


@pytest.fixture
def url() -> str:
    server = shared_server()
    server.admin.execute_command("FLUSHALL")
    return server.url


def compress_request(number: int = 0, **options: Any) -> dict[str, Any]:
    """A request for /v1/compress, unlike those of other numbers."""
    call = {"id": "call_1", "type": "function", "function": {"name": "read_log", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": f"{TASK} Case {number}."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": LOG},
    ]
    return {"messages": messages, "model": "gpt-4o", "budget": 1500, **options}


def user_message(number: int) -> Message:
    return {"role": "user", "content": f"message {number}"}


def test_services_share_results_originals_and_sessions(url: str) -> None:
    with Service(store=url) as a, Service(store=url) as b:
        made = [service.http.post("/v1/compress", json=compress_request()).json() for service in (a, b, a)]
        assert [one.pop("cached") for one in made] == ["miss", "hit", "hit"]
        assert made[0] == made[1] == made[2]
        (ref,) = made[0]["refs"]
        assert b.http.get(f"/v1/retrieve/{ref}").json()["original_content"] == LOG
        body = {"documents": [{"title": "log", "text": LOG}], "query": "worker-3", "budget": 800}
        documents = [service.http.post("/v1/compress/documents", json=body).json() for service in (a, b)]
        assert [one.pop("cached") for one in documents] == ["miss", "hit"] and documents[0] == documents[1]
        for number in range(6):
            (a, b)[number % 2].http.post(
                "/v1/sessions/s/append", json={"messages": [user_message(number)]}
            ).raise_for_status()
        views = [service.http.post("/v1/sessions/s/view", json={}).json()["messages"] for service in (a, b)]
        assert views[0] == views[1] == [user_message(number) for number in range(6)]


def test_a_tenants_keys_are_its_own(url: str) -> None:
    keys, settings = two_tenants()
    heads = {name: {"x-compressor-key": key} for name, key in keys.items()}
    with Service(store=url, **settings) as service:
        for name in ("red", "blue"):
            first, again = (
                service.http.post("/v1/compress", json=compress_request(), headers=heads[name]) for _ in range(2)
            )
            # The other's result is not found, whatever it was asked for.
            assert (first.json()["cached"], again.json()["cached"]) == ("miss", "hit")
        alone = service.http.post("/v1/compress", json=compress_request(budget=1400), headers=heads["red"]).json()
        other = service.http.post(
            "/v1/compress", json=compress_request(7, messages=[user_message(1)]), headers=heads["blue"]
        ).json()
        assert other["tokens_after"] == other["tokens_before"] and alone["refs"]
        text = LOG.replace("worker-3", "worker-9")
        body = compress_request(8)
        body["messages"][2]["content"] = text
        (ref,) = service.http.post("/v1/compress", json=body, headers=heads["red"]).json()["refs"]
        assert service.http.get(f"/v1/retrieve/{ref}", headers=heads["red"]).json()["original_content"] == text
        assert service.http.get(f"/v1/retrieve/{ref}", headers=heads["blue"]).status_code == 404
        mine = {"messages": [user_message(1)]}
        service.http.post("/v1/sessions/s/append", json=mine, headers=heads["red"]).raise_for_status()
        assert service.http.post("/v1/sessions/s/view", json={}, headers=heads["blue"]).status_code == 404
        assert set(service.gate._tenants.health()) == {"red", "blue"}
    names = shared_server().names()
    assert {name.split(b":{")[0] for name in names} == {b"acr:1:red", b"acr:1:blue"}
    owned = [name for name in names if name.startswith(b"acr:1:red:")]
    assert any(ref.encode() in name for name in owned) and any(b"{l:" in name for name in owned)
    assert not any(b"{w:" in name for name in names)  # nobody is at work any more


def test_no_result_can_be_had_as_an_original(url: str) -> None:
    with Service(store=url) as service:
        service.http.post("/v1/compress", json=compress_request()).raise_for_status()
        (key,) = {name.split(b"{v:")[1].split(b"}")[0].decode() for name in shared_server().names() if b"cache" in name}
        for given in (key, key.replace(":", "%3A"), "cache:1:" + "0" * 64):
            assert service.http.get(f"/v1/retrieve/{given}").status_code == 404


def test_the_same_at_once_through_two_services_is_worked_out_once(url: str) -> None:
    with Service(store=url) as a, Service(store=url) as b, ThreadPoolExecutor(24) as pool:
        for service in (a, b):
            service.http.post(
                "/v1/compress", json=compress_request(1)
            ).raise_for_status()  # everything is loaded by then
        ask = [pool.submit((a, b)[i % 2].http.post, "/v1/compress", json=compress_request(2)) for i in range(24)]
        made = [one.result().json() for one in ask]
        how = Counter(one.pop("cached") for one in made)
        assert how["miss"] == 1 and how.total() == 24
        assert len({json.dumps(one) for one in made}) == 1


def test_results_are_shared_and_worked_out_once_where_all_is_encrypted(url: str) -> None:
    pytest.importorskip("cryptography")
    settings: dict[str, Any] = {"store": url, "encryption_keys": Keyring([new_encryption_key()])}
    with Service(**settings) as a, Service(**settings) as b, ThreadPoolExecutor(8) as pool:
        ask = [pool.submit((a, b)[i % 2].http.post, "/v1/compress", json=compress_request(i // 8)) for i in range(16)]
        made = [one.result().json() for one in ask]
        assert Counter(one["cached"] for one in made)["miss"] == 2
        assert b.http.post("/v1/compress", json=compress_request(1)).json()["cached"] == "hit"


def test_a_dead_process_lease_ends(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    redis = shared_server()
    with Service(store=url) as a, Service(store=url) as b:
        a.http.post("/v1/compress", json=compress_request(3)).raise_for_status()
        (key,) = {name.split(b"{v:")[1].split(b"}")[0] for name in redis.names() if b"cache" in name}
        redis.admin.execute_command("DEL", b"acr:1:-:{v:%s}" % key, b"acr:1:-:{v:%s}:was" % key)
        dead = RedisStore(url)
        start = time.monotonic()
        assert dead.lease(key.decode(), 0.6)
        assert b.http.post("/v1/compress", json=compress_request(3)).json()["cached"] == "miss"
        assert 0.5 < time.monotonic() - start < 14  # after 15 s it would not wait any more
        dead.close()


def test_without_a_cache_nothing_is_kept(url: str) -> None:
    with Service(store=url, cache=False) as service:
        for _ in range(2):
            assert service.http.post("/v1/compress", json=compress_request()).json()["cached"] == ""
    assert not any(b"cache" in name for name in shared_server().names())


def test_memory_in_front_of_redis_is_bounded_over_all_tenants(url: str) -> None:
    all_of_them = TenantStores(Settings(store=url, keys=two_tenants()[1]["keys"], near_cache_bytes=2**20))
    values = {name: {str(i): noise(i, 150_000) for i in range(4)} for name in ("red", "blue", "ops")}
    for name, items in values.items():
        all_of_them.for_tenant(name).put(items)
    assert 100_000 < all_of_them._local.stats().size <= 2**20
    for name, items in values.items():
        assert {key: all_of_them.for_tenant(name).get(key) for key in items} == items
    assert 100_000 < all_of_them._local.stats().size <= 2**20
    all_of_them.close()


def test_it_starts_without_its_redis_and_says_so() -> None:
    need_redis()
    with Service(store=f"redis://127.0.0.1:{free_port()}") as service:
        ready = service.http.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"status": "degraded"})
        made = service.http.post("/v1/compress", json=compress_request()).json()
        assert made["tokens_after"] <= 1500 and made["cached"] == "miss" and STORE_UNAVAILABLE in made["warnings"]
        # What was cut is here until it can be written.
        assert service.http.get(f"/v1/retrieve/{made['refs'][0]}").json()["original_content"] == LOG
        assert service.gate._tenants.health()[LOCAL_TENANT].failures > 0
        share = service.http.post("/v1/compress", json=compress_request(budget=0.5))
        assert share.status_code == 200 and share.json()["warnings"]
        service.gate._tenants.stores._resilient_stores[
            ""
        ]._pending.drop_all()  # or the end of the service would be an error


def test_a_full_redis_costs_no_request(tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "full", maxmemory="1mb", maxmemory_policy="noeviction")
    with Service(store=server.url) as service:
        made = [service.http.post("/v1/compress", json=compress_request(number)).json() for number in (1, 1, 2)]
        assert all(one["cached"] == "miss" and STORE_UNAVAILABLE in one["warnings"] for one in made)
        assert service.http.get(f"/v1/retrieve/{made[0]['refs'][0]}").json()["original_content"] == LOG
        assert service.http.post("/v1/sessions/s/append", json={"messages": [user_message(1)]}).status_code == 503
        assert service.http.get("/readyz").json() == {"status": "ready"}  # it can be read
        server.admin.execute_command("CONFIG", "SET", "maxmemory", "0")
        assert [service.http.post("/v1/compress", json=compress_request(3)).json()["cached"] for _ in range(2)] == [
            "miss",
            "hit",
        ]
    server.stop()


@pytest.mark.slow
@pytest.mark.parametrize("stalled", [False, True], ids=["killed", "stalled"])
def test_redis_gone_and_back_in_the_middle(server: RedisServer, stalled: bool) -> None:
    """Requests succeed and say that they had no cache, sessions are 503; then all is as before, nothing lost."""
    with Service(store=server.url) as service:
        http = service.http
        acknowledged: list[Message] = []

        def append(number: int) -> int:
            """Until it is taken: `at` says what the client believes to be there, so that none is there twice."""
            answer = http.post(
                "/v1/sessions/s/append", json={"messages": [user_message(number)], "index": len(acknowledged)}
            )
            if answer.status_code == 200:
                acknowledged.append(user_message(number))
            elif answer.status_code == 503:
                assert error_of(answer) == "unavailable" and answer.headers["retry-after"]
            else:  # the one that was not answered has been written after all
                assert answer.status_code == 409 and answer.json()["error"]["count"] == len(acknowledged) + 1
                acknowledged.append(user_message(number))
            return int(answer.status_code)

        assert [append(number) for number in range(3)] == [200] * 3
        known = http.post("/v1/compress", json=compress_request(0)).json()
        assert http.get("/readyz").json() == {"status": "ready"}
        with ExitStack() as away:
            if stalled:
                away.enter_context(server.stalled())
            else:
                server.kill()
                away.callback(server.start)
            refused = [append(3) for _ in range(6)]
            assert set(refused) == {503}
            again = http.post("/v1/compress", json=compress_request(0)).json()
            assert again["messages"] == known["messages"] and again["cached"] == "hit"  # from this process's memory
            new = [http.post("/v1/compress", json=compress_request(number)).json() for number in range(1, 4)]
            assert all(one["cached"] == "miss" and STORE_UNAVAILABLE in one["warnings"] for one in new)
            start = time.monotonic()
            http.post("/v1/compress", json=compress_request(4)).raise_for_status()
            assert time.monotonic() - start < 1.9  # nobody waits for what is known to be gone
            assert http.get("/readyz").json() == {"status": "degraded"}
            assert service.gate._tenants.health()[LOCAL_TENANT].state == "open"
            assert append(3) == 503
        wait_for(lambda: bool(http.get("/readyz").json() == {"status": "ready"}))
        wait_for(lambda: service.gate._tenants.health()[LOCAL_TENANT].pending == 0)
        for number in range(3, 6):
            assert append(number) in (200, 409)
        assert http.post("/v1/sessions/s/view", json={}).json()["messages"] == acknowledged
        assert acknowledged == [user_message(number) for number in range(6)]
        assert [http.post("/v1/compress", json=compress_request(9)).json()["cached"] for _ in range(2)] == [
            "miss",
            "hit",
        ]
    with Service(store=server.url) as other:  # and the others have it too
        assert other.http.post("/v1/sessions/s/view", json={}).json()["messages"] == acknowledged
        for one in new:
            assert other.http.get(f"/v1/retrieve/{one['refs'][0]}").json()["original_content"] == LOG


@pytest.mark.slow
def test_a_hundred_alike_over_two_processes_cost_one_computation(url: str) -> None:
    ports = [free_port(), free_port()]
    command = [sys.executable, "-m", "compressor.cli", "serve", "--workers", "1", "--redis-url", url, "--port"]
    running = [subprocess.Popen([*command, str(port)], stderr=subprocess.DEVNULL) for port in ports]
    try:
        clients = [httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) for port in ports]

        def up() -> bool:
            try:
                return all(client.get("/readyz").status_code == 200 for client in clients)
            except httpx.TransportError:
                return False

        wait_for(up, 60)
        with ThreadPoolExecutor(100) as pool:
            for case in range(3):
                ask = [
                    pool.submit(clients[i % 2].post, "/v1/compress", json=compress_request(case)) for i in range(100)
                ]
                made = [one.result().json() for one in ask]
                how = Counter(one.pop("cached") for one in made)
                assert how["miss"] == 1 and how.total() == 100, how
                assert len({json.dumps(one) for one in made}) == 1
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)
