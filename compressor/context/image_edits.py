"""Writes and reads the edits of images. Like every edit, the edit of an image slot is a text.

It is one of two:

* A note, such as `[image 3: the same as image 7] […cut ref 123456789012]`: a text part takes the image's place.
* A `PictureEdit`: a part of the image, perhaps at a smaller size, takes its place, with a note in front of it. It says
  which part and which size, not the pixels, so that a session's state stays small. `compressor.images` draws it: then
  the text is the new picture as a `data:` URL, and the note on the lines that follow.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_BOX = r"\d+,\d+ \d+x\d+"
_PICTURE = re.compile(rf"picture ({_BOX}(?:; {_BOX})*) at (\d+)x(\d+)\n")
_DRAWN = re.compile(r"data:image/[a-z]+;base64,[^\n]*\n")
_NUMBER = re.compile(r"\d+")


class ShownBox(NamedTuple):
    """A rectangle of an image, in pixels.

    Attributes:
        left: Its first column.
        top: Its first row.
        width: Its columns.
        height: Its rows.
    """

    left: int
    top: int
    width: int
    height: int


class PictureEdit(NamedTuple):
    """Rectangles of an image, which are shown instead of the whole.

    Attributes:
        boxes: The rectangles; several are shown on one canvas.
        width: Width in pixels of what is shown.
        height: Its height.
        note: What stands in front of it, or "".
    """

    boxes: tuple[ShownBox, ...]
    width: int
    height: int
    note: str

    def __str__(self) -> str:
        """Returns the edit as a text."""
        boxes = "; ".join(f"{box.left},{box.top} {box.width}x{box.height}" for box in self.boxes)
        return f"picture {boxes} at {self.width}x{self.height}\n{self.note}"


def parse_picture_edit(text: str) -> PictureEdit | None:
    """Returns the edit that a text says, or None if the text is a note."""
    found = _PICTURE.match(text)
    if found is None:
        return None
    boxes = tuple(ShownBox(*map(int, _NUMBER.findall(box))) for box in found[1].split("; "))
    return PictureEdit(boxes, int(found[2]), int(found[3]), text[found.end() :])


def drawn_edit(url: str, note: str) -> str:
    """Returns the text of an edit whose picture is drawn.

    Args:
        url: The picture as a `data:` URL in base64.
        note: What stands in front of it, or "".
    """
    return f"{url}\n{note}"


def split_drawn_edit(text: str) -> tuple[str, str]:
    """Returns the `data:` URL and the note of a drawn edit; the URL is "" if the text is a note."""
    found = _DRAWN.match(text)
    return (found[0][:-1], text[found.end() :]) if found else ("", text)


def edit_note(text: str) -> str:
    """Returns what the edit of an image says in words."""
    edit = parse_picture_edit(text)
    return split_drawn_edit(text)[1] if edit is None else edit.note
