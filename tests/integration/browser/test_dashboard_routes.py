"""The routes of the dashboard: what they know, and whom they tell."""

from __future__ import annotations

import base64
import zipfile
from pathlib import Path

import pytest

from support.dashboard_tools import drive, need_browser, record_sessions
from support.example_files import recorded
from support.paths import ROOT
from support.service_tools import Service, error_of, two_tenants

PAGE_FILES = sorted(path.name for path in (ROOT / "compressor/service/dashboard/page").iterdir())


def test_stats_and_sessions_are_what_was_done(service: Service) -> None:
    stats = service.http.get("/v1/stats").json()
    total = stats["total"]
    assert total["calls"] == 13 + 3 + 1 and total["after"] < total["before"] and total["saved"] > 0
    assert sum(point["before"] for point in stats["series"]) == total["before"]
    assert total["p50"] <= total["p95"] <= total["p99"] and stats["store"] == "ok"
    (call,) = stats["calls"]
    assert call["kind"] == "call" and call["after"] <= 3000 < call["before"] and call["refs"]
    listed = {one["id"]: one for one in service.http.get("/v1/sessions").json()["sessions"]}
    balance = service.http.post("/v1/sessions/fix-timedelta/view", json={}).json()["cost_report"]
    session = listed.pop("fix-timedelta")
    assert session["calls"] == balance["calls"] == 13 and session["model"] == "gpt-4o" and session["live"]
    assert session["saved"] == pytest.approx(balance["saved_cost"], abs=1e-6)
    assert (session["before"], session["after"]) == (balance["baseline_tokens"], balance["actual_tokens"])
    ((id, proxied),) = listed.items()
    assert id.startswith("auto-") and proxied["calls"] == 3 and proxied["opens"]
    assert service.http.get(f"/v1/sessions/{id}/messages").json()["count"] == 7
    assert service.http.get("/v1/stats?range=30d").json()["total"]["calls"] == total["calls"]


def test_what_is_not_there_is_an_error_with_a_name(service: Service) -> None:
    get = service.http.get
    assert error_of(get("/v1/sessions/nobody/messages")) == "unknown_session"
    assert error_of(get("/v1/sessions/auto-nobody/messages")) == "unknown_session"
    assert error_of(get("/v1/sessions/fix-timedelta/messages/999")) == "unknown_message"
    assert error_of(get("/v1/stats?range=1y")) == "invalid_request"
    page = get("/v1/sessions/fix-timedelta/messages?limit=5&after=3").json()
    assert [row["number"] for row in page["messages"]] == [4, 5, 6, 7, 8] and page["more"]


def test_messages_can_be_selected_by_their_outcome(service: Service) -> None:
    path = "/v1/sessions/fix-timedelta/messages"
    whole = service.http.get(path).json()
    assert whole["matching"] == len(whole["messages"]) == whole["count"] + 1  # with the system message
    changed = [row for row in whole["messages"] if row["action"] != "kept"]
    assert 1 < len(changed) < len(whole["messages"])
    first = service.http.get(f"{path}?shown=changed&limit=1").json()
    assert first["messages"] == changed[:1] and first["more"] and first["matching"] == len(changed)
    rest = service.http.get(f"{path}?shown=changed&after={changed[0]['number']}").json()
    assert rest["messages"] == changed[1:] and not rest["more"] and rest["matching"] == len(changed)
    assert service.http.get(f"{path}?shown=removed").json()["matching"] < len(changed)
    assert error_of(service.http.get(f"{path}?shown=some")) == "invalid_request"


def test_sessions_are_paged_searched_filtered_and_sorted() -> None:
    with Service() as service:
        drive(service, "billing", [{"role": "user", "content": "Why did the IMPORT of invoices stop?"}])
        record_sessions(service, 300)
        get = service.http.get
        first = get("/v1/sessions?limit=100").json()
        assert (first["total"], first["known"], first["offset"], first["limit"]) == (301, 301, 0, 100)
        pages = [
            get(f"/v1/sessions?limit=100&offset={offset}&sort=id").json()["sessions"] for offset in (0, 100, 200, 300)
        ]
        ids = [one["id"] for page in pages for one in page]
        assert ids == sorted(ids) and len(set(ids)) == 301  # none is lost, none stands twice
        assert get("/v1/sessions?offset=301").json()["sessions"] == []
        (found,) = get("/v1/sessions?q=import+INVOICES").json()["sessions"]
        assert found["id"] == "billing" and found["task"] == "Why did the IMPORT of invoices stop?"
        assert found["model"] in first["models"] and get(f"/v1/sessions?model={found['model']}").json()["total"] == 1
        assert get("/v1/sessions?q=nothing+like+it").json() | {"now": 0} == {
            **{name: first[name] for name in ("tenant", "admin", "store", "known", "models")},
            "now": 0,
            "total": 0,
            "offset": 0,
            "limit": 100,
            "sessions": [],
        }
        named = get("/v1/sessions?named=true&limit=1000").json()
        unnamed = get("/v1/sessions?named=false&limit=1000").json()
        assert named["total"] + unnamed["total"] == 301 and unnamed["total"] == 100
        assert all(one["id"].startswith("auto-") and not one["opens"] for one in unnamed["sessions"])
        warned = get("/v1/sessions?warnings=1&limit=1000").json()["sessions"]
        assert len(warned) == 30 and all(one["warnings"] for one in warned)
        assert (
            get("/v1/sessions?live=false").json()["total"] == 0 and get("/v1/sessions?live=true").json()["total"] == 301
        )
        for sort, field in (("tokens", "before"), ("saved", "saved"), ("calls", "calls"), ("last", "last")):
            values = [one[field] for one in get(f"/v1/sessions?sort={sort}&limit=1000").json()["sessions"]]
            assert values == sorted(values, reverse=True) and len(set(values)) > 1
            values = [one[field] for one in get(f"/v1/sessions?sort={sort}&order=asc&limit=1000").json()["sessions"]]
            assert values == sorted(values)
        for order in ("asc", "desc"):  # only one of them has told the size of its view
            assert get(f"/v1/sessions?sort=view&order={order}&limit=1").json()["sessions"][0]["id"] == "billing"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=1001", "limit=many", "offset=-1", "offset=9999999", "sort=colour", "order=up", "live=perhaps",
        "named=2", "warnings=x", "limt=5", "q=" + "x" * 201, "model=" + "x" * 201,
    ],
)  # fmt: skip
def test_a_bad_parameter_of_the_list_is_named(service: Service, query: str) -> None:
    answer = service.http.get(f"/v1/sessions?{query}")
    assert answer.status_code == 422 and error_of(answer) == "invalid_request"
    assert query.partition("=")[0] in answer.json()["error"]["message"]


def test_the_page_has_no_data_and_its_policy_lets_nothing_else_in(service: Service) -> None:
    for name in PAGE_FILES:
        path = "/" if name == "index.html" else f"/{name}"
        answer = service.http.get(path)
        assert answer.status_code == 200 and "fix-timedelta" not in answer.text
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-frame-options"] == "DENY" and answer.headers["referrer-policy"] == "no-referrer"
        assert "innerHTML" not in answer.text and "style=" not in answer.text and "onclick=" not in answer.text
    assert service.http.get("/v1/stats").headers["cache-control"] == "no-store"


def test_with_keys_no_part_is_open_and_tenants_see_their_own() -> None:
    keys, settings = two_tenants()
    with Service(**settings) as service:
        red = {"x-compressor-key": keys["red"]}
        body = {"messages": recorded("coding")[:4], "model": "gpt-4o"}
        assert service.http.post("/v1/sessions/ours/append", json=body, headers=red).status_code == 200
        assert service.http.post("/v1/sessions/ours/view", json={}, headers=red).status_code == 200
        paths = ["/", "/app.js", "/app.css", "/v1/stats", "/v1/sessions", "/v1/sessions/ours/messages"]
        for path in [*paths, "/v1/sessions/ours/messages/0"]:
            answer = service.http.get(path)
            assert answer.status_code == 401 and error_of(answer) == "unauthorized"
            assert answer.headers["www-authenticate"].startswith("Basic" if path == "/" else "Bearer")
            assert service.http.get(path, headers=red).status_code == 200
            assert service.http.get(path, auth=("anyone", keys["red"])).status_code == 200
            assert service.http.get(path, auth=("anyone", "wrong" * 9)).status_code == 401
        assert service.http.get(f"/k/{keys['red']}/").status_code == 200
        blue = {"x-compressor-key": keys["blue"]}
        assert service.http.get("/v1/sessions", headers=blue).json()["sessions"] == []
        assert service.http.get("/v1/stats", headers=blue).json()["total"]["calls"] == 0
        assert error_of(service.http.get("/v1/sessions/ours/messages", headers=blue)) == "unknown_session"
        # What a browser sends by itself may read and do nothing: another site could make it send a form.
        forged = service.http.post("/v1/sessions/ours/append", json=body, auth=("anyone", keys["red"]))
        assert forged.status_code == 401
        odd = base64.b64encode(b"\xff\xfe").decode()
        assert service.http.get("/", headers={"authorization": f"Basic {odd}"}).status_code == 401


def test_the_page_is_in_the_wheel(tmp_path: Path) -> None:
    from hatchling.builders.wheel import WheelBuilder

    root = ROOT
    (wheel,) = WheelBuilder(str(root)).build(directory=str(tmp_path), versions=["standard"])
    names = zipfile.ZipFile(wheel).namelist()
    for name in PAGE_FILES:
        assert f"compressor/service/dashboard/page/{name}" in names


def test_a_browser_is_needed_where_models_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("COMPRESSOR_REQUIRE_MODELS", raising=False)
    with pytest.raises(pytest.skip.Exception):
        need_browser()
    monkeypatch.setenv("COMPRESSOR_REQUIRE_MODELS", "1")
    with pytest.raises(pytest.fail.Exception):
        need_browser()
