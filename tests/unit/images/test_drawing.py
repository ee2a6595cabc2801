"""Pictures that edits describe are drawn."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest

pytest.importorskip("PIL")

from PIL import Image

from compressor.context.formats import detect_format
from compressor.context.formats.image_parts import image_base64
from compressor.context.image_edits import PictureEdit, ShownBox, split_drawn_edit
from compressor.errors import ImageRefusedError
from compressor.images.captions import CAPTION_HEIGHT
from compressor.images.drawing import draw, draw_edits, image_part
from support.picture_runs import FORMATS, Shot, computer_run, encode, page_shot, parse, screen_data, write_run

WHOLE = ShownBox(0, 0, 640, 400)


def opened(url: str) -> Image.Image:
    assert url.startswith("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")


def original() -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(screen_data(1)))).convert("RGB")


def part_of(data: str, media_type: str = "image/png") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{data}"}}


def test_one_rectangle_at_its_size_has_the_pixels_of_the_image() -> None:
    box = ShownBox(120, 40, 200, 90)
    drawn = opened(draw(part_of(screen_data(1)), PictureEdit((box,), 200, 90, "note")))
    assert drawn.tobytes() == original().crop((120, 40, 320, 130)).tobytes()


def test_a_smaller_size_is_the_one_that_the_edit_says() -> None:
    assert opened(draw(part_of(screen_data(1)), PictureEdit((WHOLE,), 320, 200, ""))).size == (320, 200)


def test_several_rectangles_stand_on_one_canvas() -> None:
    from compressor.images.crops import arrange_boxes
    from compressor.images.pixel_boxes import PixelBox

    boxes = (PixelBox(0, 0, 64, 48), PixelBox(300, 200, 380, 248))
    layout = arrange_boxes(boxes)
    edit = PictureEdit(tuple(ShownBox(b.left, b.top, b.width, b.height) for b in boxes), *layout.size, "")
    drawn = opened(draw(part_of(screen_data(1)), edit))
    assert drawn.size == layout.size
    assert drawn.crop((0, 0, 64, 48)).tobytes() == original().crop((0, 0, 64, 48)).tobytes()


def test_a_caption_stands_below_the_picture() -> None:
    edit = PictureEdit((WHOLE,), 640, 400 + CAPTION_HEIGHT, "image 1 […cut ref 123456789012]")
    drawn = opened(draw(part_of(screen_data(1)), edit, with_caption=True))
    assert drawn.size == (640, 400 + CAPTION_HEIGHT)
    assert drawn.crop((0, 0, 640, 400)).tobytes() == original().tobytes()
    assert drawn.crop((0, 400, 640, 420)).getcolors() != [(640 * 20, (255, 255, 255))]


def test_the_same_edit_gives_the_same_bytes_whatever_its_note_says() -> None:
    part, edit = part_of(screen_data(1)), PictureEdit((WHOLE,), 320, 200, "one")
    assert draw(part, edit) == draw(part, edit._replace(note="two")) == draw(dict(part), edit)
    captions = {draw(part, edit._replace(note=note, height=220), with_caption=True) for note in ("one", "two")}
    assert len(captions) == 2


def test_an_image_that_cannot_be_decoded_is_refused() -> None:
    with pytest.raises(ImageRefusedError):
        draw(part_of(base64.b64encode(b"no picture").decode()), PictureEdit((WHOLE,), 10, 10, ""))


@pytest.mark.parametrize("format_name", FORMATS)
def test_drawn_edits_become_a_note_and_a_picture_in_each_format(format_name: str) -> None:
    messages = write_run(format_name, [page_shot(1)])
    context = parse(messages)
    (slot,) = [slot for turn in context.turns for slot in turn.slots if slot.image is not None]
    key = slot.message, slot.path
    part = image_part(context, key)
    assert image_base64(part) == screen_data(1)
    edits = draw_edits(context, {key: str(PictureEdit((WHOLE,), 320, 200, "[image 1, shown smaller]"))})
    url, note = split_drawn_edit(edits[key])
    assert note == "[image 1, shown smaller]" and opened(url).size == (320, 200)
    after = parse(detect_format(messages).render(context, edits))
    texts = [slot for turn in after.turns for slot in turn.slots]
    place = next(i for i, slot in enumerate(texts) if slot.image is not None)
    assert texts[place - 1].text == note
    image = texts[place].image
    assert image is not None and (image.width, image.height) == (320, 200)
    assert image_base64(image_part(context, key)) == screen_data(1)


def test_the_screenshot_of_the_computer_tool_has_its_note_in_the_picture() -> None:
    messages = computer_run([Shot(screen_data(1))])
    context = parse(messages)
    (slot,) = [slot for turn in context.turns for slot in turn.slots if slot.image is not None]
    assert slot.image is not None and slot.image.needs_picture and not slot.editable
    key = slot.message, slot.path
    edits = draw_edits(context, {key: str(PictureEdit((WHOLE,), 320, 220, "image 1"))})
    url, note = split_drawn_edit(edits[key])
    assert note == "" and opened(url).size == (320, 220)
    rendered = detect_format(messages).render(context, edits)
    output = rendered[slot.message]["output"]
    assert output == {"type": "computer_screenshot", "image_url": url}


def test_notes_and_edits_of_texts_are_left_alone() -> None:
    context = parse(write_run("openai_chat", [page_shot(1)]))
    edits = {(slot.message, slot.path): "picture 1,2 3x4 at 5x6\nno" for turn in context.turns for slot in turn.slots}
    images = {(slot.message, slot.path) for turn in context.turns for slot in turn.slots if slot.image is not None}
    notes = {key: "[image 1: a note]" if key in images else text for key, text in edits.items()}
    assert draw_edits(context, notes) == notes


def test_a_jpeg_stays_a_jpeg() -> None:
    data = encode(original(), "JPEG", quality=90)
    url = draw(part_of(data, "image/jpeg"), PictureEdit((WHOLE,), 320, 200, ""))
    head, _, made = url.partition(",")
    assert head == "data:image/jpeg;base64" and Image.open(io.BytesIO(base64.b64decode(made))).size == (320, 200)
