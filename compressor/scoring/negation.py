"""Finds what a question excludes: "Which hosts are not running?" asks for the rows without the usual value.

The words of such a question are those of the rows that it does not ask for, so a match of words finds the wrong ones.
It is recognised only where most cells of a column, or most lines of a log or list, have the excluded word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from compressor.scoring.base import Query, UnitBatch
from compressor.scoring.bm25 import matches, weighted_terms
from compressor.text.segmenters.base import UnitFlag

MAX_WORDS = 5  # after the negation
MIN_ROWS = 4
USUAL = 0.5  # fraction of a column's cells that have the excluded word

#: Kinds of texts whose units are lines that resemble each other.
_LINES = frozenset(("log", "search", "table"))
_SWITCHES = frozenset(("up", "on", "off", "out"))  # values that are stop words
#: A negation of a property. After "do", "must" and the like it is an order: "Do not list the active ones."
_NEGATION = re.compile(
    r"(?:(?<!\bdo )(?<!\bdoes )(?<!\bdid )(?<!\bmust )(?<!\bshould )(?<!\bcan )(?<!\bcould )(?<!\bwill )"
    r"(?<!\bwould )(?<!\bmay )(?<!\bif )(?<!\bwhy )\bnot"
    r"|\b(?:is|are|was|were|has|have|had)n['’]?t|\bno longer|\bother than|\bexcept(?: for)?"
    r"|\b(?:that|which|who)\s+(?:do|does|did)(?:\s+not|n['’]?t)\s+(?:have|show|use|run)"
    r"|\b(?:sind|ist|war|waren)\s+nicht|\bn['’]est pas|\bne sont pas|\bno (?:est[áa]n?|son|es))"
    r"\s+(?P<words>[^?.,;:!\n]+)",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(?:not|no|non|never|un)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Exclusion:
    """What a question excludes.

    Attributes:
        query: The query without the excluded words.
        asked: [n] the cells or lines that have another value, which the question asks for.
    """

    query: Query
    asked: npt.NDArray[np.bool_]


def find_exclusion(query: Query, units: UnitBatch) -> Exclusion | None:
    """Returns what the question excludes, or None if it excludes nothing that columns of the units hold.

    Args:
        query: The query.
        units: The units.
    """
    phrases = _NEGATION.findall(query.question)
    groups = _groups(units) if phrases else None
    if groups is None or not (groups >= 0).any():
        return None
    asked, texts = np.zeros(len(units), np.bool_), units.texts()
    excluded: list[str] = []
    for word in dict.fromkeys(word for phrase in phrases for word in phrase.split()[:MAX_WORDS]):
        other = _units_without(word, units, texts, groups)
        if other is not None:
            asked |= other
            excluded.append(word)
    if not excluded:
        return None
    gone = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, excluded))})(?!\w)")
    parts = tuple((gone.sub("", text), weight) for text, weight in query.parts)
    return Exclusion(replace(query, parts=parts, question=gone.sub("", query.question)), asked)


def _groups(units: UnitBatch) -> npt.NDArray[np.int32]:
    """[n] a number for each column, and for the lines of each log or list; -1 for other units."""
    groups = np.where(units.index.lengths > 0, units.columns, np.int32(-1)).astype(np.int32)
    columns = len(units.column_names)
    is_line = np.zeros(len(units), np.bool_)
    for i, source in enumerate(units.sources):
        if source.layout.kind in _LINES and not len(source.layout.column_names):
            is_line[units.starts[i] : units.starts[i + 1]] = True
    is_line &= (units.flags & np.uint16(UnitFlag.HEADER | UnitFlag.NOISE | UnitFlag.SUMMARY)) == 0
    is_line &= units.index.lengths > 0
    groups[is_line] = columns + units.source_indices[is_line]
    return groups


def _units_without(
    word: str, units: UnitBatch, texts: list[str], groups: npt.NDArray[np.int32]
) -> npt.NDArray[np.bool_] | None:
    """[n] the units without a word, in groups where it is usual; None if there is no such group."""
    terms = weighted_terms(((word, 1.0),))
    has = np.zeros(len(units), np.bool_)
    if terms:
        has[matches(units.index, terms)[0]] = True
    elif word.lower() in _SWITCHES:
        named = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
        has[[i for i, text in enumerate(texts) if named.search(text)]] = True
    has &= groups >= 0
    for unit in np.flatnonzero(has).tolist():  # "not running" is not running
        has[unit] = _DENIED.search(texts[unit]) is None
    size = int(groups.max()) + 1
    height = np.bincount(groups[groups >= 0], minlength=size)
    times = np.bincount(groups[has], minlength=size)
    usual = (height >= MIN_ROWS) & (times >= USUAL * height) & (times < height)
    if not usual.any():
        return None
    out: npt.NDArray[np.bool_] = (groups >= 0) & ~has & usual[groups]
    return out
