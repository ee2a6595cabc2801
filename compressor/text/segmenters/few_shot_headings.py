"""Examples under headings: `### Example 1`, `**Beispiel 2:**`, `-- Example: count the users`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from compressor.text.segmenters.few_shot_lines import LineKind, TextLine, fold_fences, read_label, read_lines
from compressor.text.segmenters.few_shot_rows import read_rows
from compressor.text.segmenters.few_shot_shape import ExampleRun, match_shapes
from compressor.text.segmenters.few_shot_words import IN_LABELS, NOUN_SOURCE, OUT_LABELS

MIN_HEADED = 2
_HEAD = re.compile(
    rf"(?P<mark>[ \t]*(?:#{{1,6}}[ \t]+|\*\*|__|\[|\(|--+[ \t]*|//+[ \t]*|;+[ \t]*|=+[ \t]*)?)(?P<noun>{NOUN_SOURCE})"
    r"[ \t]*(?:#|№|no\.?|nr\.?|n[°º])?[ \t]*"
    r"(?P<number>\(?\d{1,3}\)?|[A-Z](?![\w'’])|[一二三四五六七八九十](?![^\W\d_]))?"
    r"(?P<end>[ \t]*(?:[:：.)\]*_=—–-]|$)[:：.)\]*_=—–\- \t]*)(?P<rest>.*)$",
    re.IGNORECASE,
)
_NUMERALS = {sign: number for number, sign in enumerate("一二三四五六七八九十", 1)}
_COMMENTS = ("--", "//", "#", ";")
_ARROW = re.compile(r"->|=>|→|⇒|⟶")


@dataclass(frozen=True, slots=True)
class HeadedList:
    """Examples that each stand under a heading of their own.

    Attributes:
        runs: Those that have the shape of the others.
        start: The offset of the first heading.
        end: Behind the last example, or behind its heading if its end cannot be told.
        size: How many belong to the list.
        labels: The labels of their fields.
        heads: Start and end of each heading.
        is_clear: Whether each has an answer that is marked as one; otherwise the list must be announced besides.
        min_size: How many must belong to it.
    """

    runs: list[ExampleRun]
    start: int
    end: int
    size: int
    labels: tuple[str, ...]
    heads: list[tuple[int, int]]
    is_clear: bool
    min_size: int = MIN_HEADED


@dataclass(frozen=True, slots=True)
class _Head:
    index: int
    form: tuple[str, str, bool]
    number: int
    rest: str


def read_head(text: str, line: TextLine) -> tuple[str, str] | None:
    """Returns the form and the noun of a heading of an example, or None."""
    head = _read(text, line, 0)
    return None if head is None else (head.form[0], head.form[1])


def head_rest(text: str, line: TextLine) -> str | None:
    """Returns what stands beside the number in a heading of an example, or None if the line is no such heading."""
    head = _read(text, line, 0)
    return None if head is None else head.rest


def _read(text: str, line: TextLine, index: int) -> _Head | None:
    if line.kind not in (LineKind.TEXT, LineKind.HEADING):
        return None
    first = text.rfind("\n", 0, line.start) + 1
    found = _HEAD.match(text[first : line.end])
    if found is None:
        return None
    sign = (found["number"] or "").strip("()")
    if not sign:
        number = -1
        if not found["end"].strip():
            if not found["mark"].strip() or found["rest"]:
                return None
        elif ":" not in found["end"] and "：" not in found["end"] and not found["mark"].strip():
            return None
    elif sign.isdigit():
        number = int(sign)
    else:
        number = _NUMERALS.get(sign) or ord(sign.upper()) - ord("A") + 1
    rest = found["rest"].strip(" \t*_#=")
    return _Head(index, (found["mark"].strip(), found["noun"].lower(), number >= 0), number, rest)


def find_headed_lists(text: str, lines: Sequence[TextLine]) -> list[HeadedList]:
    """Returns the lists of headed examples in a prompt, in order."""
    heads: list[_Head] = []
    fences: list[int] = []
    for i, line in enumerate(lines):
        if line.kind is LineKind.FENCE:
            fences.append(i)
        elif (head := _read(text, line, i)) is not None:
            heads.append(head)
    out: list[HeadedList] = []
    for _, group in groupby(
        enumerate(heads), lambda item: (item[1].form, item[1].number - item[0] if item[1].form[2] else 0)
    ):
        own = [head for _, head in group]
        if len(own) < MIN_HEADED or (own[0].form[2] and own[0].number > 1):
            continue
        before = sum(i < own[0].index for i in fences)
        stop = fences[before] if before % 2 and before < len(fences) else len(lines)
        own = [head for head in own if head.index < stop]
        follower = next((head.index for head in heads if head.index > own[-1].index), stop)
        found = _read_list(text, lines, own, min(stop, follower), before % 2 == 1)
        if found is not None:
            out.append(found)
    return out


def _read_list(
    text: str, lines: Sequence[TextLine], own: Sequence[_Head], stop: int, fenced: bool
) -> HeadedList | None:
    spans = [(lines[head.index].start, lines[head.index].end) for head in own]
    if all(head.rest for head in own):
        rows = read_rows([lines[head.index] for head in own])
        bodies = [lines[a.index + 1 : b.index] for a, b in pairwise(own)]
        if rows is not None and not any(line.kind is not LineKind.BLANK for body in bodies for line in body):
            return HeadedList(rows.runs, rows.start, rows.end, rows.size, rows.labels, spans, True)
    is_comment = own[0].form[0] in _COMMENTS and all(head.rest and not head.form[2] for head in own)
    marks = {lines[head.index].start: head for head in own}
    folded: list[TextLine] = []
    for line in fold_fences(list(lines[own[0].index : stop])):
        folded.append(line)
        if (head := marks.get(line.start)) is not None and head.rest and not is_comment:
            folded.append(TextLine(line.start, line.end, head.rest, LineKind.TEXT))
    if is_comment:
        folded = _fold_statements(folded, set(marks))
    places = [
        i for i, line in enumerate(folded) if line.start in marks and (i == 0 or folded[i - 1].start != line.start)
    ]
    if len(places) < MIN_HEADED:
        return None
    shapes = match_shapes(text, folded, places, headed=True)
    if shapes.shape is None or not shapes.size:
        return None
    names, _, sizes = shapes.shape
    labels = tuple(name for name in names if name)
    clear = (is_comment and not fenced) or _has_answer(labels)
    clear = clear or (not labels and all(_ARROW.search(head.rest) for head in own))
    inside = _fenced_labels(text, shapes.runs) if not labels and sizes == (1,) else None
    clear = clear or (inside is not None and _has_answer(inside))
    if (
        not clear
        and len(labels) < 2
        and inside is None
        and not (is_comment or sum(sizes) == 2 or len(sizes) == 2 or _has_arrow(text, shapes.runs))
    ):
        return None
    end = max(shapes.runs[-1].end, spans[-1][1])
    least = 1 if len(labels) > 1 and sizes == (1,) else MIN_HEADED  # an answer of one line has no room for more
    return HeadedList(shapes.runs, spans[0][0], end, shapes.size, labels, spans, clear, least)


def _fenced_labels(text: str, runs: Sequence[ExampleRun]) -> tuple[str, ...] | None:
    """The labels that all examples have, if each is a heading with one fenced block; otherwise None."""
    out: list[str] | None = None
    for run in runs:
        for a, b in zip(run.starts, [*run.starts[1:], run.end], strict=True):
            lines = [line for line in read_lines(text[a:b]) if line.kind is not LineKind.BLANK]
            if len(lines) < 4 or (lines[1].kind, lines[-1].kind) != (LineKind.FENCE, LineKind.FENCE):
                return None
            names = [one.name for line in lines[2:-1] if (one := read_label(line.text)) is not None]
            out = names if out is None else [name for name in out if name in set(names)]
    return None if out is None else tuple(dict.fromkeys(out))


def _has_answer(labels: Sequence[str]) -> bool:
    """Whether an answer is among two labels or more; what one example is given is another's answer, as a review is."""
    return len(labels) > 1 and (bool(set(labels) & OUT_LABELS) or labels[-1] in IN_LABELS)


def _has_arrow(text: str, runs: Sequence[ExampleRun]) -> bool:
    return all(
        _ARROW.search(text, a, b) for run in runs for a, b in zip(run.starts, [*run.starts[1:], run.end], strict=True)
    )


def _fold_statements(lines: Sequence[TextLine], heads: set[int]) -> list[TextLine]:
    """The lines with each statement up to its semicolon as one."""
    out: list[TextLine] = []
    for line in lines:
        last = out[-1] if out else None
        joins = (
            last is not None
            and line.kind is LineKind.TEXT
            and last.kind is LineKind.TEXT
            and line.start not in heads
            and last.start not in heads
            and not last.text.endswith(";")
        )
        if joins and last is not None:
            out[-1] = TextLine(last.start, line.end, f"{last.text}\n{line.text}", LineKind.TEXT)
        else:
            out.append(line)
    if not any(line.text.endswith(";") for line in out):
        return list(lines)
    return out
