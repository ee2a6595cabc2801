"""Shows the images of a context in the HTML report: each before and after, as thumbnails inside the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources

from compressor.context.formats.image_parts import image_base64
from compressor.context.image_edits import PictureEdit, edit_note, parse_picture_edit
from compressor.context.results import BlockImage, BlockReport

THUMBNAIL_SIDE = 240  # pixels
MAX_DRAWN = 300  # images with thumbnails in one page, which are 5 MB at most; each takes about 25 ms
_MAX_NOTE = 5_000  # characters

_NOT_HERE = "the message has a URL or an id, not the picture"
_TOO_MANY = f"a page has thumbnails of the first {MAX_DRAWN} images"


class ReportImages:
    """The images of one report.

    Attributes:
        policy: What the page's content security policy has to allow for them; "" if there are none.
    """

    def __init__(self, blocks: Sequence[BlockReport], escape: Callable[[str], str]) -> None:
        """Takes the blocks of a report.

        Args:
            blocks: All blocks of the report.
            escape: Escapes text for HTML.
        """
        self._escape = escape
        images = [block.block for block in blocks if block.image is not None]
        self._drawn = set(images[:MAX_DRAWN])
        self.policy = "; img-src data:" if images else ""

    @property
    def css(self) -> str:
        """The rules that images need; "" if there are none."""
        return _css() if self.policy else ""

    def render(self, block: BlockReport, image: BlockImage) -> str:
        """Returns the HTML of an image: one figure if it stayed as it was, otherwise one before and one after.

        Args:
            block: The report of the image.
            image: The same as `block.image`.
        """
        from compressor.images.thumbnails import describe_edit

        line = describe_edit(image.edit)
        size, words = _pixels(image.width, image.height), line or "an image"
        if block.action not in ("dropped", "excerpt"):
            whole = self._figure(block, image, None, f"an image, {size}", f"{size}, {block.tokens_after:,} tokens")
            return f"<div class=pictures>\n{whole}</div>\n"
        alt = f"before: {words}, {size}"
        before = self._figure(block, image, None, alt, f"before: {size}, {block.tokens_before:,} tokens")
        return f"<div class=pictures>\n{before}{self._after(block, image, words)}</div>\n"

    def _after(self, block: BlockReport, image: BlockImage, words: str) -> str:
        note = edit_note(image.edit)
        more = f"\n… {len(note) - _MAX_NOTE:,} further characters" if len(note) > _MAX_NOTE else ""
        text = f"<div class=text>{self._escape(note[:_MAX_NOTE])}{more}</div>" if note else ""
        picture = parse_picture_edit(image.edit)
        if picture is not None:
            size = _pixels(picture.width, picture.height)
            caption = f"as sent: {size}, {block.tokens_after:,} tokens"
            return self._figure(block, image, picture, f"as sent: {words}, {size}", caption, text)
        caption = f"as sent: {'text' if note else 'nothing'}, {block.tokens_after:,} tokens"
        return f"<figure>{text}<figcaption>{caption}</figcaption></figure>\n"

    def _figure(
        self, block: BlockReport, image: BlockImage, edit: PictureEdit | None, alt: str, caption: str, text: str = ""
    ) -> str:
        from compressor.images.known_image import known_image
        from compressor.images.thumbnails import thumbnail

        data = image_base64(image.part)
        url = thumbnail(data, edit, THUMBNAIL_SIDE) if block.block in self._drawn else ""
        if url:
            shown = f'<img src="{url}" alt="{self._escape(alt)}">'
        elif block.block not in self._drawn:
            shown = f"<p class=note>no thumbnail: {_TOO_MANY}</p>"
        else:
            why = (known_image(data).refusal or "it cannot be drawn") if data else _NOT_HERE
            shown = f"<p class=note>no thumbnail: {self._escape(why)}</p>"
        return f"<figure>{shown}<figcaption>{caption}</figcaption>{text}</figure>\n"


def _pixels(width: int, height: int) -> str:
    return f"{width:,} × {height:,} pixels" if width and height else "size unknown"


@cache
def _css() -> str:
    return resources.files("compressor.cli").joinpath("report_images.css").read_text(encoding="utf-8")
