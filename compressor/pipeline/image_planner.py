"""Plans what becomes of the images of a context, so that together with them less text has to leave.

    repeats -> smaller sizes -> stale screenshots -> text in place of a picture

Each step goes only as far as the excess demands. Where all stale screenshots have to leave anyway, they leave first,
because that needs no pixels. What still is too much is left to the selection, where an image is a unit like any other.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from compressor.context.blocks import Block, Priority
from compressor.context.formats.image_parts import image_base64
from compressor.context.formats.json_values import part_json
from compressor.context.image_edits import PictureEdit, ShownBox, parse_picture_edit
from compressor.context.model import Context, Image, Path
from compressor.context.refs import compute_ref, format_placeholder
from compressor.errors import DeviceError, ModelError, QueueFullError
from compressor.images.coordinates import read_coordinate_use
from compressor.images.crops import arrange_boxes
from compressor.images.drawing import image_part
from compressor.images.frame_lines import frame_line
from compressor.images.frame_references import referenced_frames
from compressor.images.frames import Frame, list_frames
from compressor.images.known_image import KnownImage, is_decoding_installed, known_image
from compressor.images.page_identity import FramePage, group_pages
from compressor.images.pixel_boxes import PixelBox
from compressor.images.policy import ImagePolicy
from compressor.images.repeats import find_near_repeat, looks_alike
from compressor.pipeline.image_plan import ImagePlan
from compressor.scoring.base import Query
from compressor.scoring.image_relevance import ImageRelevance
from compressor.tokens import TokenCounter
from compressor.tokens.image_billing import cheapest_size, is_billed_flat

Key = tuple[int, Path]

MIN_SAVED_FRACTION = 0.1  # of an image's tokens: a smaller size that saves less is not worth a note
MAX_CROP_FRACTION = 0.6  # of an image's tokens: a larger part that differs is not shown alone
MAX_TEXT_FRACTION = 0.7  # of an image's tokens: a longer text does not take its place
LINE_TOKENS = 40  # about what a line for a screenshot takes
MAX_READ_FRAMES = 8  # screenshots that leave at once whose largest texts are read; each takes some time
MAX_COMPARED = 3  # later screenshots that one is compared with
MAX_WORDS_CHARS = 600

NOT_INSTALLED = (
    "images were not made smaller, because Pillow is not installed: pip install 'agentic-compressor[images]'"
)


def plan_images(
    context: Context,
    blocks: Sequence[Block],
    counter: TokenCounter,
    excess: int,
    policy: ImagePolicy,
    relevance: ImageRelevance | None = None,
    query: Query | None = None,
) -> ImagePlan:
    """Returns what becomes of the images of a context.

    Args:
        context: The parsed messages.
        blocks: Its blocks; those of images whose priority is below `PINNED` may change.
        counter: Counts tokens as the target model does.
        excess: The tokens that have to be saved, if images can save them.
        policy: What may be done.
        relevance: Rates images against the query by their pixels, or None.
        query: What the reader is looking for; None if it is not known.
    """
    changeable = {(b.slot.message, b.slot.path) for b in blocks if b.kind == "image" and b.priority < Priority.PINNED}
    planner = ImagePlanner(context, counter, policy, changeable, relevance=relevance, query=query)
    planner.run(excess)
    return planner.plan()


class ImagePlanner:
    """One plan in the making.

    Attributes:
        frames: All images of the context.
        edits: What stands for images, by message and path.
        saved: The tokens saved so far.
        originals: The images that were edited, as JSON, by ref.
    """

    def __init__(
        self,
        context: Context,
        counter: TokenCounter,
        policy: ImagePolicy,
        changeable: Collection[Key],
        edits: Mapping[Key, str] | None = None,
        relevance: ImageRelevance | None = None,
        query: Query | None = None,
    ) -> None:
        """Starts a plan.

        Args:
            context: The parsed messages.
            counter: Counts tokens as the target model does.
            policy: What may be done.
            changeable: Message and path of the images that may change.
            edits: What was done to images before, which the plan begins with.
            relevance: Rates images against the query by their pixels, or None.
            query: What the reader is looking for; None if it is not known.
        """
        self._context, self._counter, self._policy = context, counter, policy
        self.frames = list_frames(context)
        self._changeable = [frame for frame in self.frames if frame.key in changeable]
        self.edits: dict[Key, str] = dict(edits or {})
        self._reasons: dict[Key, str] = {}
        self._refs: dict[Key, str] = {}
        self.originals: dict[str, str] = {}
        self._dependents: dict[Key, set[Key]] = {}  # a screenshot -> those whose notes refer to it
        self._known: dict[Key, KnownImage | None] = {}
        self._excess = 0
        self.saved = 0
        self._warnings: list[str] = []
        self._relevance, self._query = relevance, query
        self._is_fallback = False

    def run(self, excess: int) -> None:
        """Takes the steps that are needed to save some tokens.

        Args:
            excess: The tokens to save.
        """
        self._excess = excess
        policy = self._policy
        if policy.drop_stale and excess >= sum(self.tokens(f) - LINE_TOKENS for f in self.stale):
            self._drop_until_enough()
        if policy.fold_repeats and self._is_short:
            self._fold_equal()
            self._fold_similar()
        if policy.shrink and self._is_short:
            self._shrink()
        if policy.drop_stale and self._is_short:
            self._drop_until_enough()
        if policy.read_as_text and self._is_short:
            self._read_as_text()

    def plan(self) -> ImagePlan:
        """Returns the plan."""
        words = {frame.key: _words(frame) for frame in self._changeable}
        matches = self.matches if self._is_short else {}  # otherwise nothing is selected
        return ImagePlan(
            self.edits,
            self._reasons,
            self._refs,
            self.originals,
            words,
            {frame.key: self._line(frame, ()) for frame in self._changeable if frame.is_screenshot},
            tuple(dict.fromkeys(self._warnings)),
            matches,
            self._is_fallback,
        )

    @property
    def _is_short(self) -> bool:
        return self.saved < self._excess

    @cached_property
    def _pages(self) -> dict[Key, FramePage]:
        return {page.frame.key: page for page in group_pages(self.frames, self._looks_alike)}

    @cached_property
    def _whole(self) -> set[Key]:
        """The screenshots that stay as they are, because the agent acts on their coordinates."""
        use = read_coordinate_use(self._context, list(self._pages.values()))
        return {frame.key for frame in self.frames if frame.number in use.whole}

    @cached_property
    def stale(self) -> list[Frame]:
        """The screenshots that may leave, oldest first."""
        kept = {frame.key for frame in self.frames[-self._policy.keep_frames :]} | self._whole
        referred = referenced_frames(self._context, self.frames)
        kept |= {frame.key for frame in self.frames if frame.number in referred}
        return [
            frame
            for frame in self._changeable
            if frame.is_screenshot and frame.key not in kept and not self._pages[frame.key].is_newest_of_page
        ]

    @cached_property
    def matches(self) -> dict[Key, float]:
        """How well images match the query by their pixels, in [0, 1]; empty if no model looks at them."""
        if self._relevance is None or self._query is None or len(self.frames) < 2 or not self._can_decode():
            return {}
        images = [self._image(frame) for frame in self.frames]
        try:
            found = self._relevance.match(self._query, images, [_words(frame) for frame in self.frames])
        except (DeviceError, ModelError, QueueFullError) as error:
            self._is_fallback = True
            self._warnings.append(f"images were compared with the query by their words alone: {error}")
            return {}
        if found is None:
            return {}
        return {frame.key: float(match) for frame, match in zip(self.frames, found, strict=True)}

    def _fold_equal(self) -> None:
        """Lets a note stand for each image that comes again later, byte for byte."""
        newest: dict[str, Frame] = {}
        changeable = {frame.key for frame in self._changeable}
        for frame in reversed(self.frames):
            digest = self._digest(frame)
            later = newest.setdefault(digest, frame) if digest else frame
            keys = {frame.key, later.key}
            if later is not frame and frame.key in changeable and not keys.intersection(self.edits):
                note = f"[image {frame.number}: the same as image {later.number}] {self._mark(frame)}"
                self.set_edit(frame, note, "repeats an image")
                self._dependents.setdefault(later.key, set()).add(frame.key)

    def _fold_similar(self) -> None:
        """Lets a note, and the part that differs, stand for each screenshot that a later one of the page resembles."""
        if not self._can_decode():
            return
        shown: list[Frame] = []
        changeable = {frame.key for frame in self._changeable} - self._whole
        for frame in reversed(self.frames):
            key = frame.key
            if key in self.edits or not frame.is_screenshot:
                continue
            found = self.difference(frame, shown) if key in changeable and self._is_short else None
            if found is None:
                shown.insert(0, frame)
                continue
            self.set_edit(frame, found[0], "differs little from a later image")
            self._dependents.setdefault(found[1].key, set()).add(key)

    def difference(self, frame: Frame, others: Sequence[Frame]) -> tuple[str, Frame] | None:
        """Returns the edit that says how a screenshot differs from one that is shown, and that one.

        Args:
            frame: The screenshot.
            others: What is shown whole. Where several are equally near, the first is taken.

        Returns:
            None if no other one is near enough, or if the difference takes too many tokens.
        """
        known = self._image(frame)
        near = [(other, image) for other in others if (image := self._image(other)) is not None]
        repeat = None if known is None else find_near_repeat(known, [image for _, image in near], MAX_COMPARED)
        if repeat is None:
            return None
        other, changes = near[repeat.index][0], repeat.changes
        beside = f"image {frame.number}: as image {other.number}{repeat.describe(frame, other)}"
        if not changes.boxes:
            return f"[{beside}] {self._mark(frame)}", other
        layout = arrange_boxes(changes.boxes)
        note = f"[{beside}; its part at {layout.words} follows] {self._mark(frame)}"
        edit = str(PictureEdit(tuple(map(_shown, changes.boxes)), *layout.size, note))
        most = MAX_CROP_FRACTION * self._counter.count_slot(frame.slot)
        return (edit, other) if self._counter.count_edit(frame.slot, edit) <= most else None

    def _shrink(self) -> None:
        """Shows images at the smallest size at which their small text is legible, oldest first."""
        if not self._can_decode():
            return
        for frame in self._changeable:
            if not self._is_short:
                return
            key = frame.key
            if key in self.edits or key in self._whole:
                continue
            if (edit := self.smaller(frame)) is not None:
                self.set_edit(frame, edit, "shown at the smallest legible size")

    def smaller(self, frame: Frame) -> str | None:
        """Returns the edit that shows an image smaller, or None if that saves too little."""
        image = frame.slot.image or Image()
        known = self._image(frame)
        found = None if known is None or is_billed_flat(self._counter.count_image, image) else known.findings
        if found is None or not found.may_redraw:
            return None
        box = _shown(found.content)
        part = replace(image, width=box.width, height=box.height)
        least = [max(1, math.ceil(side * found.legible_scale)) for side in (box.width, box.height)]
        size = cheapest_size(self._counter.count_image, part, *least) or (box.width, box.height)
        note = f"[image {frame.number}, {found.width}×{found.height}, shown smaller] {self._mark(frame)}"
        edit = str(PictureEdit((box,), *size, note))
        tokens = self._counter.count_image(image)
        return edit if self._counter.count_edit(frame.slot, edit) <= (1 - MIN_SAVED_FRACTION) * tokens else None

    def _drop_until_enough(self) -> None:
        """Lets lines of text stand for stale screenshots: the oldest first, or what matches the query least."""
        leaving: list[Frame] = []
        saved = self.saved
        stale = self.stale
        if self._excess - saved < sum(self.tokens(frame) - LINE_TOKENS for frame in stale):
            stale = sorted(stale, key=lambda frame: self.matches.get(frame.key, 0.0))
        for frame in stale:
            if saved >= self._excess:
                break
            saved += self.tokens(frame) - LINE_TOKENS
            leaving.append(frame)
        self.drop(leaving)

    def drop(self, frames: Sequence[Frame]) -> list[tuple[Frame, str]]:
        """Lets lines of text stand for screenshots, and returns their edits.

        One that a note refers to stays, unless what the note stands for leaves, too.
        """
        gone = {frame.key for frame in frames}
        dropped: list[tuple[Frame, str]] = []
        for i, frame in enumerate(frames):
            if self._dependents.get(frame.key, set()) <= gone:
                texts = self._read_largest(frame) if i >= len(frames) - MAX_READ_FRAMES else ()
                edit = f"{self._line(frame, texts)} {self._mark(frame)}"
                self.set_edit(frame, edit, "a newer screenshot has replaced it")
                dropped.append((frame, edit))
        return dropped

    def _line(self, frame: Frame, texts: Sequence[str]) -> str:
        image = frame.slot.image or Image()
        return frame_line(frame, image.width, image.height, texts)

    def _read_largest(self, frame: Frame) -> Sequence[str]:
        from compressor.images.ocr import find_ocr_engine, read_largest_texts

        engine = find_ocr_engine() if self._policy.ocr else None
        known = self._image(frame) if engine is not None else None
        picture = known.picture if known is not None else None
        return () if engine is None or picture is None else read_largest_texts(picture, engine)

    def _read_as_text(self) -> None:
        """Lets the text of a table or of text pages stand for their pictures, oldest first."""
        from compressor.images.ocr import find_ocr_engine
        from compressor.images.text_form import read_as_text

        engine = find_ocr_engine()
        if engine is None or not self._can_decode():
            return
        kept = {frame.key for frame in self.frames[-self._policy.keep_frames :]} | self._whole
        for frame in self._changeable:
            key = frame.key
            if not self._is_short:
                return
            if key in kept or not frame.is_screenshot or self._dependents.get(key):
                continue
            if not self.shows_picture(frame):
                continue
            known = self._image(frame)
            picture = known.picture if known is not None else None
            form = None if picture is None else read_as_text(picture, engine, self._counter.count)
            if form is None:
                continue
            text = f"[image {frame.number}, read as text]\n{form.text}\n{self._mark(frame)}"
            if self._counter.count(text) <= MAX_TEXT_FRACTION * self.tokens(frame):
                self.set_edit(frame, text, "read as text")

    def is_edited(self, frame: Frame) -> bool:
        """Returns whether something stands for an image."""
        return frame.key in self.edits

    def shows_picture(self, frame: Frame) -> bool:
        """Returns whether an image is still shown, whole or in part."""
        return frame.key not in self.edits or parse_picture_edit(self.edits[frame.key]) is not None

    def keeps_size(self, frame: Frame) -> bool:
        """Returns whether the agent acts on the coordinates of a screenshot, so that it must stay as it is."""
        return frame.key in self._whole

    def set_edit(self, frame: Frame, edit: str, reason: str) -> None:
        """Lets an edit stand for an image.

        Args:
            frame: The image.
            edit: The edit, with the image's ref.
            reason: Why.
        """
        key, before = frame.key, self.tokens(frame)
        source = self._source(frame)
        ref = compute_ref(source)
        self.edits[key], self._reasons[key] = edit, reason
        self._refs[key], self.originals[ref] = ref, source
        self.saved += before - self.tokens(frame)

    def _source(self, frame: Frame) -> str:
        return part_json(self._context.messages[frame.message], frame.slot.path)

    def ref(self, frame: Frame) -> str:
        """Returns the ref of an image."""
        return compute_ref(self._source(frame))

    def _mark(self, frame: Frame) -> str:
        return format_placeholder(self.ref(frame))

    def tokens(self, frame: Frame) -> int:
        """Returns the tokens of an image, or of what stands for it."""
        edit = self.edits.get(frame.key)
        return self._counter.count_slot(frame.slot) if edit is None else self._counter.count_edit(frame.slot, edit)

    def _digest(self, frame: Frame) -> str:
        image = self._image(frame)
        return "" if image is None else image.digest

    def _image(self, frame: Frame) -> KnownImage | None:
        """Returns the image of a frame, or None if its data is not here or cannot be read."""
        key = frame.key
        if key not in self._known:
            data = image_base64(image_part(self._context, key))
            self._known[key] = known_image(data) if data else None
        return self._known[key]

    def _looks_alike(self, one: Frame, other: Frame) -> bool:
        first, second = self._image(one), self._image(other)
        return first is not None and second is not None and self._can_decode() and looks_alike(first, second)

    def _can_decode(self) -> bool:
        if not is_decoding_installed():
            self._warnings.append(NOT_INSTALLED)
            return False
        return True


def _words(frame: Frame) -> str:
    """Returns what is known of an image in words."""
    return " ".join((frame.title, frame.url, *frame.texts))[:MAX_WORDS_CHARS].strip()


def _shown(box: PixelBox) -> ShownBox:
    return ShownBox(box.left, box.top, box.width, box.height)
