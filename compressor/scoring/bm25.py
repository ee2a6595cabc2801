"""Computes BM25 of units against weighted query terms, on a `TokenIndex`.

The formula is equation 3.15 of S. Robertson, H. Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond
(2009), with the non-negative idf of Lucene.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from compressor.scoring.character_ngrams import has_unsegmented, is_hiragana, run_terms, split_run, without_particle
from compressor.scoring.stop_words import (
    find_languages,
    has_function_character,
    is_function_character,
    is_stop_word,
    without_function_words,
)
from compressor.scoring.token_index import NAME, TOKEN, WORD, TokenIndex, classify_token, plain_word
from compressor.scoring.word_forms import word_forms

K1 = 1.2
#: Weaker length normalization than the usual 0.75, as units are short and their lengths say little.
B = 0.4

#: The weight of pieces of scripts without spaces that say little: one of several Han characters, hiragana, particles.
PIECE_WEIGHT = 0.4

#: A longer part of a query is a task with many words, of which some are always there: other forms add only noise.
MAX_TOKENS_WITH_FORMS = 80

#: English words, as terms, that do not tell what a question is about.
STOP = frozenset(
    "a an and are as at be but by can could did do doe does for from had has have how i if in into is it its me my no "
    "not of on or our please she so than that the thei their them there these they this those to up us was we were "
    "what when where which who whom whose why will with would you your he her his him about also any been i'm i'd ar "
    "wa ha hav thi wer wher wh ther thes thos wil".split()
)


class QueryTerms(dict[str, float]):
    """The terms of a query with their weights, and what else shows that a text has what the query names.

    Attributes:
        forms: Other forms of the terms, with the term each of them stands for.
        compounds: Whole ids, versions, paths and dates of more than one term with their weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.forms: dict[str, str] = {}
        self.compounds: dict[str, float] = {}

    def numbers(self) -> dict[str, int]:
        """Returns the number of the query term for each term and each of its other forms."""
        own = {term: i for i, term in enumerate(self)}
        return {form: own[term] for form, term in self.forms.items() if form not in own} | own


def weighted_terms(parts: tuple[tuple[str, float], ...]) -> QueryTerms:
    """Returns query terms with the weight of the heaviest part that has them, without stop words.

    Stop words and word forms are those of each part's own languages.
    """
    out = QueryTerms()
    for text, weight in parts:
        tokens = TOKEN.findall(text)
        languages = find_languages(text, tokens)
        forms = languages if len(tokens) <= MAX_TOKENS_WITH_FORMS else ()
        for token in tokens:
            if has_unsegmented(token[0]):
                _add_run(out, token, languages, weight)
            elif not is_stop_word(token, languages):
                words = [w for w in token.split("-") if w and not is_stop_word(w, languages)]  # `a-t-elle`
                for word in [token] if len(words) == token.count("-") + 1 else words:
                    _add_word(out, word, languages, forms, weight)
    return out


def _add_word(out: QueryTerms, token: str, languages: tuple[str, ...], forms: tuple[str, ...], weight: float) -> None:
    kind, found = classify_token(token)
    for term in found:
        if term in STOP and "en" in languages:
            continue
        if len(term) > 1 or term.isdigit() or not term.isascii() or token.isupper():
            out[term] = max(out.get(term, 0.0), weight)
            word = plain_word(token).lower() if len(found) == 1 and not token.isdigit() else term
            for form in word_forms(word, forms) if forms else ():
                out.forms.setdefault(form, term)
    if (len(found) > 1 or not token.isalnum()) and kind not in (WORD, NAME):
        out.compounds[token] = max(out.compounds.get(token, 0.0), weight)


def _add_run(out: QueryTerms, run: str, languages: tuple[str, ...], weight: float) -> None:
    """Adds the pieces of a run of a script without spaces. Those that say little count less."""
    for part in without_function_words(run):
        for piece in split_run(part):
            if is_function_character(piece) or is_stop_word(piece, languages):
                continue
            unsure = len(piece) == 1 < len(part) or is_hiragana(piece) or has_function_character(piece)
            bare = frozenset(run_terms(without_particle(piece)))
            for term in classify_token(piece)[1]:
                share = PIECE_WEIGHT if unsure or term not in bare else 1.0
                out[term] = max(out.get(term, 0.0), share * weight)


def matches(
    index: TokenIndex, query: Mapping[str, float]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Finds the words that match the query.

    Returns:
        The units of the matches, the numbers of their query terms, and the weight of each query term. Compounds that
        the index has whole are further terms, after those of the query.
    """
    numbers = query.numbers() if isinstance(query, QueryTerms) else {t: i for i, t in enumerate(query)}
    tokens, places = index.find_terms(list(numbers))
    columns = np.array(list(numbers.values()) or np.zeros(0), np.int32)[places]
    values = list(query.values())
    if isinstance(query, QueryTerms) and query.compounds:
        spellings = [(spelling, i) for i, c in enumerate(query.compounds) for spelling in _spellings(c)]
        found = index.find([spelling for spelling, _ in spellings])
        if (found >= 0).any():
            compound = np.array([i for _, i in spellings], np.int32)[found >= 0]
            distinct, column = np.unique(compound, return_inverse=True)
            each = list(query.compounds.values())
            tokens = np.concatenate([tokens, found[found >= 0]])
            columns = np.concatenate([columns, (column.reshape(-1) + len(values)).astype(np.int32)])
            values += [each[i] for i in distinct.tolist()]
            order = np.argsort(tokens, kind="stable")
            tokens, columns = tokens[order], columns[order]
    weights = np.array(values or np.zeros(0), np.float32)
    return *index.expand(tokens, columns), weights


def _spellings(compound: str) -> list[str]:
    """A compound in other cases, and a version with and without its `v`."""
    found = [compound, compound.lower(), compound.upper()]
    if compound[0] in "vV" and compound[1:2].isdigit():
        found.append(compound[1:])
    elif compound[0].isdigit():
        found.append(f"v{compound}")
    return list(dict.fromkeys(found))


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
