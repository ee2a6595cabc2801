"""The dashboard: what it knows, whom it tells, and the page itself in a real Chromium."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from compressor import Compressor, StoreError
from compressor.storage import MemoryStore
from support.dashboard_tools import DESK, PHONE, Visit, chromium, drive, need_browser
from support.example_files import recorded
from support.paths import ROOT
from support.property_tests import given, settings, st
from support.redis_tools import RedisServer, free_port
from support.scripted_server import Reply, ScriptedServer
from support.waiting import wait_for

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from compressor.service.dashboard import text_alignment
from compressor.service.dashboard.session_inspector import SessionInspector
from compressor.service.dashboard.tenant_usage import LOG_NAME, SNAPSHOT_INTERVAL
from compressor.service.dashboard.time_series import MAX_HOURS, MAX_MINUTES, MAX_SESSIONS, TimeSeries
from compressor.service.dashboard.usage_recorder import UsageRecorder
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.records import CompressionEvent
from compressor.sessions.state import SessionState
from support.service_tools import Service, error_of, two_tenants

NOW = 1_800_000_000.0
HOSTILE = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"><b>bold</b>\u202e"


def work(tenant: str = "local", **given: Any) -> CompressionEvent:
    told: dict[str, Any] = {
        "kind": "conversation",
        "tokens_before": 1000,
        "tokens_after": 400,
        "saved": 0.01,
        "seconds": 0.02,
    }
    return CompressionEvent(tenant, **{**told, **given})


def ledger(store: Any, now: list[float]) -> UsageRecorder:
    return UsageRecorder(Metrics(), lambda _: (store, {}), clock=lambda: now[0])


def count_calls(one: UsageRecorder) -> int:
    book, _ = one.series("local")
    return sum(int(row[0]) for row in book.minutes.values())


# -- the ledger


def test_workers_add_up_and_a_new_one_knows_what_was_before() -> None:
    store, now = MemoryStore(), [NOW]
    one, other = ledger(store, now), ledger(store, now)
    for worker, session in ((one, "a"), (other, "a"), (other, "b")):
        worker.record(work(session=session))
    one.flush()
    other.flush()
    now[0] += 10
    late = ledger(store, now)
    for worker in (one, other, late):
        book, well = worker.series("local")
        assert well and count_calls(worker) == 3
        assert {id: account["calls"] for id, account in book.sessions.items()} == {"a": 2, "b": 1}
        assert book.sessions["a"]["before"] == 2000 and book.sessions["a"]["saved"] == pytest.approx(0.02)
        total = book.total(NOW, 3600, 60)
        assert total["calls"] == 3 and total["after"] == 1200 and total["p50"] == pytest.approx(0.02, rel=0.06)
    one.flush()  # nothing is new, so nothing is written
    assert len(store.read_log(LOG_NAME)) == 2


class _Down(MemoryStore):
    """A store that is away, or that writes and does not say so."""

    down = lost = False

    def append_log(self, *given: Any, **more: Any) -> bool:
        if self.down:
            raise StoreError("away")
        done = super().append_log(*given, **more)
        if self.lost:
            raise StoreError("the answer was lost")
        return done

    def read_log(self, *given: Any, **more: Any) -> Any:
        if self.down:
            raise StoreError("away")
        return super().read_log(*given, **more)


def test_a_store_that_is_away_loses_nothing_and_nothing_counts_twice() -> None:
    store, now = _Down(), [NOW]
    one, other = ledger(store, now), ledger(store, now)
    other.record(work())
    other.flush()
    store.down = True
    one.record(work())
    one.flush()
    book, well = one.series("local")
    assert not well and sum(row[0] for row in book.minutes.values()) == 1
    store.down, store.lost = False, True
    one.record(work())
    one.flush()  # written, but nobody said so
    store.lost = False
    one.flush()
    one.flush()
    now[0] += 10
    assert count_calls(one) == count_calls(other) == 3


def test_a_lost_log_is_begun_again_with_all_that_is_known() -> None:
    store, now = MemoryStore(), [NOW]
    one, other = ledger(store, now), ledger(store, now)
    one.record(work())
    one.flush()
    assert count_calls(other) == 1
    store.drop_log(LOG_NAME)
    other.record(work())
    other.flush()
    now[0] += 10
    assert count_calls(one) == count_calls(other) == count_calls(ledger(store, now)) == 2


def test_the_log_stays_short_and_the_book_too() -> None:
    store, now = MemoryStore(), [NOW]
    one = ledger(store, now)
    for i in range(SNAPSHOT_INTERVAL + 20):
        one.record(work(session=f"s{i}"))
        one.flush()
        now[0] += 60 * 5
    assert len(store.read_log(LOG_NAME)) < 40
    book, _ = ledger(store, now).series("local")
    assert len(book.sessions) == MAX_SESSIONS and f"s{SNAPSHOT_INTERVAL + 19}" in book.sessions
    assert sum(row[0] for row in book.hours.values()) == SNAPSHOT_INTERVAL + 20
    now[0] += 31 * 24 * 3600
    book, _ = one.series("local")
    assert not book.minutes and not book.hours


def test_a_book_forgets_by_the_minute_and_by_the_hour() -> None:
    book, new = TimeSeries(), TimeSeries()
    for ago in (0, MAX_MINUTES - 1, MAX_MINUTES + 1, 60 * (MAX_HOURS - 1), 60 * (MAX_HOURS + 1)):
        new.row(int(NOW // 60) - ago)[0] += 1
    book.add(new)
    book.prune(NOW)
    assert len(book.minutes) == 2 and sum(row[0] for row in book.hours.values()) == 4
    assert TimeSeries.from_json(json.loads(json.dumps(book.to_json()))) == book
    points = book.series(NOW, 24 * 3600, 600)
    assert len(points) == 144 and points[-1]["calls"] == 1 and points[-1]["time"] <= NOW < points[-1]["time"] + 600


# -- what became of a text


@settings(max_examples=200)
@given(st.text(st.sampled_from('ab1\n …{}",:[]'), max_size=80), st.data())
def test_kept_spans_are_letter_for_letter_in_both(original: str, data: st.DataObject) -> None:
    left = data.draw(st.one_of(st.text(st.sampled_from('ab1\n …{}",:[]'), max_size=60), st.just(original)))
    found = [span[:2] for span in text_alignment.align_spans(original, left)]
    assert all(0 <= start < end <= len(original) for start, end in found)
    assert all(a[1] <= b[0] for a, b in pairwise(found))
    assert all(original[start:end] in left for start, end in found)


@pytest.mark.parametrize(("name", "budget"), [("coding", None), ("coding", 6000), ("airline", 3000)])
def test_every_message_of_a_session_is_accounted_for_and_comes_back_whole(name: str, budget: int | None) -> None:
    messages, compressor = recorded(name), Compressor(store="memory")
    session = compressor.session("s", model="gpt-4o", budget=budget)
    for message in messages:
        if message["role"] == "assistant":
            session.view()
        session.append(message)
    view = session.view()
    data = session.export(originals=False)
    anatomy = SessionInspector(
        compressor.store, "gpt-4o", data["front"], data["messages"], SessionState.from_json(data["state"])
    )
    rows = anatomy.rows()
    assert [row["number"] for row in rows] == list(range(-1, len(messages) - 1)) and not anatomy.missing
    actions = {row["action"] for row in rows}
    assert {"kept", "excerpt" if name == "coding" else "evicted"} <= actions and (budget is None or "index" in actions)
    sent = json.dumps(view, ensure_ascii=False)
    for row, message in zip(rows, messages, strict=True):
        told = anatomy.message(row["number"], original=True)
        assert row["reason"] or row["action"] == "kept"
        for block in told["blocks"]:
            whole = "".join(part["text"] for part in block["parts"])
            if block["kind"] != "tool_call":
                assert whole == (message["content"] or ""), row
            kept = [part["text"] for part in block["parts"] if part["kind"] == "kept"]
            assert all(json.dumps(text, ensure_ascii=False)[1:-1] in sent for text in kept if block["action"] == "kept")
            assert all(text in block["sent"] for text in kept if block["action"] == "excerpt")
            for ref in block["refs"]:
                assert session.expand(ref)
        short = anatomy.message(row["number"])
        hidden = [part for block in short["blocks"] for part in block["parts"] if part["kind"] == "dropped"]
        assert all("text" not in part and part["tokens"] > 0 for part in hidden)


# -- the routes


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service that has a recorded session behind it, one under a small budget, and proxied and single calls."""
    coding = recorded("coding")
    with ScriptedServer([Reply("Done.")] * 40, extends=None) as upstream, Service(upstream=upstream.url) as running:
        drive(running, "fix-timedelta", coding)
        for count in (4, 6, 8):
            body: dict[str, Any] = {"model": "gpt-4o", "messages": coding[:count]}
            assert running.http.post("/v1/chat/completions", json=body).status_code == 200
        body |= {"messages": coding, "budget": 3000}
        assert running.http.post("/v1/compress", json=body).status_code == 200
        yield running


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


def test_the_page_has_no_data_and_its_policy_lets_nothing_else_in(service: Service) -> None:
    for path in ("/", "/app.js", "/app.css", "/dom.js", "/chart.js", "/overview.js", "/session.js"):
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
    for name in ("index.html", "app.css", "app.js", "dom.js", "chart.js", "overview.js", "session.js"):
        assert f"compressor/service/dashboard/page/{name}" in names


# -- the page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


def original_of(row: Any) -> str:
    """What the page shows as a message's original, letter for letter."""
    row.locator(".mode[data-mode='original']").first.click()
    row.locator(".text.original").first.wait_for()
    text: str = row.locator(".text.original").first.evaluate("element => element.textContent")
    return text


def test_the_page_shows_sessions_and_gives_originals_back_byte_for_byte(
    service: Service, browser: Any, tmp_path: Path
) -> None:
    coding = recorded("coding")
    with Visit(browser, service.url) as visit:
        visit.open()
        visit.page.locator("a.session", has_text="fix-timedelta").click()
        row = visit.message(18)
        assert "excerpt" in row.inner_text() and "dropped" in row.locator(".chip").first.inner_text()
        assert original_of(row) == coding[19]["content"]
        visit.page.screenshot(path=tmp_path / "session.png")
        assert visit.fits


def test_a_session_shows_what_each_compaction_kept(service: Service, browser: Any) -> None:
    drive(service, "receipts", recorded("airline"), budget=3000)
    receipts = service.http.get("/v1/sessions/receipts/receipts").json()["receipts"]
    newest = receipts[-1]
    tally = newest["tallies"]["user_words"]
    for size in (DESK, PHONE):
        with Visit(browser, service.url, size) as visit:
            visit.open("/#/session/receipts")
            visit.page.locator(".receipts summary").click()
            rows = visit.page.locator(".receipts tbody tr")
            assert rows.count() == len(receipts) >= 1
            cells = rows.first.locator("th, td").all_inner_texts()
            assert cells[0] == str(newest["compaction"]) and f"{newest['tokens_after']:,}" in cells[1]
            assert cells[3] == f"{tally['in_view']}/{sum(tally.values())}"
            assert visit.fits


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_dashboard_on_a_desk_and_a_phone_in_light_and_dark(
    service: Service, browser: Any, tmp_path: Path, scheme: str, size: dict[str, int]
) -> None:
    drive(service, f"airline-{scheme}-{size['width']}", recorded("airline"), budget=3000)
    time.sleep(2.1)  # what was read of the store is taken to hold for so long
    with Visit(browser, service.url, size, color_scheme=scheme) as visit:
        visit.open()
        visit.page.locator("a.session").first.wait_for()
        dark = visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 22)"
        assert dark == (scheme == "dark")
        for span in ("24h", "30d", "1h"):
            visit.page.locator(f"[data-range='{span}']").click()
            visit.page.locator(f"[data-range='{span}'][aria-checked='true']").wait_for()
        assert visit.page.locator(".chart svg path, .chart svg rect, .chart svg circle").count() > 4
        visit.page.screenshot(path=tmp_path / f"overview-{scheme}.png", full_page=True)
        assert visit.fits
        visit.page.locator(".call .link").first.click()
        visit.page.locator(".below .text").first.wait_for()
        assert visit.fits
        visit.page.locator("a.session", has_text=f"airline-{scheme}-{size['width']}").click()
        gone = visit.page.locator(".message.evicted").first
        number = int(gone.get_attribute("data-number"))
        assert original_of(visit.message(number)) == recorded("airline")[number + 1]["content"]
        visit.page.screenshot(path=tmp_path / f"session-{scheme}.png")
        assert visit.fits


@pytest.mark.slow
def test_dashboard_lets_no_text_become_more_than_text(service: Service, browser: Any) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": HOSTILE, "arguments": json.dumps({"x": HOSTILE})}}
    result = "\n".join(f"{i} {HOSTILE}" for i in range(400))
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": HOSTILE},
        {"role": "assistant", "content": HOSTILE, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": result},
    ]
    drive(service, "hostile <img src=x onerror=alert(1)>", messages, model="<b>model</b>")
    time.sleep(2.1)
    with Visit(browser, service.url) as visit:
        visit.open()
        visit.page.locator("a.session", has_text="hostile").click()
        visit.message(0)
        visit.message(1)
        assert original_of(visit.message(2)) == result
        assert visit.page.locator("main img, main script, main b b, .text b").count() == 0
        assert visit.page.title() == "hostile <img src=x onerror=alert(1)> · compressor"
        assert HOSTILE in visit.page.locator("main").evaluate("element => element.textContent")


@pytest.mark.slow
def test_dashboard_is_empty_at_first_and_says_what_to_do(browser: Any) -> None:
    with Service() as service, Visit(browser, service.url, PHONE) as visit:
        visit.open()
        visit.page.get_by_text("No calls yet").wait_for()
        assert f"curl {service.url}/v1/compress" in visit.page.locator("#try").inner_text() and visit.fits
        visit.page.locator("#theme").click()  # auto, then light, then dark
        visit.page.locator("#theme").click()
        assert visit.page.evaluate("document.documentElement.dataset.theme") == "dark"
        drive(service, "first", recorded("airline")[:8])
        visit.page.locator("a.session").wait_for(timeout=15_000)  # without a reload


@pytest.mark.slow
def test_dashboard_asks_for_a_key_and_can_be_used_with_the_keyboard(browser: Any) -> None:
    keys, settings = two_tenants()
    with Service(**settings) as service:
        service.http.headers["x-compressor-key"] = keys["red"]
        drive(service, "ours", recorded("coding")[:8])
        with Visit(browser, service.url, http_credentials={"username": "me", "password": keys["red"]}) as visit:
            visit.open()
            visit.page.locator("a.session").wait_for()
            assert visit.page.locator("#tenant").inner_text() == "red"
            visit.page.locator("[data-range='1h']").focus()
            visit.page.keyboard.press("ArrowRight")
            visit.page.locator("[data-range='24h'][aria-checked='true']").wait_for()
            visit.page.locator(".plot").first.focus()
            visit.page.keyboard.press("ArrowLeft")
            assert "sent" in visit.page.locator(".chart .hidden").first.evaluate("element => element.textContent")
            visit.page.locator("a.session").focus()
            visit.page.keyboard.press("Enter")
            visit.page.locator("button.fold").nth(1).focus()
            visit.page.keyboard.press("Enter")
            visit.page.locator(".message .block").first.wait_for()
        with Visit(browser, f"{service.url}/k/{keys['red']}") as visit:
            visit.open()
            visit.page.locator("a.session").wait_for()


@pytest.mark.slow
def test_dashboard_stands_a_session_of_five_hundred_messages_and_tells_of_new_ones(browser: Any) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Count the rows of every page."}]
    for i in range(300):
        call = {"id": f"c{i}", "type": "function", "function": {"name": "page", "arguments": json.dumps({"page": i})}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        rows = "\n".join(f"row {i}-{k}: {(i * 31 + k * 17) % 997} pieces" for k in range(60))
        messages.append({"role": "tool", "tool_call_id": f"c{i}", "content": rows})
    with Service() as service:
        append = {"messages": messages, "model": "gpt-4o", "budget": 20000}
        assert service.http.post("/v1/sessions/long/append", json=append).status_code == 200
        assert service.http.post("/v1/sessions/long/view", json={}).status_code == 200
        with Visit(browser, service.url, PHONE) as visit:
            visit.open("/#/session/long")
            visit.page.locator(".message").first.wait_for()
            start = time.perf_counter()
            visit.page.locator("button.more").click()
            visit.page.locator(".message").nth(len(messages) - 1).wait_for()
            assert time.perf_counter() - start < 5
            visit.page.locator("[data-shown='changed']").click()
            gone = visit.page.locator(".message.evicted")
            if gone.count():
                number = int(gone.nth(1).get_attribute("data-number"))
                assert original_of(visit.message(number)) == messages[number]["content"]
            assert visit.fits
            more = {"messages": [{"role": "assistant", "content": "Done."}, {"role": "user", "content": "Sure?"}]}
            service.http.post("/v1/sessions/long/append", json=more)
            service.http.post("/v1/sessions/long/view", json={})
            visit.page.get_by_text("1 new call: show").click(timeout=20_000)


@pytest.mark.slow
def test_dashboard_of_another_worker_knows_the_same_through_a_real_redis(browser: Any, tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis")
    try:
        with Service(store=redis.url) as one, Service(store=redis.url) as other:
            drive(one, "shared", recorded("coding"))
            one.gate._metrics.listeners[0].__self__.flush()  # type: ignore[attr-defined]
            assert other.http.get("/v1/stats").json()["tenant"] == "local"
            time.sleep(2.1)
            assert other.http.get("/v1/stats").json()["total"]["calls"] == 13
            with Visit(browser, other.url) as visit:
                visit.open()
                visit.page.locator("a.session", has_text="shared").click()
                assert original_of(visit.message(18)) == recorded("coding")[19]["content"]
            redis.stop()
            stats = other.http.get("/v1/stats").json()
            assert stats["total"]["calls"] == 13
            time.sleep(2.1)
            assert other.http.get("/v1/stats").json()["store"] == "unreachable"
    finally:
        redis.stop()


@pytest.mark.slow
def test_dashboard_of_several_processes_opens_what_only_one_of_them_knows(browser: Any, tmp_path: Path) -> None:
    port, coding = free_port(), recorded("coding")
    with ScriptedServer([Reply("Done.")] * 12, extends=None) as upstream:
        command = [sys.executable, "-m", "compressor.cli", "serve", "--port", str(port), "--workers", "2"]
        command += ["--upstream", upstream.url]
        env = {**os.environ, "COMPRESSOR_STORE": str(tmp_path / "shared.db")}
        with open(tmp_path / "log", "wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=env)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: answers(f"{url}/readyz"), 60)
            for i in range(6):  # as many connections, so that both have some
                first = {"role": "user", "content": f"Task {i}: {coding[1]['content']}"}
                body = {"model": "gpt-4o", "messages": [first, *coding[2:6]]}
                assert httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30).status_code == 200
            with Visit(browser, url, expected="status of 404") as visit:  # what only the other process knows
                visit.open()
                visit.page.locator("a.session").nth(5).wait_for(timeout=60_000)  # when both have written
                links = [link.get_attribute("href") for link in visit.page.locator("a.session").all()]
                for link in links:
                    visit.open(f"/{link}")
                    visit.page.locator(".message").first.wait_for()
                    visit.page.reload()
        finally:
            process.terminate()
            process.wait(60)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_browser_is_needed_where_models_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("COMPRESSOR_REQUIRE_MODELS", raising=False)
    with pytest.raises(pytest.skip.Exception):
        need_browser()
    monkeypatch.setenv("COMPRESSOR_REQUIRE_MODELS", "1")
    with pytest.raises(pytest.fail.Exception):
        need_browser()


def test_sessions_are_bounded_while_the_store_is_away() -> None:
    now = 1e9
    book = UsageRecorder(Metrics(), lambda _: None, clock=lambda: now)
    for i in range(5 * MAX_SESSIONS):
        book.record(CompressionEvent("red", "conversation", 10, 5, session=f"auto-{i}"))
    kept = book._of("red")._open
    assert len(kept.sessions) <= 2 * MAX_SESSIONS and kept.minutes[int(now // 60)][0] == 5 * MAX_SESSIONS
