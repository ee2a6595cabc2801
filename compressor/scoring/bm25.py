"""Computes BM25 of units against weighted query terms, on a `TokenIndex`.

The formula is equation 3.15 of S. Robertson, H. Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond
(2009), with the non-negative idf of Lucene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import chain, repeat
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from compressor.caches import TwoGenerationCache
from compressor.native import load_kernel
from compressor.scoring.character_ngrams import has_unsegmented, is_hiragana, run_terms, split_run, without_particle
from compressor.scoring.stop_words import (
    STOP_WORDS,
    find_languages,
    has_function_character,
    is_function_character,
    is_stop_word,
    without_function_words,
)
from compressor.scoring.term_counts import K1, TermCounts
from compressor.scoring.token_index import NAME, TOKEN, WORD, TokenIndex, classify_token, plain_word
from compressor.scoring.token_splitting import has_special
from compressor.scoring.word_forms import word_forms
from compressor.scoring.word_memory import current_memory

#: The weight of pieces of scripts without spaces that say little: one of several Han characters, hiragana, particles.
PIECE_WEIGHT = 0.4

#: A longer part of a query is a task with many words, of which some are always there: other forms add only noise.
MAX_TOKENS_WITH_FORMS = 80

#: Tokens of queries whose terms are remembered, and up to which length.
MAX_KNOWN_TOKENS, MAX_KNOWN_CHARS = 8_192, 64
MAX_PART_CACHE_BYTES = 8 << 20

#: English words, as terms, that do not tell what a question is about.
STOP = frozenset(
    "a an and are as at be but by can could did do doe does for from had has have how i if in into is it its me my no "
    "not of on or our please she so than that the thei their them there these they this those to up us was we were "
    "what when where which who whom whose why will with would you your he her his him about also any been i'm i'd ar "
    "wa ha hav thi wer wher wh ther thes thos wil".split()
)


_parts: TwoGenerationCache[PartTerms] = TwoGenerationCache(MAX_PART_CACHE_BYTES)


class QueryTerms(dict[str, float]):
    """The terms of a query with their weights, and what else shows that a text has what the query names.

    Attributes:
        forms: Other forms of the terms, with the term each of them stands for. It must not be changed.
        compounds: Whole ids, versions, paths and dates of more than one term with their weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.forms: dict[str, str] = {}
        self.compounds: dict[str, float] = {}


class PartTerms(NamedTuple):
    """What one part of a query, or one of its tokens, asks for. It is shared between calls and never changed.

    Attributes:
        shares: The terms with the share of the part's weight that each of them gets.
        forms: Other forms of the terms, with the term each of them stands for.
        compounds: Whole ids, versions, paths and dates of more than one term.
    """

    shares: dict[str, float]
    forms: dict[str, str]
    compounds: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory it holds."""
        return 120 * (len(self.shares) + len(self.forms) + len(self.compounds)) + 300


NO_TERMS = PartTerms({}, {}, ())


def weighted_terms(parts: tuple[tuple[str, float], ...]) -> QueryTerms:
    """Returns query terms with the weight of the heaviest part that has them, without stop words.

    Stop words and word forms are those of each part's own languages.
    """
    out = QueryTerms()
    weight_of = out.get
    read: dict[str, float] = {}
    for text, weight in parts:
        if weight <= read.get(text, -1.0):
            continue
        part = part_terms(text)
        read[text] = weight
        if len(out):
            for term, share in part.shares.items():
                value, known = share * weight, weight_of(term, 0.0)
                out[term] = value if value > known else known
        else:
            whole = text.isascii()  # all shares are 1
            shares = dict.fromkeys(part.shares, max(weight, 0.0)) if whole else part.shares
            out.update(shares if whole else {term: max(share * weight, 0.0) for term, share in shares.items()})
        if part.forms:  # the first part that has a form says which term it stands for
            out.forms = part.forms | out.forms if out.forms else part.forms
        for compound in part.compounds:
            out.compounds[compound] = max(out.compounds.get(compound, 0.0), weight)
    return out


def part_terms(text: str) -> PartTerms:
    """Returns the terms of one part of a query. They are cached, as most parts return with every call."""
    found = _parts.get(text)
    if found is None:
        found = _read_part(text)
        _parts.put(text, found)
    return found


def _read_part(text: str) -> PartTerms:
    if has_special(text):
        tokens = TOKEN.findall(text)
        distinct, size = list(dict.fromkeys(tokens)), len(tokens)
    else:
        distinct, size = current_memory().vocabulary.distinct_words(text)
    languages = find_languages(text, distinct)
    return PartTerms(*_read_tokens(distinct, languages, languages if size <= MAX_TOKENS_WITH_FORMS else ()))


def read_tokens(tokens: list[str], languages: tuple[str, ...], form_languages: tuple[str, ...]) -> PartTerms:
    """Returns what the distinct tokens of a part ask for; the reference for the native kernel `query_terms`.

    Args:
        tokens: The tokens.
        languages: The languages of the part, whose stop words are left out.
        form_languages: The languages whose word forms are added.
    """
    found = list(map(_read_token, tokens, repeat(languages), repeat(form_languages)))
    shares = dict.fromkeys(chain.from_iterable([token.shares for token in found]), 1.0)
    if not all(map(str.isascii, tokens)):  # pieces of scripts without spaces may have a smaller share
        shares = dict.fromkeys(shares, 0.0)
        for token in found:
            for term, share in token.shares.items():
                shares[term] = max(shares[term], share)
    forms: dict[str, str] = {}
    for token in reversed(found):  # the first token that has a form says which term it stands for
        if token.forms:
            forms.update(token.forms)
    return PartTerms(shares, forms, tuple(dict.fromkeys(chain.from_iterable([token.compounds for token in found]))))


def _read_token(token: str, languages: tuple[str, ...], forms: tuple[str, ...]) -> PartTerms:
    """Returns what a token of a query asks for, from the cache if it is short."""
    return (_known_token_terms if len(token) <= MAX_KNOWN_CHARS else _token_terms)(token, languages, forms)


def _token_terms(token: str, languages: tuple[str, ...], forms: tuple[str, ...]) -> PartTerms:
    """Returns what a token of a query asks for; nothing for a stop word.

    Args:
        token: The token.
        languages: The languages of its part, whose stop words are left out.
        forms: The languages whose word forms are added.
    """
    shares: dict[str, float] = {}
    all_forms: dict[str, str] = {}
    if has_unsegmented(token[0]):
        _add_run(shares, token, languages)
        return PartTerms(shares, all_forms, ())
    if is_stop_word(token, languages):
        return NO_TERMS
    words = [token]
    if "-" in token:
        content = [w for w in token.split("-") if w and not is_stop_word(w, languages)]  # `a-t-elle`
        words = words if len(content) == token.count("-") + 1 else content
    compounds = []
    for word in words:
        kind, found = classify_token(word)
        for term in found:
            if term in STOP and "en" in languages:
                continue
            if len(term) > 1 or term.isdigit() or not term.isascii() or word.isupper():
                shares[term] = 1.0
                whole = plain_word(word).lower() if len(found) == 1 and not word.isdigit() else term
                for form in word_forms(whole, forms) if forms else ():
                    all_forms.setdefault(form, term)
        if (len(found) > 1 or not word.isalnum()) and kind not in (WORD, NAME):
            compounds.append(word)
    return PartTerms(shares, all_forms, tuple(compounds))


_known_token_terms = lru_cache(maxsize=MAX_KNOWN_TOKENS)(_token_terms)


def _add_run(out: dict[str, float], run: str, languages: tuple[str, ...]) -> None:
    """Adds the pieces of a run of a script without spaces. Those that say little get a share of the weight."""
    for part in without_function_words(run):
        for piece in split_run(part):
            if is_function_character(piece) or is_stop_word(piece, languages):
                continue
            unsure = len(piece) == 1 < len(part) or is_hiragana(piece) or has_function_character(piece)
            bare = frozenset(run_terms(without_particle(piece)))
            for term in classify_token(piece)[1]:
                out[term] = max(out.get(term, 0.0), PIECE_WEIGHT if unsure or term not in bare else 1.0)


def matches(
    index: TokenIndex, query: Mapping[str, float]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Finds the words that match the query.

    Returns:
        The units of the matches, the numbers of their query terms, and the weight of each query term. Compounds that
        the index has whole are further terms, after those of the query.
    """
    terms = query if isinstance(query, dict) else dict(query)
    tokens, columns = index.query_hits(terms, query.forms if isinstance(query, QueryTerms) else {})
    values = list(terms.values())
    if isinstance(query, QueryTerms) and query.compounds:
        spellings = [(spelling, i) for i, c in enumerate(query.compounds) for spelling in _spellings_of(c)]
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


_known_spellings = lru_cache(maxsize=MAX_KNOWN_TOKENS)(_spellings)


def _spellings_of(compound: str) -> list[str]:
    return (_known_spellings if len(compound) <= MAX_KNOWN_CHARS else _spellings)(compound)


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
    return TermCounts.count(rows, columns, len(weights)).bm25(weights, lengths)


_kernel = load_kernel("query_terms")
_read_tokens: Callable[[list[str], tuple[str, ...], tuple[str, ...]], Iterable[Any]] = (
    read_tokens if _kernel is None else _kernel.TermReader(STOP_WORDS, STOP, word_forms, _read_token).read_tokens
)
