"""The page of a session in a real Chromium: what was kept and dropped, and every original byte for byte."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.dashboard_tools import DESK, PHONE, Visit, drive, original_of
from support.example_files import recorded
from support.service_tools import Service, two_tenants

HOSTILE = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"><b>bold</b>\u202e"


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
        visit.page.locator("a.session").wait_for(timeout=60_000)  # without a reload


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
def test_dashboard_pages_a_session_of_601_messages_and_tells_of_new_ones(browser: Any) -> None:
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
            visit.page.get_by_text("601 messages, the first 200 listed", exact=True).wait_for()
            for listed in (400, 600):
                visit.page.locator("button.more").click()
                visit.page.get_by_text(f"601 messages, the first {listed} listed", exact=True).wait_for()
            visit.page.get_by_text("Show the other 1 message", exact=True).click()
            visit.page.get_by_text("601 messages", exact=True).wait_for()
            assert visit.page.locator(".message").count() == 601
            visit.page.locator("[data-shown='changed']").click()
            visit.page.get_by_text("of 601 messages").wait_for()
            assert visit.page.url.endswith("#/session/long?shown=changed")
            gone = visit.page.locator(".message.evicted")
            if gone.count():
                number = int(gone.nth(1).get_attribute("data-number"))
                assert original_of(visit.message(number)) == messages[number]["content"]
            assert visit.fits
            more = {"messages": [{"role": "assistant", "content": "Done."}, {"role": "user", "content": "Sure?"}]}
            service.http.post("/v1/sessions/long/append", json=more)
            service.http.post("/v1/sessions/long/view", json={})
            visit.page.get_by_text("1 new call: show").click(timeout=60_000)


@pytest.mark.slow
def test_dashboard_shows_folded_keys_and_texts_that_are_too_long_to_be_marked(service: Service, browser: Any) -> None:
    def fulfill(answer: dict[str, Any], route: Any) -> None:
        route.fulfill(json=answer)

    def block(parts: list[dict[str, Any]], sent: str) -> dict[str, Any]:
        told = {"kind": "tool_result", "name": "query", "action": "excerpt", "reason": "it was long", "refs": []}
        return {"block": 0, **told, "tokens_before": 9, "tokens_after": 3, "parts": parts, "sent": sent}

    folded = {"kind": "folded", "chars": 6, "tokens": 2, "text": '{"id":'}
    blocks = {
        17: block([folded, {"kind": "kept", "chars": 1, "tokens": 1, "text": "7"}], "id\n7"),
        18: block(
            [{"kind": "unmarked", "chars": 5, "tokens": 6, "reason": "it is too long to be marked"}], "As it went"
        ),
    }
    with Visit(browser, service.url) as visit:
        for number, made in blocks.items():
            answer = {"number": number, "reason": made["reason"], "blocks": [made]}
            visit.page.route(f"**/messages/{number}", partial(fulfill, answer))
        visit.open("/#/session/fix-timedelta")
        row = visit.message(17)
        assert row.locator(".text").inner_text() == '{"id":7' and not row.locator(".chip").count()
        assert "nothing of it is lost" in row.locator(".folded").get_attribute("title")
        row = visit.message(18)
        assert row.locator(".text").inner_text() == "As it went" and not row.locator(".chip").count()
        assert row.locator(".why").all_inner_texts() == ["it was long", "it is too long to be marked"]
        assert row.locator(".mode").all_inner_texts() == ["Original"]
