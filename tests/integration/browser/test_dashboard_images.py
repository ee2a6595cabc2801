"""Images in a real Chromium: thumbnails before and after on the page of a session and in the HTML report."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("PIL")

from PIL import Image, ImageDraw

from compressor import Compressor
from compressor.cli.html_report import render_html
from support.dashboard_tools import DESK, PHONE, Visit, drive
from support.service_tools import Service, error_of

ROWS = [f"Item {k}: lamp number {k * 37 % 91}, price {k * 13 % 57} EUR" for k in range(20)]
#: Title, rows and address of three screenshots: the second differs little from the first.
PAGES = [("Lamps", ROWS, "lamps"), ("Lamps (cart: 1)", ROWS, "lamps"), ("Checkout", ROWS[:8], "checkout")]


def screenshot(title: str, rows: list[str]) -> str:
    image = Image.new("RGB", (1280, 800), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 1280, 60), fill=(40, 90, 200))
    draw.text((20, 15), title, fill="white", font_size=28)
    for i, row in enumerate(rows):
        draw.text((40, 90 + 34 * i), row, fill="black", font_size=20)
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def browsing() -> list[dict[str, Any]]:
    """A task and three screenshots."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Buy the blue lamp."}]
    for i, (title, rows, page) in enumerate(PAGES):
        url = f"https://shop.example/{page}"
        function = {"name": "screenshot", "arguments": json.dumps({"url": url})}
        call = {"id": f"c{i}", "type": "function", "function": function}
        picture = {"type": "image_url", "image_url": {"url": screenshot(title, rows)}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        parts = [{"type": "text", "text": f"Page {url}: {title}"}, picture]
        messages.append({"role": "tool", "tool_call_id": f"c{i}", "content": parts})
    return messages


def wait_for_pictures(visit: Visit, row: Any) -> list[dict[str, Any]]:
    """Waits until the thumbnails of a message are there, and gives their alternative texts and sizes."""
    row.locator(".thumb img").first.wait_for()
    found: list[dict[str, Any]] = row.locator(".thumb img").evaluate_all(
        "all => all.map(one => ({ alt: one.alt, size: [one.naturalWidth, one.naturalHeight], url: one.src.length }))"
    )
    return found


@pytest.fixture(scope="module")
def shop() -> Iterator[Service]:
    with Service() as running:
        drive(running, "shop", browsing())
        many = [{"type": "image_url", "image_url": {"url": screenshot(f"Page {i}", [])}} for i in range(18)]
        drive(running, "many", [{"role": "user", "content": many}])
        yield running


def test_a_session_shows_each_screenshot_before_and_after(shop: Service, browser: Any, tmp_path: Path) -> None:
    changed = 0
    with Visit(browser, shop.url) as visit:
        visit.open("/#/session/shop")
        for number in (2, 4, 6):
            (block,) = [
                one
                for one in shop.http.get(f"/v1/sessions/shop/messages/{number}").json()["blocks"]
                if one["kind"] == "image"
            ]
            row = visit.message(number)
            pictures = wait_for_pictures(visit, row)
            alts = [one["alt"] for one in pictures]
            assert all(one["size"][0] and one["url"] <= 8000 for one in pictures) and pictures[0]["size"] == [240, 150]
            if block["action"] == "kept":
                assert alts == ["an image, 1280 × 800"]
                continue
            changed += 1
            words = block["image"]["alt"]
            shown = block["image"]["shown"]
            after = [f"As sent: {words}, {shown['width']} × {shown['height']}"] if shown else []
            assert words and alts == [f"Before: {words}, 1280 × 800", *after]
            assert row.locator(".line").inner_text() == block["sent"] and block["refs"][0] in row.inner_text()
            captions = row.locator("figcaption").all_inner_texts()
            assert captions[0] == f"before: 1280 × 800, {block['tokens_before']:,} tokens"
            assert f"{block['tokens_after']:,} tokens" in captions[1]
        assert changed >= 2
        row = visit.page.locator(".message[data-number='2']")
        row.locator(".thumb").first.focus()
        visit.page.keyboard.press("Enter")
        row.locator(".full img").wait_for()
        assert row.locator(".full img").evaluate("one => [one.naturalWidth, one.naturalHeight]") == [1280, 800]
        visit.page.screenshot(path=tmp_path / "session.png", full_page=True)
        row.locator(".thumb").first.click()
        assert not row.locator(".full").is_visible()
        assert visit.fits


def test_thumbnails_are_loaded_only_for_the_open_message_and_some_at_a_time(shop: Service, browser: Any) -> None:
    with Visit(browser, shop.url, PHONE) as visit:
        visit.open("/#/session/many")
        visit.page.locator(".message").first.wait_for()
        assert "18 images" in visit.page.locator(".message .preview").inner_text()
        assert not [url for url in visit.asked if url.endswith("/images?after=-1")]
        row = visit.message(0)
        row.locator(".more").wait_for()
        assert row.locator(".thumb img").count() == 16
        row.locator(".more").click()
        row.locator(".thumb img").nth(17).wait_for()
        assert row.locator(".more").count() == 0 and visit.fits


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE, {"width": 320, "height": 700}], ids=["desk", "phone", "narrow"])
def test_axe_finds_nothing_where_images_are_shown(
    shop: Service, browser: Any, scheme: str, size: dict[str, int]
) -> None:
    axe = pytest.importorskip("axe_core_python.sync_playwright").Axe()
    with Visit(browser, shop.url, size, color_scheme=scheme, bypass_csp=True) as visit:
        visit.open("/#/session/shop")
        for number in (2, 4, 6):
            wait_for_pictures(visit, visit.message(number))
        visit.page.locator(".thumb").first.click()
        visit.page.locator(".full img").wait_for()
        found = axe.run(visit.page, options={"resultTypes": ["violations"]})
        bad = [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found["violations"]]
        assert not bad and found["passes"] and visit.fits


def test_the_routes_give_small_pictures_and_whole_ones_by_their_block(shop: Service) -> None:
    path = "/v1/sessions/shop/messages"
    rows = shop.http.get(path)
    assert len(rows.content) < 10_000 and [row.get("images") for row in rows.json()["messages"]][2] == 1
    assert all(len(shop.http.get(f"{path}/{number}?original=true").content) < 2_000 for number in (2, 4, 6))
    images = shop.http.get(f"{path}/2/images").json()
    assert [image["block"] for image in images["images"]] == [1] and not images["more"] and not images["hidden"]
    whole = shop.http.get(f"{path}/2/images/1")
    assert whole.json()["url"] == browsing()[2]["content"][1]["image_url"]["url"]
    assert whole.headers["cache-control"] == "no-store"
    for missing in ("/2/images/0", "/2/images/9", "/0/images/0", "/2/images/-1"):
        assert error_of(shop.http.get(path + missing)) == "unknown_image"
    assert error_of(shop.http.get(f"{path}/99/images")) == "unknown_message"
    assert error_of(shop.http.get("/v1/sessions/nobody/messages/2/images")) == "unknown_session"
    assert error_of(shop.http.get(f"{path}/2/images?limit=17")) == "invalid_request"
    many = shop.http.get("/v1/sessions/many/messages/0/images?limit=3&after=4").json()
    assert [image["block"] for image in many["images"]] == [5, 6, 7] and many["more"]


def test_pictures_are_not_shown_where_all_personal_data_is_redacted(browser: Any) -> None:
    with Service(redact="all") as service:
        drive(service, "shop", browsing()[:3])
        path = "/v1/sessions/shop/messages/2/images"
        answer = service.http.get(path).json()
        assert answer["images"] == [] and "redacted" in answer["hidden"]
        assert error_of(service.http.get(f"{path}/1")) == "unknown_image"
        with Visit(browser, service.url) as visit:
            visit.open("/#/session/shop")
            row = visit.message(2)
            row.get_by_text("pictures are not shown").wait_for()
            assert row.locator(".thumb, img").count() == 0 and "1280 × 800" in row.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_html_report_shows_images_without_any_other_file(browser: Any, tmp_path: Path, scheme: str) -> None:
    result = Compressor(store="memory").compress(browsing(), budget=1800, model="gpt-4o")
    file = tmp_path / "report.html"
    file.write_text(render_html(result, "Browsing"), encoding="utf-8")
    url = tmp_path.as_uri()
    with Visit(browser, url, color_scheme=scheme) as visit:  # its policy holds: nothing on the console
        visit.open("/report.html")
        images = visit.page.locator(".pictures img")
        assert images.count() >= 3
        assert images.evaluate_all("all => all.every(one => one.alt && one.naturalWidth > 0)")
        visit.page.screenshot(path=tmp_path / "report.png", full_page=True)
        assert visit.fits
    axe = pytest.importorskip("axe_core_python.sync_playwright").Axe()
    with Visit(browser, url, PHONE, color_scheme=scheme, bypass_csp=True) as visit:
        visit.open("/report.html")
        found = axe.run(visit.page, options={"resultTypes": ["violations"]})
        bad = {one["id"]: one["nodes"][0]["html"] for one in found["violations"]}
        assert not [html for html in bad.values() if "picture" in html or "<img" in html] and visit.fits
