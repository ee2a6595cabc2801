"""What may be a list of examples in a prompt, and which of these are announced as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from compressor.text.segmenters.few_shot_announcements import (
    MAX_LEAD_LINES,
    Announcement,
    forbids,
    is_knowledge,
    mentions_examples,
    read_announcement,
    sentences,
)
from compressor.text.segmenters.few_shot_elements import find_element_lists
from compressor.text.segmenters.few_shot_headings import find_headed_lists
from compressor.text.segmenters.few_shot_json import JsonExamples, find_named_arrays, read_json_array
from compressor.text.segmenters.few_shot_lines import LineKind, TextLine, fold_fences, read_lines
from compressor.text.segmenters.few_shot_notes import runs_without_notes
from compressor.text.segmenters.few_shot_obligations import OBLIGES
from compressor.text.segmenters.few_shot_rows import read_rows
from compressor.text.segmenters.few_shot_shape import ExampleRun, label_of, match_shapes
from compressor.text.segmenters.few_shot_words import ANY_NOUN, CONTEXT_LABELS, OUT_LABELS, TALK_LABELS

MIN_EXAMPLES = 2  # that make a list
MIN_BLOCKS = 2  # parts between rules, which have no labels, besides the last one
MAX_TAIL_CHARS = 600  # characters after a list that may say what it is
_SKIPPED = (LineKind.BLANK, LineKind.RULE, LineKind.FENCE)


@dataclass(frozen=True, slots=True)
class ExampleCandidate:
    """What may be a list of examples.

    Attributes:
        runs: Examples that follow each other.
        start: Where it begins, with a table's header.
        end: Where it ends.
        labels: Labels of the fields.
        needs: How it must be announced.
        is_self: Whether its elements or headings say that they are examples.
        heads: Start and end of its headings, and of examples that stay.
        min_size: How many examples it must have.
        is_loose: Whether nothing marks an answer in its examples.
    """

    runs: Sequence[ExampleRun]
    start: int
    end: int
    labels: tuple[str, ...]
    needs: Announcement
    is_self: bool = False
    heads: Sequence[tuple[int, int]] = ()
    min_size: int = MIN_EXAMPLES
    is_loose: bool = False


def _from_json(records: JsonExamples, is_self: bool) -> ExampleCandidate:
    starts = (records.start, *(a for a, _ in records.items[1:]))
    labels = ("user", "assistant") if records.is_talk else ()
    needs, runs = Announcement.NONE if is_self else Announcement.PLAIN, [ExampleRun(starts, records.end)]
    return ExampleCandidate(runs, records.start, records.end, labels, needs, is_self)


class ExamplePrompt:
    """A prompt in which lists of examples are looked for.

    Args:
        text: The prompt.
    """

    def __init__(self, text: str) -> None:
        self._text, self._lines = text, (lines := read_lines(text))
        self._starts = [line.start for line in lines]
        self._said = [read_announcement(line) if ANY_NOUN.search(line.text) else Announcement.NONE for line in lines]
        self._headings = [i for i, line in enumerate(lines) if line.kind is LineKind.HEADING and not self._said[i]]

    def elements(self) -> list[ExampleCandidate]:
        """Returns the lists of elements."""
        return [
            ExampleCandidate(
                one.runs,
                one.start,
                one.end,
                (),
                Announcement.NONE if one.is_marked or one.has_pairs else Announcement.PLAIN,
                True,
                is_loose=not one.is_marked,
            )
            for one in find_element_lists(self._text)
            if one.is_marked or not one.is_sample
        ]

    def named_arrays(self) -> list[ExampleCandidate]:
        """Returns the JSON objects that hold nothing but examples."""
        return [_from_json(one, True) for one in find_named_arrays(self._text)]

    def headed(self) -> list[ExampleCandidate]:
        """Returns the lists of examples under headings."""
        return [
            ExampleCandidate(
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

    def announced(self) -> list[ExampleCandidate]:
        """Returns the lists of all other notations; each stands behind what announces it."""
        out: list[ExampleCandidate] = []
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

    def _list_at(self, first: int, stop: int) -> ExampleCandidate | None:
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
            return ExampleCandidate(rows.runs, rows.start, rows.end, rows.labels, needs)
        return self._labelled(region) or self._between_rules(region)

    def _labelled(self, region: list[TextLine]) -> ExampleCandidate | None:
        label = label_of(self._text, region[0]) if region else None
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
        labels = found.shape[0] if found.shape is not None and found.runs else ()
        if found.shape is None or len(labels) < 2:
            return None
        known = bool(set(labels) & OUT_LABELS) and not set(labels) <= TALK_LABELS
        needs = Announcement.QUALIFIED if known else Announcement.PLAIN
        # An answer of one line has no room for an instruction.
        least = 1 if found.shape[2] == (1,) and found.total > MIN_EXAMPLES else MIN_EXAMPLES
        return ExampleCandidate(found.runs, region[0].start, found.runs[-1].end, labels, needs, min_size=least)

    def _between_rules(self, region: list[TextLine]) -> ExampleCandidate | None:
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
        for block in blocks[:-2]:  # the last one between rules may be an instruction
            inked = [k for k, line in enumerate(block) if line.kind is LineKind.TEXT]
            if not inked:
                continue
            gaps = sum(b - a > 1 for a, b in pairwise(inked))
            is_pair = (len(inked) == 2) or gaps == 1
            if not is_pair or any(OBLIGES.search(block[k].text) for k in inked):
                break
            parts.append(ExampleRun((block[inked[0]].start,), block[inked[-1]].end))
        if len(parts) < MIN_BLOCKS:
            return None
        run = ExampleRun(tuple(part.starts[0] for part in parts), parts[-1].end)
        return ExampleCandidate([run], run.starts[0], run.end, (), Announcement.PLAIN)

    def without_notes(self, one: ExampleCandidate) -> ExampleCandidate:
        """Returns a list without the examples that carry a note; see `few_shot_notes`."""
        is_clear = one.is_self or self._lead(one.start)[1] is Announcement.PLAIN
        runs = runs_without_notes(self._text, one.runs, is_clear)
        return replace(one, runs=runs, heads=[*one.heads, *((run.start, run.end) for run in one.runs)])

    def accepted(self, found: Sequence[ExampleCandidate]) -> list[ExampleCandidate]:
        """Returns those that are announced and that nothing in the prompt forbids to take for examples."""
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
            title, context = self._title(one.start), bool(CONTEXT_LABELS & set(one.labels[:-1]))
            if not forbids(lead, tail, about, title, is_self=one.is_self, is_loose=one.is_loose, has_context=context):
                out.append(one)
        return out

    def _sentences_outside(self, found: Sequence[ExampleCandidate]) -> list[tuple[str, int]]:
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
