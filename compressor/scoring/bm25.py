"""Computes BM25 of units against weighted query terms, on a `TokenIndex`.

The formula is equation 3.15 of S. Robertson, H. Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond
(2009), with the non-negative idf of Lucene.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from compressor.scoring.token_index import TokenIndex, terms

K1 = 1.2
#: Weaker length normalization than the usual 0.75, as units are short and their lengths say little.
B = 0.4

#: Words that do not tell what a question is about.
STOP = frozenset(
    "a an and are as at be but by can could did do doe does for from had has have how i if in into is it its me my no "
    "not of on or our please she so than that the thei their them there these they this those to up us was we were "
    "what when where which who whom whose why will with would you your he her his him about also any been i'm i'd ar "
    "wa ha hav thi wer wher wh ther thes thos wil".split()
)


def weighted_terms(parts: tuple[tuple[str, float], ...]) -> dict[str, float]:
    """Returns query terms with the weight of the heaviest part that has them, without stop words."""
    out: dict[str, float] = {}
    for text, weight in parts:
        for term in terms(text):
            if term not in STOP and (len(term) > 1 or term.isdigit() or not term.isascii()):
                out[term] = max(out.get(term, 0.0), weight)
    return out


def matches(
    index: TokenIndex, query: Mapping[str, float]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Finds the words that match the query.

    Returns:
        The units of the matches, the numbers of their query terms, and the weight of each query term.
    """
    numbers = {t: i for i, t in enumerate(query)}
    hit_token: list[int] = []
    hit_term: list[int] = []
    for v, token_terms in enumerate(index.terms):
        for t in token_terms:
            n = numbers.get(t)
            if n is not None:
                hit_token.append(v)
                hit_term.append(n)
    weights = np.array(list(query.values()) or np.zeros(0), np.float32)
    if not hit_token:
        return np.zeros(0, np.int64), np.zeros(0, np.int32), weights
    # Expand each matching vocabulary entry to the units that have it.
    tokens = np.array(hit_token, np.int32)
    term = np.array(hit_term, np.int32)
    first = np.searchsorted(tokens, np.arange(len(index.terms) + 1))
    fan = np.diff(first)
    where = np.flatnonzero(fan[index.token])
    repeat = fan[index.token[where]]
    units = np.repeat(index.unit[where], repeat).astype(np.int64)
    start = first[index.token[where]]
    offsets = np.arange(len(units)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    return units, term[np.repeat(start, repeat) + offsets], weights


def max_score(n: int, df: npt.NDArray[np.int64], weights: npt.NDArray[np.float32]) -> float:
    """Returns the upper bound of BM25 scores, of a unit that holds every query term many times."""
    return float((np.log1p((n - df + 0.5) / (df + 0.5)) * weights).sum()) * (K1 + 1)


def bm25(
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int32],
    weights: npt.NDArray[np.float32],
    lengths: npt.NDArray[np.int32],
) -> npt.NDArray[np.float32]:
    """Computes BM25 of rows, which are units or documents.

    Args:
        rows: The row of each match, with repetitions.
        columns: The query term of each match.
        weights: The weight of each query term.
        lengths: The length of each row in words.

    Returns:
        [len(lengths)] float32.
    """
    n = len(lengths)
    out = np.zeros(n, np.float32)
    if not len(rows) or not n:
        return out
    width = len(weights)
    keys, tf = np.unique(rows * width + columns, return_counts=True)
    row, column = keys // width, keys % width
    df = np.bincount(column, minlength=width)
    idf = np.log1p((n - df + 0.5) / (df + 0.5)) * weights
    norm = K1 * (1 - B + B * lengths[row] / max(1.0, float(lengths.mean())))
    np.add.at(out, row, (idf[column] * tf * (K1 + 1) / (tf + norm)).astype(np.float32))
    return out
