"""Turns questions and documents into token rows and padded batches for the pruner."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compressor.scoring.models.bundled_pruner import MAX_QUERY_TOKENS, MAX_TITLE_TOKENS
from training.pruner_data import Document, Group

LONGEST = 320  # tokens of a row; a longer text loses units at its ends
TOKENS = 3_072  # of a batch
PART = 6  # rows run through the model together; small parts suit a CPU and need little padding
CHUNK = 96  # groups that are sorted by length together
UNTITLED = 0.25  # share of titles left out: many documents have none


@dataclass(frozen=True)
class Row:
    """A query with a document; `first` is the start of the document, `unit` the unit of each token or -1."""

    ids: list[int]
    first: int
    unit: list[int]
    labels: tuple[bool, ...]


@dataclass(frozen=True)
class Batch:
    """Rows as tensors, shortest first, in parts of similar length, so that there is little padding.

    parts: input_ids, attention_mask, token_type_ids [b, t] of each. unit [tokens]: of all parts' tokens laid end to
    end, padding and all, the unit numbered over the batch, -1 outside. labels [units]. document [units]: its row.
    holds [rows]: whether a row has a unit worth keeping. group [rows].
    """

    parts: list[tuple[Any, Any, Any]]
    unit: Any
    labels: Any
    document: Any
    holds: Any
    group: Any


class Coder:
    """Turns groups into rows of at most `longest` tokens."""

    def __init__(self, tokenizer: Any, longest: int = LONGEST) -> None:
        self._tokenizer, self._longest = tokenizer, longest
        self._begin, self._end = (tokenizer.token_to_id(t) for t in ("[CLS]", "[SEP]"))

    def rows(self, group: Group, rng: random.Random | None = None) -> list[Row]:
        """A row for each document. With `rng` some titles are left out."""
        query = self._ids(group.query)[:MAX_QUERY_TOKENS]
        return [self._row(query, d, d.title and (rng is None or rng.random() >= UNTITLED)) for d in group.documents]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _row(self, query: list[int], document: Document, titled: Any) -> Row:
        title = self._ids(document.title)[:MAX_TITLE_TOKENS] if titled else []
        units = [self._ids(document.text[a:b]) for a, b in document.spans]
        room = self._longest - len(query) - len(title) - 3
        first, last = _part([len(u) for u in units], document.labels, room)
        ids = [self._begin, *query, self._end, *title]
        unit = [-1] * len(ids)
        for number, tokens in enumerate(units[first:last]):
            ids += tokens
            unit += [number] * len(tokens)
        labels = document.labels[first:last]
        over = max(0, len(ids) + 1 - self._longest)
        ids, unit = ids[: len(ids) - over], unit[: len(unit) - over]
        return Row([*ids, self._end], len(query) + 2, [*unit, -1], labels)


def _part(sizes: Sequence[int], labels: Sequence[bool], room: int) -> tuple[int, int]:
    """The units that fit, around the first one that is worth keeping; at least one."""
    first = labels.index(True) if any(labels) else 0
    last, used = first + 1, sizes[first] if sizes else 0
    grown = True
    while grown:
        grown = False
        if first and used + sizes[first - 1] <= room:
            first, used, grown = first - 1, used + sizes[first - 1], True
        if last < len(sizes) and used + sizes[last] <= room:
            last, used, grown = last + 1, used + sizes[last], True
    return first, min(last, len(sizes))


def plan(groups: Sequence[list[Row]], rng: random.Random) -> list[list[list[Row]]]:
    """Returns one epoch: shuffled batches of whole groups of similar length."""
    order = list(groups)
    rng.shuffle(order)
    out: list[list[list[Row]]] = []
    for at in range(0, len(order), CHUNK):
        batch: list[list[Row]] = []
        tokens = 0
        for group in sorted(order[at : at + CHUNK], key=_longest):
            size = sum(len(row.ids) for row in group)
            if batch and tokens + size > TOKENS:
                out.append(batch)
                batch, tokens = [], 0
            batch.append(group)
            tokens += size
        out.append(batch)
    rng.shuffle(out)
    return out


def _longest(group: Sequence[Row]) -> int:
    return max(len(row.ids) for row in group)


def padded(groups: Sequence[Sequence[Row]], torch: Any) -> Batch:
    """Groups as tensors."""
    rows = sorted(((row, g) for g, group in enumerate(groups) for row in group), key=lambda x: len(x[0].ids))
    parts, units = [], []
    labels: list[bool] = []
    document: list[int] = []
    for at in range(0, len(rows), PART):
        part = rows[at : at + PART]
        shape = (len(part), len(part[-1][0].ids))
        ids, mask, types = (torch.zeros(shape, dtype=torch.int64) for _ in range(3))
        unit = torch.full(shape, -1, dtype=torch.int64)
        for i, (row, _) in enumerate(part):
            n = len(row.ids)
            ids[i, :n] = torch.tensor(row.ids)
            mask[i, :n] = 1
            types[i, row.first : n] = 1
            own = torch.tensor(row.unit)
            unit[i, :n] = torch.where(own >= 0, own + len(labels), own)
            labels += row.labels
            document += [at + i] * len(row.labels)
        parts.append((ids, mask, types))
        units.append(unit.flatten())
    return Batch(
        parts,
        torch.cat(units),
        torch.tensor(labels, dtype=torch.float32),
        torch.tensor(document),
        torch.tensor([any(row.labels) for row, _ in rows], dtype=torch.float32),
        torch.tensor([g for _, g in rows]),
    )
