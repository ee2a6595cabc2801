"""What the sentences of an agent's finished reasoning are, and what that makes them worth.

A trace is mostly talk: plans that the calls after it carried out, the question said again, "wait, let me reconsider",
the same thought a third time. What later steps need of it are decisions, results and failed attempts (arXiv 2502.12067
cut such traces by 40 % at under 0.4 points). `traces` tells these apart by how English says them; `weigh` turns that
into scores. Sentences in other languages are neutral unless they repeat: repeats are told by their words alone.

Knows units and their scores; no message, budget or provider. Cuts nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from compressor.scoring.base import Query, Scores, UnitBatch
from compressor.scoring.token_index import NAME, NUMBER, terms
from compressor.text.reasoning_phrases import ReasoningKind, classify_sentence
from compressor.text.segmenters.base import UnitFlag

AGENT_KINDS = ("assistant", "thinking")
SCORE_FACTORS = {
    ReasoningKind.REPEAT: 0.1,
    ReasoningKind.CONNECTIVE: 0.15,
    ReasoningKind.PLAN: 0.4,
}  # on the scorer's score; 1 for the others
SCORE_BONUSES = {
    ReasoningKind.FAILED: 0.7,
    ReasoningKind.DECISION: 0.8,
    ReasoningKind.RESULT: 1.0,
}  # of a good sentence's score, added
GOOD_QUANTILE = 0.75  # quantile of the trace's scores that is a good sentence's
REPEAT_OVERLAP = 0.65  # share of a sentence's word pairs in a newer one from which on it is a repeat,
FINDING_REPEAT_OVERLAP = 0.85  # and of one that holds a decision, a result or a failed attempt
UNSPECIFIC_FACTOR = 0.4  # factor on a neutral sentence without a number, name or identifier: what is no finding and names nothing
CONCLUSION_BONUS = 0.7  # bonus of the last sentence of a trace that is neither talk nor plan: what it came to
MIN_TRACE_SENTENCES, MIN_CONCLUSION_WORDS = 8, 4  # sentences from which on a trace has such an end, and words from which on a sentence can be it
MAX_COMPARED_SENTENCES = 4_000  # sentences that are compared,
MAX_POSTINGS = 6  # each with so many of the newest sentences that have a word pair
RESTATED_OVERLAP = 0.8  # share of a sentence's terms in a text that stays, such as the question, from which on it says that again
MAX_RETAINED_CHARS = 2_000  # characters of such a text: a longer one has most terms by chance,
MAX_RETAINED_TEXTS = 16  # and how many of them, the newest, are looked at


def find_reasoning(units: UnitBatch, query: Query | None = None) -> npt.NDArray[np.uint8]:
    """[n] the `ReasoningKind` of each unit of what an agent said or thought; NEUTRAL for all others. Takes time that grows
    linearly with the units."""
    out = np.full(len(units), ReasoningKind.NEUTRAL, np.uint8)
    spoken = _spoken(units)
    known = [text for text in query.retained_text if len(text) <= MAX_RETAINED_CHARS] if query is not None else []
    asked = [set(terms(text)) for text in known[-MAX_RETAINED_TEXTS:]]
    headers = units.flags & np.uint16(UnitFlag.HEADER)
    for unit in spoken.tolist():
        if headers[unit]:
            continue
        layout = units.sources[units.source_indices[unit]].layout
        start, end = layout.spans[unit - units.starts[units.source_indices[unit]]].tolist()
        text = layout.text[start:end]
        kind = classify_sentence(text)
        if kind == ReasoningKind.NEUTRAL and asked and _says_again(text, asked):
            kind = ReasoningKind.CONNECTIVE
        out[unit] = kind
    out[_repeats(units, spoken, out)] = ReasoningKind.REPEAT
    return out


def reweight_reasoning(scores: Scores, units: UnitBatch, query: Query | None = None) -> Scores:
    """[n] the scores, in which findings of an agent's own words count for more and its talk for less. What is no
    agent's word keeps its score."""
    spoken = _spoken(units)
    if not len(spoken):
        return scores
    kinds = find_reasoning(units, query)
    factor, bonus = np.ones(len(ReasoningKind), np.float32), np.zeros(len(ReasoningKind), np.float32)
    factor[list(SCORE_FACTORS)] = list(SCORE_FACTORS.values())
    bonus[list(SCORE_BONUSES)] = list(SCORE_BONUSES.values())
    factors, bonuses = factor[kinds], bonus[kinds]
    names = np.bincount(units.index.unit[_exact(units)], minlength=len(units)) > 0
    factors[(kinds == ReasoningKind.NEUTRAL) & ~names] = UNSPECIFIC_FACTOR
    ends = _ends(units, kinds)
    factors[ends], bonuses[ends] = 1, np.maximum(bonuses[ends], CONCLUSION_BONUS)
    own, worded = scores[spoken], units.index.lengths[spoken] > 0
    good = float(np.quantile(own[worded], GOOD_QUANTILE)) if worded.any() else 0.0
    if good <= 0:  # the scorer sees nothing in the trace: its findings count as much as anything does
        good = float(scores.mean())
    out = scores.astype(np.float32, copy=True)
    out[spoken] = own * factors[spoken] + np.float32(good) * bonuses[spoken] * worded
    return out


def _ends(units: UnitBatch, kinds: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """The unit with which each long trace ends, but for talk and plans."""
    can_be = (kinds >= ReasoningKind.NEUTRAL) & (units.index.lengths >= MIN_CONCLUSION_WORDS)
    out = []
    for i, source in enumerate(units.sources):
        start, stop = int(units.starts[i]), int(units.starts[i + 1])
        if source.kind in AGENT_KINDS and stop - start >= MIN_TRACE_SENTENCES and (found := np.flatnonzero(can_be[start:stop])).size:
            out.append(start + int(found[-1]))
    return np.array(out, np.int64)


def _spoken(units: UnitBatch) -> npt.NDArray[np.int64]:
    """The units of what an agent said or thought."""
    speech = np.array([s.kind in AGENT_KINDS for s in units.sources], np.bool_)
    return np.flatnonzero(speech[units.source_indices]) if speech.any() else np.zeros(0, np.int64)


def _says_again(text: str, asked: Iterable[set[str]]) -> bool:
    own = {t for t in terms(text) if len(t) > 3}
    return len(own) > 3 and any(len(own & question) >= RESTATED_OVERLAP * len(own) for question in asked)


def _repeats(units: UnitBatch, spoken: npt.NDArray[np.int64], kinds: npt.NDArray[np.uint8]) -> list[int]:
    """Units that a newer one repeats, by the share of their word pairs that it has. A number, name or identifier that
    the newer one lacks makes a unit one of its own: `f(3) = 9` does not repeat `f(2) = 4`."""
    n = len(units)
    unit, pair, words = _pairs(units, spoken[-MAX_COMPARED_SENTENCES:])
    times = np.bincount(pair)
    total = np.bincount(unit, minlength=n)
    need = np.where(kinds > ReasoningKind.NEUTRAL, FINDING_REPEAT_OVERLAP, REPEAT_OVERLAP) * total
    can = (np.bincount(unit[times[pair] > 1], minlength=n) >= need) & (total > 0)
    tells = np.zeros(len(times), np.bool_)  # pairs by which some unit may be found to repeat another
    tells[pair[can[unit]]] = True
    chosen = (tells & (times > 1))[pair]
    unit, pair = unit[chosen], pair[chosen]
    postings: dict[int, list[int]] = {}
    out: list[int] = []
    starts, ends = np.flatnonzero(np.diff(unit, prepend=-1)), np.flatnonzero(np.diff(unit, append=-1)) + 1
    for start, end in zip(starts[::-1].tolist(), ends[::-1].tolist(), strict=True):
        this, pairs = int(unit[start]), pair[start:end].tolist()
        if can[this]:
            found = Counter(u for p in pairs for u in postings.get(p, ())).most_common(3)
            like = [u for u, count in found if count >= need[this]]
            if like and any(words(this, True) <= words(u, False) for u in like):
                out.append(this)
                continue  # the newest stands for all of them
        for p in pairs:
            have = postings.setdefault(p, [])
            if len(have) < MAX_POSTINGS:
                have.append(this)
    return out


def _pairs(
    units: UnitBatch, which: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Callable[[int, bool], set[int]]]:
    """Distinct (unit, pair of neighbouring words) of some units, in order of units and whatever the letters' case; and
    what gives the words of a unit, or only its exact strings. How a unit begins is a pair only where it is short."""
    index = units.index
    mine = np.zeros(len(units), np.bool_)
    mine[which] = True
    at = np.flatnonzero(mine[index.unit])
    names, used = list(index.vocabulary), np.unique(index.token[at])
    same, lower = np.zeros(len(names), np.int64), dict[str, int]()
    same[used] = [lower.setdefault(names[i].lower(), i) for i in used.tolist()]
    unit, word = index.unit[at].astype(np.int64), same[index.token[at]]
    first = np.diff(unit, prepend=-1) > 0
    before = np.where(first, 0, np.roll(word, 1) + 1)
    pair = np.unique(before * (len(same) + 1) + word, return_inverse=True)[1].reshape(-1)
    keep = ~first | (index.lengths[unit] <= 2)
    size = max(1, len(pair))
    keys = np.unique(unit[keep] * size + pair[keep])
    exact = _exact(units)
    ends = np.cumsum(index.lengths)

    def words(of: int, only_exact: bool) -> set[int]:
        span = slice(int(ends[of] - index.lengths[of]), int(ends[of]))
        tokens = index.token[span][exact[span]] if only_exact else index.token[span]
        return set(same[tokens].tolist())

    return keys // size, keys % size, words


def _exact(units: UnitBatch) -> npt.NDArray[np.bool_]:
    """[entries of the index] numbers, identifiers, and names that are not just a unit's first word."""
    index = units.index
    kinds = index.kinds[index.token]
    out: npt.NDArray[np.bool_] = (kinds >= NUMBER) | ((kinds == NAME) & (np.diff(index.unit, prepend=-1) == 0))
    return out
