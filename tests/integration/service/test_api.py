"""The HTTP API on a real server: what it answers, whom it refuses, what it does not let out."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from compressor import CompressorError, ContextError, ExpiredRefError, StoreError, UnknownRefError
from compressor import errors as all_errors
from compressor.storage import MemoryStore
from support.client_tools import LOG, NEEDLE
from support.property_tests import HealthCheck, given, settings, st
from support.scripted_server import Reply, ScriptedServer
from support.waiting import wait_for

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from compressor.service import tenants
from compressor.service.auth import ApiKey, find_key, new_key, read_keys
from compressor.service.http_errors import STATUS, HttpError, to_http_error
from compressor.service.model_names import sanitize_model_name
from compressor.service.processes import http_protocol
from compressor.service.request_limits import parse
from compressor.service.settings import Settings
from compressor.service.settings_sources import load
from compressor.storage.wrappers.namespaced import NamespacedStore
from compressor.tokens import get_counter
from compressor.tokens.tokenizer_files import find_tokenizer_file
from support.service_tools import Service, error_of, two_tenants
from support.service_tools import history as a_task


def careful_history(log: str = LOG) -> list[dict[str, Any]]:
    return [{"role": "system", "content": "You are careful."}, *a_task(log)]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as running:
        yield running


def test_a_context_is_compressed_to_its_budget_and_every_byte_comes_back(service: Service) -> None:
    answer = service.http.post("/v1/compress", json={"messages": careful_history(), "model": "gpt-4o", "budget": 1500})
    made = answer.json()
    assert answer.status_code == 200, made
    assert made["tokens_after"] <= 1500 < made["tokens_before"]
    assert made["tokens_saved"] == made["tokens_before"] - made["tokens_after"]
    assert made["compression_ratio"] == pytest.approx(made["tokens_after"] / made["tokens_before"], abs=1e-4)
    assert made["messages"][:3] == careful_history()[:3] and NEEDLE in made["messages"][3]["content"]
    (ref,) = made["refs"]
    assert service.http.get(f"/v1/retrieve/{ref}").json()["original_content"] == LOG
    part = service.http.get(f"/v1/retrieve/{ref}", params={"query": "worker-3 gave up", "budget": 300}).json()
    assert NEEDLE in part["original_content"] and len(part["original_content"]) < len(LOG) / 2


def test_a_gateways_hook_gets_a_history_whose_bytes_stay(service: Service) -> None:
    """{messages, model} and nothing else, with the key as a bearer, is what LiteLLM's guardrail sends."""
    first = service.http.post("/v1/compress", json={"messages": careful_history(), "model": "gpt-4o"}).json()
    assert first["tokens_after"] < first["tokens_before"] and first["refs"]
    longer = [*careful_history(), {"role": "assistant", "content": "It stopped."}, {"role": "user", "content": "Sure?"}]
    second = service.http.post("/v1/compress", json={"messages": longer, "model": "gpt-4o"}).json()
    assert second["messages"][:4] == first["messages"] and second["messages"][4:] == longer[4:]
    again = service.http.post("/v1/compress", json={"messages": longer, "model": "gpt-4o"}).json()
    assert again["messages"] == second["messages"]
    assert service.http.get(f"/v1/retrieve/{first['refs'][0]}").json()["original_content"] == LOG


def test_anthropics_system_and_tools_are_counted(service: Service) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    tools = [{"name": "read_log", "description": "Reads", "input_schema": {"type": "object", "properties": {}}}]
    plain = {"messages": messages, "model": "claude-sonnet-5", "budget": 5000}
    few = service.http.post("/v1/compress", json=plain).json()["tokens_before"]
    more = service.http.post("/v1/compress", json={**plain, "system": "Be brief.", "tools": tools}).json()
    assert more["tokens_before"] > few + 10


def test_documents(service: Service) -> None:
    documents = [{"title": "import.log", "text": LOG}, "Something else."]
    made = service.http.post(
        "/v1/compress/documents", json={"documents": documents, "query": "who gave up", "budget": 400}
    ).json()
    assert made["tokens_after"] <= 400 and NEEDLE in made["text"]
    back = service.http.get(f"/v1/retrieve/{made['refs'][-1]}").json()["original_content"]
    assert LOG in back


def test_a_session_from_its_first_message_to_its_balance(service: Service) -> None:
    url = "/v1/sessions/import-42"
    for asked in ("view", "recall", "expand"):
        body = {"query": "x"} if asked == "recall" else {"ref": "123456789012"}
        assert error_of(service.http.post(f"{url}/{asked}", json=body)) == "unknown_session"
    told = {"messages": careful_history()[:2], "model": "gpt-4o", "budget": 2400}
    assert service.http.post(f"{url}/append", json=told).status_code == 200
    assert service.http.post(f"{url}/view", json={}).json()["messages"] == careful_history()[:2]
    service.http.post(f"{url}/append", json={"messages": careful_history()[2:]})
    usage = {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105}
    more = [{"role": "assistant", "content": "It stopped."}, {"role": "user", "content": "Who?"}]
    for _ in range(3):
        service.http.post(f"{url}/append", json={"messages": more, "usage": usage})
    viewed = service.http.post(f"{url}/view").json()
    assert viewed["cost_report"]["view_tokens"] <= 2400 and viewed["cost_report"]["billed_tokens"] == 300
    text = json.dumps(viewed["messages"])
    assert "cut ref" in text
    ref = text.split("cut ref ")[1][:12]
    expanded = service.http.post(f"{url}/expand", json={"ref": ref}).json()["original_content"]
    assert expanded == LOG == service.http.get(f"/v1/retrieve/{ref}").json()["original_content"]
    recalled = service.http.post(f"{url}/recall", json={"query": "which worker gave up"})
    assert recalled.status_code == 200 and NEEDLE in recalled.json()["text"]
    assert error_of(service.http.post(f"{url}/expand", json={"ref": "000000000000"})) == "unknown_ref"


def test_what_a_session_was_told_holds_for_every_worker(tmp_path: Path) -> None:
    store = str(tmp_path / "store.db")
    with Service(store=store) as one, Service(store=store) as other:
        one.http.post("/v1/sessions/s/append", json={"messages": careful_history(), "model": "gpt-4o", "budget": 1800})
        seen = [running.http.post("/v1/sessions/s/view", json={}).json() for running in (one, other)]
        assert seen[0]["messages"] == seen[1]["messages"] and seen[1]["cost_report"]["view_tokens"] <= 1800
        with ThreadPoolExecutor(8) as pool:
            bodies = [{"messages": [{"role": "user", "content": f"note {n}"}]} for n in range(16)]
            done = list(
                pool.map(lambda n: (one, other)[n % 2].http.post("/v1/sessions/s/append", json=bodies[n]), range(16))
            )
        assert {answer.status_code for answer in done} == {200}
        said = [m["content"] for m in one.http.post("/v1/sessions/s/view", json={}).json()["messages"]]
        assert sorted(c for c in said if c and c.startswith("note")) == sorted(f"note {n}" for n in range(16))


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{", 400, "invalid_json"),
        (b'{"messages": [NaN]}', 400, "invalid_json"),
        (b"\xff", 400, "invalid_json"),
        (b"", 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
        (b'{"messages": "hello"}', 422, "invalid_request"),
        (b'{"messages": [], "budget": true}', 422, "invalid_request"),
        (b'{"messages": [{"role": "user", "content": "x"}], "budget": -1}', 400, "invalid_budget"),
        (b'{"messages": [{"role": "user", "content": "x"}], "budget": 1e999}', 400, "invalid_budget"),
        (b'{"messages": [{"role": "user", "content": "x y z"}], "budget": 1}', 422, "budget_too_small"),
        (b'{"messages": [1]}', 400, "invalid_context"),
        (b'{"messages": [1], "budget": 5}', 400, "invalid_context"),
        (b'{"messages": [{"role": "user", "content": "x"}], "budget": 9, "pinned": [7]}', 400, "invalid_context"),
        (b'{"messages": [{"role": "user", "content": "x"}], "model": 5}', 422, "invalid_request"),
        (json.dumps({"messages": [], "model": "x" * 201, "budget": 5}).encode(), 400, "invalid_context"),
        (b"[" * 65 + b"]" * 65, 400, "too_deep"),
        (b"[" * 100_000, 400, None),
    ],
)
def test_what_is_wrong_is_said_in_one_form(service: Service, body: bytes, status: int, kind: str | None) -> None:
    answer = service.http.post("/v1/compress", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    assert error_of(answer) == kind or (kind is None and error_of(answer) in ("too_deep", "invalid_json"))
    if kind == "budget_too_small":
        assert answer.json()["error"]["budget"] == 1 < answer.json()["error"]["needed"]


def test_every_error_of_ours_has_a_status() -> None:
    made = {
        UnknownRefError: UnknownRefError("1"),
        ExpiredRefError: ExpiredRefError("1"),
        all_errors.BudgetTooSmallError: all_errors.BudgetTooSmallError(1, 2),
        all_errors.SessionConflictError: all_errors.SessionConflictError("others", 2),
        all_errors.DeviceError: all_errors.DeviceError("cuda", "secret path"),
        all_errors.MissingDependencyError: all_errors.MissingDependencyError("torch", "models"),
        all_errors.RefError: all_errors.RefError("no", "1"),
    }
    kinds = [kind for kind in vars(all_errors).values() if isinstance(kind, type) and issubclass(kind, CompressorError)]
    assert len(kinds) > 12
    for kind in kinds:
        refused = to_http_error(made.get(kind) or kind("secret path"))
        assert 400 <= refused.status < 600 and refused.status != 500
    assert "secret" not in str(to_http_error(StoreError("secret path"))) + str(
        to_http_error(made[all_errors.DeviceError])
    )
    assert to_http_error(ZeroDivisionError("secret")).status == 500 and "secret" not in str(
        to_http_error(ValueError("secret"))
    )
    assert len(STATUS) == len({kind for kind, _ in STATUS})


def test_a_path_is_no_route_and_a_method_is_no_other(service: Service) -> None:
    assert error_of(service.http.get("/nothing")) == "not_found"
    assert error_of(service.http.get("/v1/compress")) == "method_not_allowed"
    assert [service.http.head(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
    assert error_of(service.http.get("/v1/retrieve/grant:x")) == "unknown_ref"
    assert error_of(service.http.get("/v1/models")) == "no_upstream"
    for path in (
        "/v1/sessions/a%2Fb/apend",
        "/v1/compress/",
        "/v1/sessions",
        "/v1/examples/",
        "/v1/tools/",
    ):  # ours, so never passed on
        kinds = ("not_found", "invalid_request", "method_not_allowed")
        assert error_of(service.http.post(path, json={})) in kinds, path
    plain = service.http.post("/v1/compress", content=b'{"messages": []}', headers={"content-type": "text/plain"})
    assert plain.status_code == 422  # which a page of another origin could send without asking


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with Service(max_body_bytes=20_000, timeout=1.0) as service:
        large = {"messages": [{"role": "user", "content": "x" * 30_000}], "budget": 50_000}
        assert error_of(service.http.post("/v1/compress", json=large)) == "too_large"

        def chunks() -> Iterator[bytes]:
            for _ in range(40):
                yield b"x" * 1000

        assert error_of(service.http.post("/v1/compress", content=chunks())) == "too_large"
        with socket.create_connection(("127.0.0.1", service.config.port)) as slow:
            slow.sendall(b"POST /v1/compress HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
            slow.settimeout(60)
            assert b" 408 " in slow.recv(1000)
        may_end = threading.Event()
        monkeypatch.setattr(service.gate._tenants.get("local").compressor, "compress", lambda *_: may_end.wait(60))
        small = {"messages": [{"role": "user", "content": "x"}], "budget": 50}
        assert error_of(service.http.post("/v1/compress", json=small)) == "timeout"
        may_end.set()


def test_a_tenant_waits_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    keys, known = two_tenants()
    with Service(max_concurrent_requests=2, **known) as service:
        inside, go = threading.Barrier(3), threading.Event()

        def slow(*_: Any) -> Any:
            inside.wait(60)
            go.wait(60)
            raise ContextError("over")

        monkeypatch.setattr(service.gate._tenants.get("red").compressor, "compress", slow)
        body = {"messages": [{"role": "user", "content": "x"}], "budget": 50}

        def ask(name: str) -> Any:
            return service.http.post("/v1/compress", json=body, headers={"x-compressor-key": keys[name]})

        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(ask, "red") for _ in range(2)]
            inside.wait(60)
            refused, other = ask("red"), ask("blue")
            go.set()
            assert {one.result().status_code for one in waiting} == {400}
        assert refused.status_code == 429 and error_of(refused) == "too_many_requests"
        assert refused.headers["retry-after"] == "1" and other.status_code == 200


def test_no_route_is_open_where_there_are_keys() -> None:
    keys, known = two_tenants()
    with Service(**known) as service:
        routes = ["/metrics", "/openapi.json", "/v1/retrieve/123456789012", "/v1/models", "/", "/nothing"]
        for path in routes:
            for headers in ({}, {"x-compressor-key": "ck_" + "A" * 43}, {"authorization": "Bearer nonsense"}):
                answer = service.http.get(path, headers=headers)
                assert answer.status_code == 401 and error_of(answer) == "unauthorized", path
        for path in ("/v1/compress", "/v1/sessions/x/append", "/v1/chat/completions"):
            assert service.http.post(path, json={}).status_code == 401
        assert service.http.get("/healthz").json() == {"status": "ok"}  # from this machine
        assert service.http.get("/readyz").json() == {"status": "ready"}
        for headers in ({"x-compressor-key": keys["red"]}, {"authorization": f"Bearer {keys['red']}"}):
            assert service.http.get("/openapi.json", headers=headers).status_code == 200
        assert service.http.get(f"/k/{keys['red']}/openapi.json").status_code == 200


def test_an_open_service_listens_to_its_own_machine_only(service: Service) -> None:
    assert error_of(service.http.get("/healthz", headers={"host": "attacker.example"})) == "forbidden"
    answer = service.http.get("/openapi.json", headers={"host": "attacker.example:8787"})
    assert answer.status_code == 403 and error_of(answer) == "forbidden"
    assert service.http.get("/openapi.json", headers={"host": "localhost:1"}).status_code == 200
    for host in ("0.0.0.0", "192.168.1.4", "example.org", "::"):
        with pytest.raises(CompressorError, match="without keys"):
            Settings(host=host)
        assert Settings(host=host, keys=(new_key("a")[1],)).host == host
    assert Settings(host="::1").host == "::1"
    command = [sys.executable, "-m", "compressor.cli", "serve", "--host", "0.0.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "without keys" in done.stderr


def test_tenants_have_nothing_of_each_others() -> None:
    keys, known = two_tenants()
    with Service(**known) as service:
        red, blue, ops = ({"x-compressor-key": keys[name]} for name in ("red", "blue", "ops"))
        body = {"messages": careful_history(), "model": "gpt-4o", "budget": 1500}
        ref = service.http.post("/v1/compress", json=body, headers=red).json()["refs"][0]
        assert service.http.get(f"/v1/retrieve/{ref}", headers=red).json()["original_content"] == LOG
        theirs = service.http.get(f"/v1/retrieve/{ref}", headers=blue)
        never = service.http.get("/v1/retrieve/000000000000", headers=blue)
        assert theirs.status_code == never.status_code == 404
        assert theirs.text.replace(ref, "") == never.text.replace("000000000000", "")
        service.http.post("/v1/sessions/s/append", json={"messages": careful_history()}, headers=red)
        for asked in ({"query": "x"}, {"ref": ref}):
            path = "recall" if "query" in asked else "expand"
            assert error_of(service.http.post(f"/v1/sessions/s/{path}", json=asked, headers=blue)) == "unknown_session"
        mine = [{"role": "user", "content": "mine"}]
        service.http.post("/v1/sessions/s/append", json={"messages": mine}, headers=blue)
        assert service.http.post("/v1/sessions/s/view", json={}, headers=blue).json()["messages"] == mine
        seen = {name: service.http.get("/metrics", headers=head).text for name, head in (("red", red), ("ops", ops))}
        assert 'tenant="red"' in seen["red"] and 'tenant="blue"' not in seen["red"]
        assert 'tenant="blue"' in seen["ops"]
        assert "compressor_tokens_before_total" in seen["red"] and not any(key in seen["ops"] for key in keys.values())


def test_a_tenant_cannot_take_a_ref_from_another() -> None:
    """Refs are short: who finds a text of the same ref must not keep another tenant from storing theirs."""
    whole = MemoryStore()
    one, other = NamespacedStore(whole, "one"), NamespacedStore(whole, "other")
    one.put({"123456789012": b"a"})
    other.put({"123456789012": b"b"})
    assert (one.get("123456789012"), other.get("123456789012")) == (b"a", b"b")
    assert one.get_many(["123456789012", "2"]) == {"123456789012": b"a"}
    assert one.append_log("s", 0, [b"x"]) and other.append_log("s", 0, [b"y"])
    assert one.read_log("s") == [(1, b"x")]
    one.drop_log("s")
    assert other.read_log("s") == [(1, b"y")]
    with pytest.raises(ExpiredRefError, match="'s'"):
        one.read_log("s")
    with pytest.raises(UnknownRefError, match="'3'"):
        one.get("3")


def test_keys_are_kept_as_hashes_only() -> None:
    key, kept = new_key("team", admin=True)
    assert key not in repr(kept) and read_keys(f"# all\n\n{kept.line()} # mine", "f") == (kept,)
    assert find_key([kept], key) == kept and find_key([kept], key[:-1]) is None and find_key([], key) is None
    weak = ApiKey("t", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
    assert find_key([weak], "test") is None  # its hash is right, but it can be guessed
    for wrong in (key, f"team {key}", f"team sha256:{key}", "two words sha256:" + "0" * 64):
        with pytest.raises(CompressorError) as caught:
            read_keys(wrong, "the file")
        assert "the file, line 1" in str(caught.value) and key not in str(caught.value)


def test_a_model_is_a_name_and_never_a_path(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "tokenizer.json").write_text("{}")
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    monkeypatch.chdir(tmp_path)
    inside = ["local", "./local", "../" + tmp_path.name + "/local", str(tmp_path / "local"), "x.gguf", "./x.gguf"]
    inside += [
        "~",
        "~/x.json",
        "/etc/passwd.json",
        "..",
        ".",
        "a/../local",
        "x.GGUF",
        "\x00/etc",
        "local\n",
        " ./local",
    ]
    for one in inside:
        name = sanitize_model_name(one)
        assert name is None or name == "" or find_tokenizer_file(name) is None, one
        body = {"messages": [{"role": "user", "content": "x"}], "model": one, "budget": 50}
        assert service.http.post("/v1/compress", json=body).status_code == 200, one
    assert sanitize_model_name("a", {"a": "/operator/tokenizer.json"}) == "/operator/tokenizer.json"
    for name in ("gpt-4o", "openai/gpt-4o-mini", "claude-sonnet-5", "meta-llama/Llama-3.1-8B", "ft:gpt-4o:org::id"):
        safe = sanitize_model_name(name)
        assert get_counter(safe).name == get_counter(name).name and get_counter(safe).scale == get_counter(name).scale


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.sampled_from("./\\~abc:-\x00 jsongufJSONGUF"), max_size=30))
def test_no_name_is_a_path(name: str) -> None:
    safe = sanitize_model_name(name)
    assert not safe or find_tokenizer_file(safe) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    "messages model budget tools_budget pinned_tools tool_choice query tools system mode pinned documents pin usage ref"
    " role content tool_calls".split()
)
MESSAGE = st.dictionaries(st.sampled_from(["role", "content", "tool_calls", "tool_call_id", "type", "name"]), JSON)
PATHS = [
    "compress",
    "compress/documents",
    "tools",
    "sessions/f/append",
    "sessions/f/view",
    "sessions/f/recall",
    "sessions/f/expand",
]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PATHS), st.dictionaries(FIELDS, JSON | st.lists(MESSAGE, max_size=4), max_size=5) | JSON)
def test_no_body_breaks_it(service: Service, path: str, body: Any) -> None:
    content = json.dumps(body).encode()
    answer = service.http.post(f"/v1/{path}", content=content, headers={"content-type": "application/json"})
    assert answer.status_code < 500, (path, body, answer.text)
    assert answer.status_code == 200 or error_of(answer)


def test_lone_surrogates_come_back(service: Service) -> None:
    body = {"messages": [{"role": "user", "content": "a \ud800 b"}], "budget": 100}
    answer = service.http.post(
        "/v1/compress", content=json.dumps(body).encode(), headers={"content-type": "application/json"}
    )
    assert answer.json()["messages"] == body["messages"]


@given(JSON, st.integers(1, 6))
def test_depth(data: Any, most: int) -> None:
    def deep(value: Any) -> int:
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        return 1 + max(map(deep, inner), default=0) if isinstance(value, (dict, list)) else 0

    try:
        assert parse(json.dumps(data).encode(), most) == data and deep(data) <= most
    except HttpError as refused:
        assert refused.kind == "too_deep" and deep(data) > most


def test_a_store_that_fails_is_503_and_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    with Service() as service:
        store = service.gate._tenants.shared.store

        def fails(*_: Any, **__: Any) -> Any:
            raise StoreError("/secret/place is full")

        for name in ("put", "stats", "read_log"):
            monkeypatch.setattr(store, name, fails)
        body = {"messages": careful_history(), "model": "gpt-4o", "budget": 1500}
        answers = [service.http.post("/v1/compress", json=body), service.http.get("/readyz")]
        answers.append(service.http.post("/v1/sessions/s/append", json={"messages": []}))
        for answer in answers:
            assert answer.status_code == 503 and error_of(answer) == "store_error" and "secret" not in answer.text
            assert answer.headers["retry-after"]
        assert service.http.get("/healthz").status_code == 200


def test_a_bug_of_ours_is_500_and_its_content_is_in_no_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    body = {"messages": [{"role": "user", "content": "their secret"}], "budget": 1500}
    with Service() as service, caplog.at_level(logging.DEBUG):

        def fails(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError(body["messages"])

        monkeypatch.setattr(service.gate._tenants.get("local").compressor, "compress", fails)
        answer = service.http.post("/v1/compress", json=body)
        assert answer.status_code == 500 and error_of(answer) == "internal_error"
        assert service.http.get("/healthz").status_code == 200
    ours = [record for record in caplog.records if record.name.startswith("compressor")]
    assert any("ZeroDivisionError" in record.getMessage() for record in ours)
    assert "secret" not in caplog.text and "secret" not in answer.text


def test_openapi_has_every_route_with_an_example(service: Service) -> None:
    described = service.http.get("/openapi.json").json()
    wanted = {f"/v1/sessions/{{id}}/{name}" for name in ("append", "view", "recall", "expand", "find_tool", "receipts")}
    wanted |= {f"/v1/sessions/{{id}}/messages/{{number}}/images{end}" for end in ("", "/{block}")}
    wanted |= {"/v1/stats/breakdown", "/v1/stats/calls", "/v1/stats/rollout"}
    wanted |= {"/v1/stats", "/v1/sessions", "/v1/sessions/{id}/messages", "/v1/sessions/{id}/messages/{number}"}
    wanted |= {
        "/v1/compress",
        "/v1/compress/documents",
        "/v1/examples",
        "/v1/tools",
        "/v1/retrieve/{ref}",
        "/v1/sessions/{id}",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    admin = "audit keys keys/{id} keys/{id}/rotate sessions tenants tenants/{tenant} tenants/{tenant}/data"
    admin += " tenants/{tenant}/refs/{ref} tenants/{tenant}/sessions/{id} tenants/{tenant}/settings"
    wanted |= {f"/admin/v1/{path}" for path in f"{admin} tenants/{{tenant}}/usage".split()}
    assert set(described["paths"]) == wanted
    shapes = described["components"]["schemas"]
    names = (
        "Compress Documents Examples Tools Append View Recall Expand FindTool NewKey KeyChange Rotate TenantSettings"
    )
    for name in (*(f"{name}Request" for name in names.split()), "ErrorResponse"):
        assert shapes[name]["examples"], name
    for path, name in (
        ("/v1/compress", "CompressRequest"),
        ("/v1/compress/documents", "DocumentsRequest"),
        ("/v1/examples", "ExamplesRequest"),
        ("/v1/tools", "ToolsRequest"),
    ):
        assert service.http.post(path, json=shapes[name]["examples"][0]).status_code == 200
    assert service.http.get("/docs").status_code == 404


def test_settings_come_from_flags_then_the_environment_then_a_file(tmp_path: Path) -> None:
    _, kept = new_key("team")
    keys, file = tmp_path / "keys", tmp_path / "settings.json"
    keys.write_text(kept.line())
    file.write_text(json.dumps({"port": 1, "host": "0.0.0.0", "keys": str(keys), "upstream": "https://u:pw@api/v1"}))
    env = {"COMPRESSOR_PORT": "2", "COMPRESSOR_BUDGET": "50%", "COMPRESSOR_STORE": "redis://u:pw@host:1/0?x=pw"}
    found = load(str(file), env, {"port": 3, "host": None})
    assert (found.port, found.host, found.budget, found.keys) == (3, "0.0.0.0", 0.5, (kept,))
    assert load(str(file), env).port == 2 and load(str(file)).port == 1 and load().port == 8787
    assert load(None, {"COMPRESSOR_KEYS": kept.line() + ";" + kept.line()}).keys == (kept, kept)
    printed = json.dumps(found.printable())
    assert "pw" not in printed and kept.hash not in printed and "team" in printed and "***@host:1" in printed
    file.write_text('{"prot": 1}')
    unread: list[tuple[str | None, dict[str, str]]] = [
        (str(file), {}),
        ("none.json", {}),
        (None, {"COMPRESSOR_PORT": "x"}),
    ]
    for path, environment in unread:
        with pytest.raises(CompressorError):
            load(path, environment)
    for bad in (
        {"upstream": "ftp://x"},
        {"max_body_bytes": 0},
        {"timeout": -1},
        {"port": "x"},
        {"log": "loud"},
        {"keys": 5},
        {"budget": "x"},
    ):
        with pytest.raises(CompressorError):
            load(None, {}, bad)


def test_upstreams_by_path() -> None:
    one = Settings(upstream="https://api.one/v1/", upstream_anthropic="https://api.two")
    assert one.upstream_of("/v1/chat/completions") == "https://api.one"
    assert one.upstream_of("/v1/messages/count_tokens") == "https://api.two"
    assert Settings(upstream="http://x").upstream_of("/v1/messages") == "http://x" and not Settings().upstream_of(
        "/v1/x"
    )


def test_the_command_serves_and_ends_when_told(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    key, kept = new_key("team")
    (tmp_path / "keys").write_text(kept.line())
    command = [sys.executable, "-m", "compressor.cli", "serve", "--port", str(port), "--store", "memory"]
    command += ["--keys", str(tmp_path / "keys")]
    import httpx

    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    try:

        def is_ready() -> bool:
            with suppress(httpx.HTTPError):
                return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
            return False

        wait_for(is_ready)
        body = {"messages": careful_history(), "budget": 1500}
        answer = httpx.post(f"http://127.0.0.1:{port}/k/{key}/v1/compress", json=body, timeout=30)
        assert answer.status_code == 200 and answer.json()["tokens_after"] <= 1500
    finally:
        running.terminate()
        _, said = running.communicate(timeout=30)
    assert running.returncode in (0, -15)
    lines = [json.loads(line) for line in said.splitlines()]
    assert any(line["event"] == "settings" and line["keys"] == ["team"] for line in lines)
    asked = [line for line in lines if line.get("route") == "/v1/compress"]
    assert asked and asked[0]["tenant"] == "team" and asked[0]["status"] == 200
    assert key not in said and kept.hash not in said and NEEDLE not in said


def test_work_that_nobody_waits_for_takes_one_tenants_threads_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread cannot be ended: what was answered 504 counts until it is over."""
    monkeypatch.setattr(tenants, "MAX_THREADS_PER_TENANT", 2)
    keys, known = two_tenants()
    with ScriptedServer([Reply("hello")]) as provider, Service(timeout=1.0, upstream=provider.url, **known) as service:
        go = threading.Event()
        red = service.gate._tenants.get("red")
        monkeypatch.setattr(red.compressor, "compress", lambda *_: go.wait(60))
        body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "x"}], "budget": 50}
        service.gate._tenants.get("blue").compressor.compress(body["messages"], 50)  # what a process loads once

        def ask(name: str, path: str = "/v1/compress") -> Any:
            return service.http.post(path, json=body, headers={"x-compressor-key": keys[name]})

        with ThreadPoolExecutor(3) as pool:  # the third waits its turn, and never begins
            assert {error_of(one) for one in pool.map(ask, ["red"] * 3)} == {"timeout"}
        assert red.executor.abandoned == 2
        refused = ask("red")
        assert refused.status_code == 503 and error_of(refused) == "overloaded" and refused.headers["retry-after"]
        proxied = ask("red", "/v1/chat/completions")
        assert proxied.status_code == 200 and "overloaded" in proxied.headers["x-compressor-warning"]
        assert ask("blue").status_code == 200  # and the service itself answers, too
        assert service.http.get("/readyz", headers={"x-compressor-key": keys["red"]}).status_code == 200
        go.set()
        wait_for(lambda: red.executor.abandoned == 0)
        monkeypatch.undo()
        assert ask("red").status_code == 200


def test_a_budget_that_makes_no_sense_is_not_kept(service: Service) -> None:
    append = {"messages": [{"role": "user", "content": "hello"}]}
    for budget in ("$abc", -5):
        answer = service.http.post("/v1/sessions/senseless/append", json={**append, "budget": budget})
        assert error_of(answer) == "invalid_budget"
        assert service.http.post("/v1/sessions/senseless/view", json={}).status_code == 404  # nothing has begun
    assert service.http.post("/v1/sessions/senseless/append", json=append).status_code == 200
    assert service.http.post("/v1/sessions/senseless/view", json={"budget": "$abc"}).status_code == 400
    assert service.http.post("/v1/sessions/senseless/view", json={}).status_code == 200


def test_a_hundred_thousand_mistakes_hold_nobody_up(service: Service) -> None:
    for path, body in (
        ("/v1/compress/documents", {"documents": [1] * 100_000}),
        ("/v1/examples", {"examples": [1] * 100_000}),
        ("/v1/tools", {"tools": [1] * 100_000}),
        ("/v1/compress", {"messages": [], "pinned": ["x"] * 100_000}),
    ):
        start = time.process_time()
        assert error_of(service.http.post(path, json=body)) == "invalid_request"
        assert time.process_time() - start < 1  # about 20 ms; it was five seconds, of everybody's


def test_a_connection_that_says_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEADER_TIMEOUT", 0.5)
    whole = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with Service() as service:
        for said in (b"", whole[:9]):
            with socket.create_connection(("127.0.0.1", service.config.port), 60) as slow:
                slow.sendall(said)
                assert slow.recv(1000) == b""
        with socket.create_connection(("127.0.0.1", service.config.port), 60) as kept:
            for _ in range(2):
                kept.sendall(whole)
                time.sleep(0.6)  # between two requests there is time
                assert b" 200 " in kept.recv(1000)
            kept.sendall(whole[:9])
            while kept.recv(1000):
                pass


def test_a_client_that_takes_nothing_of_its_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "WRITE_TIMEOUT", 0.2)
    pending = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [{"role": "user", "content": "ab c7 " * 2_000_000}, {"role": "assistant", "tool_calls": [pending]}]
    body = json.dumps({"messages": messages}).encode()  # comes back as it is
    with Service() as service, socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(("127.0.0.1", service.config.port))
        head = b"POST /v1/compress HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        stuck.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        wait_for(lambda: not service._server.server_state.connections)
