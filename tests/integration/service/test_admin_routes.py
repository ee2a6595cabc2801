"""The control plane over HTTP: keys, settings, sessions, refs and the audit log, as an operator uses them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from compressor import CompressorError
from compressor.service.app import create_app
from compressor.service.settings import Settings
from compressor.storage.wrappers.encryption_keys import Keyring, new_encryption_key
from support.client_tools import LOG
from support.service_tools import Service, error_of, history, two_tenants
from support.waiting import wait_for

MARKER = "PACEMAKER-4711"
#: A change holds in every worker within this many seconds.
WITHIN = 1.0


class Fleet:
    """Two services with one store, as two workers are, and everybody's headers."""

    def __init__(self, **settings: Any) -> None:
        keys, known = two_tenants()
        self.known = {**known, "key_store": "database", **settings}
        self.heads = {name: {"x-compressor-key": key} for name, key in keys.items()}
        self.plain = keys
        self.one, self.other = Service(**self.known), Service(**self.known)

    def __enter__(self) -> Fleet:
        self.one.__enter__()
        self.other.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.one.__exit__(*error)
        self.other.__exit__(*error)

    def admin(self, method: str, path: str, status: int = 200, body: Any = None, **params: Any) -> Any:
        answer = self.one.http.request(
            method, f"/admin/v1{path}", headers=self.heads["ops"], json=body, params=params or None
        )
        assert answer.status_code == status, answer.text
        assert status >= 400 or answer.headers["cache-control"] == "no-store"
        return answer.json()

    def status_of(self, key: str, path: str = "/v1/sessions") -> int:
        """What the other worker answers to a key."""
        return self.other.http.get(path, headers={"x-compressor-key": key}).status_code


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with Fleet(store=str(tmp_path_factory.mktemp("admin") / "s.db")) as made:
        yield made


def test_only_admin_keys_may_use_it(fleet: Fleet) -> None:
    paths = fleet.one.http.get("/openapi.json", headers=fleet.heads["red"]).json()["paths"]
    routes = [(way, path) for path, ways in paths.items() for way in ways if path.startswith("/admin/v1/")]
    assert len(routes) >= 20
    for way, path in routes:
        described = paths[path][way]
        assert described["tags"] == ["admin"] and "403" in described["responses"]
        url = path.replace("{tenant}", "red").replace("{id}", "a" * 12).replace("{ref}", "1" * 12)
        body = (
            {"tenant": "red"} if way == "post" and path.endswith("/keys") else {} if way in ("put", "patch") else None
        )
        answer = fleet.one.http.request(way, url, json=body, headers=fleet.heads["red"])
        assert answer.status_code == 403 and error_of(answer) == "not_admin", (way, path, answer.text)
        assert "admin key" in answer.json()["error"]["message"]
        assert fleet.one.http.request(way, url, json=body).status_code == 401


def test_a_new_key_works_everywhere_and_a_blocked_one_nowhere(fleet: Fleet) -> None:
    made = fleet.admin("POST", "/keys", 201, {"tenant": "green", "expires": "30d"})
    assert made["key"].startswith("ck_") and made["state"] == "valid" and made["source"] == "database"
    wait_for(lambda: fleet.status_of(made["key"]) == 200, WITHIN)
    fleet.admin("PATCH", f"/keys/{made['id']}", body={"blocked": True})
    assert fleet.one.http.get("/v1/sessions", headers={"x-compressor-key": made["key"]}).status_code == 401
    wait_for(lambda: fleet.status_of(made["key"]) == 401, WITHIN)
    fleet.admin("PATCH", f"/keys/{made['id']}", body={"blocked": False})
    wait_for(lambda: fleet.status_of(made["key"]) == 200, WITHIN)
    fleet.admin("PATCH", f"/keys/{made['id']}", body={"expires": 0})
    wait_for(lambda: fleet.status_of(made["key"]) == 401, WITHIN)
    assert fleet.admin("GET", f"/keys/{made['id']}")["state"] == "expired"
    fleet.admin("PATCH", f"/keys/{made['id']}", body={"expires": None})
    wait_for(lambda: fleet.status_of(made["key"]) == 200, WITHIN)
    assert fleet.admin("DELETE", f"/keys/{made['id']}") == {"deleted": made["id"], "tenant": "green"}
    wait_for(lambda: fleet.status_of(made["key"]) == 401, WITHIN)
    fleet.admin("GET", f"/keys/{made['id']}", 404)


def test_a_key_of_the_file_is_blocked_in_all_workers(fleet: Fleet) -> None:
    id = next(key["id"] for key in fleet.admin("GET", "/keys", tenant="blue")["keys"])
    fleet.admin("PATCH", f"/keys/{id}", body={"blocked": True})
    wait_for(lambda: fleet.status_of(fleet.plain["blue"]) == 401, WITHIN)
    with Service(**fleet.known) as third:  # a worker that starts now
        answer = third.http.get("/v1/sessions", headers=fleet.heads["blue"])
        assert answer.status_code == 401 and answer.json()["error"]["message"] == "Unknown API key"
    fleet.admin("PATCH", f"/keys/{id}", body={"blocked": False})
    wait_for(lambda: fleet.status_of(fleet.plain["blue"]) == 200, WITHIN)
    assert fleet.admin("DELETE", f"/keys/{id}", 409)["error"]["type"] == "key_in_file"


def test_rotation(fleet: Fleet) -> None:
    old = fleet.admin("POST", "/keys", 201, {"tenant": "green"})
    new = fleet.admin("POST", f"/keys/{old['id']}/rotate", 201, {"overlap": "1h"})
    assert new["tenant"] == "green" and new["replaces"]["id"] == old["id"] and new["replaces"]["expires"]
    wait_for(lambda: fleet.status_of(new["key"]) == 200, WITHIN)
    assert fleet.status_of(old["key"]) == 200, "both are valid during the overlap"
    newest = fleet.admin("POST", f"/keys/{new['id']}/rotate", 201)
    wait_for(lambda: fleet.status_of(new["key"]) == 401, WITHIN)
    assert fleet.status_of(newest["key"]) == 200
    fleet.admin("POST", f"/keys/{new['id']}/rotate", 409)


def test_the_last_admin_key_cannot_be_lost(fleet: Fleet) -> None:
    (ops,) = (key for key in fleet.admin("GET", "/keys", tenant="ops")["keys"] if key["admin"])
    for method, body in (("PATCH", {"blocked": True}), ("PATCH", {"expires": 0})):
        assert fleet.admin(method, f"/keys/{ops['id']}", 409, body)["error"]["type"] == "last_admin_key"


def test_keys_are_paged_in_a_stable_order_and_never_shown(fleet: Fleet) -> None:
    made = [fleet.admin("POST", "/keys", 201, {"tenant": f"page-{n % 3}"}) for n in range(7)]
    whole = fleet.admin("GET", "/keys", limit=1000)["keys"]
    assert [key["tenant"] for key in whole] == sorted(key["tenant"] for key in whole)
    paged: list[Any] = []
    offset: int | None = 0
    while offset is not None:
        page = fleet.admin("GET", "/keys", limit=3, offset=offset)
        paged, offset = paged + page["keys"], page["next_offset"]
    assert paged == whole and page["total"] == len(whole)
    text = json.dumps(whole) + json.dumps(fleet.admin("GET", "/audit", limit=1000))
    assert not any(key["key"] in text for key in made) and "sha256" not in text
    assert {key["state"] for key in fleet.admin("GET", "/keys", state="valid")["keys"]} == {"valid"}


def test_settings_of_a_tenant_hold_in_all_workers(fleet: Fleet) -> None:
    made = fleet.admin("PUT", "/tenants/red/settings", body={"budget": 4321, "originals_ttl": "1h"})
    assert made["database"] == {"budget": 4321, "originals_ttl": 3600.0} and made["effective"]["budget"] == 4321
    tenants = fleet.other.gate._tenants
    tenants.get("red")
    wait_for(lambda: tenants.get("red").config.budget == 4321, WITHIN)
    assert tenants.settings_of("red").originals_ttl == 3600 and tenants.settings_of("blue").budget is None
    made = fleet.admin("PATCH", "/tenants/red/settings", body={"budget": None, "requests_per_minute": 1})
    assert made["database"] == {"originals_ttl": 3600.0, "requests_per_minute": 1}
    wait_for(lambda: tenants.get("red").config.requests_per_minute == 1, WITHIN)
    wrong: list[dict[str, Any]] = [{"bugdet": 1}, {"budget": -1}, {"port": 1}, {"policy": {"x": 1}}]
    wrong += [{"originals_ttl": "soon"}, {"scorer": "nope"}, {"provider_keys": {"openai": "file:/etc/hostname"}}]
    for body in wrong:
        answer = fleet.admin("PUT", "/tenants/red/settings", 400, body)
        assert next(iter(body)) in answer["error"]["message"], answer
    assert fleet.admin("GET", "/tenants/red/settings")["database"] == made["database"], "nothing of it was stored"
    assert fleet.admin("DELETE", "/tenants/red/settings")["database"] == {}
    wait_for(lambda: tenants.get("red").config.requests_per_minute == 0, WITHIN)


def test_tenants_are_listed_with_figures(fleet: Fleet) -> None:
    head = fleet.heads["red"]
    assert (
        fleet.one.http.post("/v1/compress", json={"messages": history(), "budget": 900}, headers=head).status_code < 300
    )
    found = {one["tenant"]: one for one in fleet.admin("GET", "/tenants", limit=1000)["tenants"]}
    assert {"red", "blue", "ops"} <= set(found) and list(found) == sorted(found)
    assert found["red"]["last_30_days"]["calls"] >= 1 and found["ops"]["admin_keys"] == 1
    assert fleet.admin("GET", "/tenants", q="RE", limit=1)["tenants"][0]["tenant"] in ("green", "red")
    assert fleet.admin("GET", "/tenants/never-heard-of")["keys"] == 0


def test_what_a_tenant_has_used_is_shown_and_reset(fleet: Fleet) -> None:
    fleet.admin("PUT", "/tenants/blue/settings", body={"requests_per_minute": 3})

    def get() -> int:
        return fleet.one.http.get("/v1/sessions", headers=fleet.heads["blue"]).status_code

    assert [get() for _ in range(4)] == [200, 200, 200, 429]
    (used,) = fleet.admin("GET", "/tenants/blue/usage")["usage"]
    assert used["limit"] == "requests_per_minute" and used["left"] == 0
    fleet.admin("DELETE", "/tenants/blue/usage")
    assert get() == 200
    fleet.admin("DELETE", "/tenants/blue/settings")


def test_sessions_are_listed_shown_and_deleted(fleet: Fleet) -> None:
    for tenant in ("red", "blue"):
        for id in ("run-1", "run-2"):
            for call in ("append", "view"):
                body = {"messages": history(f"{MARKER} of {tenant} {id}\n{LOG}")} if call == "append" else {}
                url = f"/v1/sessions/{tenant}-{id}/{call}"
                assert fleet.one.http.post(url, json=body, headers=fleet.heads[tenant]).status_code == 200
    found = fleet.admin("GET", "/sessions", q="RUN-", limit=1000)
    assert {one["id"] for one in found["sessions"]} == {f"{t}-run-{n}" for t in ("red", "blue") for n in (1, 2)}
    assert [one["last"] for one in found["sessions"]] == sorted(
        (one["last"] for one in found["sessions"]), reverse=True
    )
    page = fleet.admin("GET", "/sessions", tenant="red", q="run", limit=1)
    assert page["total"] == 2 and page["next_offset"] == 1 and page["sessions"][0]["tenant"] == "red"
    shown = fleet.admin("GET", "/tenants/red/sessions/red-run-1")
    assert shown["count"] == 3 and MARKER not in json.dumps(shown)
    fleet.admin("GET", "/tenants/red/sessions/blue-run-1", 404)

    # The other worker has it open, and must not write it back.
    def view() -> httpx.Response:
        return fleet.other.http.post("/v1/sessions/red-run-1/view", json={}, headers=fleet.heads["red"])

    assert view().status_code == 200
    assert fleet.admin("DELETE", "/tenants/red/sessions/red-run-1")["originals"] >= 1
    assert view().status_code == 404
    begun = fleet.other.http.post(
        "/v1/sessions/red-run-1/append",
        json={"messages": [{"role": "user", "content": "again"}]},
        headers=fleet.heads["red"],
    )
    assert begun.status_code == 200 and begun.json()["count"] == 1, "a new session, not the old one"
    assert fleet.admin("DELETE", "/tenants/red/sessions/red-run-1")["deleted"] == "red-run-1"
    fleet.admin("DELETE", "/tenants/red/sessions/red-run-1", 404)
    assert "red-run-1" not in json.dumps(fleet.admin("GET", "/sessions", tenant="red"))


def test_ids_with_a_slash(fleet: Fleet) -> None:
    head, id = fleet.heads["red"], "team%2Frun%201"
    body = {"messages": history(LOG)}
    assert fleet.one.http.post(f"/v1/sessions/{id}/append", json=body, headers=head).status_code == 200
    assert fleet.admin("GET", f"/tenants/red/sessions/{id}")["id"] == "team/run 1"
    assert fleet.one.http.delete(f"/v1/sessions/{id}", headers=head).json()["deleted"] == "team/run 1"
    fleet.admin("DELETE", f"/tenants/red/sessions/{id}", 404)


def test_a_tenant_deletes_what_is_its_own(fleet: Fleet) -> None:
    head, http = fleet.heads["red"], fleet.one.http
    for id in ("own-1", "own-2"):
        body = {"messages": history(f"the same log of both\n{LOG}")}
        assert http.post(f"/v1/sessions/{id}/append", json=body, headers=head).status_code == 200
    ref = http.post("/v1/compress", json={"messages": history(), "budget": 900}, headers=head).json()["refs"][0]
    for path in ("/v1/sessions/own-1", f"/v1/retrieve/{ref}"):
        answer = http.delete(path, headers=fleet.heads["blue"])
        assert answer.status_code == 404, "another tenant's is unknown"
    first = http.delete("/v1/sessions/own-1", headers=head).json()
    assert first == {"deleted": "own-1", "originals": 0, "kept_originals": first["kept_originals"]}
    assert first["kept_originals"] >= 1, "own-2 may still read it"
    assert http.delete("/v1/sessions/own-2", headers=head).json()["originals"] == first["kept_originals"]
    assert http.delete("/v1/sessions/own-2", headers=head).status_code == 404
    assert fleet.status_of(fleet.plain["red"], f"/v1/retrieve/{ref}") == 200
    assert fleet.admin("GET", f"/tenants/red/refs/{ref}")["stored_bytes"] > 0
    fleet.admin("GET", f"/tenants/blue/refs/{ref}", 404)
    assert http.delete(f"/v1/retrieve/{ref}", headers=head).json() == {"deleted": ref}
    wait_for(lambda: fleet.status_of(fleet.plain["red"], f"/v1/retrieve/{ref}") == 410, WITHIN)
    fleet.admin("GET", f"/tenants/red/refs/{ref}", 410)
    assert http.delete("/v1/retrieve/xyz", headers=head).status_code == 404


def test_what_administrators_did_is_recorded(fleet: Fleet) -> None:
    ops = next(key["id"] for key in fleet.admin("GET", "/keys", tenant="ops")["keys"] if key["source"] == "file")
    fleet.admin("PATCH", "/tenants/red/settings", body={"budget": 5000})
    fleet.admin("PATCH", "/tenants/red/settings", 400, {"budget": "much"})
    fleet.admin("PATCH", "/keys/000000000000", 404, {"blocked": True})
    records = fleet.admin("GET", "/audit", limit=3)["records"]
    shown = [(one["who"], one["act"], one["target"], one["outcome"]) for one in records]
    assert shown == [
        (ops, "key.block", "000000000000", "unknown_key"),
        (ops, "tenant.settings.change", "red", "compressor_error"),
        (ops, "tenant.settings.change", "red", "ok"),
    ]
    assert records[1]["fields"] == ["budget"] and "much" not in json.dumps(records)
    page = fleet.admin("GET", "/audit", limit=2)
    following = fleet.admin("GET", "/audit", limit=1, before=page["next_before"])["records"]
    assert following[0]["number"] == page["records"][-1]["number"] - 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/keys", {}),
        ("POST", "/keys", {"tenant": "a b"}),
        ("POST", "/keys", {"tenant": "a", "expires": "tomorrow"}),
        ("POST", "/keys", {"tenant": "a", "expires": -1}),
        ("POST", "/keys", {"tenant": "a", "expires": "9999999w"}),
        ("POST", "/keys", {"tenant": "a", "key": "my-own"}),
        ("POST", "/keys", {"tenant": "a", "admin": "yes"}),
        ("PATCH", "/keys/aaaaaaaaaaaa", {}),
        ("PATCH", "/keys/aaaaaaaaaaaa", {"blocked": None}),
        ("POST", "/keys/aaaaaaaaaaaa/rotate", {"overlap": "long"}),
        ("GET", "/keys?limit=0", None),
        ("GET", "/keys?state=old", None),
        ("GET", "/tenants/%20/settings", None),
        ("PUT", "/tenants/red/settings", []),
        ("GET", "/audit?before=0", None),
    ],
)
def test_wrong_requests_are_told_what_is_wrong(fleet: Fleet, method: str, path: str, body: Any) -> None:
    answer = fleet.one.http.request(method, f"/admin/v1{path}", json=body, headers=fleet.heads["ops"])
    assert answer.status_code == 422 and error_of(answer) == "invalid_request", answer.text


# --- services of other forms


def test_without_keys_the_machine_itself_is_the_administrator() -> None:
    with Service() as service:
        assert service.http.get("/admin/v1/keys").json()["keys"] == []
        assert [one["tenant"] for one in service.http.get("/admin/v1/tenants").json()["tenants"]] == ["local"]
        answer = service.http.post("/admin/v1/keys", json={"tenant": "a"})
        assert answer.status_code == 409 and "key_store=database" in answer.text
        assert service.http.patch("/admin/v1/tenants/local/settings", json={"budget": 777}).status_code == 200
        wait_for(lambda: service.gate._tenants.get("local").config.budget == 777, WITHIN)
        service.http.post("/v1/sessions/s/append", json={"messages": history(f"{MARKER}\n{LOG}")})
        assert service.http.get("/admin/v1/tenants/local/sessions/s").status_code == 200
        assert service.http.delete("/admin/v1/tenants/local/data").json()["erased"]["logs"] >= 2
        assert service.http.post("/v1/sessions/s/view", json={}).status_code == 404
        for head in ({"origin": "http://evil.example"}, {"host": "evil.example"}):
            assert service.http.get("/admin/v1/keys", headers=head).status_code == 403


def test_keys_in_a_file_are_only_refused_through_the_service() -> None:
    keys, known = two_tenants()
    with Service(**known) as service:
        head = {"x-compressor-key": keys["ops"]}
        answer = service.http.post("/admin/v1/keys", json={"tenant": "a"}, headers=head)
        assert answer.status_code == 409 and error_of(answer) == "keys_in_file" and "--keys FILE" in answer.text
        (red,) = service.http.get("/admin/v1/keys?tenant=red", headers=head).json()["keys"]
        assert (
            service.http.patch(f"/admin/v1/keys/{red['id']}", json={"blocked": True}, headers=head).status_code == 200
        )
        assert service.http.get("/v1/sessions", headers={"x-compressor-key": keys["red"]}).status_code == 401


def test_a_service_with_its_keys_in_the_database_starts_closed(tmp_path: Path) -> None:
    with Service(store=str(tmp_path / "s.db"), key_store="database", host="0.0.0.0") as service:
        assert service.http.get("/v1/sessions").status_code == 401
        assert service.http.get("/v1/sessions", headers={"x-compressor-key": "x" * 50}).status_code == 401
        assert service.http.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"key_store": "database", "store": "memory"}, "a store that lasts"),
        ({"key_store": "redis"}, "key_store"),
        ({"originals_ttl": 0}, "shorter than a second"),
        ({"sessions_ttl": "soon"}, "neither seconds"),
        ({"results_ttl": True}, "neither seconds"),
        ({"store_limit_bytes": 100}, "too small"),
        ({"near_cache_bytes": "many"}, "not a valid integer"),
        ({"store": "redis://localhost", "store_limit_bytes": 2**30}, "maxmemory"),
        ({"tenants": {"red": {"originals_ttl": "x"}}}, "red.originals_ttl"),
    ],
)
def test_settings_that_are_wrong_are_refused_at_start(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match=message):
        Settings(**settings)


def test_retention_by_tenant_holds_in_the_store() -> None:
    keys, known = two_tenants()
    with Service(**known, results_ttl="2h", tenants={"red": {"originals_ttl": "1h"}}) as service:
        for name, hours in (("red", 1), ("blue", 7 * 24)):
            head = {"x-compressor-key": keys[name]}
            made = service.http.post("/v1/compress", json={"messages": history(), "budget": 900}, headers=head).json()
            url = f"/admin/v1/tenants/{name}/refs/{made['refs'][0]}"
            shown = service.http.get(url, headers={"x-compressor-key": keys["ops"]}).json()
            assert 0 <= hours * 3600 - shown["expires_in"] < 60
        policy = service.gate._tenants.stores.retention
        assert policy.of("red").ttl("cache:x") == 7200 and policy.of("red").ttl("session:x") == 7 * 86_400


def test_the_client_library_needs_no_other_header(fleet: Fleet) -> None:
    """The key may stand where HTTP clients put it."""
    answer = httpx.get(f"{fleet.one.url}/admin/v1/keys", headers={"authorization": f"Bearer {fleet.plain['ops']}"})
    assert answer.status_code == 200


def test_keys_outlive_the_encryption_key_that_they_were_written_with(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    old, new = new_encryption_key(), new_encryption_key()
    keys, known = two_tenants()
    head = {"x-compressor-key": keys["ops"]}
    settings = {"store": str(tmp_path / "s.db"), "key_store": "database", **known}
    with Service(**settings, encryption_keys=Keyring([old])) as service:
        green = service.http.post("/admin/v1/keys", json={"tenant": "green"}, headers=head).json()
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"green" not in files and green["id"].encode() not in files
    for ring in ([new, old], [new, old], [new]):
        with Service(**settings, encryption_keys=Keyring(ring)) as service:
            answer = service.http.get("/v1/stats", headers={"x-compressor-key": green["key"]})
            assert answer.status_code == 200
            service.http.patch(f"/admin/v1/keys/{green['id']}", json={"blocked": False}, headers=head)
            audit = service.http.get("/admin/v1/audit", headers=head).json()["records"]
            assert audit[0]["act"] == "key.unblock"
            assert (audit[-1].get("act") or audit[-1]["outcome"]) == ("key.create" if len(ring) > 1 else "unreadable")
    with pytest.raises(CompressorError, match="not among the encryption keys"):
        create_app(Settings(**settings, encryption_keys=Keyring([old])))
