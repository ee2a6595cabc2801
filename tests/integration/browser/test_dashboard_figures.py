"""The pages of tools, models, fallbacks and tenants, and the live tail of calls, in a real Chromium."""

from __future__ import annotations

from typing import Any

import pytest

from support.dashboard_answers import Calls, answer_figures, breakdown
from support.dashboard_tools import DESK, PHONE, Visit, drive
from support.example_files import recorded
from support.scripted_server import Reply, ScriptedServer
from support.service_tools import Service, two_tenants
from support.waiting import wait_for

pytestmark = pytest.mark.slow


def names(visit: Visit) -> list[str]:
    """What the rows of the open table are about, in order."""
    found: list[str] = visit.page.locator("tbody th").all_inner_texts()
    return found


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_dashboard_says_which_tool_costs_most(service: Service, browser: Any, size: dict[str, int]) -> None:
    with Visit(browser, service.url, size) as visit:
        answer_figures(visit.page, breakdown(), None)
        visit.open()
        visit.page.get_by_role("link", name="Tools", exact=True).click()
        visit.page.get_by_text("bash costs most: 860,000 tokens sent, 59 % of all tool output.").wait_for()
        assert names(visit) == ["bash", "read_file", "<b>list</b>"]  # by what was sent
        row = visit.page.locator("tbody tr", has_text="read_file").inner_text()
        assert all(text in row for text in ("900", "2,000,000", "440,000", "1,560,000", "78 %", "$3.90"))
        bars = visit.page.locator(".compared .meter").evaluate_all("all => all.map(one => one.style.width)")
        assert bars == ["50%", "100%", "25%"]
        visit.page.locator("[data-sort='tokens_before']").click()
        visit.page.locator("th[aria-sort='descending'] [data-sort='tokens_before']").wait_for()
        assert names(visit) == ["read_file", "bash", "<b>list</b>"]
        visit.page.locator("[data-sort='name']").click()
        visit.page.locator("th[aria-sort='ascending'] [data-sort='name']").wait_for()
        assert names(visit) == ["<b>list</b>", "bash", "read_file"]
        visit.page.locator("[data-range='30d']").click()
        wait_for(lambda: "range=30d" in visit.page.url and "sort=name" in visit.page.url)
        visit.page.reload()
        visit.page.locator("[data-range='30d'][aria-checked='true']").wait_for()
        visit.page.locator("th[aria-sort='ascending'] [data-sort='name']").wait_for()
        visit.page.go_back()
        visit.page.go_back()
        visit.page.locator("th[aria-sort='descending'] [data-sort='tokens_before']").wait_for()
        assert visit.fits


def test_dashboard_lists_hundreds_of_tools_when_asked(service: Service, browser: Any) -> None:
    with Visit(browser, service.url) as visit:
        answer_figures(visit.page, breakdown(more_tools=300), None)
        visit.open("/#/tools")
        visit.page.locator("tbody tr").nth(49).wait_for()
        assert visit.page.locator("tbody tr").count() == 50
        visit.page.get_by_role("button", name="Show all 303").click()
        visit.page.locator("tbody tr").nth(302).wait_for()


def test_dashboard_shows_models_fallbacks_and_tenants(service: Service, browser: Any) -> None:
    with Visit(browser, service.url) as visit:
        answer_figures(visit.page, breakdown(), None)
        visit.open("/#/fallbacks")
        visit.page.get_by_text("15 fallbacks for 2 reasons.").wait_for()
        assert names(visit) == ["timeout", "budget_too_small"] and visit.page.get_by_text("3 h ago").is_visible()
        visit.page.locator("[data-sort='last']").click()
        wait_for(lambda: names(visit) == ["budget_too_small", "timeout"])
        visit.page.get_by_role("link", name="Tenants").click()
        visit.page.get_by_text("blue costs most").wait_for()
        assert names(visit) == ["blue", "red"]
        visit.page.get_by_role("link", name="Models").click()
        visit.page.get_by_text("claude-sonnet-4-5 costs most").wait_for()
        visit.page.get_by_role("link", name="gpt-4o").click()
        visit.page.locator("a.session", has_text="fix-timedelta").wait_for()
        assert visit.page.locator("#model").input_value() == "gpt-4o"


def test_dashboard_shows_other_tenants_to_an_admin_key_only(browser: Any) -> None:
    keys, settings = two_tenants()
    with Service(**settings) as service:
        for name in ("red", "ops"):
            with Visit(browser, f"{service.url}/k/{keys[name]}") as visit:
                answer_figures(visit.page, breakdown(admin=name == "ops"), None)
                visit.open("/#/tenants")  # by the address, not by the link
                visit.page.locator("#tenant", has_text=name).wait_for()
                assert visit.page.get_by_role("link", name="Tenants").is_visible() == (name == "ops")
                said = "blue costs most" if name == "ops" else "Only an admin key sees all tenants."
                visit.page.get_by_text(said).wait_for()


def test_dashboard_names_the_fallbacks_of_the_overview(browser: Any) -> None:
    with (
        ScriptedServer([Reply("Done.")] * 2, extends=None) as upstream,
        Service(upstream=upstream.url) as service,
        Visit(browser, service.url) as visit,
    ):
        body = {"model": "gpt-4o", "messages": recorded("coding")}
        for _ in range(2):
            headers = {"x-compressor-budget": "x"}
            assert service.http.post("/v1/chat/completions", json=body, headers=headers).status_code == 200
        answer_figures(visit.page, breakdown(), None)
        visit.open()
        visit.page.get_by_role("link", name="2 fallbacks").click()
        visit.page.locator("tbody th", has_text="timeout").wait_for()
        assert visit.page.locator("#nav [aria-current]").inner_text() == "Fallbacks"


def test_dashboard_of_an_older_service_says_that_it_is_older(service: Service, browser: Any) -> None:
    with Visit(browser, service.url, expected="status of 404") as visit:
        answer_figures(visit.page, None, None)
        for view, route in (
            ("tools", "breakdown"),
            ("models", "breakdown"),
            ("fallbacks", "breakdown"),
            ("calls", "calls"),
        ):
            visit.open(f"/#/{view}")
            said = visit.page.get_by_text(f"This service does not know /v1/stats/{route} (404)")
            said.wait_for()
            assert visit.page.locator("#alert").is_hidden()
        visit.open("/#/sessions")
        visit.page.locator("a.session").first.wait_for()


def test_dashboard_follows_calls_and_stops_when_told_or_hidden(service: Service, browser: Any) -> None:
    calls = Calls("this")
    for _ in range(3):
        calls.add()
    with Visit(browser, service.url) as visit:
        answer_figures(visit.page, None, calls)
        visit.open()
        visit.page.get_by_role("link", name="Calls", exact=True).click()
        wait_for(lambda: names(visit) == ["team/run-3", "team/run-2", "team/run-1"])
        visit.page.get_by_text("Only calls of the worker that answers are listed.").wait_for()
        calls.add(session="", kind="call", model="<b>m</b>", warnings=["not compressed: timeout"])
        visit.page.get_by_text("single call").wait_for()
        assert names(visit)[0].split() == ["single", "call", "1", "warning"] and len(names(visit)) == 4
        assert calls.requests[-1]["after"] in (["3"], ["4"])  # only what is new is asked for
        visit.page.get_by_label("With warnings").check()
        assert len(names(visit)) == 1
        visit.page.get_by_label("With warnings").uncheck()
        visit.page.get_by_placeholder("session, model, kind").fill("run-2 gpt")
        wait_for(lambda: names(visit) == ["team/run-2"])
        visit.page.get_by_placeholder("session, model, kind").fill("")

        visit.page.get_by_role("button", name="Pause").click()
        assert visit.page.get_by_role("button", name="Pause").get_attribute("aria-pressed") == "true"
        visit.page.locator("#state", has_text="paused").wait_for()
        calls.add()
        before = len(calls.requests)
        visit.page.wait_for_timeout(4500)  # two polls would fit in
        assert len(calls.requests) == before and len(names(visit)) == 4
        visit.page.get_by_role("button", name="Pause").click()
        wait_for(lambda: len(names(visit)) == 5)

        visit.hide()
        before = len(calls.requests)
        visit.page.wait_for_timeout(4500)
        assert len(calls.requests) <= before + 1  # one may have been under way
        calls.add()
        visit.hide(False)
        wait_for(lambda: len(names(visit)) == 6)

        calls.rows = []  # the service began anew
        calls.add(session="after-a-restart")
        wait_for(lambda: names(visit) == ["after-a-restart"])


def test_dashboard_keeps_the_newest_two_hundred_calls_and_the_focus(service: Service, browser: Any) -> None:
    calls = Calls()
    for _ in range(300):
        calls.add()
    with Visit(browser, service.url, PHONE) as visit:
        answer_figures(visit.page, None, calls)
        visit.open("/#/calls")
        visit.page.locator("tbody tr").nth(199).wait_for()
        visit.page.locator("a.session", has_text="team/run-250").focus()
        for _ in range(20):
            calls.add()
        visit.page.locator("a.session", has_text="team/run-320").wait_for()
        assert visit.page.locator("tbody tr").count() == 200 and visit.fits
        assert visit.page.evaluate("document.activeElement.textContent") == "team/run-250"
        assert visit.page.locator("table").get_attribute("aria-live") == "off"


def test_dashboard_shows_the_figures_that_the_service_really_has(browser: Any) -> None:
    """Without answers of ours: the service's own, or the line that it has none."""
    with Service() as service, Visit(browser, service.url, expected="status of 404") as visit:
        drive(service, "fix-timedelta", recorded("coding"))
        for view, route in (("tools", "breakdown?range=1h"), ("calls", "calls?limit=10")):
            known = service.http.get(f"/v1/stats/{route}").status_code == 200
            visit.open(f"/#/{view}")
            if known:
                visit.page.locator(
                    "tbody th", has_text="shell" if view == "tools" else "fix-timedelta"
                ).first.wait_for()
            else:
                visit.page.get_by_text("it is older than this page").wait_for()
