"""Everybody can use the dashboard: axe finds nothing, the keyboard reaches everything, nothing is wider than 320 px."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.dashboard_answers import Calls, answer_figures, breakdown
from support.dashboard_tools import DESK, Visit, drive, record_sessions
from support.example_files import recorded
from support.service_tools import Service
from support.waiting import wait_for

pytestmark = pytest.mark.slow
#: The address of each view, and what is there when it is loaded.
VIEWS = {
    "/#/": "a.session",
    "/#/sessions": "a.session",
    "/#/sessions?q=nothing+like+it": ".nothing:not([hidden])",
    "/#/session/airline": ".message",
    "/#/session/nobody": ".loading",
    "/#/tools": "tbody tr",
    "/#/models": "tbody tr",
    "/#/fallbacks": "tbody tr",
    "/#/tenants": "tbody tr",
    "/#/calls": "tbody tr",
}
#: Marks what the keyboard has to reach, and counts it. Of a radio group that is one button.
MARK_REACHABLE = """() => {
  const all = [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')];
  const reachable = all.filter((one) => one.tabIndex >= 0 && one.checkVisibility({ visibilityProperty: true }));
  for (const one of reachable) one.dataset.reachable = '';
  return reachable.length;
}"""
#: Marks what has the focus, and tells whether it, or the row that it covers, has an outline.
MARK_FOCUSED = """() => {
  const element = document.activeElement;
  element.dataset.reached = '';
  const seen = element === document.body || [null, '::after'].some((part) => {
    const style = getComputedStyle(element, part);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  });
  return [seen, element.outerHTML];
}"""


@pytest.fixture(scope="module")
def many() -> Iterator[Service]:
    """A service with sessions, one of them with receipts, and single calls."""
    with Service() as running:
        drive(running, "airline", recorded("airline"), budget=3000)
        record_sessions(running, 60)
        body = {"model": "gpt-4o", "messages": recorded("coding"), "budget": 3000}
        assert running.http.post("/v1/compress", json=body).status_code == 200
        yield running


def give_figures(visit: Visit) -> None:
    """Answers the page's requests for figures."""
    calls = Calls("this")
    for i in range(12):
        calls.add(warnings=["not compressed: timeout"] if i % 5 == 0 else [], session="" if i % 7 == 0 else f"s{i}")
    answer_figures(visit.page, breakdown(more_tools=10), calls)


def show(visit: Visit, path: str) -> None:
    """Opens a view as a new page, and unfolds what it has."""
    visit.page.goto("about:blank")
    visit.open(path)
    visit.page.locator(VIEWS[path]).first.wait_for()
    if path == "/#/session/airline":
        visit.page.locator(".receipts summary").click()
        number = visit.page.locator(".message.excerpt, .message.evicted").first.get_attribute("data-number")
        row = visit.message(int(number))
        row.locator(".mode").first.click()
        row.locator(".mode[aria-pressed='true']").wait_for()
    if path == "/#/":
        visit.page.locator(".call .link").first.click()
        visit.page.locator(".below .text").first.wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390, 320])
def test_dashboard_has_no_finding_of_axe_and_no_overflow(many: Service, browser: Any, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_core_python.sync_playwright").Axe()
    size = {"width": width, "height": 800}
    # The policy would not let the test's own script in; the page's is tested in test_dashboard_routes.py.
    with Visit(browser, many.url, size, "status of 404", color_scheme=scheme, bypass_csp=True) as visit:
        give_figures(visit)
        for path in VIEWS:
            show(visit, path)
            found = axe.run(visit.page, options={"resultTypes": ["violations"]})
            bad = [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found["violations"]]
            assert not bad and found["passes"], (path, bad)
            assert visit.fits, path


def test_dashboard_shows_the_focus_wherever_the_keyboard_goes(many: Service, browser: Any) -> None:
    with Visit(browser, many.url, DESK, "status of 404") as visit:
        give_figures(visit)
        for path in VIEWS:
            show(visit, path)
            visit.hide()  # so that no poll replaces a row meanwhile
            wanted = visit.page.evaluate(MARK_REACHABLE)
            for _ in range(2 * wanted + 10):  # it may begin in the middle, and passes the browser's own controls
                visit.page.keyboard.press("Tab")
                seen, html = visit.page.evaluate(MARK_FOCUSED)
                assert seen, (path, html)
            missed = visit.page.locator("[data-reachable]:not([data-reached])").evaluate_all(
                "all => all.map(one => one.outerHTML)"
            )
            assert wanted > 10 and not missed, (path, missed)


def wait_for_focus(visit: Visit, what: str, value: str) -> None:
    """Waits until the focused element has a value, such as its id or its text: the page may still be drawing."""
    wait_for(lambda: visit.page.evaluate(f"document.activeElement.{what}") == value)


def test_dashboard_can_be_searched_sorted_and_paged_with_the_keyboard_alone(many: Service, browser: Any) -> None:
    with Visit(browser, many.url) as visit:
        give_figures(visit)
        visit.open("/#/tools")
        visit.page.keyboard.press("Tab")
        wait_for_focus(visit, "textContent", "Skip to the content")
        visit.page.keyboard.press("Enter")
        wait_for_focus(visit, "id", "main")
        assert visit.page.url.endswith("#/tools")
        visit.page.get_by_role("link", name="Sessions", exact=True).focus()
        visit.page.keyboard.press("Enter")
        visit.page.locator("#q").wait_for()
        wait_for_focus(visit, "textContent", "Sessions")  # the heading of the new view
        visit.page.keyboard.press("Tab")
        wait_for_focus(visit, "id", "q")
        visit.page.keyboard.type("run")
        visit.page.get_by_text("40 of 61 sessions").wait_for()
        wait_for_focus(visit, "id", "q")
        visit.page.locator("[data-sort='calls']").focus()
        visit.page.keyboard.press("Enter")
        visit.page.locator("th[aria-sort='descending'] [data-sort='calls']").wait_for()
        visit.page.keyboard.press("Enter")
        visit.page.locator("th[aria-sort='ascending'] [data-sort='calls']").wait_for()
        visit.page.locator("[data-page='next']").last.focus()
        visit.page.keyboard.press("Enter")
        visit.page.get_by_text("26–40 of 40").first.wait_for()
        visit.page.locator("[data-live='']").focus()
        visit.page.keyboard.press("ArrowRight")
        visit.page.locator("[data-live='true'][aria-checked='true']").wait_for()
        wait_for_focus(visit, "dataset.live", "true")
        visit.page.keyboard.press("ArrowLeft")
        visit.page.locator("[data-live=''][aria-checked='true']").wait_for()
        visit.page.locator("#q").fill("airline")
        visit.page.get_by_text("1 of 61 sessions").wait_for()
        visit.page.locator("a.session").focus()
        visit.page.keyboard.press("Enter")
        visit.page.locator(".message").first.wait_for()
        visit.page.locator("[data-shown='all']").focus()
        visit.page.keyboard.press("ArrowRight")
        visit.page.locator("[data-shown='changed'][aria-checked='true']").wait_for()
        wait_for_focus(visit, "dataset.shown", "changed")
        wait_for(lambda: not visit.page.locator(".message.kept").count())
        wait_for_focus(visit, "dataset.shown", "changed")
