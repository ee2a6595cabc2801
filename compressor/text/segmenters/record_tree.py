"""Builds the tree of a text of records from its lines or elements, and finds the records and their names.

Records are what repeats under one parent: list items, sections, documents, elements, members of a map whose values have
the same keys, or runs of fields that begin with the same key. A record's first line is the parent of its other lines.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from compressor.text.segmenters.record_lines import RecordLine

MAX_NAME_CHARS = 80
MIN_RULED = 4  # with as many rules, what is between them is a record whatever it holds, if it is
MAX_RULED_CHARS = 500  # no longer than this on average
MAX_COMMENT_LINES = 3  # longer comments are units of their own
MIN_RECURRING = 3  # times that a line must come back to be the name of a field whose value is the line below it
MAX_FIELD_WORDS = 8  # a longer line without a key is text
DISTINCT = 0.8  # fraction of distinct values from which a field can be the name of its record
SHARED = 0.6  # fraction of members that must share a key to be records of one kind
TOP_LEVEL = 2  # of a line without indent
NAME_KEYS = ("name", "id", "key", "title", "uid", "host", "hostname", "path", "file", "subject", "sku", "url", "email")

_ITEM = "\0-"  # the label of items without a key


@dataclass(slots=True)
class RecordTree:
    """Nodes in the order of the text; a parent comes before its children.

    Attributes:
        starts: Offset of each node.
        parents: The parent of each node, or -1.
        kinds: The kind of each node; see `RecordLine`.
        keys: The key of each node.
        values: Its value.
        fresh: Whether a blank line or a rule stands before it.
        ruled: Whether a rule stands before it.
        closes: The node that this one closes or names: this one is kept whenever that one is; -1 for none.
        heads: The innermost record that each node is in, named by its first node; -1 for none.
        listed: The nodes whose children are records.
        is_ruled: Whether rules part the text into short records.
    """

    starts: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    fresh: list[bool] = field(default_factory=list)
    ruled: list[bool] = field(default_factory=list)
    closes: list[int] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    listed: set[int] = field(default_factory=set)
    is_ruled: bool = False

    def add(
        self,
        start: int,
        parent: int,
        kind: str,
        key: str,
        value: str,
        fresh: bool = False,
        ruled: bool = False,
        closes: int = -1,
    ) -> int:
        """Appends a node and returns its number."""
        self.starts.append(start)
        self.parents.append(parent)
        self.kinds.append(kind)
        self.keys.append(key)
        self.values.append(value)
        self.fresh.append(fresh)
        self.ruled.append(ruled)
        self.closes.append(closes)
        return len(self.starts) - 1

    def children(self) -> dict[int, list[int]]:
        """Returns the children of each node that has some; -1 stands for the text."""
        out: dict[int, list[int]] = {}
        for i, parent in enumerate(self.parents):
            out.setdefault(parent, []).append(i)
        return out

    def find_records(self) -> None:
        """Fills `heads`, `listed` and the names of the records; runs of flat fields become children of their first."""
        heads: list[list[int]] = []
        children = self.children()
        self._read_values_below(children)
        for parent in sorted(children):
            group = self._group(children[parent], children)
            if len(group) > 1:
                heads.append(group)
                self.listed.add(parent)
        first = {h for group in heads for h in group}
        self.heads = [-1] * len(self.starts)
        for i, parent in enumerate(self.parents):
            self.heads[i] = i if i in first else self.heads[parent] if parent >= 0 else -1
        children = self.children()
        for group in heads:
            self._name(group, children)

    def _read_values_below(self, children: dict[int, list[int]]) -> None:
        """Makes fields of lines that come back, each with one line below it, which is then their value."""
        pairs = [(i, below[0]) for i, below in children.items() if i >= 0 and len(below) == 1]
        pairs = [(i, c) for i, c in pairs if self.kinds[i] == self.kinds[c] == "text" and c not in children]
        times = Counter(self.values[i] for i, _ in pairs)
        for i, child in pairs:
            if times[self.values[i]] >= MIN_RECURRING and len(self.values[i].split()) <= MAX_FIELD_WORDS:
                self.kinds[i], self.keys[i], self.values[i] = "field", self.values[i], self.values[child]
                self.closes[child] = i

    def shared_lines(self) -> int:
        """Returns how many lines begin like a line of most other records."""
        records: dict[str, set[int]] = {}
        labels = [self._shared_label(i) if head >= 0 else "" for i, head in enumerate(self.heads)]
        for label, head in zip(labels, self.heads, strict=True):
            if label:
                records.setdefault(label, set()).add(head)
        count = len({h for h in self.heads if h >= 0})
        return sum(bool(label) and len(records[label]) >= SHARED * count for label in labels)

    def shared_keys(self) -> list[str]:
        """Returns the keys that most records have."""
        records: dict[str, set[int]] = {}
        for key, head in zip(self.keys, self.heads, strict=True):
            if key and head >= 0:
                records.setdefault(key, set()).add(head)
        count = len({h for h in self.heads if h >= 0})
        return [key for key, found in records.items() if len(found) >= max(2, SHARED * count)]

    def _group(self, siblings: list[int], children: dict[int, list[int]]) -> list[int]:
        """Returns the first nodes of the records among siblings; flat runs are put under their first node."""
        data = [i for i in siblings if self.kinds[i] not in ("comment", "close")]
        if len(data) < 2:
            return []
        ruled = [i for i in data if self.ruled[i]]
        if ruled and self.parents[data[0]] == -1 and len(ruled) + (not self.ruled[data[0]]) > 1:
            starts = sorted({data[0], *ruled})
            short = len(starts) >= MIN_RULED and self.starts[data[-1]] - self.starts[data[0]] <= MAX_RULED_CHARS * len(
                starts
            )
            if short or self._alike(starts, data, children):
                self.is_ruled = short
                return self._adopt(starts, siblings)
        holders = [i for i in data if i in children]
        sections = [self.values[i] for i in data if self.kinds[i] == "section"]
        if len(sections) > 3 and len(set(sections)) * 2 <= len(sections):
            return self._recurring(data, siblings, children)
        items = [i for i in data if self.kinds[i] == "item"]
        if len(items) > 1 and sum(i in children for i in items) * 2 >= len(items):
            return items
        if len(holders) > 1 and len(holders) >= SHARED * len(data) and self._share(holders, children):
            return holders
        return self._recurring(data, siblings, children) or self._paragraphs(data, siblings, children)

    def _paragraphs(self, data: list[int], siblings: list[int], children: dict[int, list[int]]) -> list[int]:
        """Records that are paragraphs of short lines which begin alike, under a first line that names them."""
        starts = [i for i in data if self.fresh[i]]
        if len(starts) < 3 or len(data) < 2 * len(starts) or not self._names([self.values[i] for i in starts]):
            return []
        return self._adopt(starts, siblings) if self._alike(starts, data, children) else []

    def _share(self, holders: list[int], children: dict[int, list[int]]) -> bool:
        """Whether most of the nodes have a key, or the first word of a short line, in common below them."""
        found = Counter(k for i in holders for k in {self._shared_label(c) for c in children[i]} if k)
        return bool(found) and max(found.values()) >= max(2, SHARED * len(holders))

    def _alike(self, starts: list[int], data: list[int], children: dict[int, list[int]]) -> bool:
        """Whether the runs that begin at `starts` share a key."""
        runs = self._runs(starts, data)
        found = Counter(k for run in runs for k in {self._shared_label(i) for i in self._within(run, children)} if k)
        return bool(found) and max(found.values()) >= max(2, SHARED * len(runs))

    def _within(self, run: list[int], children: dict[int, list[int]]) -> Iterable[int]:
        for i in run:
            yield i
            yield from children.get(i, ())

    @staticmethod
    def _runs(starts: list[int], data: list[int]) -> list[list[int]]:
        edges = np.searchsorted(data, starts).tolist()
        return [data[a:b] for a, b in pairwise([*edges, len(data)])]

    def _recurring(self, data: list[int], siblings: list[int], children: dict[int, list[int]]) -> list[int]:
        """Records that follow each other without a sign: the first key, or first word of a line, comes back."""
        labels = [self.keys[i] or self._label(i) for i in data]
        times = Counter(labels)
        # A line that stands alone, such as a title, may come before the records.
        for label in dict.fromkeys(labels[:6]):
            count = times[label]
            if count < (3 if label[0] == "\0" else 2):
                continue
            starts = [i for i, name in zip(data, labels, strict=True) if name == label]
            if label[0] == "\0" and len({self.values[i] for i in starts}) < DISTINCT * count:
                continue
            begun = data.index(starts[0])
            if begun > 0 and begun > len(data) / 3:
                continue
            # Each run begins with a bullet or after a blank line, or they all have the same keys.
            separate = label == _ITEM or sum(self.fresh[i] for i in starts[1:]) >= 0.8 * (count - 1)
            if not separate and (label[0] == "\0" or not self._same_keys(starts, data)):
                continue
            if len(data) - begun < 1.5 * count and not any(i in children for i in starts):
                continue
            if self._alike(starts, data[begun:], children) if separate else True:
                return self._adopt(starts, siblings)
        return []

    def _field(self, i: int) -> str:
        """The key of a line, or the word that it shares with lines of other records."""
        return self.keys[i] or self._shared_label(i).strip("\0")

    def _shared_label(self, i: int) -> str:
        """What the lines of several records can have in common: a key, or the first word of a short line."""
        if self.keys[i] or self.kinds[i] != "text":
            return self.keys[i]
        words = self.values[i].split()
        short = 1 < len(words) <= MAX_FIELD_WORDS and self.values[i][-1] not in ".,;?!"
        return f"\0{words[0]}" if short or (len(words) > 1 and self.fresh[i]) else ""

    def _label(self, i: int) -> str:
        """What a line without a key can recur by: a section's name, a bullet, or the first word of a line."""
        if self.kinds[i] == "item":
            return _ITEM
        words = self.values[i].split(None, 1)
        return self.values[i] if self.kinds[i] == "section" else f"\0{words[0] if words else ''}"

    def _same_keys(self, starts: list[int], data: list[int]) -> bool:
        shapes = Counter(tuple(self.keys[i] for i in run) for run in self._runs(starts, data[data.index(starts[0]) :]))
        return len(max(shapes)) > 1 and max(shapes.values()) >= SHARED * len(starts)

    def _adopt(self, starts: list[int], siblings: list[int]) -> list[int]:
        """Makes the first node of each run the parent of the others."""
        first = set(starts)
        head = -1
        for i in siblings:
            if i in first:
                head = i
            elif head >= 0:
                self.parents[i] = head
        return starts

    def _name(self, group: list[int], children: dict[int, list[int]]) -> None:
        """Finds the field that names the records and keeps it with their first lines, if those name none."""
        own = [self.values[h] or self.keys[h] for h in group]
        if self._names(own) and not all(name.strip(".)#:").isdigit() for name in own):
            return
        if self._names([self.keys[h] for h in group]) and not all(self.keys[h].isdigit() for h in group):
            return
        fields: dict[tuple[str, ...], list[int]] = {}
        for h in group:
            seen: set[tuple[str, ...]] = set()
            for child in children.get(h, ()):
                self._collect(child, (self._field(child),), fields, seen, children)
        best: list[int] = []
        rank = (9, 9)
        for path, found in fields.items():
            if len(found) < DISTINCT * len(group) or not self._names([self.values[i] for i in found]):
                continue
            key = re.split(r"[\W_]", path[-1].lower())[-1]
            place = NAME_KEYS.index(key) if key in NAME_KEYS else len(NAME_KEYS)
            if (place == len(NAME_KEYS), len(path)) < rank[:2] and (len(path) == 1 or place < len(NAME_KEYS)):
                rank, best = (int(place == len(NAME_KEYS)), len(path)), found
        for i in best:
            self.closes[i] = self.heads[i]

    def _collect(
        self,
        i: int,
        path: tuple[str, ...],
        fields: dict[tuple[str, ...], list[int]],
        seen: set[tuple[str, ...]],
        children: dict[int, list[int]],
    ) -> None:
        if path not in seen and path[-1]:
            seen.add(path)
            fields.setdefault(path, []).append(i)
            if len(path) < 2:
                for child in children.get(i, ()):
                    self._collect(child, (*path, self._field(child)), fields, seen, children)

    @staticmethod
    def _names(values: list[str]) -> bool:
        short = [v for v in values if v and len(v) <= MAX_NAME_CHARS]
        return len(short) >= DISTINCT * len(values) and len(set(short)) >= DISTINCT * len(values)


def tree_of_lines(lines: list[RecordLine]) -> RecordTree:
    """Builds the tree of a text's lines by their levels."""
    tree = RecordTree()
    open_nodes: list[tuple[int, int]] = []  # level and node
    rule = comment = -1  # the start of a rule or comment that belongs to the next line
    level_of_last = 0
    for n, line in enumerate(lines):
        if line.kind == "rule":
            below = n + 1 < len(lines)
            underlines = (
                tree.starts
                and not line.after_blank
                and tree.kinds[-1] == "text"
                and tree.fresh[-1]
                and level_of_last <= TOP_LEVEL
            )
            if underlines:  # a title with a rule below it
                tree.kinds[-1], tree.parents[-1] = "section", -1
                open_nodes[:] = [(0, len(tree.starts) - 1)]
            elif below:
                rule = line.start if rule < 0 else rule
                open_nodes.clear()
            continue
        if line.kind == "comment" and rule < 0 and _explains(lines, n):
            comment = line.start if comment < 0 else comment
            continue
        follows = line.kind == "bracket" and bool(open_nodes) and not line.after_blank
        if follows and _takes_bracket(tree, level_of_last, line):
            tree.kinds[-1] = "open"
            level_of_last = line.level
            continue
        level, opener = line.level, -1
        while open_nodes and open_nodes[-1][0] >= level:
            at, node = open_nodes.pop()
            if at == level:
                opener = node
        parent = open_nodes[-1][1] if open_nodes else -1
        if line.kind == "item" and open_nodes and open_nodes[-1][0] == level - 1 and _has_value(tree, parent):
            parent = tree.parents[parent]
        closes = -1
        if line.kind == "close":
            if opener < 0 and parent >= 0 and tree.kinds[parent] == "open":
                opener = parent
            if opener >= 0:
                parent = closes = opener
        start = min(x for x in (line.start, rule, comment) if x >= 0)
        fresh = line.after_blank or start < line.start or not tree.starts
        node = tree.add(
            start,
            parent,
            line.kind,
            line.key,
            line.value.strip().strip(",;"),
            fresh,
            rule >= 0,
            closes,
        )
        rule = comment = -1
        level_of_last = level
        if line.kind not in ("comment", "close"):
            open_nodes.append((level, node))
    return tree


def _explains(lines: list[RecordLine], n: int) -> bool:
    """Whether a comment belongs to the line after it: it is short, and nothing but comments is between."""
    level = lines[n].level
    for ahead in range(n + 1, min(n + 1 + MAX_COMMENT_LINES, len(lines))):
        line = lines[ahead]
        if line.after_blank:
            return False
        if line.kind != "comment":
            beside = line.level in (level, level + 1) or line.kind == "section"
            return beside and line.kind not in ("close", "rule", "bracket")
    return False


def _takes_bracket(tree: RecordTree, level_of_last: int, line: RecordLine) -> bool:
    """Whether a bracket on a line of its own opens the body of the line before it."""
    last = tree.kinds[-1] in ("field", "text", "section", "item") and line.level >= level_of_last
    return last and tree.values[-1][-1:] not in ("{", "[", "(")


def _has_value(tree: RecordTree, node: int) -> bool:
    value = tree.values[node]
    return tree.kinds[node] == "field" and bool(value) and value[-1] not in ":|>[{("
