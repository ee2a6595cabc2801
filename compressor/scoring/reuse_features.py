"""Computes what the reuse predictor sees of tokens and units.

A kernel writes the features if it was built, otherwise `_token_matrix` and `_unit_matrix` do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from compressor.native import load_kernel
from compressor.scoring.base import UnitBatch
from compressor.scoring.name_features import NameFeatures, name_features, token_name_features
from compressor.scoring.path_features import FEATURES as PATH_FEATURES
from compressor.scoring.path_features import path_rows
from compressor.text.segmenters.base import UnitFlag

#: The bits of `token_shape` before the length.
SHAPE_BITS = 9
LAYOUTS = (
    *("json", "table", "code", "search", "log", "trace", "diff", "prose", "markdown", "html"),
    *("records", "dialogue"),
)
_FORMS = {kind: i for i, kind in enumerate(LAYOUTS)}
_ROLES = {"tool_result": 0, "assistant": 1, "thinking": 1}
#: Flags of units that the model was trained with.
TRAINED_FLAGS = tuple(flag for flag in UnitFlag if 0 < flag <= UnitFlag.WARNING)
TOKEN_FEATURES, UNIT_FEATURES = 33, 44
#: Logarithms of counts below this are kept.
MAX_KEPT_COUNT = 1 << 16
#: Units to either side over which a match is averaged.
NEIGHBOR_RANGES = (2, 8, 24)
_FADES = np.array([-2, -8], np.float32)  # in which the age of a source is measured

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
_kernel = load_kernel("reuse_features")


@dataclass(frozen=True, slots=True)
class LexicalMatch:
    """The result of lexical matching.

    Attributes:
        unit: [n] how well each unit matches, in [0, 1].
        source: [sources] how well each source matches, the best is 1.
        query_terms: The query's terms with their weights.
        retained: [vocabulary] the tokens in text that stays anyway.
        written_by_agent: [vocabulary] the tokens that the agent itself has written.
    """

    unit: Floats
    source: Floats
    query_terms: dict[str, float]
    retained: Bools
    written_by_agent: Bools


def token_features(units: UnitBatch, match: LexicalMatch) -> Floats:
    """Returns the features of tokens, [vocabulary, TOKEN_FEATURES]."""
    index = units.index
    matched, best = index.term_weights(match.query_terms)
    in_calls = index.mask([s.tool_call_text for s in units.sources if s.tool_call_text])
    paths = path_rows(index, match.retained | match.written_by_agent, match.query_terms)
    if _kernel is None:
        return _token_matrix(units, match, matched, best, in_calls, *paths)
    out = np.empty((len(index.kinds), TOKEN_FEATURES), np.float32)
    _kernel.token_features(
        *(out, index.kinds, index.shapes, SHAPE_BITS, *index.pairs, units.source_indices, units.ages),
        *(np.exp(-units.ages / 4), log_counts(len(units), 4), log_counts(len(units.sources), 2)),
        *(matched, best, _bytes(in_calls), _bytes(match.retained), _bytes(match.written_by_agent), *paths),
    )
    return out


def _bytes(flags: Bools) -> npt.NDArray[np.uint8]:
    return flags.view(np.uint8)


def log_counts(most: int, scale: int) -> Floats:
    """Returns log(1 + count) / scale for counts up to `most`, or up to more."""
    return _log_counts(1 << max(most.bit_length(), 8), scale) if most < MAX_KEPT_COUNT else _logs(most + 1, scale)


def _logs(size: int, scale: int) -> Floats:
    return (np.log1p(np.arange(size)) / scale).astype(np.float32)


_log_counts = cache(_logs)


def _token_matrix(
    units: UnitBatch,
    match: LexicalMatch,
    matched: Floats,
    best: Floats,
    in_calls: Bools,
    path_tokens: list[int],
    rows: list[tuple[float, ...]],
) -> Floats:
    """Returns the features of tokens from what is known of their words."""
    index = units.index
    unit, token = index.pairs
    size = len(index.kinds)
    shapes = index.shapes.astype(np.int64)
    out = [(index.kinds == k).astype(np.float32) for k in range(6)]
    out += [(shapes >> b & 1).astype(np.float32) for b in range(SHAPE_BITS)]
    out.append((shapes >> SHAPE_BITS).astype(np.float32) / 7)
    source = units.source_indices[unit].astype(np.int64)
    places = np.bincount(token, minlength=size)
    sources = np.bincount(np.unique(source * size + token) % max(size, 1), minlength=size)
    newest = np.full(size, 1e3, np.float32)
    np.minimum.at(newest, token, units.ages[source])
    out += [np.log1p(places) / 4, np.log1p(sources) / 2, np.exp(-newest / 4), matched, matched >= 0.99, in_calls]
    out += [match.retained, match.written_by_agent, best]
    paths = np.zeros((PATH_FEATURES, size), np.float32)
    if path_tokens:
        paths[:, path_tokens] = np.array(rows, np.float32).T
    return np.stack([np.asarray(x, np.float32) for x in (*out, *paths)], axis=1)


def unit_features(units: UnitBatch, match: LexicalMatch) -> Floats:
    """Returns the features of units, [n, UNIT_FEATURES]."""
    index = units.index
    sizes = np.log1p(index.lengths.astype(np.float32)) / np.float32(3)
    forms = np.array([(_FORMS.get(s.layout.kind, -1), _ROLES.get(s.kind, -1)) for s in units.sources], np.int32)
    forms = forms.reshape(-1, 2)
    ages = units.ages
    of_sources = np.empty((len(ages), 4), np.float32)
    of_sources[:, 0] = np.log1p(units.starts[1:] - units.starts[:-1]) / 6
    of_sources[:, 1] = ages == 0
    of_sources[:, 2:] = np.exp(ages[:, None] / _FADES)
    names = _names(units, match)
    if _kernel is None:
        return _unit_matrix(units, match, sizes, forms, of_sources, *names)
    out = np.empty((len(units), UNIT_FEATURES), np.float32)
    _kernel.unit_features(
        *(out, sizes, units.flags, units.source_indices, units.starts, forms, match.unit, match.source),
        *(NEIGHBOR_RANGES, of_sources, units.columns, *names, units.parents),
    )
    return out


def _names(
    units: UnitBatch, match: LexicalMatch
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Returns the bits of columns' names, the first token of each member, and [vocabulary] the bits of such tokens."""
    index = units.index
    column_names, member_names = np.zeros(0, np.uint8), np.zeros(len(index.kinds), np.uint8)
    if not units.json_sources.any() and not units.column_names:
        return column_names, np.full(len(units), -1, np.int32), member_names
    members = _first_members(units)
    called = frozenset().union(*[call.arguments for _, call in units.tool_calls])
    if units.column_names:
        column_names = _name_bits(map(name_features, units.column_names), called, match)
    first = sorted(set(members.tolist()) - {-1})
    if first:
        words = index.memory.vocabulary.words(index.word_ids[first])
        member_names[first] = _name_bits(map(token_name_features, words), called, match)
    return column_names, members, member_names


def _unit_matrix(
    units: UnitBatch,
    match: LexicalMatch,
    sizes: Floats,
    forms: npt.NDArray[np.int32],
    of_sources: Floats,
    column_names: npt.NDArray[np.uint8],
    members: npt.NDArray[np.int32],
    member_names: npt.NDArray[np.uint8],
) -> Floats:
    """Returns the features of units from what is known of their sources and names."""
    n = len(units)
    source = units.source_indices
    starts = units.starts
    flags = units.flags
    out: list[npt.ArrayLike] = [sizes]
    out += [(flags & flag) > 0 for flag in TRAINED_FLAGS]
    out += [(forms[:, 0] == i)[source] for i in range(len(LAYOUTS))]
    out += [(forms[:, 1] == i)[source] for i in range(2)]
    best = max(float(match.unit.max(initial=0)), 1e-6)
    found = match.unit / best
    out += [found, found >= 0.999, match.source[source], match.source[source] >= 0.999]
    out += [_around(found, source, starts, reach) for reach in NEIGHBOR_RANGES]
    place = np.arange(n) - starts[source]
    size = np.diff(starts)[source]
    out += [place / np.maximum(size - 1, 1), np.minimum(place, 8) / 8, np.minimum(size - 1 - place, 8) / 8]
    out += list(of_sources[source].T)
    columns = units.columns
    names = np.where(members >= 0, np.append(member_names, np.uint8(0))[members], np.uint8(0))
    if len(column_names):
        names = np.where(columns >= 0, column_names[columns], names)
    out += [columns >= 0, names & 1, names >> 1 & 1, names >> 2]
    out += _group_features(units, found)
    return np.stack([np.asarray(x, np.float32) for x in out], axis=1)


def _name_bits(names: Iterable[NameFeatures], arguments: frozenset[str], match: LexicalMatch) -> npt.NDArray[np.uint8]:
    """Returns for each name as bits whether a call has it as an argument, if the query names it, if it is an id's."""
    terms = match.query_terms.keys()
    return np.array(
        [
            (not arguments.isdisjoint(n.words)) | (not terms.isdisjoint(n.terms)) << 1 | n.is_identity << 2
            for n in names
        ],
        np.uint8,
    )


def _first_members(units: UnitBatch) -> npt.NDArray[np.int32]:
    """Returns [n] the first token of each unit that is a member of a JSON object, its name; -1 for others."""
    index = units.index
    out = np.full(len(units), -1, np.int32)
    if not units.json_sources.any():
        return out
    if _kernel is not None:
        in_json = _bytes(units.json_sources)
        _kernel.first_members(out, units.columns, in_json, units.source_indices, index.lengths, index.token)
        return out
    member = np.flatnonzero((units.columns < 0) & units.json_sources[units.source_indices] & (index.lengths > 1))
    out[member] = index.token[(np.cumsum(index.lengths) - index.lengths)[member]]
    return out


def _group_features(units: UnitBatch, found: Floats) -> list[npt.ArrayLike]:
    """Returns [n] features of what has the same parent, such as the lines of a function.

    They are the best match in it, whether there is a parent, and whether the best match of all is in it.
    """
    parents = units.parents
    group = np.where(parents >= 0, parents, np.arange(len(units)))
    best = found.copy()
    np.maximum.at(best, group, found)
    return [best[group], parents >= 0, best[group] >= 0.999]


def _around(found: Floats, source: npt.NDArray[np.int32], starts: npt.NDArray[np.int32], reach: int) -> Floats:
    """[n] the mean of `found` over `reach` units to either side, within the source; the best is 1."""
    n = len(found)
    sums = np.concatenate([[0], np.cumsum(found, dtype=np.float64)])
    at = np.arange(n)
    low = np.maximum(at - reach, starts[source])
    high = np.minimum(at + reach + 1, starts[source + 1])
    mean = (sums[high] - sums[low]) / np.maximum(high - low, reach)
    out: Floats = (mean / max(float(mean.max(initial=0)), 1e-6)).astype(np.float32)
    return out
