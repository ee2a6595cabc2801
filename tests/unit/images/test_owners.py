"""Tests of widening the parts of a screenshot that differ."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("PIL")

from PIL import Image, ImageDraw, ImageFont

from compressor.images.decoding import decode_picture
from compressor.images.differences import find_changes
from compressor.images.owners import with_owners
from compressor.images.picture import Picture
from compressor.images.pixel_boxes import PixelBox

ROWS = [("Desk lamp Kestrel", "155.10"), ("Kettle, brushed steel", "89.20"), ("Bread knife", "24.00")]


def draw(prices: list[str]) -> Picture:
    image = Image.new("RGB", (800, 300), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(15)
    for i, ((name, _), price) in enumerate(zip(ROWS, prices, strict=True)):
        pen.text((60, 60 + 60 * i), name, "black", font)
        pen.text((330, 60 + 60 * i), f"{price} EUR", "black", font)
        pen.text((700, 60 + 60 * i), "Remove", "black", font)
    file = BytesIO()
    image.save(file, "PNG")
    return decode_picture(file.getvalue())


def test_a_price_stands_with_the_name_of_its_row() -> None:
    before = draw([price for _, price in ROWS])
    after = draw(["155.10", "98.20", "24.00"])
    changes = find_changes(before, after)
    assert changes is not None and len(changes.boxes) == 1 and changes.boxes[0].left > 250
    (box,) = with_owners(changes.boxes, after.grey)
    assert box.left <= 60 and 390 <= box.right < 700, "from the row's name to the end of its price"
    assert box.top == changes.boxes[0].top and box.bottom == changes.boxes[0].bottom


_BOXES = st.builds(
    lambda left, top, width, height: PixelBox(left, top, min(800, left + width), min(300, top + height)),
    st.integers(0, 780),
    st.integers(0, 280),
    st.integers(8, 400),
    st.integers(8, 200),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(_BOXES, max_size=4))
def test_no_box_shrinks_and_none_overlap(boxes: list[PixelBox]) -> None:
    found = with_owners(boxes, draw([price for _, price in ROWS]).grey)
    for box in boxes:
        assert any(
            one.left <= box.left and one.top <= box.top and box.right <= one.right and box.bottom <= one.bottom
            for one in found
        )
    for i, one in enumerate(found):
        assert 0 <= one.left < one.right <= 800
        for other in found[i + 1 :]:
            assert (
                one.right <= other.left or other.right <= one.left or one.bottom <= other.top or other.bottom <= one.top
            )
