"""The HTML report shows each image before and after, inside the page, and says so where it cannot."""

from __future__ import annotations

import base64
import copy
import io
import pickle
from typing import Any
from xml.sax.saxutils import escape

import pytest

pytest.importorskip("PIL")

from PIL import Image

from compressor.cli import html_report_images
from compressor.cli.html_report import render_html
from compressor.context.image_edits import PictureEdit, ShownBox
from compressor.context.results import Action, BlockImage, BlockReport, Result
from unit.cli.test_html_report import Page

NOTE = '[image 2: as image 4, changed: "<b>cart</b>" 2 → 3; its part follows] […cut ref 123456789012]'
CROP = PictureEdit((ShownBox(640, 0, 320, 200),), 320, 200, NOTE)


def part(width: int = 1280, height: int = 800) -> dict[str, Any]:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(file, "PNG")
    return {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"},
    }


def image_block(number: int, action: Action, image: BlockImage, **more: Any) -> BlockReport:
    fields: dict[str, Any] = {
        "tokens_before": 1105,
        "tokens_after": 292,
        "reason": "a reason",
        "layout": "image",
    } | more
    after = f"image {image.shown_width} × {image.shown_height}"
    return BlockReport(
        number, number, "image", "shot", action=action, before="image 1280 × 800", after=after, image=image, **fields
    )


def result_of(*blocks: BlockReport) -> Result:
    before, after = sum(b.tokens_before for b in blocks), sum(b.tokens_after for b in blocks)
    return Result(before, after, 1000, _blocks=lambda: list(blocks))


KEPT = image_block(0, "kept", BlockImage(1280, 800, 1280, 800, "", part()), tokens_after=1105)
CHANGED = image_block(1, "excerpt", BlockImage(1280, 800, 320, 200, str(CROP), part()))
GONE = image_block(2, "dropped", BlockImage(1280, 800, 0, 0, "[image 1: screenshot] […cut ref 123456789012]", part()))


def test_images_are_shown_before_and_after_with_the_line_as_alternative_text() -> None:
    html = render_html(result_of(KEPT, CHANGED, GONE))
    page = Page(html)
    images = [values for tag, values in page.tags if tag == "img"]
    assert [values["alt"] for values in images] == [
        "an image, 1,280 × 800 pixels",
        'before: image 2: as image 4, changed: "<b>cart</b>" 2 → 3; its part follows, 1,280 × 800 pixels',
        'as sent: image 2: as image 4, changed: "<b>cart</b>" 2 → 3; its part follows, 320 × 200 pixels',
        "before: image 1: screenshot, 1,280 × 800 pixels",
    ]
    assert all(values["src"].startswith("data:image/") and len(values["src"]) <= 8000 for values in images)
    assert len({values["src"] for values in images}) == 2  # the same picture, and its part
    assert NOTE in page.text and "[image 1: screenshot] […cut ref 123456789012]" in page.text
    assert "before: 1,280 × 800 pixels, 1,105 tokens" in page.text and "as sent: text, 292 tokens" in page.text
    assert not any(tag in ("script", "b") and values for tag, values in page.tags) and escape("<b>cart") in html
    (policy,) = [
        values["content"] for tag, values in page.tags if "content" in values and "default-src" in values["content"]
    ]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_a_report_of_texts_alone_allows_no_images_and_has_no_rules_for_them() -> None:
    text = BlockReport(0, 0, "user", None, "kept", "hello", "hello", 1, 1, "")
    html = render_html(result_of(text))
    assert "img" not in html and ".pictures" not in html


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}, "the message has a URL or an id"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}, "is not a PNG, JPEG, WebP"),
        (None, "the message has a URL or an id"),
    ],
)
def test_an_image_without_a_thumbnail_says_why(source: Any, why: str) -> None:
    page = Page(render_html(result_of(image_block(0, "kept", BlockImage(0, 0, 0, 0, "", source)))))
    assert not [tag for tag, _ in page.tags if tag == "img"] and why in page.text and "size unknown" in page.text


def test_a_page_has_thumbnails_of_a_bounded_number_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_report_images, "MAX_DRAWN", 2)
    page = Page(render_html(result_of(KEPT, CHANGED, GONE)))
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 3 and "no thumbnail: a page has" in page.text


def test_the_text_report_names_images_with_sizes_and_copies_do_not_hold_them() -> None:
    result = result_of(KEPT, CHANGED, GONE)
    lines = result.report().splitlines()
    assert lines[1] == "  message 1 image shot, 1280 × 800 -> 320 × 200 pixels: excerpt 1,105 -> 292 (a reason)"
    assert lines[2] == "  message 2 image shot, 1280 × 800 pixels: dropped 1,105 -> 292 (a reason)"
    for again in (pickle.loads(pickle.dumps(result)), copy.copy(result)):
        assert again.blocks == result.blocks and again.report() == result.report()
        assert all(block.image is not None and block.image.part is None for block in again.blocks)
    assert all(block.image is not None and block.image.part for block in result.blocks)
