"""Divides texts of records and nested fields: YAML, INI, TOML, XML, blocks, lists, logs of commits, mails and the like.

Notations are not told apart by name. A text is divided only if most of its lines are fields.
"""

from __future__ import annotations

import re

import numpy as np

from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.lines import Flags, Ints, flag_words
from compressor.text.segmenters.record_layout import NodePieces, RecordLayout
from compressor.text.segmenters.record_lines import read_data_lines, record_kinds
from compressor.text.segmenters.record_tree import MIN_RECURRING, MIN_RULED, RecordTree, tree_of_lines
from compressor.text.segmenters.sentences import sentence_pieces
from compressor.text.segmenters.span_layout import length_splits
from compressor.text.segmenters.xml_elements import tree_of_elements

MIN_FIELDS = 0.7  # fraction of lines that must be fields
MIN_LINES = 4
SAMPLE_CHARS = 3_000  # of the beginning and of the middle of a long text
MIN_SAMPLE_FIELDS = 0.2
MIN_INDENTED = 0.4  # fraction of lines
SAMPLE_LINES = 20  # the first lines of a record may be fields and the rest long lists
MAX_RECORD_CHARS = 1_000  # a larger record is scored by its fields, not as a whole
LONG_VALUE = 500  # characters from which a value is cut into sentences
PIECE_CHARS = 300

_TROUBLE = ("error", "fail", "fatal", "exception", "denied", "crash", "oomkilled", "evicted", "unhealthy")
_UNTROUBLED = re.compile(
    r"(?<!/)\b\w*(?:error|fail|fatal|exception|denied|crash)\w*[\"']?\s*[:=>]+\s*[\"']?(?:0|false|no|none|null|\[\]|)[\"',]*"
    r"\s*(?:</[^>]*>\s*)?$",
    re.I,
)


def segment_records(text: str, headings: bool = False) -> RecordLayout | None:
    """Divides a text into the fields of its records.

    Args:
        text: The text.
        headings: Whether lines such as `## title` are headings; otherwise they are comments.

    Returns:
        The layout, or None if the text does not consist of fields.
    """
    tree = tree_of_elements(text)
    if tree is None:
        if len(text) > 2 * SAMPLE_CHARS and not _may_be_fields(text, headings):
            return None
        lines = read_data_lines(text, headings)
        if len(lines) < MIN_LINES:
            return None
        tree = tree_of_lines(lines)
        if len(_data(tree)) < MIN_LINES:
            return None
        tree.find_records()
        if not _consists_of_fields(tree):
            return None
    else:
        tree.find_records()
    return _layout(text, tree)


def _may_be_fields(text: str, headings: bool) -> bool:
    """Whether a sample of a long text has fields enough to read all of it."""
    middle = text.find("\n", len(text) // 2) + 1
    kinds = record_kinds(text[:SAMPLE_CHARS], headings)
    head = len(kinds[:SAMPLE_LINES])
    kinds += record_kinds(text[middle : middle + SAMPLE_CHARS], headings) if middle else []
    fields = [kind not in ("text", "comment") for kind in kinds]
    if kinds.count("rule") >= MIN_RULED or _is_outline(text[:SAMPLE_CHARS]):
        return True
    return sum(fields) >= MIN_SAMPLE_FIELDS * len(kinds) or 2 * sum(fields[:head]) >= head


def _is_outline(sample: str) -> bool:
    """Whether many lines are indented, and these or the other ones begin with the same few words each time."""
    inner: list[str] = []
    outer: list[str] = []
    for line in sample.split("\n"):
        if words := line.split(None, 1):
            (inner if line[0] in " \t" else outer).append(words[0])
    recur = any(0 < MIN_RECURRING * len(set(words)) <= len(words) for words in (inner, outer))
    return recur and len(inner) >= MIN_INDENTED * (len(inner) + len(outer))


def _data(tree: RecordTree) -> list[int]:
    """The nodes that are neither comments nor closing lines."""
    return [i for i, kind in enumerate(tree.kinds) if kind not in ("comment", "close")]


def _consists_of_fields(tree: RecordTree) -> bool:
    data = _data(tree)
    fields = sum(tree.kinds[i] != "text" for i in data)
    if fields >= MIN_FIELDS * len(data):
        rows = sum(tree.kinds[i] == "row" for i in data)
        return any(tree.keys[i] for i in data) or 2 * rows >= len(data)
    # Records with a body of text, such as commits and mails.
    inside = sum(tree.heads[i] >= 0 for i in data)
    records = len({h for h in tree.heads if h >= 0})
    if records < 3 or inside < 0.8 * len(data) or -1 not in tree.listed:
        return False
    if tree.is_ruled:
        return True
    return fields >= 0.2 * len(data) or tree.shared_lines() >= 0.5 * len(data) or len(tree.shared_keys()) >= 3


def _layout(text: str, tree: RecordTree) -> RecordLayout:
    pieces = NodePieces.cut(text, tree.starts, _splits)
    closes = np.where(pieces.is_first, pieces.units(tree.closes), np.int32(-1)).astype(np.int32)
    heads = pieces.units(tree.heads)
    columns, names = _columns(tree)
    return RecordLayout(
        "records",
        text,
        pieces.spans,
        pieces.parents(tree.parents),
        _flags(text, tree, pieces),
        closes if (closes >= 0).any() else None,
        heads,
        _records(heads, pieces.spans),
        np.array(columns, np.int32)[pieces.of],
        names,
    )


def _splits(text: str, a: int, b: int) -> list[int]:
    """Offsets inside (a, b) at which a long value is cut: sentences, put together to pieces of some length."""
    if b - a <= LONG_VALUE:
        return []
    out = sentence_pieces(text, a, b, PIECE_CHARS)
    return sorted({*out, *(c for x, y in zip([a, *out], [*out, b], strict=True) for c in length_splits(text, x, y))})


def _columns(tree: RecordTree) -> tuple[list[int], list[str]]:
    """The field of each node that is in a record, and the names of the fields."""
    numbers: dict[tuple[int, str], int] = {}
    out: list[int] = []
    paths: list[str] = []
    for i, head in enumerate(tree.heads):
        parent = tree.parents[i]
        if head < 0:
            paths.append("")
            out.append(-1)
            continue
        path = (
            tree.keys[i]
            if i == head
            else f"{paths[parent]}.{tree.keys[i]}"
            if parent != head and paths[parent]
            else tree.keys[i]
        )
        if i == head and tree.kinds[i] != "item" and not tree.values[i]:
            path = ""  # the key of a map's member is its name, not the name of a field
        paths.append("" if i == head else path)
        outer = tree.parents[head]
        out.append(numbers.setdefault((outer, path if i != head else f"\0{path}"), len(numbers)))
    return out, [name.strip("\0") for _, name in numbers]


def _records(heads: Ints, spans: Ints) -> Ints:
    """The unit that represents each unit's record; units of large records stand for themselves."""
    n = len(heads)
    own = np.arange(n, dtype=np.int32)
    inside = heads >= 0
    size = np.zeros(n, np.int64)
    np.add.at(size, heads[inside], (spans[:, 1] - spans[:, 0])[inside])
    small = inside & (size[np.maximum(heads, 0)] <= MAX_RECORD_CHARS)
    return np.where(small, heads, own).astype(np.int32)


def _flags(text: str, tree: RecordTree, pieces: NodePieces) -> Flags:
    begins = pieces.spans[:, 0]
    flags = np.zeros(len(begins), np.uint16)
    listed = np.array([i in tree.listed for i in range(len(tree.starts))], np.bool_)
    comment = np.array([k == "comment" for k in tree.kinds], np.bool_)
    closing = np.array([k == "close" for k in tree.kinds], np.bool_)
    flags[listed[pieces.of] & pieces.is_first] |= int(UnitFlag.HEADER)
    flags[comment[pieces.of]] |= int(UnitFlag.COMMENT)
    flags[closing[pieces.of]] |= int(UnitFlag.NOISE)
    for i in np.flatnonzero(flag_words(text, begins, _TROUBLE)).tolist():
        if not _UNTROUBLED.search(text[slice(*pieces.spans[i].tolist())].strip()):
            flags[i] |= int(UnitFlag.ERROR)
    return flags
