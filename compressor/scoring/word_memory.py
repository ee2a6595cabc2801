"""Remembers the words of a process: its vocabulary, and the words of texts that return with every call."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from compressor.caches import TwoGenerationCache
from compressor.scoring.vocabulary import Ids, Vocabulary, make_vocabulary
from compressor.text.segmenters.base import SegmentedText

#: A memory whose vocabulary holds more is replaced by an empty one.
MAX_VOCABULARY_BYTES = 20 << 20
#: Before it has read this many characters, it may hold more: otherwise one long history of ids, which are all words of
#: their own, would be read again with every call.
MANY_CHARACTERS, MAX_DENSE_VOCABULARY_BYTES = 16 << 20, 64 << 20
#: Bytes of the texts whose words are remembered: whole texts, and texts by their units.
MAX_TEXT_BYTES, MAX_UNIT_BYTES = 4 << 20, 12 << 20
MANY_WORDS = 200  # of which many are the same


class WordMemory:
    """A vocabulary and the words of texts by its numbers. What it returns must not be changed.

    Attributes:
        vocabulary: The words and terms.
        characters: How many characters of texts it has read.
    """

    def __init__(self) -> None:
        self.vocabulary: Vocabulary = make_vocabulary()
        self.characters = 0
        self._texts: TwoGenerationCache[Ids] = TwoGenerationCache(MAX_TEXT_BYTES)
        self._units: TwoGenerationCache[tuple[Ids, Ids]] = TwoGenerationCache(MAX_UNIT_BYTES)

    @property
    def is_full(self) -> bool:
        """Whether an empty memory should take its place."""
        size = self.vocabulary.size_bytes
        return size > MAX_VOCABULARY_BYTES and (self.characters > MANY_CHARACTERS or size > MAX_DENSE_VOCABULARY_BYTES)

    def text_words(self, text: str) -> Ids:
        """Returns the numbers of the words of a text; distinct if it has many."""
        found = self._texts.get(text)
        if found is None:
            self.characters += len(text)
            found = self.vocabulary.scan(text)[0]
            if len(found) > MANY_WORDS:
                found = np.unique(found)
            found.flags.writeable = False
            self._texts.put(text, found)
        return found

    def unit_words(self, layouts: Sequence[SegmentedText]) -> list[tuple[Ids, Ids]]:
        """Returns for each layout the words of its units, in order, and the number of words of each unit."""
        keys = [(layout.text, layout.spans.tobytes()) for layout in layouts]
        found = [self._units.get(key) for key in keys]
        missing = [i for i, words in enumerate(found) if words is None]
        if missing:
            self.characters += sum(len(layouts[i].text) for i in missing)
            scanned = self.vocabulary.scan_all([(layouts[i].text, layouts[i].spans) for i in missing])
            for i, (words, lengths) in zip(missing, scanned, strict=True):
                kept = found[i] = _own(words), _own(lengths)
                self._units.put(keys[i], kept)
        return [words for words in found if words is not None]


def _own(array: Ids) -> Ids:
    """The array, or a copy if it is a part of another, that cannot be changed."""
    out = array if array.base is None else array.copy()
    out.flags.writeable = False
    return out


_lock = threading.Lock()
_current = WordMemory()


def current_memory() -> WordMemory:
    """Returns the memory of the process: a new one if the vocabulary of the last one has grown too large.

    Who keeps numbers of words must keep the memory with them.
    """
    global _current
    found = _current
    if found.is_full:
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
