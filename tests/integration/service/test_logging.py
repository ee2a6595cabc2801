"""The service's log, and the names of what goes wrong: a line a request, no content, no secrets."""

from __future__ import annotations

import json
import logging
import re

import pytest

from compressor import CompressorError, errors
from compressor.pipeline.result_cache import STORE_UNAVAILABLE
from support.client_tools import TASK
from support.property_tests import given, st
from support.waiting import wait_for

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from compressor.service.settings import Settings
from compressor.service.settings_sources import load
from compressor.service.telemetry import logging as logs
from compressor.service.telemetry import records, warning_categories
from support.service_tools import Service, history, two_tenants
from support.telemetry_tools import lines

SECRET = "sk-proj-" + "q7Zt0Xc9LmB2vR5kWy8NpJ4hGd6s"  # nobody's


def test_a_request_is_one_line_with_what_was_done_and_no_content() -> None:
    keys, known = two_tenants()
    with Service(**known) as service, lines() as seen:
        head = {"x-compressor-key": keys["red"], "x-request-id": "trace-me/42"}
        body = {"messages": history(), "model": "gpt-4o", "budget": 1500}
        answer = service.http.post("/v1/compress", json=body, headers=head)
        assert answer.headers["x-request-id"] == answer.headers["x-compressor-request-id"] == "trace-me/42"
        told = {"messages": history(), "model": "gpt-4o"}
        service.http.post("/v1/sessions/alices-divorce/append", json=told, headers=head)
        service.http.post("/v1/sessions/alices-divorce/view", json={}, headers=head)
        service.http.get("/v1/retrieve/000000000000", headers=head)
        service.http.get("/healthz", headers=head)
        service.http.get("/v1/compress")
        found = wait_for(lambda: [line for line in seen() if line["event"] == "request"][5:] and seen())
    compressed, _, viewed, missing, probe, stranger = (line for line in found if line["event"] == "request")
    made = answer.json()
    assert compressed["id"] == "trace-me/42" and compressed["tenant"] == "red" and compressed["status"] == 200
    assert (compressed["tokens_before"], compressed["tokens_after"]) == (made["tokens_before"], made["tokens_after"])
    assert compressed["route"] == "/v1/compress" and compressed["tier"] == "fast" and compressed["ms"] > 0
    assert (
        viewed["session"] == records.pseudonym("red", "alices-divorce") != records.pseudonym("blue", "alices-divorce")
    )
    levels = [line["level"] for line in (compressed, missing, probe, stranger)]
    assert levels == ["info", "warning", "debug", "warning"]
    assert stranger["tenant"] == "-" and stranger["status"] == 401
    text = json.dumps(found)
    assert "divorce" not in text and TASK[:20] not in text and keys["red"] not in text


@given(st.text(max_size=150))
def test_nothing_that_a_client_sends_makes_a_second_line(sent: str) -> None:
    record = logs.start_record(sent, sent.encode("latin-1", "replace"))
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,99}", record.id)
    assert record.method in ("_OTHER", *records._METHODS)
    written = logging.LogRecord("x", logging.INFO, "", 1, sent, None, None)
    written.data = {**record.data(0.1), "route": sent}
    line = logs.JsonFormatter().format(written)
    assert line.isascii() and line.isprintable() and len(line.splitlines()) == 1
    assert json.loads(line)["route"] == sent


def test_ids_that_are_none_are_not_taken_over() -> None:
    for bad in ("", "a\nb", "a b", "x" * 101, "ä", "{{7*7}}", "-"):
        assert len(logs.start_record("GET", bad.encode()).id) == 16
    assert logs.start_record("GET", b"Root=1-67891233-abcdef012345678912345678").id.startswith("Root=1-")


def test_content_is_logged_where_it_is_asked_for_without_secrets() -> None:
    text = f"{'The quick brown fox. ' * 40}My key is {SECRET} and the rest {'is long. ' * 300}"
    body = {"messages": [{"role": "user", "content": text}], "model": "gpt-4o", "budget": 5000}
    for asked, level in ((True, logging.DEBUG), (True, logging.INFO), (False, logging.DEBUG)):
        with Service(log_content=asked) as service, lines(level) as seen:
            assert service.http.post("/v1/compress", json=body).status_code == 200
            wait_for(lambda: any(line["event"] == "request" for line in seen()))
            found = seen()
        shown = [line["body"] for line in found if line["event"] == "content"]
        assert len(shown) == (asked and level == logging.DEBUG)
        assert SECRET not in json.dumps(found)
        assert all(
            "quick brown" in one and "[redacted:" in one and len(one) == logs.MAX_CONTENT_CHARS + 1 for one in shown
        )


def test_switches_are_read_from_the_environment() -> None:
    found = load(env={"COMPRESSOR_LOG_CONTENT": "true", "COMPRESSOR_OTEL": "0"})
    assert found.log_content is True and found.otel is False and Settings().otel is None
    for bad in ({"COMPRESSOR_OTEL": "maybe"}, {"COMPRESSOR_LOG_CONTENT": "2"}):
        with pytest.raises(CompressorError, match=next(iter(bad))):
            load(env=bad)
    with pytest.raises(CompressorError, match="log_content"):
        Settings(log_content="yes")


# -- reasons


@pytest.mark.parametrize(
    ("warning", "name"),
    [
        ("pruner: pruner on cpu: not finished after 2 s; scored by the fast tier instead", "scorer_fell_back"),
        ("block 3 (message 7): the JSON excerpt does not parse; sent unchanged", "output_validation"),
        ("12 old messages were left out whole, because the budget has no room for their marks", "rounds_left_out"),
        ("3 tool rounds were left out whole, and no message could hold an index line for them", "rounds_left_out"),
        (
            "2 of the users' old constraints were removed because they exceed the tokens reserved for constraints; "
            "pin the messages that must stay",
            "constraints_dropped",
        ),
        ("the summary was extracted because gpt failed: TimeoutError", "summary_failed"),
        ("2 of 9 sentences were dropped: their source does not have 'x'", "summary_corrected"),
        ("the budget forced a compaction inside a turn with signed reasoning", "forced_compaction"),
        (STORE_UNAVAILABLE, "cache_unavailable"),
        ("refused by the provider", "refused_by_provider"),
        ("StoreError", "store_error"),
        ("timeout", "timeout"),
        ("budget_too_small", "budget_too_small"),
        ("something new", "other"),
    ],
)
def test_warnings_have_names(warning: str, name: str) -> None:
    assert warning_categories.categorize(warning) == name


@given(st.text(max_size=200))
def test_reasons_are_a_closed_set(text: str) -> None:
    assert warning_categories.categorize(text) in warning_categories.ALL


def test_every_error_of_ours_has_a_name() -> None:
    names = [
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, CompressorError)
    ]
    assert names and {warning_categories.categorize(name) for name in names} == {
        kind.code for kind in map(vars(errors).get, names) if kind
    }
