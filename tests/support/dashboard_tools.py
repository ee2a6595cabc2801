"""What tests of the dashboard share: recorded sessions driven through a service, and a real Chromium."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from compressor.service.telemetry.records import CompressionEvent
from support.service_tools import Service

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
NAMES = ("chromium", "chromium-browser", "google-chrome")
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 860}


def drive(service: Service, id: str, messages: list[dict[str, Any]], **told: Any) -> dict[str, Any]:
    """Plays a session through the API, as its agent would have; the last view."""
    for message in messages:
        if message["role"] == "assistant":
            assert service.http.post(f"/v1/sessions/{id}/view", json={}).status_code == 200
        body = {"messages": [message], "model": "gpt-4o", **told}
        assert service.http.post(f"/v1/sessions/{id}/append", json=body).status_code == 200
    made: dict[str, Any] = service.http.post(f"/v1/sessions/{id}/view", json={}).json()
    return made


def record_sessions(service: Service, count: int) -> None:
    """Tells a service of calls of many sessions, as its routes would: every third without a name."""
    record = service.gate._metrics.listeners[0]
    for i in range(count):
        name = f"auto-{i:016x}" if i % 3 == 0 else f"team/run-{i}"
        warnings = ("not compressed: timeout",) if i % 10 == 0 else ()
        for k in range(1 + i % 4):
            before = 1000 + (i * 7919 + k) % 90_000
            after = before * (1 + i % 9) // 10
            saved = (i * 31 % 400 - 40) / 1000
            record(CompressionEvent("local", "session", before, after, saved, 0.01, session=name, warnings=warnings))


def need_browser() -> str:
    """Chromium's program. Without it, or without playwright, the test is skipped; with COMPRESSOR_REQUIRE_MODELS it
    fails."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None or importlib.util.find_spec("playwright") is None:
        said = "Chromium and playwright are needed: apt-get install chromium, pip install playwright"
        if os.environ.get("COMPRESSOR_REQUIRE_MODELS"):
            pytest.fail(said)
        pytest.skip(said)
    return found


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser."""
    program = need_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


class Visit:
    """A page in the browser, and what it did: what its console said, and where it asked.

    Args:
        expected: Part of the console lines that are no failure; empty for none.
    """

    def __init__(
        self, browser: Any, url: str, viewport: dict[str, int] = DESK, expected: str = "", **options: Any
    ) -> None:
        self.url = url
        self._expected = expected
        self.said: list[str] = []
        self.asked: list[str] = []
        self._context = browser.new_context(viewport=viewport, **options)
        self.page = self._context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", self._dialog)
        self.page.on("request", lambda request: self.asked.append(request.url))

    def _dialog(self, dialog: Any) -> None:
        self.said.append("a dialog")
        dialog.dismiss()

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        self._context.close()
        if kind is None:
            # Read after the page is closed: the console's last lines arrive late.
            unexpected = [text for text in self.said if not self._expected or self._expected not in text]
            assert not unexpected, unexpected
            assert all(url.startswith((self.url + "/", "data:image/")) for url in self.asked), self.asked

    def open(self, path: str = "/") -> None:
        """Goes to a path of the service."""
        self.page.goto(self.url + path)

    def message(self, number: int) -> Any:
        """Opens a message and gives its element."""
        row = self.page.locator(f".message[data-number='{number}']")
        row.locator("button.fold").click()
        row.locator(".block").first.wait_for()
        return row

    def hide(self, hidden: bool = True) -> None:
        """Makes the page believe that its tab is hidden, or visible again."""
        self.page.evaluate(
            "hidden => { Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden }); "
            "document.dispatchEvent(new Event('visibilitychange')); }",
            hidden,
        )

    @property
    def ids(self) -> list[str]:
        """The ids of the sessions that are listed, in order."""
        found: list[str] = self.page.locator(".session").all_inner_texts()
        return found

    @property
    def fits(self) -> bool:
        """Whether nothing has to be scrolled to the side."""
        wide: list[int] = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        return wide[0] <= wide[1]


def original_of(row: Any) -> str:
    """What the page shows as a message's original, letter for letter."""
    row.locator(".mode[data-mode='original']").first.click()
    row.locator(".text.original").first.wait_for()
    text: str = row.locator(".text.original").first.evaluate("element => element.textContent")
    return text
