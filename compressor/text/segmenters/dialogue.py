"""Transcripts of meetings, chats and calls: a turn is a record, and what is kept of it stands under its speaker.

Turns begin with a speaker's name, with or without a time before it. A date on a line of its own heads what follows.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import numpy as np

from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.lines import line_starts
from compressor.text.segmenters.record_layout import NodePieces, RecordLayout
from compressor.text.segmenters.sentences import sentence_pieces
from compressor.text.segmenters.span_layout import length_splits

MIN_TURNS = 6
MIN_TURNS_PER_SPEAKER = 2.5
MIN_WORDS = 4.0  # mean words of a turn; the values of fields are shorter
MAX_TURN_LINES = 12.0  # mean lines of a turn
MAX_ORDERED = 0.65  # fraction of names that are followed by the name that mostly follows them
STRICTLY_ORDERED = 0.9  # the same for few names
MANY_SPEAKERS = 4
MAX_RUNS = 0.5  # fraction of names that are followed by themselves
CHARS_PER_WORD = 2  # in scripts without spaces
SHORT_TURN = 240  # characters up to which a turn is kept or dropped whole
PIECE_CHARS = 120  # shorter sentences stay with the one before

_TIME = r"(?:\d{4}-\d\d?-\d\d?|\d\d?[./]\d\d?[./]\d{2,4})?[T ,]*\d\d?:\d\d(?::\d\d)?(?:[.,]\d+)?(?: ?[AaPp]\.?[Mm]\.?)?"
_TURN = re.compile(
    rf"[ \t]*(?:[-*>][ \t])?(?:[\[(]?{_TIME}[\])]?[ \t]*[-–|]?[ \t]*)?(?:\*\*|<v |[<\[])?"
    r"(?P<who>[^\W\d_][^\s:：<>\[\]{}=/\\|\"]*(?: [^\s:：<>\[\]{}=/\\|\",]+){0,3})"
    r"(?:\*\*|[>\]])?(?: ?\([^()\n]{1,30}\))?(?P<colon>[:：]\*{0,2})?(?:(?<=[：*])|(?=[ \t\r\n]|$))"
)
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DATE = rf"(?:\d{{4}}-\d\d-\d\d|\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}}|{_MONTH}[a-z]*\.?,? \d|\d{{1,2}}\.? {_MONTH})"
_DAY = re.compile(
    rf"[ \t]*[-=*#\[( ]*(?:(?:DATE|Date|date|Day|Session|Meeting)\b[^\n]{{0,60}}|[^\n]{{0,30}}{_DATE}[^\n]{{0,30}})"
    r"[-=*#\]) ]*\r?(?:\n|\Z)"
)
#: Names that head fields rather than turns.
_FIELD_NAMES = frozenset(
    "author cc code comment commit content created data date description error file format from id info key license "
    "link merge message model name note output path priority reason result section source status subject summary tags "
    "time title to type updated url usage user value version warning".split()
)


def segment_dialogue(text: str) -> RecordLayout | None:
    """Divides a transcript into turns, and long turns into sentences. Returns None if the text is not a transcript."""
    if text.count(":") + text.count("：") + text.count("<") < MIN_TURNS:  # one of them stands at every name
        return None
    where = line_starts(text).tolist()
    if len(where) < MIN_TURNS:
        return None
    speakers = _speakers(text, where)
    if speakers is None:
        return None
    ends = [*where[1:], len(text)]
    starts: list[int] = []
    parents: list[int] = []
    heads: list[int] = []
    flags: list[int] = []
    day = turn = -1
    begun = 0

    def close(end: int) -> None:
        """Cuts the open turn, whose first unit is there already."""
        if turn >= 0 and end - begun > SHORT_TURN:
            for start in sentence_pieces(text, begun, end, PIECE_CHARS):
                add(start, turn, turn, 0)

    def add(start: int, parent: int, head: int, flag: int) -> int:
        starts.append(start)
        parents.append(parent)
        heads.append(head)
        flags.append(flag)
        return len(starts) - 1

    for start, end, who in zip(where, ends, speakers, strict=True):
        if who:
            close(start)
            turn, begun = add(start, day, len(starts), 0), start
        elif _DAY.match(text, start) and end - start < 100:
            close(start)
            day, turn = add(start, -1, -1, int(UnitFlag.HEADER)), -1
        elif turn < 0 and (not starts or text[start:end].strip()):
            add(start, day, -1, 0 if text[start:end].strip() else int(UnitFlag.NOISE))
    close(len(text))
    return _layout(text, starts, parents, heads, flags)


def _speakers(text: str, where: list[int]) -> list[str] | None:
    """The speaker of each line that begins a turn, "" for other lines; None if the text is no transcript."""
    said: list[str] = []
    for start in where:
        m = _TURN.match(text, start)
        marked = m is not None and (m.group("colon") or text.endswith(("<", "<v "), start, m.start("who")))
        said.append(m.group("who") if m is not None and marked else "")
    times = Counter(name for name in said if name)
    names = {name for name, count in times.items() if count > 1}
    turns = [name for name in said if name in names]
    lines = sum(1 for start in where if text[start : start + 1] not in ("\n", "\r", ""))
    if len(turns) < MIN_TURNS or len(names) < 2 or len(turns) < MIN_TURNS_PER_SPEAKER * len(names):
        return None
    words = len(text.split()) + len(_UNSPACED.findall(text)) / CHARS_PER_WORD
    if lines > MAX_TURN_LINES * len(turns) or words < (MIN_WORDS + 1) * len(turns):
        return None
    if _looks_like_fields(text, where, said, turns, len(names)):
        return None
    rare = {name for name, count in times.items() if count == 1}
    likely = (
        {name for name in rare if name[0].isupper() and len(name.split()) <= 2}
        if len(rare) * 4 <= len(names) + 4
        else set()
    )
    return [name if name in names or name in likely else "" for name in said]


def _looks_like_fields(text: str, where: list[int], said: list[str], turns: list[str], speakers: int) -> bool:
    """Whether the names are rather keys of records: they follow each other in one order, or stand in runs."""
    following: dict[str, Counter[str]] = {}
    for a, b in pairwise(turns):
        following.setdefault(a, Counter())[b] += 1
    if 2 * sum(name.lower() in _FIELD_NAMES for name in following) >= speakers:
        return True
    steps = max(1, len(turns) - 1)
    ordered = sum(max(c.values()) for c in following.values())
    again = sum(c[name] for name, c in following.items())
    likely = MAX_ORDERED if speakers > MANY_SPEAKERS else STRICTLY_ORDERED
    if again > MAX_RUNS * steps or (speakers > 2 and ordered > likely * steps):
        return True
    if ordered > STRICTLY_ORDERED * steps and _has_uniform_value(text, where, said, set(turns)):
        return True
    first = Counter(name for i, name in enumerate(said) if name and i and text[where[i] - 2 : where[i]] == "\n\n")
    paragraphs = sum(first.values())
    return speakers > 2 and paragraphs > 2 and max(first.values()) >= 0.8 * paragraphs


def _has_uniform_value(text: str, where: list[int], said: list[str], names: set[str]) -> bool:
    """Whether what one of two speakers says always has the same shape, as dates and addresses do and speech has not."""
    shapes: dict[str, set[tuple[int, bool]]] = {}
    for name, start, end in zip(said, where, [*where[1:], len(text)], strict=True):
        if name in names:
            line = text[start:end].rstrip()
            shapes.setdefault(name, set()).add(
                (len(line.split()) + len(_UNSPACED.findall(line)), line[-1] in ".?!…。！？؟।")
            )
    return any(len(found) == 1 and not next(iter(found))[1] for found in shapes.values())


def _layout(text: str, starts: list[int], parents: list[int], heads: list[int], flags: list[int]) -> RecordLayout:
    """Cuts what is still too long and puts the units together."""
    pieces = NodePieces.cut(text, starts, length_splits)
    unit_heads = pieces.units(heads)
    own = np.arange(len(pieces.of), dtype=np.int32)
    return RecordLayout(
        "dialogue",
        text,
        pieces.spans,
        pieces.parents(parents),
        np.array(flags, np.uint16)[pieces.of],
        None,
        unit_heads,
        np.where(unit_heads >= 0, unit_heads, own).astype(np.int32),
        np.full(len(own), -1, np.int32),
        (),
    )
