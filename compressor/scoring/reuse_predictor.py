"""Predicts how likely an agent is to repeat a string of its tool outputs in its next calls.

The small model was learned from recorded and generated runs (`training/reuse.py`). It sees a token's form, how often
and where it occurs, what its unit is, and how well the unit, its neighbourhood and its source match the query. It is
not used for documents that are read for an answer.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compressor.errors import ModelError
from compressor.scoring.base import UnitBatch
from compressor.scoring.name_features import NameFeatures, name_features, token_name_features
from compressor.scoring.path_features import path_features
from compressor.scoring.tool_call_terms import tool_call_terms
from compressor.text.segmenters.base import UnitFlag

PATH = Path(__file__).parent / "weights" / "reuse.npz"
VERSION = 2
#: The bits of `token_shape` before the length.
SHAPE_BITS = 9
LAYOUTS = (
    *("json", "table", "code", "search", "log", "trace", "diff", "prose", "markdown", "html"),
    *("records", "dialogue"),
)
TOKEN_FEATURES, UNIT_FEATURES = 33, 44
#: Units to either side over which a match is averaged.
NEIGHBOR_RANGES = (2, 8, 24)

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


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


@dataclass(frozen=True, slots=True)
class ReuseNetwork:
    """The network tanh(token @ by_token + unit @ by_unit + bias) @ out, for each token in a unit.

    Attributes:
        by_token: [token features, hidden] weights.
        by_unit: [unit features, hidden] weights.
        bias: [hidden].
        out: [hidden] weights.
    """

    by_token: Floats
    by_unit: Floats
    bias: Floats
    out: Floats

    def __call__(
        self, token: Floats, unit: Floats, pairs: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]
    ) -> Floats:
        """Returns [pairs] log-odds, up to a constant; `pairs` are numbers of units and tokens."""
        hidden = (unit @ self.by_unit + self.bias)[pairs[0]]
        hidden += (token @ self.by_token)[pairs[1]]
        found: Floats = np.tanh(hidden) @ self.out
        return found


def token_features(units: UnitBatch, match: LexicalMatch) -> Floats:
    """Returns the features of tokens, [vocabulary, TOKEN_FEATURES]."""
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
    ages = np.array([s.age for s in units.sources], np.float32)
    np.minimum.at(newest, token, ages[source])
    matched, best = _matched_terms(units, match)
    in_calls = np.zeros(size, np.float32)
    vocabulary = index.vocabulary
    called = frozenset().union(*[tool_call_terms(s.tool_call_text).tokens for s in units.sources])
    in_calls[[vocabulary[t] for t in vocabulary.keys() & called]] = 1
    out += [np.log1p(places) / 4, np.log1p(sources) / 2, np.exp(-newest / 4), matched, matched >= 0.99, in_calls]
    out += [match.retained, match.written_by_agent, best]
    out += list(path_features(index, match.retained | match.written_by_agent, match.query_terms))
    return np.stack([np.asarray(x, np.float32) for x in out], axis=1)


def _matched_terms(units: UnitBatch, match: LexicalMatch) -> tuple[Floats, Floats]:
    """Returns [vocabulary] the mean and the largest of the weights that the query gives to a token's terms."""
    index = units.index
    total = np.zeros(len(index.kinds), np.float32)
    best = np.zeros(len(index.kinds), np.float32)
    tokens: list[int] = []
    times: list[int] = []
    for term in match.query_terms:
        found = index.tokens_by_term.get(term, ())
        tokens += found
        times.append(len(found))
    if tokens:
        weights = np.repeat(np.array(list(match.query_terms.values()), np.float32), times)
        np.add.at(total, tokens, weights)
        np.maximum.at(best, tokens, weights)
        matched = np.flatnonzero(total)
        total[matched] /= np.array([len(index.terms[v]) for v in matched.tolist()], np.float32)
    return total, best


def unit_features(units: UnitBatch, match: LexicalMatch) -> Floats:
    """Returns the features of units, [n, UNIT_FEATURES]."""
    n = len(units)
    source = units.source_indices
    starts = units.starts
    flags = units.flags
    lengths = units.index.lengths.astype(np.float32)
    out: list[npt.ArrayLike] = [np.log1p(lengths) / 3]
    out += [
        (flags & flag) > 0 for flag in UnitFlag if 0 < flag <= UnitFlag.WARNING
    ]  # those that the model was trained with
    kinds = [s.layout.kind for s in units.sources]
    out += [np.array([k == kind for k in kinds], np.bool_)[source] for kind in LAYOUTS]
    roles = [s.kind for s in units.sources]
    out += [
        np.array([r in group for r in roles], np.bool_)[source]
        for group in (("tool_result",), ("assistant", "thinking"))
    ]
    best = max(float(match.unit.max(initial=0)), 1e-6)
    found = match.unit / best
    out += [found, found >= 0.999, match.source[source], match.source[source] >= 0.999]
    out += [_around(found, source, starts, reach) for reach in NEIGHBOR_RANGES]
    place = np.arange(n) - starts[source]
    size = np.diff(starts)[source]
    ages = np.array([s.age for s in units.sources], np.float32)[source]
    out += [place / np.maximum(size - 1, 1), np.minimum(place, 8) / 8, np.minimum(size - 1 - place, 8) / 8]
    out += [np.log1p(size) / 6, ages == 0, np.exp(-ages / 2), np.exp(-ages / 8)]
    names, cells = _names(units)
    arguments = frozenset().union(*[tool_call_terms(s.tool_call_text).arguments for s in units.sources])
    passed = np.array([not arguments.isdisjoint(name.words) for name in names])
    wanted = np.array([not name.terms.isdisjoint(match.query_terms) for name in names])
    ident = np.array([name.is_identity for name in names])
    out += [units.columns >= 0, passed[cells], wanted[cells], ident[cells]]
    out += _group_features(units, found)
    return np.stack([np.asarray(x, np.float32) for x in out], axis=1)


def _group_features(units: UnitBatch, found: Floats) -> list[npt.ArrayLike]:
    """Returns [n] features of what has the same parent, such as the lines of a function.

    They are the best match in it, whether there is a parent, and whether the best match of all is in it.
    """
    parents = units.parents
    group = np.where(parents >= 0, parents, np.arange(len(units)))
    best = found.copy()
    np.maximum.at(best, group, found)
    return [best[group], parents >= 0, best[group] >= 0.999]


def _names(units: UnitBatch) -> tuple[list[NameFeatures], npt.NDArray[np.int64]]:
    """The names of columns and of members of JSON objects, and [n] which of them each unit has; 0 for none."""
    index = units.index
    names = [name_features(""), *map(name_features, units.column_names)]
    out: npt.NDArray[np.int64] = (units.columns + 1).astype(np.int64)
    in_json = np.array([s.layout.kind == "json" for s in units.sources], np.bool_)
    member = np.flatnonzero((out == 0) & in_json[units.source_indices] & (index.lengths > 1))
    if len(member):
        first = index.token[(np.cumsum(index.lengths) - index.lengths)[member]]
        tokens, which = np.unique(first, return_inverse=True)
        out[member] = len(names) + which
        vocabulary = list(index.vocabulary)
        names += [token_name_features(vocabulary[t]) for t in tokens.tolist()]
    return names, out


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


@cache
def network(path: Path = PATH) -> ReuseNetwork:
    """Returns the shipped model, read once in a process.

    Raises:
        ModelError: The file is missing, damaged or of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if int(file["version"]) != VERSION:
                raise ModelError(
                    f"{path.name} has version {int(file['version'])}, but this release reads version {VERSION}"
                )
            found = ReuseNetwork(*(file[name].astype(np.float32) for name in ("by_token", "by_unit", "bias", "out")))
            widths = len(found.by_token), len(found.by_unit), *found.by_unit.shape[1:], *found.by_token.shape[1:]
            if widths != (TOKEN_FEATURES, UNIT_FEATURES, len(found.bias), len(found.out)):
                raise ValueError("arrays do not fit together")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f"cannot read the reuse model {path}: {error}; reinstall agentic-compressor") from error
    return found


def reuse_likelihood(units: UnitBatch, match: LexicalMatch) -> Floats:
    """Returns [pairs] how likely each string is to be repeated, relative to the average string of this context."""
    odds = network()(token_features(units, match), unit_features(units, match), units.index.pairs)
    out: Floats = np.exp(odds - odds.max(initial=0))
    out /= max(float(out.mean()), 1e-6) if len(out) else 1
    return out
