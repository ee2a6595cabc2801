"""Finds the values of a text that were sent in another notation or order, such as the rows of a table.

A value is a string, a number or a word of JSON, or a cell of a line. Values are matched in order first, by those that
occur once; then those of the same row, in any order, because columns may have moved. The time is about linear.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from compressor.context.refs import ELLIPSIS

SMALL = 2_500  # pairs of values that are compared one by one
MAX_DEPTH = 40  # of windows within windows
MAX_BESIDE = 200  # values before and after those of a row that were found, among which its others are looked for
MAX_SKIP = 500  # values that the fallback skips to find the next one
_MIN_PIECE_CHARS = 3
_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|[^\s\[\]{}(),:;|"]+|[\[\]{}]')
_COLON = re.compile(r"\s*:")
_OPEN, _CLOSE = "{[", "}]"
_CUT_STRING = re.compile(rf"\[…[^\]]*\]|{ELLIPSIS}")


@dataclass(frozen=True, slots=True)
class Token:
    """A key or a value of a text.

    Attributes:
        text: What it says, the same for all ways to write it.
        start: Where it begins.
        end: Where it ends.
        group: The number of the bracket that it stands in.
        is_key: Whether a colon follows.
    """

    text: str
    start: int
    end: int
    group: int
    is_key: bool


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A text's keys and values.

    Attributes:
        tokens: The keys and values, in order.
        parents: For each bracket, the number of the bracket around it; -1 for none.
    """

    tokens: list[Token]
    parents: list[int]

    @classmethod
    def read(cls, text: str) -> TokenizedText:
        """Reads a text, which need not be valid JSON."""
        tokens: list[Token] = []
        parents, open_groups = [-1], [0]
        for match in _TOKEN.finditer(text):
            found = match.group()
            if found in _OPEN:
                parents.append(open_groups[-1])
                open_groups.append(len(parents) - 1)
            elif found in _CLOSE:
                if len(open_groups) > 1:
                    open_groups.pop()
            else:
                is_key = _COLON.match(text, match.end()) is not None
                tokens.append(Token(_normalize(found), match.start(), match.end(), open_groups[-1], is_key))
        return cls(tokens, parents)

    @classmethod
    def read_cells(cls, text: str, delimiter: str) -> TokenizedText:
        """Reads a text whose lines are rows of cells."""
        cell = re.compile(rf'"(?:[^"\n]|"")*"|[^{re.escape(delimiter)}\n]+')
        tokens: list[Token] = []
        at = row = 0
        for row, line in enumerate(text.split("\n")):
            for match in cell.finditer(line):
                found = match.group()
                if core := found.strip():
                    start = at + match.start() + found.index(core)
                    tokens.append(Token(core, start, start + len(core), row, False))
            at += len(line) + 1
        return cls(tokens, [-1] * (row + 1))


def align_values(original: TokenizedText, sent: TokenizedText, text: str, sent_text: str) -> list[tuple[int, int]]:
    """Returns the spans of the values of an original that were sent, in order.

    Args:
        original: The tokens of the original.
        sent: The tokens of the sent text.
        text: The original.
        sent_text: The sent text.
    """
    ours = [token for token in original.tokens if not token.is_key]
    theirs = sent.tokens
    pairs = align_sequences([token.text for token in ours], [token.text for token in theirs])
    matched = dict(pairs)
    spans = [(ours[i].start, ours[i].end) for i in matched]
    by_group = defaultdict(list)
    for i, j in pairs:
        by_group[theirs[j].group].append(i)
    taken = set(matched.values())
    left = defaultdict(list)
    for j, token in enumerate(theirs):
        if j not in taken and (row := _row_of(token.group, by_group, sent.parents)) is not None:
            left[row].append(token)
    used = set(matched)
    for group, tokens in left.items():
        spans += _match_group(ours, used, sorted(by_group[group]), tokens, original.parents, text, sent_text)
    return sorted(spans)


def _match_group(
    ours: Sequence[Token],
    used: set[int],
    indices: Sequence[int],
    tokens: Sequence[Token],
    parents: Sequence[int],
    text: str,
    sent_text: str,
) -> list[tuple[int, int]]:
    """Returns the spans of one row's values that are matched in any order."""
    groups = {ours[i].group for i in indices}
    first, last = indices[0], indices[-1]
    least, most = max(0, first - MAX_BESIDE), min(len(ours) - 1, last + MAX_BESIDE)
    while first > least and _is_inside(ours[first - 1].group, groups, parents):
        first -= 1
    while last < most and _is_inside(ours[last + 1].group, groups, parents):
        last += 1
    counts = Counter(token.text for token in tokens)
    cut = [token for token in tokens if ELLIPSIS in token.text]
    spans = []
    for i in range(first, last + 1):
        token = ours[i]
        if i in used or not _is_inside(token.group, groups, parents):
            continue
        if counts[token.text] > 0:
            counts[token.text] -= 1
            used.add(i)
            spans.append((token.start, token.end))
            continue
        for one in cut:
            if found := _find_pieces(text[token.start : token.end], sent_text[one.start : one.end]):
                used.add(i)
                spans += [(token.start + start, token.start + end) for start, end in found]
                break
    return spans


def _row_of(group: int, rows: Mapping[int, object], parents: Sequence[int]) -> int | None:
    """Returns the row that a bracket is, or that it stands in as a cell."""
    for one in (group, parents[group]):
        if one in rows:
            return one
    return None


def _is_inside(group: int, groups: set[int], parents: Sequence[int]) -> bool:
    for _ in range(8):  # levels
        if group in groups:
            return True
        group = parents[group] if group >= 0 else -1
    return False


def _find_pieces(text: str, cut: str) -> list[tuple[int, int]]:
    """Returns the spans of the pieces that are left of a string; none if one of them is missing."""
    spans, at = [], 0
    for part in _CUT_STRING.split(cut.strip('"')):
        piece = part.strip()
        if len(piece) < _MIN_PIECE_CHARS:
            continue
        start = text.find(piece, at)
        if start < 0:
            return []
        spans.append((start, at := start + len(piece)))
    return spans


def align_sequences(ours: Sequence[str], theirs: Sequence[str]) -> list[tuple[int, int]]:
    """Returns pairs of equal items, in order in both sequences: a patience diff.

    Args:
        ours: One sequence.
        theirs: The other.
    """
    pairs: list[tuple[int, int]] = []
    windows = [(0, len(ours), 0, len(theirs), 0)]
    while windows:
        a, a_end, b, b_end, depth = windows.pop()
        while a < a_end and b < b_end and ours[a] == theirs[b]:
            pairs.append((a, b))
            a, b = a + 1, b + 1
        while a < a_end and b < b_end and ours[a_end - 1] == theirs[b_end - 1]:
            a_end, b_end = a_end - 1, b_end - 1
            pairs.append((a_end, b_end))
        if a >= a_end or b >= b_end:
            continue
        anchors = _anchors(ours, theirs, a, a_end, b, b_end) if depth < MAX_DEPTH else []
        if not anchors and (a_end - a) * (b_end - b) <= SMALL:
            matcher = SequenceMatcher(None, ours[a:a_end], theirs[b:b_end], autojunk=False)
            for block in matcher.get_matching_blocks():
                pairs += [(a + block.a + k, b + block.b + k) for k in range(block.size)]
            continue
        if not anchors:
            pairs += _next_ones(ours, theirs, a, a_end, b, b_end)
            continue
        pairs += anchors
        ends = [*anchors, (a_end, b_end)]
        starts = [(a, b), *((i + 1, j + 1) for i, j in anchors)]
        windows += [(i, i_end, j, j_end, depth + 1) for (i, j), (i_end, j_end) in zip(starts, ends, strict=True)]
    return sorted(pairs)


def _anchors(
    ours: Sequence[str], theirs: Sequence[str], a: int, a_end: int, b: int, b_end: int
) -> list[tuple[int, int]]:
    """Returns the longest run of items that occur once in both windows and have the same order in both."""
    our_counts, their_counts = Counter(ours[a:a_end]), Counter(theirs[b:b_end])
    places = {theirs[j]: j for j in range(b, b_end) if their_counts[theirs[j]] == 1}
    unique = [(i, places[ours[i]]) for i in range(a, a_end) if our_counts[ours[i]] == 1 and ours[i] in places]
    tails: list[int] = []  # the smallest end of an increasing run of each length, and where it comes from
    ends: list[int] = []
    previous: list[int] = []
    for k, (_, j) in enumerate(unique):
        length = bisect_left(tails, j)
        previous.append(ends[length - 1] if length else -1)
        if length == len(tails):
            tails.append(j)
            ends.append(k)
        else:
            tails[length], ends[length] = j, k
    run, k = [], ends[-1] if ends else -1
    while k >= 0:
        run.append(unique[k])
        k = previous[k]
    return run[::-1]


def _next_ones(
    ours: Sequence[str], theirs: Sequence[str], a: int, a_end: int, b: int, b_end: int
) -> list[tuple[int, int]]:
    """Matches each of their items with its next place in ours, where that is near."""
    places = defaultdict(list)
    for i in range(a, a_end):
        places[ours[i]].append(i)
    pairs = []
    for j in range(b, b_end):
        found = places.get(theirs[j], [])
        k = bisect_left(found, a)
        if k < len(found) and found[k] - a <= MAX_SKIP:
            pairs.append((found[k], j))
            a = found[k] + 1
    return pairs


def _normalize(token: str) -> str:
    """Returns a string in one way of writing, with its quotes, and any other token as it is."""
    if "\\" not in token or token[0] != '"':
        return token
    try:
        return f'"{json.loads(token)}"'
    except ValueError:
        return token
