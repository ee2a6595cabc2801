"""Plans what becomes of the images of a context, so that less text has to leave.

    repeats -> smaller sizes -> stale screenshots -> text in place of a picture

Each step goes only as far as the excess demands. Where all stale screenshots have to leave anyway, they leave first,
because that needs no pixels. What still is too much is left to the selection, where an image is a unit like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from compressor.context.blocks import NOT_EDITABLE, Block, Priority
from compressor.context.image_edits import parse_picture_edit
from compressor.context.model import Context, Path
from compressor.images.coordinates import read_coordinate_use
from compressor.images.frame_references import referenced_frames
from compressor.images.frames import Frame, list_frames
from compressor.images.page_identity import FramePage, group_pages
from compressor.images.policy import ImagePolicy
from compressor.pipeline.image_forms import ImageForms
from compressor.pipeline.image_matches import ImageMatches, words_about
from compressor.pipeline.image_plan import ImagePlan
from compressor.scoring.base import Query
from compressor.scoring.image_relevance import ImageRelevance
from compressor.tokens import TokenCounter

Key = tuple[int, Path]

LINE_TOKENS = 40  # about what a line for a screenshot takes
MAX_READ_FRAMES = 4  # screenshots at once that are read by OCR, which takes some time
MIN_WANTED = 0.8  # of the best match: the newest of a page that matches as well is left to the selection
NO_QUERY = Query()

REPLACED = "a newer screenshot has replaced it"
MAKES_ROOM = "left to make room"


def plan_images(
    context: Context,
    blocks: Sequence[Block],
    counter: TokenCounter,
    before: int,
    budget: int,
    policy: ImagePolicy,
    query: Query,
    relevance: ImageRelevance | None = None,
    numbers: Mapping[int, Sequence[int]] | None = None,
) -> ImagePlan:
    """Returns what becomes of the images of a context.

    Args:
        context: The parsed messages.
        blocks: Its blocks; those of images whose priority is below `PINNED` may change.
        counter: Counts tokens as the target model does.
        before: The tokens of the whole context.
        budget: The tokens that it may have.
        policy: What may be done.
        numbers: The numbers of the images of each message; None counts from the beginning.
        query: What the reader is looking for.
        relevance: Rates images against the query by their pixels, or None.
    """
    changeable = {(b.slot.message, b.slot.path) for b in blocks if b.slot.image is not None and may_change(b)}
    planner = ImagePlanner(context, counter, policy, changeable, numbers=numbers, query=query, relevance=relevance)
    planner.run(before, budget)
    return planner.plan()


def may_change(block: Block) -> bool:
    """Returns whether an image may be edited: it is not pinned, or it is only not to become a text."""
    image = block.slot.image
    is_picture = image is not None and image.needs_picture and block.reason == NOT_EDITABLE
    return block.priority < Priority.PINNED or is_picture


class ImagePlanner:
    """One plan in the making.

    Attributes:
        forms: The forms of the images.
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
        numbers: Mapping[int, Sequence[int]] | None = None,
        query: Query = NO_QUERY,
        relevance: ImageRelevance | None = None,
    ) -> None:
        """Starts a plan.

        Args:
            context: The parsed messages.
            counter: Counts tokens as the target model does.
            policy: What may be done.
            changeable: Message and path of the images that may change.
            edits: What was done to images before, which the plan begins with.
            numbers: The numbers of the images of each message, where these are the images of a longer history. None
                counts from the beginning.
            query: What the reader is looking for.
            relevance: Rates images against the query by their pixels, or None.
        """
        self._context, self._counter, self._policy = context, counter, policy
        self.forms = ImageForms(context, counter, policy)
        self.frames = list_frames(context) if numbers is None else _renumber(list_frames(context), numbers)
        self._changeable = [frame for frame in self.frames if frame.key in changeable]
        self.edits: dict[Key, str] = dict(edits or {})
        self._reasons: dict[Key, str] = {}
        self._refs: dict[Key, str] = {}
        self.originals: dict[str, str] = {}
        self._dependents: dict[Key, set[Key]] = {}  # a screenshot -> those whose notes refer to it
        self._excess = 0
        self.saved = 0
        self._matches = ImageMatches(self.frames, self.forms, query, relevance)
        self._is_selecting = False

    def run(self, before: int, budget: int) -> None:
        """Takes the steps that are needed to fit a budget.

        Args:
            before: The tokens of the whole context.
            budget: The tokens that it may have.
        """
        policy, excess = self._policy, before - budget
        self._excess = excess
        if policy.fold_repeats:
            self._fold_equal()
        if policy.drop_stale and self._excess - self.saved >= sum(self.tokens(f) - LINE_TOKENS for f in self.stale):
            self._drop_until_enough(self.stale)
        if policy.fold_repeats and self._is_short:
            self._fold_similar()
        if policy.shrink and self._is_short:
            self._shrink()
        if policy.drop_stale and self._is_short:
            # With a model, those leave first that match the query least.
            self._drop_until_enough(sorted(self.stale, key=lambda frame: self._matches.by_pixels.get(frame.key, 0.0)))
        if policy.read_as_text and self._is_short:
            self._read_as_text()
        if policy.drop_stale and self._is_short:
            # The rest of the excess is shared by images and texts alike.
            images = sum(self._counter.count_slot(frame.slot) for frame in self.frames)
            self._excess = min(self._excess, round((1 - budget / before) * images))
            self._drop_until_enough(
                [frame for frame in self._older if self._matches.of(frame) < MIN_WANTED], MAKES_ROOM
            )
            # The selection cannot leave out what must stay a picture.
            self._excess = excess
            self._drop_until_enough([frame for frame in self._older if _needs_picture(frame)], MAKES_ROOM)
        self._is_selecting = self.saved < excess

    def plan(self) -> ImagePlan:
        """Returns the plan."""
        self.forms.warn_of_refusals([frame for frame in self.frames if frame.key not in self.edits])
        by_pixels = self._matches.by_pixels if self._is_selecting else {}
        lines = {f.key: self.forms.line(f) for f in self._changeable if self.shows_picture(f)}
        return ImagePlan(
            self.edits,
            self._reasons,
            self._refs,
            self.originals,
            {frame.key: words_about(frame) for frame in self._changeable},
            lines,
            frozenset(self._kept),
            tuple(dict.fromkeys(self.forms.warnings)),
            by_pixels,
            self._matches.is_fallback,
        )

    @property
    def _is_short(self) -> bool:
        return self.saved < self._excess

    @cached_property
    def _pages(self) -> dict[Key, FramePage]:
        return {page.frame.key: page for page in group_pages(self.frames, self.forms.looks_alike)}

    @cached_property
    def _whole(self) -> set[Key]:
        """The screenshots that stay as they are, because the agent acts on their coordinates."""
        use = read_coordinate_use(self._context, list(self._pages.values()))
        return {frame.key for frame in self.frames if frame.number in use.whole}

    @cached_property
    def _kept(self) -> set[Key]:
        """What the agent looks at now."""
        newest = [frame.key for frame in self.frames if frame.is_screenshot][-self._policy.keep_frames :]
        return self._whole.union(newest)

    @cached_property
    def _older(self) -> list[Frame]:
        """The screenshots that nothing keeps in view, oldest first."""
        referred = referenced_frames(self._context, self.frames)
        kept = self._kept.union(frame.key for frame in self.frames if frame.number in referred)
        return [frame for frame in self._changeable if frame.is_screenshot and frame.key not in kept]

    @cached_property
    def stale(self) -> list[Frame]:
        """Those of which a newer one shows the same page, oldest first."""
        return [frame for frame in self._older if not self._pages[frame.key].is_newest_of_page]

    def _fold_equal(self) -> None:
        """Lets a note stand for each image that comes again later, byte for byte."""
        newest: dict[str, Frame] = {}
        foldable = {frame.key for frame in self._changeable if not _needs_picture(frame)}
        for frame in reversed(self.frames):
            image = self.forms.image(frame)
            later = frame if image is None else newest.setdefault(image.digest, frame)
            if later is not frame and frame.key in foldable and not {frame.key, later.key}.intersection(self.edits):
                edit = self.forms.repeat(frame, later)
                if self._counter.count_edit(frame.slot, edit) < self.tokens(frame):
                    self.set_edit(frame, edit, "repeats an image")
                    self._dependents.setdefault(later.key, set()).add(frame.key)

    def _fold_similar(self) -> None:
        """Lets a note, and the part that differs, stand for each screenshot that a later one of the page resembles."""
        if not self.forms.can_decode():
            return
        shown: list[Frame] = []
        foldable = {frame.key for frame in self._changeable if not _needs_picture(frame)} - self._whole
        for frame in reversed(self.frames):
            if frame.key in self.edits or not frame.is_screenshot:
                continue
            found = self.forms.difference(frame, shown) if frame.key in foldable and self._is_short else None
            if found is None:
                shown.insert(0, frame)
                continue
            self.set_edit(frame, found[0], "differs little from a later image")
            self._dependents.setdefault(found[1].key, set()).add(frame.key)

    def _shrink(self) -> None:
        """Shows images at the smallest size at which their small text is legible, oldest first.

        What notes refer to stays as it is: with the parts beside the notes, the other screenshots can be told from it.
        """
        if not self.forms.can_decode():
            return
        for frame in self._changeable:
            if not self._is_short:
                return
            if not any(frame.key in known for known in (self.edits, self._whole, self._dependents)):
                edit = self.forms.smaller(frame)
                if edit is not None:
                    self.set_edit(frame, edit, "shown at the smallest legible size")

    def _drop_until_enough(self, frames: Sequence[Frame], reason: str = REPLACED) -> None:
        """Lets lines of text stand for screenshots that are shown, in their order."""
        left = [frame for frame in frames if self._saving(frame) > 0]
        while left and self._is_short:
            saved, count = self.saved, 0
            while count < len(left) and saved < self._excess:
                saved += self._saving(left[count])
                count += 1
            self.drop(left[:count], reason)
            left = left[count:]

    def _saving(self, frame: Frame) -> int:
        """Returns about how many tokens it saves to let a screenshot leave; 0 or less if it is not to leave."""
        if not self.shows_picture(frame):
            return 0
        edit = self.forms.thumbnail(frame) if _needs_picture(frame) else None
        left = LINE_TOKENS if edit is None else self._counter.count_edit(frame.slot, edit)
        return 0 if edit is None and _needs_picture(frame) else self.tokens(frame) - left

    def drop(self, frames: Sequence[Frame], reason: str = REPLACED) -> list[tuple[Frame, str]]:
        """Lets lines of text stand for screenshots, and returns their edits.

        One that a part of another is shown beside stays, unless the other one leaves, too.
        """
        gone = {frame.key for frame in frames}
        dropped: list[tuple[Frame, str]] = []
        for i, frame in enumerate(frames):
            if any(key not in gone and self._is_shown(key) for key in self._dependents.get(frame.key, ())):
                continue
            if _needs_picture(frame):
                edit = self.forms.thumbnail(frame)
            else:
                line = self.forms.line(frame, with_texts=i >= len(frames) - MAX_READ_FRAMES)
                edit = self.forms.with_ref(frame, line)
            if edit is not None and self._counter.count_edit(frame.slot, edit) < self.tokens(frame):
                self.set_edit(frame, edit, reason)
                dropped.append((frame, edit))
        return dropped

    def _read_as_text(self) -> None:
        """Lets the text of a table or of text pages stand for their pictures, oldest first."""
        if not self.forms.can_decode():
            return
        readable = [
            frame
            for frame in self._older
            if self.shows_picture(frame) and not _needs_picture(frame) and frame.key not in self._dependents
        ]
        for frame in readable[-MAX_READ_FRAMES:]:
            edit = self.forms.text(frame) if self._is_short else None
            if edit is not None:
                self.set_edit(frame, edit, "read as text")

    def is_edited(self, frame: Frame) -> bool:
        """Returns whether something stands for an image."""
        return frame.key in self.edits

    def shows_picture(self, frame: Frame) -> bool:
        """Returns whether an image is still shown, whole or in part."""
        return self._is_shown(frame.key)

    def shows_whole(self, frame: Frame) -> bool:
        """Returns whether an image is shown, perhaps smaller or without its empty margins."""
        edit = parse_picture_edit(self.edits.get(frame.key, ""))
        return frame.key not in self.edits if edit is None else edit.note.startswith(f"[image {frame.number}, ")

    def shows_all(self, frame: Frame) -> bool:
        """Returns whether an image is shown at its size, perhaps without its empty margins."""
        edit = parse_picture_edit(self.edits.get(frame.key, ""))
        is_scaled = edit is not None and (len(edit.boxes) > 1 or edit.boxes[0][2:] != (edit.width, edit.height))
        return self.shows_whole(frame) and not is_scaled

    def _is_shown(self, key: Key) -> bool:
        return key not in self.edits or parse_picture_edit(self.edits[key]) is not None

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
        self.edits[key], self._reasons[key] = edit, reason
        self._refs[key] = ref = self.forms.ref(frame)
        self.originals[ref] = self.forms.source(frame)
        self.saved += before - self.tokens(frame)

    def tokens(self, frame: Frame) -> int:
        """Returns the tokens of an image, or of what stands for it."""
        edit = self.edits.get(frame.key)
        return self._counter.count_slot(frame.slot) if edit is None else self._counter.count_edit(frame.slot, edit)


def _renumber(frames: Sequence[Frame], numbers: Mapping[int, Sequence[int]]) -> list[Frame]:
    left = {message: iter(own) for message, own in numbers.items()}
    return [replace(frame, number=next(left.get(frame.message, iter(())), frame.number)) for frame in frames]


def _needs_picture(frame: Frame) -> bool:
    return frame.slot.image is not None and frame.slot.image.needs_picture
