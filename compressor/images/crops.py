"""Cuts out what changed in a picture, and puts it back: an old picture and the crop give the new one again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from compressor.images.differences import Changes
from compressor.images.picture import Picture
from compressor.images.pixel_boxes import PixelBox

if TYPE_CHECKING:
    from PIL import Image

#: The pixels between two boxes on one canvas, and their colour.
_GAP = 4
_GAP_COLOR = (128, 128, 128)


class _Placement(NamedTuple):
    """Where a part of a picture lies on the canvas."""

    box: PixelBox
    left: int
    top: int


class CropLayout(NamedTuple):
    """How boxes lie on one canvas."""

    placements: list[_Placement]
    words: str

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the canvas."""
        return max(p.left + p.box.width for p in self.placements), max(p.top + p.box.height for p in self.placements)

    @property
    def area(self) -> int:
        """Pixels of the canvas."""
        return self.size[0] * self.size[1]


class ChangeCrop(NamedTuple):
    """The changed parts of a picture on one canvas.

    Attributes:
        picture: The canvas.
        words: Where the parts were, in the order in which they lie on the canvas: "x 812, y 40, 120 x 32", or "from top
            to bottom: x 812, y 40, 120 x 32; x 0, y 700, 240 x 24".
    """

    picture: Picture
    words: str


def crop_changes(new: Picture, changes: Changes) -> ChangeCrop | None:
    """Returns the changed parts of a picture, or None if nothing changed.

    Several parts lie one below the other or side by side, or they are cut out as one, whichever canvas is smallest.

    Args:
        new: The later picture.
        changes: What `find_changes` returned for it.
    """
    if not changes.boxes:
        return None
    layout = arrange_boxes(changes.boxes)
    if len(layout.placements) == 1:
        return ChangeCrop(Picture.from_image(new.image.crop(layout.placements[0].box), new), layout.words)
    from PIL import Image

    canvas = Image.new("RGB", layout.size, _GAP_COLOR)
    for box, left, top in layout.placements:
        canvas.paste(new.image.crop(box), (left, top))
    return ChangeCrop(Picture.from_image(canvas, new), layout.words)


def paste_changes(old: Picture, changes: Changes, crop: ChangeCrop | None) -> Image.Image:
    """Returns the new picture, made from the old one, without the loss of a pixel.

    Args:
        old: The earlier picture.
        changes: What `find_changes` returned.
        crop: What `crop_changes` returned.
    """
    image = old.image.copy()
    if changes.scroll is not None:
        offset, box = changes.scroll
        moved = old.image.crop((box.left, box.top + offset, box.right, box.bottom + offset))
        image.paste(moved, (box.left, box.top))
    if crop is not None:
        for box, left, top in arrange_boxes(changes.boxes).placements:
            image.paste(crop.picture.image.crop((left, top, left + box.width, top + box.height)), (box.left, box.top))
    return image


def arrange_boxes(boxes: tuple[PixelBox, ...]) -> CropLayout:
    """Returns the layout with the smallest canvas; the picture's own part is preferred."""
    whole = boxes[0]
    for box in boxes[1:]:
        whole = whole.join(box)
    as_one = CropLayout([_Placement(whole, 0, 0)], whole.words)
    if len(boxes) == 1:
        return as_one
    below, beside = [], []
    top = left = 0
    for box in boxes:
        below.append(_Placement(box, 0, top))
        beside.append(_Placement(box, left, 0))
        top += box.height + _GAP
        left += box.width + _GAP
    listed = "; ".join(box.words for box in boxes)
    layouts = (
        as_one,
        CropLayout(below, f"from top to bottom: {listed}"),
        CropLayout(beside, f"from left to right: {listed}"),
    )
    return min(layouts, key=lambda layout: layout.area)
