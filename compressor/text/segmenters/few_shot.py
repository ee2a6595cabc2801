"""Finds lists of few-shot examples in a prompt.

The rules are conservative: an instruction taken for an example could be cut, while an example taken for an instruction
only costs tokens. A list is announced as examples, or its elements or headings say that they are; see
`few_shot_announcements`. Examples have one shape; one that differs stays as it is, and the last one ends where that
shape ends; see `few_shot_shape`. A FAQ, a pasted conversation, a specification, or a list that is the work itself does
not match.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compressor.text.segmenters.few_shot_announcements import (
    MAX_LEAD_LINES,
    Announcement,
    forbids,
    is_knowledge,
    mentions_examples,
    read_announcement,
    sentences,
)
from compressor.text.segmenters.few_shot_elements import element_starts, find_element_lists
from compressor.text.segmenters.few_shot_headings import find_headed_lists, read_head
from compressor.text.segmenters.few_shot_json import (
    JsonExamples,
    find_named_arrays,
    json_example_layout,
    read_json_array,
)
from compressor.text.segmenters.few_shot_lines import LineKind, TextLine, fold_fences, read_lines
from compressor.text.segmenters.few_shot_rows import read_rows
from compressor.text.segmenters.few_shot_shape import ExampleRun, label_of, match_shapes
from compressor.text.segmenters.few_shot_words import ANY_NOUN, OBLIGES, OUT_LABELS, TALK_LABELS
from compressor.text.segmenters.span_layout import SpanLayout, build_layout

MIN_EXAMPLES = 2  # examples that make a list
MIN_BLOCKS = 3  # parts between rules, which have no labels
MAX_TAIL_CHARS = 600  # characters after a list that may say what it is
_SKIPPED = (LineKind.BLANK, LineKind.RULE, LineKind.FENCE)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What may be a list of examples.

    Attributes:
        runs: Examples that follow each other.
        start: Where it begins, with a table's header.
        end: Where it ends.
        labels: Labels of the fields.
        needs: How it must be announced.
        is_self: Whether its elements or headings say that they are examples.
        heads: Start and end of its headings.
        min_size: How many examples it must have.
    """

    runs: Sequence[ExampleRun]
    start: int
    end: int
    labels: tuple[str, ...]
    needs: Announcement
    is_self: bool = False
    heads: Sequence[tuple[int, int]] = ()
    min_size: int = MIN_EXAMPLES


def find_examples(text: str) -> list[ExampleRun]:
    """Returns the lists of examples in a prompt, in order and without overlap.

    A list that something interrupts is several. Linear in the text.
    """
    if not ANY_NOUN.search(text):
        return []
    lines = read_lines(text)
    prompt = _Prompt(text, lines)
    out: list[_Candidate] = []
    for one in [
        *prompt.elements(),
        *prompt.named_arrays(),
        *prompt.headed(),
        *prompt.announced(),
    ]:  # the clearest notation first
        if sum(len(run.starts) for run in one.runs) < one.min_size:
            continue
        if all(one.end <= other.start or one.start >= other.end for other in out):
            out.append(one)
    runs = [run for one in prompt.accepted(out) for run in one.runs]
    return sorted(runs, key=lambda run: run.starts[0])


def segment_examples(text: str) -> SpanLayout:
    """Divides a list into its examples; a text in which none are told apart is one unit."""
    layout = json_example_layout(text)
    if layout is not None:
        return layout
    starts = _starts(text)
    return build_layout("example", text, np.array([0, *(a for a in starts if a > 0)], np.int32), max_chars=0)


def _starts(text: str) -> list[int]:
    """Where the examples of a list begin that was found before."""
    if text.startswith("<") and (starts := element_starts(text)):
        return starts
    lines = fold_fences(read_lines(text)) or read_lines(text)
    first = next((line for line in lines if line.kind is not LineKind.BLANK), None)
    if first is None:
        return []
    head = read_head(text, first)
    if head is not None:
        return [line.start for line in lines if read_head(text, line) == head]
    label = label_of(text, first)
    if label is not None:
        starts = [
            line.start
            for line in lines
            if (one := label_of(text, line)) is not None and (one.name, one.lead) == (label.name, label.lead)
        ]
        if len(starts) > 1 or len({line.text.split(":")[0] for line in lines}) > 1:
            rows = [line for line in lines if line.kind is not LineKind.BLANK]
            return starts if len(starts) > 1 or read_rows(rows) is None else [line.start for line in rows]
    rules = [i for i, line in enumerate(lines) if line.kind is LineKind.RULE]
    if rules:
        return [first.start, *(lines[i + 1].start for i in rules if i + 1 < len(lines))]
    return [line.start for line in lines if line.kind is not LineKind.BLANK]


def _from_json(records: JsonExamples, is_self: bool) -> _Candidate:
    starts = (records.start, *(a for a, _ in records.items[1:]))
    labels = ("user", "assistant") if records.is_talk else ()
    needs = Announcement.NONE if is_self else Announcement.PLAIN
    return _Candidate([ExampleRun(starts, records.end)], records.start, records.end, labels, needs, is_self)


class _Prompt:
    """A prompt in which lists of examples are looked for."""

    def __init__(self, text: str, lines: list[TextLine]) -> None:
        self._text, self._lines = text, lines
        self._starts = [line.start for line in lines]
        self._said = [read_announcement(line) if ANY_NOUN.search(line.text) else Announcement.NONE for line in lines]
        self._headings = [i for i, line in enumerate(lines) if line.kind is LineKind.HEADING and not self._said[i]]

    def elements(self) -> list[_Candidate]:
        return [
            _Candidate(
                one.runs, one.start, one.end, (), Announcement.NONE if one.has_pairs else Announcement.PLAIN, True
            )
            for one in find_element_lists(self._text)
        ]

    def named_arrays(self) -> list[_Candidate]:
        return [_from_json(one, True) for one in find_named_arrays(self._text)]

    def headed(self) -> list[_Candidate]:
        return [
            _Candidate(
                one.runs,
                one.start,
                one.end,
                one.labels,
                Announcement.NONE if one.is_clear else Announcement.PLAIN,
                True,
                one.heads,
                one.min_size,
            )
            for one in find_headed_lists(self._text, self._lines)
        ]

    def announced(self) -> list[_Candidate]:
        """The lists of all other notations; each stands behind what announces it."""
        out: list[_Candidate] = []
        size = len(self._lines)
        said = [i for i in range(size) if self._said[i]]
        for place, i in enumerate(said):
            stop = said[place + 1] if place + 1 < len(said) else size
            first = self._next_content(i + 1, stop)
            found = None
            while first < stop and found is None:
                found = self._list_at(first, stop)
                if found is None:
                    after = next((j for j in range(first, stop) if self._lines[j].kind is LineKind.BLANK), stop)
                    again = self._next_content(after, stop)
                    is_heading = self._lines[i].kind is not LineKind.TEXT or len(self._lines[i].text) < 30
                    first = again if is_heading and first == self._next_content(i + 1, stop) else stop
            if found is not None:
                out.append(found)
        return out

    def _next_content(self, index: int, stop: int) -> int:
        while index < stop and (
            self._lines[index].kind in _SKIPPED or (self._lines[index].kind is LineKind.OPEN and self._said[index])
        ):
            index += 1
        return index

    def _list_at(self, first: int, stop: int) -> _Candidate | None:
        """The list that begins with a line, if any does."""
        text, start = self._text, self._lines[first].start
        at = start + len(text[start : self._lines[first].end]) - len(text[start : self._lines[first].end].lstrip())
        if text[at] in "[{" and (records := read_json_array(text, at)) is not None:
            return _from_json(records, False)
        fence = next((j for j in range(first - 1, -1, -1) if self._lines[j].kind is not LineKind.BLANK), -1)
        inside = fence >= 0 and self._lines[fence].kind is LineKind.FENCE
        if inside:
            stop = next((j for j in range(first, stop) if self._lines[j].kind is LineKind.FENCE), stop)
        region = self._lines[first:stop] if inside else fold_fences(self._lines[first:stop])
        if inside and stop < len(self._lines):
            region = [*region, self._lines[stop]]
        rows = read_rows(region)
        if rows is not None:
            known = bool(set(rows.labels) & OUT_LABELS) and not set(rows.labels) <= TALK_LABELS
            needs = Announcement.QUALIFIED if known else Announcement.PLAIN
            return _Candidate(rows.runs, rows.start, rows.end, rows.labels, needs)
        return self._labelled(region) or self._between_rules(region)

    def _labelled(self, region: list[TextLine]) -> _Candidate | None:
        if not region:
            return None
        label = label_of(self._text, region[0])
        if label is None:
            return None
        heads = [
            i
            for i, line in enumerate(region)
            if (one := label_of(self._text, line)) is not None and (one.name, one.lead) == (label.name, label.lead)
        ]
        if len(heads) < MIN_EXAMPLES:
            return None
        found = match_shapes(self._text, region, heads, headed=False)
        if found.shape is None or not found.runs or len(found.shape[0]) < 2:
            return None
        labels = found.shape[0]
        known = bool(set(labels) & OUT_LABELS) and not set(labels) <= TALK_LABELS
        needs = Announcement.QUALIFIED if known else Announcement.PLAIN
        # An answer of one line has no room for an instruction.
        least = 1 if found.shape[2] == (1,) and found.total > MIN_EXAMPLES else MIN_EXAMPLES
        return _Candidate(found.runs, region[0].start, found.runs[-1].end, labels, needs, min_size=least)

    def _between_rules(self, region: list[TextLine]) -> _Candidate | None:
        """Parts of two lines or paragraphs between rules. What is behind the last rule may be anything."""
        blocks: list[list[TextLine]] = [[]]
        for line in region:
            if line.kind is LineKind.RULE:
                blocks.append([])
            elif line.kind is LineKind.TEXT or line.kind is LineKind.BLANK:
                blocks[-1].append(line)
            else:
                break
        parts: list[ExampleRun] = []
        for block in blocks[:-1]:
            inked = [k for k, line in enumerate(block) if line.kind is LineKind.TEXT]
            if not inked:
                continue
            gaps = sum(b - a > 1 for a, b in zip(inked, inked[1:], strict=False))
            is_pair = (len(inked) == 2) or gaps == 1
            if not is_pair or any(OBLIGES.search(block[k].text) for k in inked):
                break
            parts.append(ExampleRun((block[inked[0]].start,), block[inked[-1]].end))
        if len(parts) < MIN_BLOCKS:
            return None
        run = ExampleRun(tuple(part.starts[0] for part in parts), parts[-1].end)
        return _Candidate([run], run.starts[0], run.end, (), Announcement.PLAIN)

    def accepted(self, found: Sequence[_Candidate]) -> list[_Candidate]:
        """Those of the candidates that are announced, and that nothing in the prompt forbids to take for examples."""
        if not found:
            return []
        others = self._sentences_outside(found)
        outside = " ".join(text for text, _ in others)
        knowledge = is_knowledge(outside)
        mentions = [(one, at) for one, at in others if mentions_examples(one)]
        out = []
        for one in found:
            lead, said = self._lead(one.start)
            talk = bool(one.labels) and set(one.labels) <= TALK_LABELS
            if said < one.needs or (talk and knowledge):
                continue
            tail = self._text[one.end : one.end + MAX_TAIL_CHARS].lstrip().split("\n\n", 1)[0]
            about = [text for text, at in mentions if not self._is_title(at)]
            if not forbids(lead, tail, about, self._title(one.start), talk, one.is_self):
                out.append(one)
        return out

    def _sentences_outside(self, found: Sequence[_Candidate]) -> list[tuple[str, int]]:
        """The sentences of the prompt that are in no example and no example's heading, with the index of their line."""
        covered = sorted(
            [(run.starts[0], run.end) for one in found for run in one.runs]
            + [span for one in found for span in one.heads]
        )
        out: list[tuple[str, int]] = []
        k, behind = 0, 0
        for i, line in enumerate(self._lines):
            while k < len(covered) and covered[k][0] <= line.start:
                behind = max(behind, covered[k][1])
                k += 1
            if line.start < behind or line.kind is LineKind.BLANK:
                continue
            out += [(one, i) for one in sentences(line.text)]
        return out

    def _is_title(self, index: int) -> bool:
        """Whether a line does nothing but announce examples."""
        return self._said[index] is Announcement.PLAIN and len(sentences(self._lines[index].text)) == 1

    def _line_before(self, index: int) -> int:
        while index >= 0 and (
            self._lines[index].kind in _SKIPPED or (self._lines[index].kind is LineKind.OPEN and not self._said[index])
        ):
            index -= 1
        return index

    def _lead(self, start: int) -> tuple[list[str], Announcement]:
        """The lines before a list that tell what it is, and how they announce it."""
        last = self._line_before(bisect_right(self._starts, start) - 2)
        if last < 0:
            return [], Announcement.NONE
        first = last
        while first > 0 and last - first < MAX_LEAD_LINES and self._lines[first - 1].kind is not LineKind.BLANK:
            first -= 1
        said = self._said[last]
        above = self._line_before(first - 1)
        if (
            said is Announcement.NONE
            and above >= 0
            and last - first < 3
            and not self._lines[last].text.endswith((":", "："))
        ):
            is_heading = self._lines[above].kind is not LineKind.TEXT or len(self._lines[above].text) < 30
            said = min(self._said[above], Announcement.QUALIFIED) if is_heading else said
        lead = [line.text for line in self._lines[first : last + 1]]
        if above >= 0 and (len(lead) == 1 or said):
            before = above
            while before > 0 and above - before < MAX_LEAD_LINES and self._lines[before - 1].kind is not LineKind.BLANK:
                before -= 1
            lead = [*(line.text for line in self._lines[before : above + 1]), *lead]
        return lead, said

    def _title(self, start: int) -> str:
        """The first line of the prompt, and the nearest heading above a list."""
        index = bisect_right(self._starts, start) - 2
        first = next((line.text for line in self._lines if line.kind is not LineKind.BLANK), "")
        place = bisect_right(self._headings, index) - 1
        heading = self._lines[self._headings[place]].text if place >= 0 else ""
        return f"{first if index >= 0 else ''} {heading}"
