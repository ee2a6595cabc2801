"""What the dashboard says and shows of a session's images: sizes, reasons, thumbnails, whole pictures, and no more."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest

pytest.importorskip("prometheus_client")
pytest.importorskip("PIL")

from PIL import Image

from compressor.context.image_edits import PictureEdit, ShownBox, edit_note
from compressor.errors import CompressorError, UnknownRefError
from compressor.service.dashboard.session_images import NOT_HERE, list_thumbnails, whole_picture
from compressor.service.dashboard.session_inspector import SessionInspector
from compressor.sessions.state import SessionState
from compressor.storage.memory import MemoryStore

REF = "123456789012"
SAME = f"[image 1: the same as image 3] […cut ref {REF}]"
LINE = f'[image 1: screenshot 1280×800, "Cart"] […cut ref {REF}]'
READ = f"[image 1, read as text]\nname price\nlamp 12 EUR\n[…cut ref {REF}]"
CROP = str(
    PictureEdit((ShownBox(0, 0, 400, 300),), 400, 300, f"[image 1: as image 3; its part follows] […cut ref {REF}]")
)
SMALL = str(PictureEdit((ShownBox(0, 0, 1280, 800),), 640, 400, f"[image 1, 1280×800, shown smaller] […cut ref {REF}]"))


def data_url(width: int = 1280, height: int = 800, format: str = "PNG") -> str:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(file, format)
    return f"data:image/{format.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


URL = data_url()


def inspector_of(edit: str = "", url: str = URL, count: int = 1, pinned: bool = False) -> SessionInspector:
    """A session with one result of a tool: a text and images, for the first of which an edit stands."""
    call = {"id": "c", "type": "function", "function": {"name": "shot", "arguments": "{}"}}
    parts: list[dict[str, Any]] = [{"type": "text", "text": "The page"}]
    parts += [{"type": "image_url", "image_url": {"url": url}} for _ in range(count)]
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": parts},
    ]
    records: list[dict[str, Any]] = [
        {"index": i, "digest": "0" * 16, "raw_tokens": 9, "tokens": 9, "ingested": True} for i in range(3)
    ]
    records[2] |= {"edits": [[["content", 1], edit]]} if edit else {}
    records[2] |= {"pinned": pinned}
    state = SessionState.from_json(SessionState().to_json() | {"count": 3, "records": records})
    return SessionInspector(MemoryStore(), "gpt-4o", [], messages, state)


def image_block(inspector: SessionInspector) -> dict[str, Any]:
    (block,) = [block for block in inspector.message(2, original=True)["blocks"] if block["kind"] == "image"]
    return block  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("edit", "action", "reason", "shown"),
    [
        ("", "kept", "", (1280, 800)),
        (SAME, "lossless", "already has the same image", None),
        (LINE, "dropped", "a line stands for it", None),
        (f"[…cut ref {REF}]", "dropped", "compaction", None),
        (READ, "excerpt", "its text was read", None),
        (CROP, "excerpt", "only the part that differs", (400, 300)),
        (SMALL, "excerpt", "smallest size", (640, 400)),
    ],
)
def test_each_edit_of_an_image_is_told_with_sizes_and_tokens(
    edit: str, action: str, reason: str, shown: tuple[int, int] | None
) -> None:
    inspector = inspector_of(edit)
    block = image_block(inspector)
    assert block["action"] == action and reason in block["reason"] and bool(reason) == bool(block["reason"])
    size = None if shown is None else {"width": shown[0], "height": shown[1]}
    about = block["image"]
    assert (about["width"], about["height"], about["shown"]) == (1280, 800, size)
    assert block["tokens_before"] == 1105 and (block["tokens_after"] < 1105) == bool(edit)
    assert block["refs"] == ([REF] if edit else []) and block["parts"] == []
    assert block.get("sent", "") == edit_note(edit)
    assert REF not in about["alt"] and "[" not in about["alt"] and bool(about["alt"]) == ("image 1" in edit)
    row = inspector.rows()[2]
    assert row["images"] == 1 and row["action"] == ("excerpt" if action == "dropped" else action)
    assert len(json.dumps(inspector.message(2, original=True))) < 1500  # no picture is in it


@pytest.mark.parametrize(
    ("edit", "has_after"), [("", False), (SAME, False), (LINE, False), (CROP, True), (SMALL, True)]
)
def test_thumbnails_show_the_image_and_the_picture_that_stands_for_it(edit: str, has_after: bool) -> None:
    made = list_thumbnails(inspector_of(edit).images(2), -1, 16)
    (image,) = made["images"]
    assert image["block"] == 1 and image["before"].startswith("data:image/") and image["problem"] == ""
    assert bool(image["after"]) == has_after and not made["more"]
    assert len(json.dumps(made)) < 17_000


def test_thumbnails_come_some_at_a_time() -> None:
    images = inspector_of(count=9).images(2)
    made = list_thumbnails(images, 3, 4)
    assert [image["block"] for image in made["images"]] == [4, 5, 6, 7] and made["more"]
    assert not list_thumbnails(images, 7, 4)["more"] and list_thumbnails(images, 9, 4) == {"images": [], "more": False}


@pytest.mark.parametrize(
    ("url", "problem"),
    [("https://example.org/a.png", NOT_HERE), ("data:image/png;base64,aGVsbG8=", "the data is not a PNG, JPEG, WebP")],
)
def test_an_image_without_a_picture_says_why_and_does_not_break_the_page(url: str, problem: str) -> None:
    inspector = inspector_of(url=url)
    (image,) = list_thumbnails(inspector.images(2), -1, 16)["images"]
    assert image["before"] == image["after"] == "" and problem in image["problem"]
    assert image_block(inspector)["action"] == "kept"
    with pytest.raises(CompressorError, match=problem[:20]):
        whole_picture(inspector.images(2)[0], sent=False)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_whole_picture_is_the_very_file_under_its_own_media_type(format: str) -> None:
    url = data_url(40, 30, format)
    (image,) = inspector_of(url=url.replace(f"image/{format.lower()}", "text/html")).images(2)
    assert whole_picture(image, sent=False) == url == whole_picture(image, sent=True)


def test_the_picture_that_is_sent_is_drawn_whole() -> None:
    (image,) = inspector_of(CROP).images(2)
    data = whole_picture(image, sent=True).partition(",")[2]
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (400, 300)
    for edit in (SAME, LINE, READ):
        with pytest.raises(CompressorError, match="no picture is sent"):
            whole_picture(inspector_of(edit).images(2)[0], sent=True)


def test_pinned_images_and_unknown_messages() -> None:
    assert image_block(inspector_of(pinned=True))["reason"] == "pinned"
    with pytest.raises(UnknownRefError):
        inspector_of().images(7)


def test_a_row_of_a_message_with_images_alone_says_so() -> None:
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}] * 2}
    record = {"index": 0, "digest": "0" * 16, "raw_tokens": 9, "tokens": 9}
    state = SessionState.from_json(SessionState().to_json() | {"count": 1, "records": [record]})
    (row,) = SessionInspector(MemoryStore(), "gpt-4o", [], [message], state).rows()
    assert row["images"] == 2 and row["preview"] == "(an image, 1280 × 800)"
