"""The shape of the examples of one list: their labels, paragraphs and lines.

An example belongs to the list if it has the shape of the others. A paragraph or a line that only one of them has may be
an instruction, so that example stays as it is; the last one ends where its shape ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from compressor.caches import held_bytes
from compressor.text.segmenters.few_shot_lines import BOUNDARIES, Label, LineKind, TextLine, read_label
from compressor.text.segmenters.few_shot_obligations import KNOWLEDGE, OBLIGES, OBLIGES_FIRST
from compressor.text.segmenters.few_shot_words import IN_LABELS, OUT_LABELS

MIN_COMMON = 0.6  # share of the examples in which a label is one of the list's labels
MIN_MODE = 2 / 3  # share of the examples that have the same fields
MIN_OBLIGING = 0.75  # share of the examples whose later lines oblige, from which on these are no interjections
BARE_LABELS = IN_LABELS | OUT_LABELS


@dataclass(frozen=True, slots=True)
class ExampleRun:
    """Examples that follow each other. White space and rules between two belong to the one before.

    Attributes:
        starts: The offset of each example.
        end: The end of the last one.
    """

    starts: tuple[int, ...]
    end: int

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory it holds."""
        return 100 + held_bytes(self.starts)

    @property
    def start(self) -> int:
        """The offset of the first example."""
        return self.starts[0]


@dataclass(slots=True)
class ExampleField:
    """A label and what stands under it.

    Attributes:
        label: Its name; "" for what stands directly under a heading.
        paragraphs: Its lines by paragraph. The text beside the label is the first line.
        has_boundary: Whether a heading, a rule or a tag is among the lines.
    """

    label: str
    paragraphs: list[list[TextLine]] = field(default_factory=list)
    has_boundary: bool = False

    @property
    def sizes(self) -> tuple[int, ...]:
        """The lines of each paragraph."""
        return tuple(map(len, self.paragraphs))

    @property
    def later_lines(self) -> list[TextLine]:
        """All lines but the first."""
        return [line for part in self.paragraphs for line in part][1:]


Shape = tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]


def label_of(text: str, line: TextLine) -> Label | None:
    """Returns the label of a line, if it has one."""
    if line.kind not in (LineKind.TEXT, LineKind.HEADING) or line.text == "```":
        return None
    first = text.rfind("\n", 0, line.start) + 1
    source = text[first : line.end]
    return read_label(source if source.strip() == line.text else line.text, BARE_LABELS)


def read_fields(
    text: str, lines: Sequence[TextLine], names: frozenset[str], head: bool, last: bool
) -> list[ExampleField]:
    """Reads one example.

    Args:
        text: The prompt.
        lines: The lines of the example.
        names: Labels that are no part of the text.
        head: Whether the first line is a heading; what stands beside its number is its text.
        last: Whether to stop at the first line that cannot belong to it.
    """
    fields = [ExampleField("")] if head else []
    rows = list(lines)
    while rows and rows[-1].kind in (LineKind.BLANK, LineKind.RULE):
        rows.pop()
    fresh = True
    for k, line in enumerate(rows):
        if head and k == 0:
            continue
        label = label_of(text, line)
        if label is not None and label.name in names:
            fields.append(ExampleField(label.name))
            fresh = True
            if label.rest:
                fields[-1].paragraphs.append([TextLine(line.start, line.end, label.rest, LineKind.TEXT)])
                fresh = False
            continue
        if line.kind is LineKind.BLANK:
            fresh = True
            continue
        if not fields:
            return []
        now = fields[-1]
        if line.kind is LineKind.RULE or (
            line.kind in BOUNDARIES and (now.paragraphs or line.kind is not LineKind.HEADING)
        ):
            if last:
                break
            now.has_boundary = True
        if fresh or not now.paragraphs:
            now.paragraphs.append([])
        now.paragraphs[-1].append(line)
        fresh = False
    return fields


def shape_of(fields: Sequence[ExampleField]) -> Shape | None:
    """Returns the shape of an example, or None if a field is empty."""
    rest = [one for one in fields if one.label or one.paragraphs]
    if not rest or any(not one.paragraphs or one.has_boundary for one in rest):
        return None
    return tuple(one.label for one in rest), tuple(len(one.paragraphs) for one in rest[:-1]), rest[-1].sizes


@dataclass(slots=True)
class ExampleShapes:
    """The examples of one list, with those that have the shape of the others.

    Attributes:
        shape: The shape of the examples that belong to the list; None if none has it.
        runs: Those that belong to the list.
        size: How many belong to it.
        total: How many began, the last one and odd ones included.
    """

    shape: Shape | None
    runs: list[ExampleRun]
    size: int
    total: int


def match_shapes(text: str, lines: Sequence[TextLine], heads: Sequence[int], headed: bool) -> ExampleShapes:
    """Returns which examples of a list have the shape of the others.

    Args:
        text: The prompt.
        lines: Its lines, fences folded.
        heads: The indices of the lines with which an example begins.
        headed: Whether these lines are headings, so that an odd example does not end the list.
    """
    groups = [lines[a:b] for a, b in zip(heads, [*heads[1:], len(lines)], strict=True)]
    names = _common_labels(text, groups, headed)
    parsed = [read_fields(text, rows, names, headed, False) for rows in groups[:-1]]
    final = read_fields(text, groups[-1], names, headed, True)
    shapes = [shape_of(fields) for fields in parsed]
    chosen = _choose_shape([one for one in shapes if one is not None], final)
    if chosen is None:
        return ExampleShapes(None, [], 0, len(groups))
    obliging = [_obliges(fields, chosen) for fields in parsed]
    if len(groups) == 2 and chosen[2] != (1,):  # nothing shows that the second line belongs to an example
        fits = final and len(final[-1].paragraphs) > 0 and shape_of(final) == chosen and headed
        if not fits:
            return ExampleShapes(None, [], 0, 2)
    is_usual = len(parsed) > 2 and sum(obliging) >= MIN_OBLIGING * len(parsed)
    is_tight = not _has_gap(groups[0])
    spans: list[tuple[int, int] | None] = []
    for k, fields in enumerate(parsed):
        start = groups[k][0].start
        if shapes[k] == chosen and (is_usual or not obliging[k]):
            spans.append((start, _end(groups[k])))
            if is_tight and not headed and _has_gap(groups[k]):  # what follows the blank line may be something else
                break
            continue
        spans.append(None)
        if headed or _is_longer_answer(fields, chosen):
            continue
        end = _prefix_end(fields, chosen)
        if end is not None and _speaks(fields[-1].paragraphs[1][0]):
            spans[-1] = (start, end)
        break
    else:
        end = _final_end(lines, final, chosen, is_usual)
        spans.append(None if end is None else (groups[-1][0].start, end))
    return ExampleShapes(chosen, _join(spans), sum(one is not None for one in spans), len(groups))


def _common_labels(text: str, groups: Sequence[Sequence[TextLine]], headed: bool) -> frozenset[str]:
    counts: Counter[str] = Counter()
    for rows in groups:
        found = {one.name for line in rows[headed:] if (one := label_of(text, line)) is not None}
        counts.update(found)
    return frozenset(name for name, count in counts.items() if count >= max(2, MIN_COMMON * len(groups)))


def _choose_shape(shapes: Sequence[Shape], final: Sequence[ExampleField]) -> Shape | None:
    """The commonest fields with the shortest answer: what makes another answer longer may be an instruction."""
    if not shapes:
        return None
    (labels, parts), count = Counter((one[0], one[1]) for one in shapes).most_common(1)[0]
    if count < MIN_MODE * len(shapes):
        return None
    sizes = [one[2] for one in shapes if one[:2] == (labels, parts)]
    last = [one for one in final if one.label or one.paragraphs]
    if last and tuple(one.label for one in last) == labels and last[-1].paragraphs:
        sizes.append(final[-1].sizes)
    return labels, parts, min(sizes, key=lambda one: (len(one), sum(one), one))


def _obliges(fields: Sequence[ExampleField], chosen: Shape) -> bool:
    """Whether a later line of the last field obliges, or a paragraph under a heading that is no field of its own."""
    if not fields:
        return False
    later = fields[-1].later_lines
    if not fields[-1].label and len(fields) == 1 and sum(chosen[2]) == 2:  # the second line is the answer
        later = []
    return any(OBLIGES_FIRST.match(line.text) or OBLIGES.search(line.text) for line in later)


def _is_longer_answer(fields: Sequence[ExampleField], chosen: Shape) -> bool:
    """Whether an odd example only has more or fewer lines in its answer, none of which begins something else."""
    if tuple(one.label for one in fields) != chosen[0] or not fields or fields[-1].has_boundary:
        return False
    last = fields[-1]
    if len(last.paragraphs) != len(chosen[2]) or any(not one.paragraphs for one in fields):
        return False
    return not any(line.text.endswith((":", "：")) or KNOWLEDGE.search(line.text) for line in last.later_lines)


def _prefix_end(fields: Sequence[ExampleField], chosen: Shape) -> int | None:
    """The end of an example if the paragraphs behind it are left out, or None if it has another shape."""
    if len(chosen[2]) != 1 or not fields or len(fields[-1].paragraphs) < 2:
        return None
    last = fields[-1]
    short = [*fields[:-1], ExampleField(last.label, last.paragraphs[:1])]
    return last.paragraphs[0][-1].end if shape_of(short) == chosen else None


def _speaks(line: TextLine) -> bool:
    """Whether a line is certainly not the end of an answer."""
    text = line.text
    return bool(
        line.kind is not LineKind.TEXT
        or OBLIGES_FIRST.match(text)
        or OBLIGES.search(text)
        or text.endswith((":", "："))
    )


def _final_end(lines: Sequence[TextLine], fields: list[ExampleField], chosen: Shape, is_usual: bool) -> int | None:
    """The end of the last example, or None if it cannot be told."""
    if not fields or not fields[-1].paragraphs:
        return None
    last = fields[-1]
    if len(chosen[2]) > 1:  # paragraphs of which the last may be an instruction, unless something closes the list
        end = last.paragraphs[-1][-1].end
        behind = next((line for line in lines if line.start >= end and line.kind is not LineKind.BLANK), None)
        closed = behind is not None and behind.kind is not LineKind.TEXT
        return end if closed and shape_of(fields) == chosen and not _obliges(fields, chosen) else None
    short = [*fields[:-1], ExampleField(last.label, last.paragraphs[:1])]
    if shape_of(short) != chosen or (_obliges(short, chosen) and not is_usual):
        return None
    return last.paragraphs[0][-1].end


def _has_gap(rows: Sequence[TextLine]) -> bool:
    """Whether an example has a blank line or a rule behind it."""
    return rows[-1].kind in (LineKind.BLANK, LineKind.RULE)


def _end(rows: Sequence[TextLine]) -> int:
    return next(row.end for row in reversed(rows) if row.kind not in (LineKind.BLANK, LineKind.RULE))


def _join(spans: Sequence[tuple[int, int] | None]) -> list[ExampleRun]:
    """Joins examples that follow each other to runs."""
    out: list[ExampleRun] = []
    open_ = False
    for span in spans:
        if span is None:
            open_ = False
        elif open_:
            out[-1] = ExampleRun((*out[-1].starts, span[0]), span[1])
        else:
            out.append(ExampleRun((span[0],), span[1]))
            open_ = True
    return out
