"""Makes the images of a session cheaper: each once, when it is new, and stale screenshots together, now and then.

A new image changes nothing before it, so the provider's cached prefix stays. Stale screenshots become lines only when
there are enough of them: what follows the first of them is not in the cache then.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from compressor.context.image_edits import edit_note
from compressor.context.model import Context, TextSlot
from compressor.context.refs import find_refs
from compressor.images.frames import Frame
from compressor.images.policy import ImagePolicy
from compressor.pipeline.image_planner import LINE_TOKENS, ImagePlanner
from compressor.sessions.image_numbers import number_images
from compressor.sessions.runtime import Edits, SessionRuntime
from compressor.sessions.state import MessageRecord
from compressor.sessions.tool_result_ingest import IMAGE_REFERENCE, refers_to_other
from compressor.storage.text_values import put_texts

MAX_EARLIER = 12  # earlier screenshots that a new one is compared with
#: Of the tokens of a new screenshot: more that differs from an earlier one is not shown alone, because the agent looks
#: at this screenshot now.
MAX_NEW_FRACTION = 0.3

_REFERS = re.compile(rf"{IMAGE_REFERENCE}(\d+)")


class SessionImages:
    """The images of a history that is parsed now.

    Attributes:
        runtime: The engine, counter and policy.
    """

    def __init__(
        self,
        runtime: SessionRuntime,
        policy: ImagePolicy,
        context: Context,
        lead: int,
        records: Sequence[MessageRecord],
        deduplicate: bool = True,
    ) -> None:
        """Takes the history.

        Args:
            runtime: The engine, counter and policy.
            policy: What may be done with images.
            context: The messages: those in front, then the live ones.
            lead: The number of messages in front.
            records: The records of the live messages.
            deduplicate: Whether a note may stand for an image that resembles one in the view.
        """
        self.runtime = runtime
        self._policy, self._lead, self._deduplicate = policy, lead, deduplicate
        changeable = {
            (lead + i, slot.path)
            for i, (turn, record) in enumerate(zip(context.turns[lead:], records, strict=True))
            if not record.pinned
            for slot in turn.slots
            if slot.image is not None and _may_change(slot) and not runtime.policy.rule_for(slot.name).never_compress
        }
        known = {
            (lead + i, path): text
            for i, record in enumerate(records)
            for path, text in record.edits.items()
            if (lead + i, path) in changeable
        }
        first_user = next((i for i, turn in enumerate(context.turns) if turn.role == "user"), -1)
        changeable = {key for key in changeable if key[0] != first_user}
        self._planner = ImagePlanner(
            context,
            runtime.counter,
            policy,
            changeable,
            known,
            number_images(context.turns[lead:], records, lead),
        )
        self._changeable = changeable

    def ingest(self, positions: Collection[int]) -> dict[int, Edits]:
        """Returns the edits of images that are new, by position of their messages.

        Args:
            positions: The positions of new messages. What the user shows in them, and no program, stays as it is.
        """
        planner = self._planner
        out: dict[int, Edits] = {}
        for frame in planner.frames:
            i = frame.message - self._lead
            if i not in positions or not self._may_edit(frame) or planner.is_edited(frame):
                continue
            if planner.keeps_size(frame) or not planner.forms.can_decode():
                continue
            edit = self._repeat(planner, frame) if self._deduplicate else None
            if edit is None and self._policy.shrink:
                edit = planner.forms.smaller(frame)
            if edit is not None:
                planner.set_edit(frame, edit, "")
                out.setdefault(i, {})[frame.slot.path] = edit
        planner.forms.warn_of_refusals([frame for frame in planner.frames if frame.message - self._lead in positions])
        self.runtime.warn(*planner.forms.warnings)
        self._store(planner)
        return out

    def _may_edit(self, frame: Frame) -> bool:
        return frame.key in self._changeable and frame.source != "user"

    def _repeat(self, planner: ImagePlanner, frame: Frame) -> str | None:
        if not (self._policy.fold_repeats and frame.is_screenshot and frame.slot.editable):
            return None
        earlier = [f for f in planner.frames if f.number < frame.number and f.is_screenshot and planner.shows_whole(f)]
        newest = earlier[: -MAX_EARLIER - 1 : -1]
        if same := next((f for f in newest if planner.forms.is_same(f, frame)), None):
            edit = planner.forms.repeat(frame, same)
            return edit if self.runtime.counter.count(edit) < planner.tokens(frame) else None
        found = planner.forms.difference(frame, [f for f in newest if planner.shows_all(f)], MAX_NEW_FRACTION)
        return None if found is None else found[0]

    def drop_stale(self) -> dict[int, Edits]:
        """Returns the edits that let lines stand for the stale screenshots, by position; none if they are few."""
        planner = self._planner
        if not self._policy.drop_stale:
            return {}
        leaving: Sequence[Frame] = [frame for frame in planner.stale if planner.shows_picture(frame)]
        if not self._is_worth(planner, leaving) or not self._is_worth(planner, leaving := _unneeded(planner, leaving)):
            return {}
        out: dict[int, Edits] = {}
        for frame, edit in planner.drop(leaving):
            out.setdefault(frame.message - self._lead, {})[frame.slot.path] = edit
        self._store(planner)
        return out

    def _is_worth(self, planner: ImagePlanner, leaving: Sequence[Frame]) -> bool:
        return sum(planner.tokens(frame) - LINE_TOKENS for frame in leaving) >= max(1, self._policy.max_stale_tokens)

    def _store(self, planner: ImagePlanner) -> None:
        if planner.originals:
            put_texts(self.runtime.open_store(), planner.originals)


def _unneeded(planner: ImagePlanner, leaving: Sequence[Frame]) -> Sequence[Frame]:
    """Returns those of the screenshots that are to leave to which no note of one that stays refers.

    A stale screenshot for which a note stands already needs nothing: it says no less beside a line.
    """
    stale = {frame.key for frame in planner.stale}
    while True:
        gone = {frame.key for frame in leaving}
        needed: set[str] = set()  # numbers and refs
        for frame in planner.frames:
            is_line = frame.key in stale and not planner.shows_picture(frame)
            text = "" if is_line or frame.key in gone else edit_note(planner.edits.get(frame.key, ""))
            if refers_to_other(text):
                numbers = _REFERS.findall(text)
                needed.update(numbers or find_refs(text))
        free = [f for f in leaving if str(f.number) not in needed and planner.forms.ref(f) not in needed]
        if len(free) == len(leaving):
            return free
        leaving = free


def _may_change(slot: TextSlot) -> bool:
    return slot.editable or (slot.image is not None and slot.image.needs_picture)
