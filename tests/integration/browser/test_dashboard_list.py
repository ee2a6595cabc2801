"""The list of sessions in a real Chromium: a hundred of them are searched, filtered, sorted and paged."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote

import pytest

from support.dashboard_tools import DESK, PHONE, Visit, drive, record_sessions
from support.service_tools import Service
from support.waiting import wait_for

pytestmark = pytest.mark.slow
TASK = "Why did the import of invoices stop?"


@pytest.fixture(scope="module")
def many() -> Iterator[Service]:
    """A service that knows 110 sessions; one of them is real."""
    with Service() as running:
        drive(running, "billing", [{"role": "user", "content": TASK}])
        record_sessions(running, 109)
        yield running


def params(visit: Visit) -> dict[str, str]:
    """The parameters in the address."""
    return {name: values[0] for name, values in parse_qs(visit.page.url.partition("?")[2]).items()}


def listed(service: Service, query: str) -> list[str]:
    """The ids that the route lists."""
    return [one["id"] for one in service.http.get(f"/v1/sessions?{query}").json()["sessions"]]


def shows(visit: Visit, ids: list[str]) -> None:
    """Waits until the page lists these sessions in this order."""
    wait_for(lambda: visit.ids == ids)


def test_dashboard_pages_through_a_hundred_sessions_and_the_back_button_knows_the_way(
    many: Service, browser: Any
) -> None:
    pages = [listed(many, f"sort=id&limit=25&offset={offset}") for offset in range(0, 110, 25)]
    with Visit(browser, many.url) as visit:
        visit.open()
        visit.page.get_by_role("link", name="All 110 sessions").click()
        visit.page.get_by_text("110 sessions", exact=True).wait_for()
        visit.page.get_by_role("button", name="Session", exact=True).click()
        shows(visit, pages[0])
        visit.page.locator("[data-page='next']").first.click()
        shows(visit, pages[1])
        visit.page.locator("[data-page='last']").first.click()
        shows(visit, pages[4])
        assert visit.page.get_by_text("101–110 of 110").count() == 2 and params(visit) == {
            "sort": "id", "order": "asc", "offset": "100",
        }  # fmt: skip
        visit.page.locator("[data-page='next']").first.press("Enter")  # there is none, but the focus stays
        assert visit.page.evaluate("document.activeElement.dataset.page") == "next"
        visit.page.reload()
        shows(visit, pages[4])
        visit.page.go_back()
        shows(visit, pages[1])
        visit.page.locator("[data-page='previous']").last.click()
        shows(visit, pages[0])
        visit.page.go_back()
        visit.page.go_back()
        shows(visit, pages[0])
        visit.page.go_back()
        shows(visit, listed(many, "limit=25"))
        visit.page.go_back()
        visit.page.locator(".tiles").wait_for()
        assert visit.fits


def test_dashboard_sorts_by_every_column(many: Service, browser: Any) -> None:
    with Visit(browser, many.url) as visit:
        visit.open("/#/sessions")
        head = visit.page.locator("th", has=visit.page.locator("[data-sort='last']"))
        assert head.get_attribute("aria-sort") == "descending"
        for column in ("tokens", "saved", "calls", "view", "last"):
            head = visit.page.locator("th", has=visit.page.locator(f"[data-sort='{column}']"))
            for order in ("descending", "ascending"):
                head.locator("button").click()
                visit.page.locator(f"th[aria-sort='{order}'] [data-sort='{column}']").wait_for()
                assert visit.page.locator("th[aria-sort='ascending'], th[aria-sort='descending']").count() == 1
                shows(visit, listed(many, f"sort={column}&order={order.removesuffix('ending')}&limit=25"))


def test_dashboard_finds_sessions_by_words_and_filters(many: Service, browser: Any) -> None:
    with Visit(browser, many.url, PHONE) as visit:
        visit.open("/#/sessions?offset=50")
        visit.page.get_by_text("51–75 of 110").first.wait_for()
        visit.page.locator("#q").fill("INVOICES import")
        visit.page.get_by_text("1 of 110 sessions").wait_for()
        assert visit.ids == ["billing"] and params(visit) == {"q": "INVOICES import"}
        assert visit.page.locator(".task").inner_text() == TASK and visit.fits
        visit.page.reload()
        assert visit.page.locator("#q").input_value() == "INVOICES import"
        shows(visit, ["billing"])
        visit.page.locator("a.session").click()
        visit.page.locator(".message").first.wait_for()
        visit.page.get_by_role("link", name="← Sessions").click()  # what was searched is still there
        shows(visit, ["billing"])
        visit.page.locator("#q").fill("")
        visit.page.locator("#warnings").check()
        visit.page.get_by_text("11 of 110 sessions").wait_for()
        visit.page.locator("#named").select_option("Named")
        wait_for(lambda: params(visit).get("named") == "true")
        shows(visit, listed(many, "warnings=true&named=true"))
        visit.page.locator("#model").select_option("gpt-4o")
        visit.page.get_by_text("No session matches.").wait_for()
        assert visit.fits
        visit.page.get_by_role("button", name="Clear the filters").click()
        visit.page.get_by_text("110 sessions", exact=True).wait_for()
        visit.page.locator("[data-live='false']").click()
        visit.page.get_by_text("No session matches.").wait_for()
        visit.page.go_back()
        visit.page.locator("[data-live=''][aria-checked='true']").wait_for()
        visit.page.get_by_text("110 sessions", exact=True).wait_for()


def test_dashboard_says_what_is_wrong_with_an_address(many: Service, browser: Any) -> None:
    with Visit(browser, many.url, expected="status of 422") as visit:
        visit.open("/#/sessions?limit=many")
        visit.page.locator("#alert", has_text="limit").wait_for()
        visit.open("/#/sessions?offset=5000")  # beyond the end is the last page
        visit.page.get_by_text("101–110 of 110").first.wait_for()
        visit.open("/#/nothing/like/it?sort=x")
        visit.page.locator(".tiles").wait_for()


def test_dashboard_opens_sessions_with_any_name(browser: Any) -> None:
    names = ["späße – 日本 🎉", "100% #1?&=+;", "a b"]
    with Service() as service, Visit(browser, service.url, expected="status of 404") as visit:
        for name in names:
            drive(service, quote(name, safe=""), [{"role": "user", "content": f"Task of {name}"}])
        record_sessions(service, 2)
        visit.open("/#/sessions")
        for name in names:
            visit.page.locator("a.session", has_text=name).click()
            visit.page.locator(".preview", has_text=f"Task of {name}").wait_for()
            assert visit.page.title() == f"{name} · compressor"
            visit.page.reload()
            visit.page.locator(".preview", has_text=f"Task of {name}").wait_for()
            visit.page.go_back()
        with visit.page.expect_request(lambda request: request.url.endswith("/messages?limit=200&shown=all")) as asked:
            visit.page.locator("a.session", has_text="team/run-1").click()
        assert "/v1/sessions/team%2Frun-1/messages" in asked.value.url  # a slash does not become part of the path
        visit.page.get_by_text("This session does not exist here.").wait_for()  # it was only recorded


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_dashboard_with_a_thousand_sessions_is_as_short_and_nearly_as_fast(browser: Any, size: dict[str, int]) -> None:
    seen = {}
    for count in (110, 1000):
        with Service() as service, Visit(browser, service.url, size) as visit:
            record_sessions(service, count)
            times = []
            for path in ("/#/sessions", "/#/sessions?sort=tokens&offset=50", "/#/sessions?q=run"):
                visit.page.goto("about:blank")
                start = time.perf_counter()
                visit.open(path)
                visit.page.locator(".session").nth(24).wait_for()
                times.append(time.perf_counter() - start)
            seen[count] = min(times), visit.page.evaluate("document.documentElement.scrollHeight")
            assert visit.fits
    (fast, short), (slower, longer) = seen[110], seen[1000]
    assert longer <= short + 40 and longer < 3600
    assert slower < 5 * fast + 2, seen
