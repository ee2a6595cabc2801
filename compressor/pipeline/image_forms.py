"""Makes the forms that may stand for one image: a note, the part that differs, a smaller picture, a line, its text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from compressor.context.formats.image_parts import image_base64
from compressor.context.formats.json_values import part_json
from compressor.context.image_edits import PictureEdit, ShownBox
from compressor.context.model import Context, Image, Path
from compressor.context.refs import compute_ref, format_placeholder
from compressor.errors import OcrError
from compressor.images.captions import CAPTION_HEIGHT, MIN_CAPTION_WIDTH
from compressor.images.crops import arrange_boxes
from compressor.images.drawing import image_part
from compressor.images.frame_lines import frame_line
from compressor.images.frames import Frame
from compressor.images.known_image import KnownImage, is_decoding_installed, known_image
from compressor.images.ocr import OcrEngine, find_ocr_engine
from compressor.images.pixel_boxes import PixelBox
from compressor.images.policy import ImagePolicy
from compressor.images.repeats import find_near_repeat, looks_alike
from compressor.tokens import TokenCounter
from compressor.tokens.image_billing import cheapest_size, is_billed_flat

Key = tuple[int, Path]

MIN_SAVED_FRACTION = 0.1  # of an image's tokens: a smaller size that saves less is not worth a note
MAX_CROP_FRACTION = 0.6  # of an image's tokens: a larger part that differs is not shown alone
MAX_TEXT_FRACTION = 0.7  # of an image's tokens: a longer text does not take its place
MAX_COMPARED = 3  # other screenshots that one is compared with, pixel by pixel
MAX_READ_CHARS = 160  # of the largest texts on a screenshot
THUMBNAIL_SCALE = 0.25  # of a screenshot that has left and for which no text may stand

NOT_INSTALLED = (
    "images were not made smaller, because Pillow is not installed: pip install 'agentic-compressor[images]'"
)


class ImageForms:
    """The forms of the images of one context.

    Attributes:
        warnings: What the caller should know.
    """

    def __init__(self, context: Context, counter: TokenCounter, policy: ImagePolicy) -> None:
        """Takes the parsed messages, the counter of the target model, and what may be done."""
        self._context, self._counter, self._policy = context, counter, policy
        self._known: dict[Key, KnownImage | None] = {}
        self._refs: dict[Key, str] = {}
        self.warnings: list[str] = []

    def can_decode(self) -> bool:
        """Returns whether images can be decoded; if not, there is a warning."""
        if not is_decoding_installed():
            self.warnings.append(NOT_INSTALLED)
            return False
        return True

    def image(self, frame: Frame) -> KnownImage | None:
        """Returns what is known of an image, or None if its data is not here."""
        key = frame.key
        if key not in self._known:
            data = image_base64(image_part(self._context, key))
            self._known[key] = known_image(data) if data else None
        return self._known[key]

    def warn_of_refusals(self, frames: Sequence[Frame]) -> None:
        """Adds a warning for each image that was not decoded, and so stays as it is or leaves whole."""
        refused = [(frame.number, image.refusal) for frame in frames if (image := self.image(frame)) is not None]
        self.warnings += [f"image {number} is kept as it is: {reason}" for number, reason in refused if reason]

    def looks_alike(self, one: Frame, other: Frame) -> bool:
        """Returns whether two screenshots may show the same page, by their pixels."""
        first, second = self.image(one), self.image(other)
        return first is not None and second is not None and self.can_decode() and looks_alike(first, second)

    def is_same(self, one: Frame, other: Frame) -> bool:
        """Returns whether two images are the same byte for byte."""
        first, second = self.image(one), self.image(other)
        return first is not None and second is not None and first.digest == second.digest

    def source(self, frame: Frame) -> str:
        """Returns the image part as JSON, which its ref expands to."""
        return part_json(self._context.messages[frame.message], frame.slot.path)

    def ref(self, frame: Frame) -> str:
        """Returns the ref of an image."""
        key = frame.key
        if key not in self._refs:
            self._refs[key] = compute_ref(self.source(frame))
        return self._refs[key]

    def with_ref(self, frame: Frame, note: str) -> str:
        """Returns a note about an image with the placeholder that gives the image back."""
        return f"{note} {format_placeholder(self.ref(frame))}"

    def repeat(self, frame: Frame, other: Frame) -> str:
        """Returns the edit of an image that another one repeats byte for byte."""
        return self.with_ref(frame, f"[image {frame.number}: the same as image {other.number}]")

    def difference(
        self, frame: Frame, others: Sequence[Frame], max_fraction: float = MAX_CROP_FRACTION
    ) -> tuple[str, Frame] | None:
        """Returns the edit that says how a screenshot differs from one that is shown, and that one.

        Args:
            frame: The screenshot.
            others: What is shown whole. Where several are equally near, the first is taken.
            max_fraction: The tokens that note and part may take, as a fraction of the screenshot's.

        Returns:
            None if no other one is near enough, or if the difference takes too many tokens.
        """
        known = self.image(frame)
        near = [(other, image) for other in others if (image := self.image(other)) is not None]
        repeat = None if known is None else find_near_repeat(known, [image for _, image in near], MAX_COMPARED)
        if repeat is None:
            return None
        other, boxes = near[repeat.index][0], repeat.changes.boxes
        beside = f"image {frame.number}: as image {other.number}{repeat.describe(frame, other)}"
        tokens = self._counter.count_slot(frame.slot)
        if not boxes:
            note = self.with_ref(frame, f"[{beside}]")
            return (note, other) if self._counter.count(note) < tokens else None
        layout = arrange_boxes(boxes)
        is_one = len(layout.placements) == 1
        part = f"its part at {layout.words} follows" if is_one else f"its parts {layout.words} follow"
        note = self.with_ref(frame, f"[{beside}; {part}]")
        edit = str(PictureEdit(tuple(map(_shown, boxes)), *layout.size, note))
        return (edit, other) if self._counter.count_edit(frame.slot, edit) <= max_fraction * tokens else None

    def smaller(self, frame: Frame) -> str | None:
        """Returns the edit that shows an image at its smallest legible size, or None if that saves too little."""
        image = frame.slot.image or Image()
        known = None if is_billed_flat(self._counter.count_image, image) else self.image(frame)
        found = None if known is None else known.findings
        if found is None or not found.may_redraw:
            return None
        box = _shown(found.content)
        part = replace(image, width=box.width, height=box.height)
        least = [max(1, math.ceil(side * found.legible_scale)) for side in (box.width, box.height)]
        size = cheapest_size(self._counter.count_image, part, *least) or (box.width, box.height)
        shown = ["shown smaller"] if size != (box.width, box.height) else []
        shown += ["without empty margins"] if (box.width, box.height) != (found.width, found.height) else []
        note = self.with_ref(frame, f"[image {frame.number}, {found.width}×{found.height}, {' '.join(shown)}]")
        width, height = size
        if image.needs_picture:
            if width < MIN_CAPTION_WIDTH:
                return None
            note, height = self.with_ref(frame, f"image {frame.number}"), height + CAPTION_HEIGHT
        edit = str(PictureEdit((box,), width, height, note))
        tokens = self._counter.count_image(image)
        return edit if self._counter.count_edit(frame.slot, edit) <= (1 - MIN_SAVED_FRACTION) * tokens else None

    def thumbnail(self, frame: Frame) -> str | None:
        """Returns the edit that shows an image very small, or None if that saves too little."""
        known = self.image(frame) if self.can_decode() else None
        found = None if known is None else known.findings
        if found is None or not found.may_redraw:
            return None
        scale = min(1.0, max(THUMBNAIL_SCALE, MIN_CAPTION_WIDTH / found.width))
        width, height = (max(1, round(scale * side)) for side in (found.width, found.height))
        note = self.with_ref(frame, f"image {frame.number}")
        edit = str(PictureEdit((ShownBox(0, 0, found.width, found.height),), width, height + CAPTION_HEIGHT, note))
        tokens = self._counter.count_slot(frame.slot)
        return edit if self._counter.count_edit(frame.slot, edit) <= (1 - MIN_SAVED_FRACTION) * tokens else None

    def line(self, frame: Frame, with_texts: bool = False) -> str:
        """Returns the line that a screenshot leaves behind, without its ref.

        Args:
            frame: The screenshot.
            with_texts: Whether to read its largest texts, where OCR is installed.
        """
        image = frame.slot.image or Image()
        texts = self._read_largest(frame) if with_texts and self._policy.ocr else []
        return frame_line(frame, image.width, image.height, texts)

    def text(self, frame: Frame) -> str | None:
        """Returns the edit that says what a picture of a text or table says, if OCR is sure and it is cheaper."""
        from compressor.images.text_form import read_as_text

        engine, known = _ocr_engine(), self.image(frame)
        picture = None if engine is None or known is None else known.picture
        if engine is None or picture is None:
            return None
        try:
            form = read_as_text(picture, engine, self._counter.count)
        except OcrError as error:
            self.warnings.append(f"screenshots were not read as text: {error}")
            return None
        if form is None:
            return None
        text = f"[image {frame.number}, read as text]\n{form.text}\n{format_placeholder(self.ref(frame))}"
        return text if self._counter.count(text) <= MAX_TEXT_FRACTION * self._counter.count_slot(frame.slot) else None

    def _read_largest(self, frame: Frame) -> Sequence[str]:
        from compressor.images.large_texts import read_largest_texts

        engine = _ocr_engine()
        known = None if engine is None else self.image(frame)
        if engine is None or known is None or (picture := known.picture) is None:
            return ()
        try:
            return read_largest_texts(picture, engine, MAX_READ_CHARS)
        except OcrError as error:
            self.warnings.append(f"screenshots are described without their texts: {error}")
            return ()


def _ocr_engine() -> OcrEngine | None:
    return find_ocr_engine() if is_decoding_installed() else None


def _shown(box: PixelBox) -> ShownBox:
    return ShownBox(box.left, box.top, box.width, box.height)
