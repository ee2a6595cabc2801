"""Tables: CSV and TSV, markdown, psql and mysql output, aligned columns, and Python reprs of rows. A unit is a row.

The header row is the parent of all rows under it. Columns are not cut.
"""

from __future__ import annotations

import re

import numpy as np

from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.lines import Flags, Ints, flag_words, line_starts, total_line
from compressor.text.segmenters.span_layout import SpanLayout, build_layout

#: |---|---|  ---+---  +----+
RULE = re.compile(r"(?=[|+ \t:=-]{0,200}--)[|+ \t:=-]+(?:\r?\n|\Z)")
MAX_RECORD_LINES = 60  # a longer quoted field is taken for a stray quote
MIN_PART_WORDS = 5  # mean words between two commas from which sentences are no rows
_FOOT = re.compile(
    r"[ \t|\"]*(?:(?P<count>\(\d+ rows?\)|\d+ rows? in set|\(\d+ rows? affected\)|\[\d+ rows x \d+ columns\])"
    r"|(?P<total>(?:Grand )?[Tt]otals?\b|TOTAL\b|Sum\b|SUM\b|Average\b|Mean\b))"
)
_QUOTED = re.compile(r'"[^"\n]*"')
_QUOTED_LINES = re.compile(r'"[^"]*"')
_CELL = "0"  # stands for a quoted cell
_READ = 4000  # characters
_GUTTER = re.compile(r"\S(?: {2,}|\t)(?=\S)")
_TROUBLE = ("error", "failed", "crashloop", "oomkilled", "evicted", "imagepull", "unhealthy")
_REPR = re.compile(r"\s*(?:\[(?:[(\[']|\{')|\(\(|\{[('])")
#: A printed list whose elements say their type, such as `rows = [Row(name='x'), Row(name='y')]`. The first may be cut.
_TYPED_REPR = re.compile(r"\s*(?:…\s|(?:\w{1,30} ?= ?|\w{1,30}(?=\())?[\[(])(?P<type>[A-Za-z_]\w{0,60})[({]")
#: The same with angle brackets: `[<Row: x>, <Row: y>]`.
_ANGLED_REPR = re.compile(r"\s*(?:…\s)?[\[(]?<(?P<type>[A-Za-z_][\w.]{0,60})[ :(](?!.{0,2000}</)")
_REPR_ROW = re.compile(r"(?<=[)\]}]),\s(?=[(\[{])")


def segment_table(text: str, hint: str = "") -> SpanLayout:
    """Divides tables into rows. Markdown, box and ruled tables may stand among other lines, several in one text."""
    if not text:
        return build_layout("table", "", [])
    lines = line_starts(text)
    where = lines.tolist()
    rules = [i for i, s in enumerate(where) if text[s] in "-+| \t=:" and RULE.match(text, s)]
    if rules:
        return _ruled(text, where, rules)
    if len(where) < 3 and (row := _repr_row(text)):
        return build_layout("table", text, [0, *(m.end() for m in row.finditer(text))])
    starts = np.array(where, np.int32)
    if '"' in text:
        starts = _records(text, starts)
    n = len(starts)
    flags = _flags(text, starts)
    parents = np.zeros(n, np.int32)
    head = next((i for i, s in enumerate(starts.tolist()) if text[s] not in "\r\n"), 0)
    parents[: head + 1] = -1
    parents[head + 1 :] = head
    if n:
        flags[head] = UnitFlag.HEADER
    return build_layout("table", text, starts, parents, flags, max_chars=4000)


def is_table(sample: str, lines: list[str]) -> bool:
    """Returns whether the lines of a sample look like rows: below a rule, or with equally many cells."""
    row = _repr_row(sample)
    if row is not None and (row is _REPR_ROW or len(lines) < 3):
        return row.search(sample) is not None
    if len(lines) < 3:
        return False
    if any(x.strip()[:1] in ("|", "+", "-") and "-" in x and RULE.match(x) and len(x.strip()) > 3 for x in lines[:4]):
        return True
    plain = [_QUOTED.sub(_CELL, line) for line in lines] if '"' in sample else lines
    if any('"' in line for line in plain):  # line breaks inside quotes
        whole = _QUOTED_LINES.sub(_CELL, sample[:_READ]).split("\n")
        plain = [line for line in (whole[:-1] if len(sample) > _READ else whole) if line.strip()]
        if len(plain) < 3:
            return False
    for cell in "\t|;,":
        counts = [line.count(cell) for line in plain]
        first = counts[0]
        # a comma or semicolon a line may be prose; without a space after it, it is not
        least = 1 if cell in "\t|" or not any(cell + " " in line for line in plain) else 2
        if first >= least and sum(c == first for c in counts) >= 0.8 * len(counts):
            # A separator at the end of a line separates nothing, as in `port = 80,`.
            parted = sum(cell in line.rstrip().rstrip(cell) for line in plain)
            if 2 * parted >= len(plain) and not (cell in ";," and _are_sentences(plain, cell)):
                return True
    wide = [len(_GUTTER.findall(line)) for line in lines]
    return wide[0] >= 2 and sum(abs(w - wide[0]) <= 1 for w in wide) >= 0.8 * len(wide)


def _repr_row(text: str) -> re.Pattern[str] | None:
    """Returns what stands between the rows of a printed list; None if the text does not begin like one."""
    if typed := _TYPED_REPR.match(text):
        return re.compile(rf"(?:(?<=[)\]}}]),|…)\s(?={typed['type']}[({{])")
    if angled := _ANGLED_REPR.match(text):
        return re.compile(rf"(?:(?<=>),?|…)\s(?=<{re.escape(angled['type'])}[ :(])")
    return _REPR_ROW if _REPR.match(text) else None


def _are_sentences(lines: list[str], cell: str) -> bool:
    """Whether lines are sentences that happen to have equally many commas: they end like some, and parts are long."""
    ends = sum(line.rstrip()[-1:] in ".!?" for line in lines)
    parts = sum(line.count(cell) + 1 for line in lines)
    return 2 * ends >= len(lines) and sum(len(line.split()) for line in lines) >= MIN_PART_WORDS * parts


def _records(text: str, starts: Ints) -> Ints:
    """Line starts at which a CSV record begins: not those inside a quoted field. All of them if quotes do not pair."""
    ends = [*starts[1:].tolist(), len(text)]
    odd = np.array([text.count('"', a, b) & 1 for a, b in zip(starts.tolist(), ends, strict=True)], np.int32)
    outside = np.flatnonzero((np.cumsum(odd) - odd) & 1 == 0)
    unpaired = int(odd.sum()) & 1 or bool((np.diff(outside) > MAX_RECORD_LINES).any())
    return starts if unpaired else starts.take(outside)


def _flags(text: str, starts: Ints) -> Flags:
    flags = np.where(flag_words(text, starts, _TROUBLE), int(UnitFlag.ERROR), 0).astype(np.uint16)
    for i, s in enumerate(starts.tolist()):
        if _FOOT.match(text, s):
            flags[i] = UnitFlag.SUMMARY
        elif text[s] in "\r\n":
            flags[i] = UnitFlag.NOISE
    if (last := total_line(text, starts)) >= 0:
        flags[last] = UnitFlag.SUMMARY
    return flags


def _ruled(text: str, where: list[int], rules: list[int]) -> SpanLayout:
    """Tables whose header is set off by a rule: a box's header and rules are one unit, other rules are noise."""
    size = len(where)
    joined: set[int] = set()  # lines that continue the unit of the line before
    heads: set[int] = set()  # first lines of headers
    taken = -1
    for i in rules:
        if i <= taken:
            continue
        if text[where[i]] == "+":  # a box: its first three lines are +---+ | a | +---+
            opens = not i or text[where[i - 1]] not in "|+"
            if opens and i + 2 < size and text[where[i + 1]] == "|" and RULE.match(text, where[i + 2]):
                heads.add(i)
                joined.update((i + 1, i + 2))
                taken = i + 2
        elif i and i - 1 > taken and text[where[i - 1]] not in "\r\n" and not RULE.match(text, where[i - 1]):
            heads.add(i - 1)
            taken = i
    units = [i for i in range(size) if i not in joined]
    starts = np.array([where[i] for i in units], np.int32)
    flags = _flags(text, starts)
    parents = np.full(len(units), -1, np.int32)
    rule = set(rules)
    scope = -1
    for k, i in enumerate(units):
        s = where[i]
        if i in heads:
            scope, flags[k] = k, UnitFlag.HEADER
        elif i in rule:
            flags[k] = UnitFlag.NOISE
            parents[k] = scope
        elif text[s] in "\r\n":
            scope = -1
        else:
            parents[k] = scope
    return build_layout("table", text, starts, parents, flags, max_chars=4000)
