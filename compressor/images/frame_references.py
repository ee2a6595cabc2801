"""Finds which frames the words of the user and the agent refer to.

Only what the user, the agent and its calls say counts, not what tools return: a page must not be able to keep its own
screenshot. Words for images are known in English, German, Spanish, French and Chinese.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from compressor.context.model import Context, Role, TextSlot
from compressor.images.frame_sources import find_last_steps
from compressor.images.frame_words import (
    ANY_NOUN,
    BACK_AFTER,
    BACK_BEFORE,
    GENERAL_NOUNS,
    MINE,
    NAMED_KEY,
    NTH,
    NTH_CHINESE,
    NUMBERED,
    OF_STEP,
    SEEN,
    ordinal_number,
)
from compressor.images.frames import Frame
from compressor.images.page_identity import normalise_title

#: In how many of the agent's last turns its words about a frame still hold, if they name it ("image 5"), and if they
#: only look back ("the previous screenshot"). What the user says always holds.
RECENT_AGENT_TURNS = 8
RELATIVE_AGENT_TURNS = 2
_MAX_CHARS = 20_000  # of one text that are read, half from each end
_MAX_NAMED = 200  # frames whose titles and file names are looked for
_NEWEST = re.compile(r"\b(?:last|above)\b|letzte|oben|últim|arriba|dernièr|ci-dessus|上图", re.IGNORECASE)
_SPOKEN = frozenset(("user", "assistant", "thinking", "tool_call"))


@dataclass(frozen=True, slots=True)
class FrameReference:
    """Words that refer to a frame.

    Attributes:
        number: Number of the frame.
        message: Index of the message with the words.
        role: Who says them.
        words: The words.
        is_relative: Whether the words do not name the frame but look back from where they stand.
    """

    number: int
    message: int
    role: Role
    words: str
    is_relative: bool = False


def find_references(context: Context, frames: Sequence[Frame], agent_since: int = 0) -> list[FrameReference]:
    """Returns all references to earlier frames, in order; a frame that is the newest at the time is not an earlier one.

    Args:
        context: The context.
        frames: Its frames, in order.
        agent_since: Index of the message from which on the agent's words count.
    """
    if not frames:
        return []
    found: dict[tuple[int, int], FrameReference] = {}
    names = _FrameNames(frames)
    messages = [frame.message for frame in frames]
    for turn in context.turns[frames[0].message :]:
        if turn.role == "assistant" and turn.index < agent_since:
            continue
        for slot in turn.slots:
            if slot.kind not in _SPOKEN or not slot.text or slot.text.startswith("[image "):  # a line of ours
                continue
            # A user's words may be about the pictures beside them, too.
            end = bisect.bisect_left(messages, turn.index + (turn.role == "user"))
            before = frames[:end]
            if not before or _is_beside(slot, frames):
                continue
            text = _shorten(slot.text)
            named = (*_read_words(text, before), *names.find(text, before, turn.role))
            for is_relative, pairs in ((False, named), (True, tuple(_read_back(text, before, turn.role)))):
                for number, words in pairs:
                    reference = FrameReference(number, turn.index, turn.role, words, is_relative)
                    found.setdefault((number, turn.index), reference)
    return sorted(found.values(), key=lambda reference: (reference.message, reference.number))


def referenced_frames(context: Context, frames: Sequence[Frame], recent_turns: int = RECENT_AGENT_TURNS) -> set[int]:
    """Returns the numbers of the frames that must stay because words refer to them.

    Args:
        context: The context.
        frames: Its frames, in order.
        recent_turns: In how many of the agent's last turns its words still hold. What the user says always holds.
    """
    since, since_relative = (find_last_steps(context.turns, count) for count in (recent_turns, RELATIVE_AGENT_TURNS))
    return {
        reference.number
        for reference in find_references(context, frames, since)
        if reference.role != "assistant" or not reference.is_relative or reference.message >= since_relative
    }


def _is_beside(slot: TextSlot, frames: Sequence[Frame]) -> bool:
    """Returns whether a text of a user message is what a program shows beside a frame, not the user's words."""
    return slot.kind == "user" and any(f.message == slot.message and f.source == "observation" for f in frames)


def _shorten(text: str) -> str:
    half = _MAX_CHARS // 2
    return text if len(text) <= _MAX_CHARS else f"{text[:half]}\n{text[-half:]}"


def _read_words(text: str, before: Sequence[Frame]) -> Iterator[tuple[int, str]]:
    """Yields the numbers of frames that are named by their number, their order or their owner."""
    for found in NAMED_KEY.finditer(text):
        yield from _by_number(int(found["number"]), before, found[0], is_shot=False)
    if not ANY_NOUN.search(text):
        return
    for found in NUMBERED.finditer(text):
        is_shot = found["shot"] is not None
        first, last = int(found["number"]), int(found["last"] or 0)
        numbers = range(first, last + 1) if found["range"] and last - first < _MAX_NAMED else (first, last)
        for number in numbers:
            yield from _by_number(number, before, found[0], is_shot)
    for found in NTH.finditer(text):
        yield from _by_order(ordinal_number(found["ordinal"]), before, found[0], found["shot"] is not None)
    for pattern in (NTH_CHINESE, OF_STEP):
        for found in pattern.finditer(text):
            yield from _by_order(ordinal_number(found["number"]), before, found[0], found["shot"] is not None)
    if found_mine := MINE.search(text):
        yield from ((frame.number, found_mine[0]) for frame in before if frame.source == "user")


def _read_back(text: str, before: Sequence[Frame], role: Role) -> Iterator[tuple[int, str]]:
    """Yields the numbers of frames that words such as "the previous screenshot" refer to."""
    if ANY_NOUN.search(text):
        for pattern in (BACK_BEFORE, BACK_AFTER):
            for found in pattern.finditer(text):
                yield from _look_back(before, found, role)


def _by_number(number: int, before: Sequence[Frame], words: str, is_shot: bool) -> Iterator[tuple[int, str]]:
    """A number counts either all images or, after a word for a screenshot, these alone: both are kept."""
    yield from ((frame.number, words) for frame in before if frame.number == number)
    if is_shot:
        yield from _by_order(number, before, words, is_shot)


def _by_order(order: int, before: Sequence[Frame], words: str, is_shot: bool) -> Iterator[tuple[int, str]]:
    kind = [frame for frame in before if frame.is_screenshot] if is_shot else []
    chosen = kind or list(before)
    if 0 < order <= len(chosen):
        yield chosen[order - 1].number, words


def _look_back(before: Sequence[Frame], found: re.Match[str], role: Role) -> Iterator[tuple[int, str]]:
    """What "the previous screenshot" or "the chart above" means: the one before the newest; for the user either."""
    groups = found.groupdict()
    noun = (groups.get("shot") or groups.get("picture") or "").lower()
    kind = (
        [frame for frame in before if frame.is_screenshot == bool(groups.get("shot"))]
        if noun not in GENERAL_NOUNS
        else []
    )
    chosen = kind or list(before)
    is_newest_meant = _NEWEST.search(found[0]) is not None
    if role == "user" or not chosen[-1].is_screenshot:
        yield chosen[-1].number, found[0]
    if is_newest_meant:  # the agent's words for what it looks at now
        return
    earlier = [frame for frame in chosen if frame.message < before[-1].message]
    if earlier:
        yield earlier[-1].number, found[0]


class _FrameNames:
    """The titles and file names by which words can refer to frames."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._files: dict[str, list[Frame]] = {}
        self._titles: dict[str, list[Frame]] = {}
        for frame in frames[-_MAX_NAMED:]:
            for name in frame.labels.files:
                if len(name) > 3:
                    self._files.setdefault(name.casefold(), []).append(frame)
            for title in _short_titles(frame):
                self._titles.setdefault(title, []).append(frame)

    def find(self, text: str, before: Sequence[Frame], role: Role) -> Iterator[tuple[int, str]]:
        """Yields the newest frame of each name in a text. Of a title only if the words look back."""
        folded = text.casefold()
        known = {frame.number for frame in before}
        for name, frames in self._files.items():
            if name in folded:
                own = [frame for frame in frames if frame.number in known]
                if own and re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", folded):
                    yield own[-1].number, name
        for title, frames in self._titles.items():
            position = folded.find(title)
            if position >= 0 and self._looks_back(folded, position, title, role):
                own = [frame for frame in frames if frame.number in known]
                if own:
                    yield own[-1].number, title

    @staticmethod
    def _looks_back(folded: str, position: int, title: str, role: Role) -> bool:
        around = folded[max(0, position - 80) : position + len(title) + 60]
        after = folded[position + len(title) : position + len(title) + 24]
        is_page = re.match(
            r"[\"'”’]?\s*(?:page|screen|tab|window|site|screenshot|seite|fenster|página|page|fenêtre|页面|页)", after
        )
        return bool(is_page and (role == "user" or SEEN.search(around)))


def _short_titles(frame: Frame) -> set[str]:
    """A title and its first part, as people shorten it: "Cart" of "Cart – Northwind"."""
    title = normalise_title(frame.title or frame.window)
    if not title:
        return set()
    first = re.split(r"\s[-–—|·:]\s|\s?\|\s?", title)[0].strip()
    return {one for one in (title, first) if len(one) >= 3}
