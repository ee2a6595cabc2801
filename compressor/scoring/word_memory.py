"""Remembers the words of a process: its vocabulary, and the words of texts that return with every call."""

from __future__ import annotations

import sys
import threading

import numpy as np
import numpy.typing as npt

from compressor.caches import TwoGenerationCache
from compressor.scoring.vocabulary import Ids, Vocabulary, make_vocabulary

#: A memory whose vocabulary holds more is replaced by an empty one.
MAX_VOCABULARY_BYTES = 64 << 20
_TUPLE_BYTES = 300


class WordMemory:
    """A vocabulary and the words of texts by its numbers. What it returns must not be changed.

    Attributes:
        vocabulary: The words and terms.
    """

    def __init__(self) -> None:
        self.vocabulary: Vocabulary = make_vocabulary()
        self._texts: TwoGenerationCache[Ids] = TwoGenerationCache()
        self._units: TwoGenerationCache[tuple[Ids, Ids]] = TwoGenerationCache()

    def text_words(self, text: str) -> Ids:
        """Returns the numbers of the distinct words of a text, ascending."""
        found = self._texts.get(text)
        if found is None:
            found = np.unique(self.vocabulary.scan(text)[0])
            found.flags.writeable = False
            self._texts.put(text, found, found.nbytes + _TUPLE_BYTES)
        return found

    def unit_words(self, text: str, spans: npt.NDArray[np.int32]) -> tuple[Ids, Ids]:
        """Returns the words of the units of a text, in order, and the number of words of each.

        Args:
            text: The text.
            spans: [n, 2] start and end of each unit.
        """
        key = text, spans.tobytes()
        found = self._units.get(key)
        if found is None:
            found = self.vocabulary.scan(text, spans)
            for array in found:
                array.flags.writeable = False
            size = sys.getsizeof(text) + len(key[1]) + sum(array.nbytes for array in found)
            self._units.put(key, found, size + _TUPLE_BYTES)
        return found


_lock = threading.Lock()
_current = WordMemory()


def current_memory() -> WordMemory:
    """Returns the memory of the process: a new one if the vocabulary of the last one has grown too large.

    Who keeps numbers of words must keep the memory with them.
    """
    global _current
    found = _current
    if found.vocabulary.size_bytes > MAX_VOCABULARY_BYTES:
        with _lock:
            if _current is found:
                _current = WordMemory()
            found = _current
    return found


def classify_token(token: str) -> tuple[int, tuple[str, ...]]:
    """Returns a token's class and its terms: lower-case, stemmed parts without accents, by which a query can match it.

    `U.S.` is one term.
    """
    return current_memory().vocabulary.word_kind(token)


def split_tokens(text: str) -> list[str]:
    """Returns the tokens of a text in order, with runs of scripts without spaces cut into overlapping pieces."""
    return current_memory().vocabulary.text_words(text)


def distinct_tokens(text: str) -> frozenset[str]:
    """Returns the distinct tokens of a text. A context's fixed texts return with every call, so they are remembered."""
    memory = current_memory()
    return frozenset(memory.vocabulary.words(memory.text_words(text)))


def terms(text: str) -> list[str]:
    """Returns all terms of a text, in order, with repetitions."""
    return current_memory().vocabulary.text_terms(text)
