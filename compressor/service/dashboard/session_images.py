"""The images of a session's messages: what stands for each now, thumbnails of both, and whole pictures on demand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from compressor.context.formats.image_parts import image_base64
from compressor.context.image_edits import edit_note, parse_picture_edit
from compressor.context.model import Image, TextSlot
from compressor.context.refs import find_refs
from compressor.errors import CompressorError
from compressor.service.dashboard.text_alignment import is_fully_dropped
from compressor.sessions.tool_result_ingest import refers_to_other
from compressor.tokens import TokenCounter

THUMBNAIL_SIDE = 240  # pixels
MAX_THUMBNAILS = 16  # images in one answer; an image takes about 25 ms the first time
NOT_HERE = "the message has a URL or an id, not the picture"
NOT_DRAWN = "it cannot be drawn"
#: Media types by format: of what browsers show, and nothing that could hold a script.
_MEDIA_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif", "BMP": "image/bmp"}
_READ_AS_TEXT = ", read as text]"


class SessionImage(NamedTuple):
    """An image of a message.

    Attributes:
        block: Index among the message's blocks.
        part: The image part of the message.
        edit: What stands for it, see `compressor.context.image_edits`; "" if it stays as it is.
        is_sent: Whether the message is in the view.
    """

    block: int
    part: Any
    edit: str = ""
    is_sent: bool = True


def image_outcome(edit: str) -> tuple[str, str]:
    """Returns what was done with an image, and why, as an edit tells it.

    Args:
        edit: What stands for the image.
    """
    is_picture = parse_picture_edit(edit) is not None
    if refers_to_other(edit):
        if is_picture:
            return "excerpt", "it resembles another image in the view: only the part that differs is shown"
        return "lossless", "the view already has the same image"
    if is_picture:
        return "excerpt", "shown at the smallest size at which its text is legible"
    if _READ_AS_TEXT in edit.partition("\n")[0]:
        return "excerpt", "its text was read, and is sent in its place"
    if is_fully_dropped(edit):
        return "dropped", "removed in a compaction of the history: it scored lower for the task than what was kept"
    return "dropped", "a line stands for it, because newer images have replaced it"


def describe_image(counter: TokenCounter, slot: TextSlot, image: Image, edit: str, is_sent: bool) -> dict[str, Any]:
    """Returns what a block says of an image: tokens, refs, sizes and what is sent in words, but no picture.

    Args:
        counter: Counts tokens as the session does.
        slot: The slot of the image.
        image: The same as `slot.image`.
        edit: What stands for it; "" if it stays as it is.
        is_sent: Whether the message is in the view.
    """
    from compressor.images.thumbnails import describe_edit

    tokens = counter.count_image(image)
    remaining = (counter.count_edit(slot, edit) if edit else tokens) if is_sent else 0
    size, picture = {"width": image.width, "height": image.height}, parse_picture_edit(edit)
    shown = size if picture is None else {"width": picture.width, "height": picture.height}
    about = {**size, "shown": shown if is_sent and (picture or not edit) else None, "alt": describe_edit(edit)}
    made: dict[str, Any] = {"tokens_before": tokens, "tokens_after": remaining, "refs": find_refs(edit)}
    made |= {"parts": [], "image": about}
    return {**made, "sent": edit_note(edit)} if is_sent and edit else made


def list_thumbnails(images: Sequence[SessionImage], after: int, limit: int) -> dict[str, Any]:
    """Returns thumbnails of a message's images, as `data:` URLs of a few KB.

    Args:
        images: The images of the message, in order.
        after: Return only those of later blocks.
        limit: The maximum number of images.

    Returns:
        Each image `before`, and `after` if another picture stands for it; "" where there is no thumbnail, and then a
        `problem` says why. `more` tells whether there are further images.
    """
    later = [image for image in images if image.block > after]
    return {"images": [_thumbnails(image) for image in later[:limit]], "more": len(later) > limit}


def _thumbnails(image: SessionImage) -> dict[str, Any]:
    from compressor.images.known_image import known_image
    from compressor.images.thumbnails import thumbnail

    data = image_base64(image.part)
    before = thumbnail(data, None, THUMBNAIL_SIDE)
    edit = parse_picture_edit(image.edit) if image.is_sent else None
    after = thumbnail(data, edit, THUMBNAIL_SIDE) if edit is not None else ""
    problem = ""
    if not before or (edit is not None and not after):
        problem = (known_image(data).refusal or NOT_DRAWN) if data else NOT_HERE
    return {"block": image.block, "before": before, "after": after, "problem": problem}


def whole_picture(image: SessionImage, sent: bool) -> str:
    """Returns a picture in its full size as a `data:` URL.

    Args:
        image: The image.
        sent: Whether to return the picture that is sent in its place.

    Raises:
        CompressorError: There is none, or it cannot be drawn.
    """
    data, edit = image_base64(image.part), parse_picture_edit(image.edit)
    if not data:
        raise CompressorError(NOT_HERE)
    if sent and (not image.is_sent or (edit is None and image.edit)):
        raise CompressorError("no picture is sent in its place")
    if sent and edit is not None:
        from compressor.images.drawing import draw

        return draw(image.part, edit)
    from compressor.images.decoding import read_base64
    from compressor.images.header_readers import read_header

    return f"data:{_MEDIA_TYPES[read_header(read_base64(data)).format]};base64,{data}"
