"""Finds examples that carry a note: a condition, a warning, an exception or an instruction beside what they show.

A note has no shape of its own: it may be a parenthesis in one answer, a second clause, a second sentence. What marks it
is that the other examples of the list have nothing like it. So each part of an example (what is given, its answer, a
cell of a table, a JSON value) is compared with the same part of the others, and one that has more stays in the prompt.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import east_asian_width

from compressor.text.segmenters.few_shot_headings import head_rest
from compressor.text.segmenters.few_shot_json import json_example_layout
from compressor.text.segmenters.few_shot_lines import LineKind, read_lines
from compressor.text.segmenters.few_shot_obligations import NOTES, OBLIGES, OBLIGES_FIRST
from compressor.text.segmenters.few_shot_shape import MIN_MODE, MIN_OBLIGING, ExampleRun, label_of

MAX_LABEL_WIDTH, MAX_LABEL_WORDS = 24, 3  # an answer that is usually no longer is a label
MAX_COMMON = 0.2  # share of the others that have as much, below which an example has more than is usual
LONG_RATIO, LONG_LABEL, LONG_PROSE = 3.0, 20, 60  # a part so many times as long, and so much longer, has an addition
LONG_WORDS_RATIO, LONG_WORDS = 2.5, 12  # the same beside labels, with three more words
LONG_GIVEN = 1.25  # a request this many times, and 8 characters, longer than is usual may have an instruction behind it

_TAG = re.compile(r"</?[^\W\d_][\w-]{0,39}((?:\s[^<>\n]{0,200})?)>")
_BULLET = re.compile(r"[\s>]*(?:[*•–+-][ \t]+)?(?:\(?\d{1,3}[.)][ \t]+)?")
_CELL = re.compile(r"\s(?:->|=>|→|⇒|⟶|-->|==>|~>|⟹|↦)\s|(?<=\S)(?:→|⇒|⟶|⟹)(?=\S)|\t|(?<!\\)\|")
_INLINE = re.compile(
    r"(?:^|(?<=[\s|,;(/]))\**(?P<label>[^\W\d_][\w-]{0,20})(?: ?#?\d{1,3})?\**[:：](?=\s|[^\x00-\x7f])"
)
_CODE = re.compile(r"[^\W\d]\w{0,40}\([^()\n]{0,80}\)|[;}]\s*$|^[{<]|\w\s?=\s?[\w\"']")
_STRING = re.compile(r"'[^\n]*'|\"[^\"\n]*\"")
_COMMENT = re.compile(r"(?:--|//|#|/\*|<!--)(?=\s)")
_EDGE = " \t\r\n*_`\"'“”„«»‘’「」『』|-•"
_WORD = re.compile(r"\w+")
_PARENTHESIS = re.compile(r"[(（\[［【〔{]")
_DASH = re.compile(r"[;；؛·]|\s(?:-{1,3}|–|—|//|#|\*+)\s|—|——|\s(?:#|//|--)(?=\w)|…\s")
_COLON = re.compile(r"[:：](?!//)(?=\s|[^\x00-\x7f])")
_MARK = re.compile(r"[*_<>|\"“”„«»「」#~=†‡§\\]|[-=~]>|[→⇒⟶]")
_COMMA = re.compile(r"[,，、،]")
_CALL = re.compile(r"[!！]")
_SENTENCE = re.compile(r"[.!?…؟][\"'”»)\]]*\s+(?=\S)|[。！？](?=[^\s」』）)\"”])|\n+")
_ONE_WORD = re.compile(r"[(（\[]\w+[)）\]]")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]")
_SIGN = re.compile("[⚠❗‼❕⛔🚫†‡※★]|\\*\\*\\*|\\b(?:NB|N\\.B\\.|PS|P\\.S\\.)(?=\\W)")
_CLAUSE = re.compile(
    rf"{_PARENTHESIS.pattern}|{_DASH.pattern}|{_COLON.pattern}|{_COMMA.pattern}|[.!?…؟。！？][\"'”»)\]]*|\n"
)


@dataclass(frozen=True, slots=True)
class _Part:
    """What one part of an example has that may be an addition."""

    counts: tuple[int, ...]  # parentheses, clauses, further sentences, colons, marks
    code_counts: tuple[int, ...]  # the same in strings, and comments
    is_code: bool
    label_counts: tuple[int, ...]  # commas; exclamation marks, odd beside labels only
    width: int
    words: int


def runs_without_notes(text: str, runs: Sequence[ExampleRun], may_oblige: bool) -> list[ExampleRun]:
    """Returns the runs of a list without the examples that carry a note.

    A JSON array is one list: it stays whole if one of its records carries a note.

    Args:
        text: The prompt.
        runs: The examples of one list.
        may_oblige: See `notes_in`.
    """
    spans = [span for run in runs for span in zip(run.starts, [*run.starts[1:], run.end], strict=True)]
    if not spans:
        return []
    array = json_example_layout(text[runs[0].start : runs[0].end]) if len(runs) == 1 else None
    if array is not None and array.items is not None:
        notes = notes_in([array.text[a:b] for a, b in array.items.tolist()], may_oblige)
        return [] if any(notes) else list(runs)
    notes = notes_in([text[a:b] for a, b in spans], may_oblige)
    out: list[ExampleRun] = []
    starts = {run.start for run in runs}
    joins = False
    for (a, b), note in zip(spans, notes, strict=True):
        joins = joins and a not in starts
        if note:
            joins = False
            continue
        end = a + len(_trimmed(text[a:b]))
        out[-1:] = [ExampleRun((*out[-1].starts, a), end)] if joins else [*out[-1:], ExampleRun((a,), end)]
        joins = True
    return out


def _trimmed(text: str) -> str:
    """An example without the white space and the rules behind it."""
    while True:
        text = text.rstrip()
        head, _, last = text.rpartition("\n")
        if not head or len(last.strip()) < 3 or set(last.strip()) - set("-=*_~#"):
            return text
        text = head


def notes_in(texts: Sequence[str], may_oblige: bool) -> list[bool]:
    """Returns which examples of a list carry a note. Linear in the text, but for sorting.

    Args:
        texts: The examples.
        may_oblige: Whether examples may oblige if nearly all do, as replies of a help desk may.
    """
    names = _common_names(texts)
    return parts_with_notes([_split(text, names) for text in texts], may_oblige)


def parts_with_notes(split: Sequence[list[str]], may_oblige: bool) -> list[bool]:
    """Returns which examples of a list carry a note.

    Args:
        split: The parts of each example.
        may_oblige: See `notes_in`.
    """
    sizes = Counter(map(len, split))
    size, count = sizes.most_common(1)[0]
    has_mode = count >= MIN_MODE * len(split)
    if not has_mode:
        split, size = [["\n".join(parts)] for parts in split], 1
    odd = [len(parts) != size for parts in split]
    given = 0
    for column in range(size):
        places = [k for k, parts in enumerate(split) if len(parts) == size]
        read = [_read(split[k][column]) for k in places]
        if column == 0 and size > 1:
            given = _middle([part.width for part in read])
        for k, is_odd in zip(places, _odd_parts(read, is_given=column == 0 and size > 1), strict=True):
            odd[k] = odd[k] or is_odd
    obliging = [_obliges(parts, given) for parts in split]
    is_usual = may_oblige and len(split) > 2 and sum(obliging) >= MIN_OBLIGING * len(split)
    signs = [any(map(_SIGN.search, parts)) for parts in split]
    has_signs = 2 * sum(signs) > len(signs)
    return [a or (b and not is_usual) or (c and not has_signs) for a, b, c in zip(odd, obliging, signs, strict=True)]


def _odd_parts(parts: Sequence[_Part], is_given: bool) -> list[bool]:
    """Which of the same parts of all examples have more than the others.

    Args:
        parts: The part of each example.
        is_given: Whether an answer follows: people write as they like.
    """
    width, words = _middle([part.width for part in parts]), _middle([part.words for part in parts])
    is_label = width <= MAX_LABEL_WIDTH and words <= MAX_LABEL_WORDS
    limit = max(LONG_RATIO * width, width + (LONG_LABEL if is_label and not is_given else LONG_PROSE))
    out = [part.width > limit for part in parts]
    if is_label and not is_given:
        short = max(LONG_WORDS_RATIO * width, width + LONG_WORDS)
        out = [a or (part.width > short and part.words > words + 2) for a, part in zip(out, parts, strict=True)]
    is_code = 2 * sum(part.is_code for part in parts) > len(parts)
    kinds = [[part.code_counts if is_code else part.counts for part in parts]]
    if is_given:
        kinds.append([part.label_counts[:1] for part in parts])
    elif is_label:
        kinds.append([part.label_counts for part in parts])
    for kind in kinds:
        for values in zip(*kind, strict=True):
            ordered, middle = sorted(values), _middle(values)
            for k, value in enumerate(values):
                others = len(ordered) - bisect_left(ordered, value) - 1  # others with as many
                is_rare = others < MAX_COMMON * (len(ordered) - 1)
                out[k] = out[k] or (value > middle and (middle == 0 or is_rare))
    return out


def _additions(text: str) -> tuple[int, ...]:
    return tuple(_count(one, text) for one in (_PARENTHESIS, _DASH, _SENTENCE, _COLON, _MARK))


def _middle(values: Sequence[int]) -> int:
    return sorted(values)[(len(values) - 1) // 2]


def _read(text: str) -> _Part:
    text = text.strip(_EDGE)
    return _Part(
        _additions(text),
        (_count(_COMMENT, text), *_additions(" ".join(one.strip(_EDGE) for one in _STRING.findall(text)))),
        bool(_CODE.search(text)),
        tuple(_count(one, text) for one in (_COMMA, _CALL)),
        _width(text),
        _count(_WORD, text) + (_width(text) - len(text)) // 3,
    )


def _width(text: str) -> int:
    return len(text) + sum(east_asian_width(sign) in "WF" for sign in text)


def _count(pattern: re.Pattern[str], text: str) -> int:
    return sum(1 for _ in pattern.finditer(text))


def _obliges(parts: Sequence[str], given: int) -> bool:
    """Whether a part holds words that oblige. One word alone is a label, and people say "never" in a request.

    Args:
        parts: The parts of an example.
        given: The usual width of the first, if an answer follows.
    """
    for k, part in enumerate(parts):
        is_given = k == 0 and len(parts) > 1
        body = _ONE_WORD.sub("", part).strip(_EDGE + ".!?。！？")
        if len(body) < 4 or (len(body.split()) < 2 and not _WIDE.search(body)):
            continue
        clauses = [clause.strip(_EDGE) for clause in _CLAUSE.split(body)]
        if (
            is_given
            and len([clause for clause in clauses if clause]) < 2
            and _width(body) <= max(LONG_GIVEN * given, given + 8)
        ):
            continue
        if OBLIGES.search(body) or NOTES.search(body):
            return True
        if not is_given and any(len(clause) > 3 and OBLIGES_FIRST.match(clause) for clause in clauses[1:]):
            return True
    return False


def _common_names(texts: Sequence[str]) -> frozenset[str]:
    """The labels that at least half of the examples have."""
    counts: Counter[str] = Counter()
    for text in texts:
        lines = read_lines(text)
        found = {one.name for line in lines if (one := label_of(text, line)) is not None}
        counts.update(found | ({one["label"].lower() for one in _INLINE.finditer(text)} if len(lines) < 2 else set()))
    return frozenset(name for name, count in counts.items() if count >= max(2, len(texts) / 2))


def _split(text: str, names: frozenset[str]) -> list[str]:
    """The parts of an example: JSON values, elements, what stands under labels, cells, lines."""
    text = text.strip()
    if text[:1] in ("{", "["):
        try:
            return _leaves(json.loads(f"[{text.rstrip(',')}]"))
        except (ValueError, RecursionError):
            pass
    if text.startswith("<"):
        pieces = [piece for piece in _TAG.split(text) if piece and piece.strip()]
        return [part for piece in pieces for part in _lines(piece, names)]
    return _lines(text, names)


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in _leaves(one)]
    if isinstance(value, list):
        return [leaf for one in value for leaf in _leaves(one)]
    return [str(value)]


def _cells(text: str, names: frozenset[str]) -> list[str]:
    """The cells of a line: between arrows, tabs, bars and labels of the list."""
    text = _BULLET.sub("", text, count=1)
    marks = [one.span() for one in _CELL.finditer(text)]
    marks += [one.span() for one in _INLINE.finditer(text) if one["label"].lower() in names]
    out, at = [], 0
    for start, end in sorted(marks):
        out.append(text[at:start])
        at = max(at, end)
    return [cell for cell in [*out, text[at:]] if cell.strip(_EDGE + ",;；，")]


def _lines(text: str, names: frozenset[str]) -> list[str]:
    lines = [line for line in read_lines(text) if line.kind not in (LineKind.BLANK, LineKind.RULE, LineKind.FENCE)]
    if not lines:
        return []
    rest = head_rest(text, lines[0])
    if rest is None and len(lines) == 1:
        return _cells(lines[0].text, names)
    head = [] if rest is None else _cells(rest, names)
    out: list[str] = []
    is_labelled = False
    for line in lines if rest is None else lines[1:]:
        label = label_of(text, line)
        if label is not None and label.name in names:
            out.append(label.rest)
            is_labelled = True
        elif is_labelled:
            out[-1] = f"{out[-1]}\n{line.text}" if out[-1] else line.text
        else:
            out.append(line.text)
    return [*head, *(out if is_labelled or len(out) < 3 else [out[0], "\n".join(out[1:])])]
