"""Ids of sessions with `/` and UTF-8, through a real service: header, API and dashboard mean the same session."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from support.recording_upstream import RecordingUpstream
from support.service_tools import Service, error_of, history

IDS = ["team/run-1", "org/run/7", "/x", "a//b/", "Größe 5", "日本/東京", "50%", "a%2Fb", "a/../b", "?a=b#c", "x" * 200]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with RecordingUpstream() as upstream, Service(upstream=upstream.url) as running:
        yield running


def forms(id: str) -> list[bytes]:
    encoded = quote(id, safe="").encode()
    return [encoded, b"UTF-8''" + encoded, *([] if "%" in id else [id.encode()])]


@pytest.mark.parametrize("id", IDS)
def test_an_id_of_the_header_is_an_id_of_the_api(service: Service, id: str) -> None:
    body = {"model": "gpt-4o", "messages": history(f"of {id}")}
    for form in forms(id):
        answer = service.http.post("/v1/chat/completions", json=body, headers={b"x-compressor-session": form})
        assert answer.status_code == 200 and "x-compressor-warning" not in answer.headers
    echoed = answer.headers["x-compressor-session"].encode()
    assert echoed in (quote(id, safe="/:@!$&()*+,;=~ ").encode(), quote(id, safe="").encode())
    segment = quote(id, safe="")
    assert service.http.post(f"/v1/sessions/{segment}/view", json={}).json()["id"] == id
    for path in ("messages", "messages/0", "receipts"):
        assert service.http.get(f"/v1/sessions/{segment}/{path}").json()["id"] == id
    assert id in [one["id"] for one in service.http.get("/v1/sessions").json()["sessions"]]
    added = service.http.post(f"/v1/sessions/{segment}/append", json={"messages": [], "usage": None})
    assert added.json()["id"] == id
    assert error_of(service.http.post(f"/v1/sessions/{segment}/expand", json={"ref": "1" * 12})) == "unknown_ref"


@pytest.mark.parametrize("id", [".", "..", "a\n", "\x1f", "x" * 201, " a"])
def test_what_is_no_id_is_one_nowhere(service: Service, id: str) -> None:
    segment = quote(id, safe="")
    answer = service.http.get(f"/v1/sessions/{segment.replace('.', '%2E')}/messages")
    assert answer.status_code == 400 and error_of(answer) == "invalid_session_id"
    answer = service.http.post(
        "/v1/chat/completions", json={"messages": history()}, headers={"x-compressor-session": f"UTF-8''{segment}"}
    )
    assert answer.status_code == 200
    assert answer.headers["x-compressor-warning"] == "not compressed: invalid_session_id"
