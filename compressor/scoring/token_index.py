"""Indexes the tokens of many units as flat arrays, for lexical scoring and for redundancy.

Tokens here are words and compound identifiers (`fields/__init__.py`, `HAT136`, `2024-05-20`), not model tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from compressor.scoring.token_forms import (
    CODE,
    IDENTIFIER,
    NAME,
    NUMBER,
    PATH,
    WORD,
    plain_word,
    stem,
    token_shape,
)
from compressor.scoring.token_splitting import TOKEN
from compressor.scoring.vocabulary import Ids, expand_hits
from compressor.scoring.word_memory import (
    WordMemory,
    classify_token,
    current_memory,
    distinct_tokens,
    split_tokens,
    terms,
)
from compressor.text.segmenters.base import SegmentedText

__all__ = [
    "CODE",
    "IDENTIFIER",
    "NAME",
    "NUMBER",
    "PATH",
    "TOKEN",
    "WORD",
    "TokenIndex",
    "classify_token",
    "distinct_tokens",
    "plain_word",
    "split_tokens",
    "stem",
    "terms",
    "token_shape",
]


class TokenIndex:
    """The tokens of units.

    What is computed from process-wide numbers must not depend on their order, which is that of first use in a process.

    Args:
        texts: The texts of the units.

    Attributes:
        memory: The memory that knows the words.
        word_ids: [vocabulary] int32 the process-wide number of each token of the vocabulary. The vocabulary is the
            distinct tokens, in order of first use.
        token: [entries] int32 the tokens of all units, in order, with repetitions.
        unit: [entries] int32 the unit of each entry.
        lengths: [units] int32 the number of tokens of each unit.
        pairs: The distinct (unit, token) pairs, two arrays of int32, sorted by unit, then token.
        kinds: [vocabulary] uint8 the class of each token.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        memory = current_memory()
        self._fill(memory, [memory.vocabulary.scan_texts(texts)])

    @classmethod
    def of_layouts(cls, layouts: Sequence[SegmentedText]) -> TokenIndex:
        """Returns the index of the units of several texts. The words of each text are remembered."""
        out = cls.__new__(cls)
        memory = current_memory()
        out._fill(memory, memory.unit_words(layouts))
        return out

    def _fill(self, memory: WordMemory, parts: Sequence[tuple[Ids, Ids]]) -> None:
        self.memory = memory
        self.word_ids, self.lengths, self.token, self.unit, *pairs = memory.vocabulary.join(parts)
        self.pairs: tuple[Ids, Ids] = pairs[0], pairs[1]
        self.kinds = memory.vocabulary.kinds(self.word_ids)

    @cached_property
    def shapes(self) -> npt.NDArray[np.uint16]:
        """[vocabulary] the form of each token in bits, see `token_shape`."""
        return self.memory.vocabulary.shapes(self.word_ids)

    @cached_property
    def words(self) -> list[str]:
        """[vocabulary] the tokens as strings."""
        return self.memory.vocabulary.words(self.word_ids)

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """The number of each token. Slow to build: `find`, `mask` and `words` need it not."""
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def terms(self) -> list[tuple[str, ...]]:
        """[vocabulary] the terms of each token as strings. Slow to build: `find_terms` and `term_rows` need it not."""
        return self.memory.vocabulary.terms(self.word_ids)

    @cached_property
    def term_rows(self) -> tuple[Ids, Ids]:
        """The number of terms of each token, [vocabulary], and all these terms by their process-wide numbers."""
        return self.memory.vocabulary.term_rows(self.word_ids)

    @cached_property
    def lower_ids(self) -> Ids:
        """[vocabulary] the process-wide number of each token in lower case: the same for tokens that differ in case."""
        return self.memory.vocabulary.lower_ids(self.word_ids)

    @cached_property
    def tokens_by_term(self) -> dict[str, list[int]]:
        """The tokens that have each term. Slow to build: `find_terms` needs it not."""
        out: dict[str, list[int]] = {}
        for number, token_terms in enumerate(self.terms):
            for term in token_terms:
                out.setdefault(term, []).append(number)
        return out

    def find(self, words: Sequence[str]) -> Ids:
        """Returns [words] the number of each token, which is its place in the vocabulary; -1 if no unit has it."""
        vocabulary = self.memory.vocabulary
        return vocabulary.positions(self.word_ids, vocabulary.find(words))

    def find_terms(self, terms: Sequence[str]) -> tuple[Ids, Ids]:
        """Finds the tokens that have some distinct terms.

        Returns:
            The token of each hit, and the place of its term in `terms`, sorted by token, then term.
        """
        vocabulary = self.memory.vocabulary
        return vocabulary.hits(self.word_ids, vocabulary.find_terms(terms))

    def query_hits(self, terms: dict[str, float], forms: dict[str, str]) -> tuple[Ids, Ids]:
        """Finds the tokens that have terms of a query, or other forms of them; see `Vocabulary.query_hits`."""
        return self.memory.vocabulary.query_hits(self.word_ids, terms, forms)

    def term_weights(self, terms: dict[str, float]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Returns [vocabulary] the mean and the largest of the weights that a query gives to a token's terms."""
        return self.memory.vocabulary.term_weights(self.word_ids, terms)

    def mask(self, texts: Iterable[str]) -> npt.NDArray[np.bool_]:
        """Returns [vocabulary] which tokens are in one of the texts, whose words are remembered."""
        return self.memory.vocabulary.mask(self.word_ids, [self.memory.text_words(text) for text in texts])

    def expand(self, tokens: Ids, columns: Ids) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Returns the unit and the column of each hit of each entry, in order of the entries.

        Args:
            tokens: The token of each hit, ascending.
            columns: What it hits.
        """
        return expand_hits(tokens, columns, self.token, self.unit, len(self.word_ids))
