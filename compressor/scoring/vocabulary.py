"""Numbers the words and terms of all texts of a process, and keeps what is known about each word.

A word is a token, see `token_splitting`. Numbers depend on the order in which texts came, so nothing may be computed
from them but sets and places: a `TokenIndex` renumbers the words of its units in order of first use.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from compressor.native import load_kernel
from compressor.scoring.token_forms import describe_token
from compressor.scoring.token_splitting import JOINERS, SPECIAL_RANGES, split_all, split_tokens

#: Numbers of words or terms.
Ids = npt.NDArray[np.int32]

_ENTRY_BYTES = 400  # of a word or term in Python's dicts and lists


class Vocabulary:
    """Words and terms, numbered in order of first use. Threads can share it.

    The native kernel `words` has the same class. Words are never removed, and what is known about one never changes.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._words: list[str] = []
        self._terms: list[tuple[str, ...]] = []
        self._kinds = array("B")
        self._shapes = array("H")
        self._lower = array("i")  # -1 until asked for
        self._term_ends = array("i", [0])  # of each word in `_all_terms`, after a 0
        self._all_terms = array("i")
        self._term_numbers: dict[str, int] = {}
        self._characters = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._words)

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory it holds."""
        return (len(self._words) + len(self._term_numbers)) * _ENTRY_BYTES + 4 * self._characters

    def scan(self, text: str, spans: npt.NDArray[np.int32] | None = None) -> tuple[Ids, Ids]:
        """Returns the words of ranges of a text in order, and the number of words of each range.

        Args:
            text: The text.
            spans: [n, 2] start and end of each range; all of the text if None.
        """
        return self.scan_texts([text] if spans is None else [text[max(a, 0) : max(b, 0)] for a, b in spans.tolist()])

    def scan_all(self, parts: Sequence[tuple[str, npt.NDArray[np.int32]]]) -> list[tuple[Ids, Ids]]:
        """Returns for each text and its ranges what `scan` returns. One pass over all is faster."""
        words, lengths = self.scan_texts(
            [text[max(a, 0) : max(b, 0)] for text, spans in parts for a, b in spans.tolist()]
        )
        ends = np.cumsum([len(spans) for _, spans in parts])
        word_ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])[ends]
        return list(zip(np.split(words, word_ends[:-1]), np.split(lengths, ends[:-1]), strict=True)) if parts else []

    def scan_texts(self, texts: Sequence[str]) -> tuple[Ids, Ids]:
        """Returns the words of several texts in order, and the number of words of each text."""
        found, lengths = split_all(texts)
        return self.add(found), np.array(lengths, np.int32)

    def text_terms(self, text: str) -> list[str]:
        """Returns the terms of a text as strings, in order, with repetitions."""
        found = self._terms
        return [term for number in self.add(split_tokens(text)).tolist() for term in found[number]]

    def text_words(self, text: str) -> list[str]:
        """Returns the words of a text as strings, in order, with repetitions."""
        return split_tokens(text)

    def distinct_words(self, text: str) -> tuple[list[str], int]:
        """Returns the distinct words of a text as strings, in order of first use, and the number of all its words."""
        words = split_tokens(text)
        return list(dict.fromkeys(words)), len(words)

    def add(self, words: Sequence[str]) -> Ids:
        """Returns the numbers of words, which become part of the vocabulary."""
        numbers = self._numbers
        found = list(map(numbers.get, words))
        if None in found:
            self._learn([word for word, number in zip(words, found, strict=True) if number is None])
            found = list(map(numbers.get, words))
        return np.array(found, np.int32)

    def _learn(self, words: list[str]) -> None:
        described = {word: describe_token(word) for word in dict.fromkeys(words)}
        kinds, shapes, numbers, known = self._kinds, self._shapes, self._numbers, self._term_numbers
        all_terms, term_ends = self._all_terms, self._term_ends
        with self._lock:
            for word, (kind, terms, shape) in described.items():
                if word in numbers:  # another thread was faster
                    continue
                kinds.append(kind)
                shapes.append(shape)
                for term in terms:
                    all_terms.append(known.setdefault(term, len(known)))
                term_ends.append(len(all_terms))
                self._lower.append(-1)
                self._terms.append(terms)
                self._words.append(word)
                self._characters += 2 * len(word)
                numbers[word] = len(numbers)

    def _pick(self, values: array[int], places: npt.NDArray[np.intp] | Ids) -> npt.NDArray[Any]:
        """Some of the values. An array cannot grow while it is read, so both are done under the lock."""
        with self._lock:
            return np.frombuffer(values, values.typecode)[places] if len(places) else np.zeros(0, values.typecode)

    def find(self, words: Sequence[str]) -> Ids:
        """Returns the numbers of words; -1 for those that no text had."""
        return np.array([self._numbers.get(word, -1) for word in words], np.int32)

    def find_terms(self, terms: Sequence[str]) -> Ids:
        """Returns the numbers of terms; -1 for those that no word has."""
        return np.array([self._term_numbers.get(term, -1) for term in terms], np.int32)

    def word_kind(self, word: str) -> tuple[int, tuple[str, ...]]:
        """Returns the class of a word and its terms. The word becomes part of the vocabulary."""
        number = self._numbers.get(word)
        if number is None:
            self._learn([word])
            number = self._numbers[word]
        return self._kinds[number], self._terms[number]

    def kinds(self, words: Ids) -> npt.NDArray[np.uint8]:
        """[words] their classes."""
        return self._pick(self._kinds, words)

    def shapes(self, words: Ids) -> npt.NDArray[np.uint16]:
        """[words] their forms, see `token_shape`."""
        return self._pick(self._shapes, words)

    def words(self, words: Ids) -> list[str]:
        """Returns the words as strings."""
        names = self._words
        return [names[n] for n in words.tolist()]

    def terms(self, words: Ids) -> list[tuple[str, ...]]:
        """Returns the terms of each word as strings."""
        found = self._terms
        return [found[n] for n in words.tolist()]

    def term_texts(self, terms: Ids) -> list[str]:
        """Returns terms as strings."""
        found = list(self._term_numbers)
        return [found[n] for n in terms.tolist()]

    def term_rows(self, words: Ids) -> tuple[Ids, Ids]:
        """Returns the number of terms of each word, and the numbers of all these terms, in order."""
        starts = self._pick(self._term_ends, words)
        counts = self._pick(self._term_ends, words + 1) - starts
        ends = np.cumsum(counts, dtype=np.int32)
        places = np.arange(counts.sum(), dtype=np.int32) + np.repeat(starts - ends + counts, counts)
        return counts, self._pick(self._all_terms, places)

    def term_sizes(self, words: Ids) -> Ids:
        """Returns the number of characters of each term, in the order of `term_rows`."""
        found = self._terms
        return np.array([len(term) for n in words.tolist() for term in found[n]], np.int32)

    def lower_ids(self, words: Ids) -> Ids:
        """[words] the number of each word in lower case, which becomes part of the vocabulary."""
        missing = words[self._pick(self._lower, words) < 0].tolist()
        found = self.add([self._words[number].lower() for number in missing]).tolist()
        with self._lock:
            for number, lower in zip(missing, found, strict=True):
                self._lower[number] = lower
        return self._pick(self._lower, words)

    def join(self, parts: Sequence[tuple[Ids, Ids]]) -> tuple[Ids, Ids, Ids, Ids, Ids, Ids]:
        """Renumbers the words of several texts in order of first use.

        Args:
            parts: For each text its words, and the number of words of each of its units.

        Returns:
            The words in order of first use; the number of words of each unit; the new number of each word; its unit;
            the units and the words of the distinct pairs, sorted.
        """
        empty = np.zeros(0, np.int32)
        words = np.concatenate([empty, *(part[0] for part in parts)])
        lengths = np.concatenate([empty, *(part[1] for part in parts)])
        entries = np.arange(len(words), dtype=np.int32)
        first, number = np.empty((2, len(self._words)), np.int32)
        first[words[::-1]] = entries[::-1]  # of equal words the first entry is written last
        order = words[first[words] == entries]
        number[order] = entries[: len(order)]
        token = number[words]
        unit = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
        size = max(1, len(order))
        pairs = np.unique(unit.astype(np.int64) * size + token)
        return order, lengths, token, unit, (pairs // size).astype(np.int32), (pairs % size).astype(np.int32)

    def positions(self, words: Ids, wanted: Ids) -> Ids:
        """[wanted] where each wanted word stands in `words`, which are distinct; -1 if it does not."""
        places = {n: i for i, n in enumerate(words.tolist())}
        return np.array([places.get(n, -1) for n in wanted.tolist()], np.int32)

    def mask(self, words: Ids, lists: Sequence[Ids]) -> npt.NDArray[np.bool_]:
        """[words] which of some words are in one of the lists."""
        found = np.zeros(len(self._words), np.bool_)
        for one in lists:
            found[one] = True
        return found[words]

    def hits(self, words: Ids, terms: Ids) -> tuple[Ids, Ids]:
        """Finds the words that have some terms. The terms are distinct, or -1 for one that no word has.

        Returns:
            The places of words and of terms, sorted by word, then term.
        """
        place = np.full(len(self._term_numbers) + 1, -1, np.int32)
        place[terms] = np.arange(len(terms), dtype=np.int32)
        place[-1] = -1
        counts, rows = self.term_rows(words)
        found = place[rows]
        at = np.repeat(np.arange(len(words), dtype=np.int32), counts)[found >= 0]
        found = found[found >= 0]
        order = np.lexsort((found, at))
        return at[order], found[order]

    def query_hits(self, words: Ids, terms: dict[str, float], forms: dict[str, str]) -> tuple[Ids, Ids]:
        """Finds the words that have terms of a query, or other forms of them.

        Args:
            words: The words.
            terms: The terms, with any values.
            forms: Other forms, with the term that each of them stands for.

        Returns:
            The places of words and of terms, sorted by word, then term.
        """
        own = {term: i for i, term in enumerate(terms)}
        places = {form: own[term] for form, term in forms.items() if form not in own} | own
        at, found = self.hits(words, self.find_terms(list(places)))
        columns = np.array([*places.values(), 0], np.int32)[found]
        order = np.lexsort((columns, at))
        return at[order], columns[order]

    def term_weights(
        self, words: Ids, terms: dict[str, float]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Returns [words] the mean and the largest of the weights that a query gives to a word's terms."""
        mean, best = np.zeros((2, len(words)), np.float32)
        at, places = self.hits(words, self.find_terms(list(terms)))
        if len(at):
            weights = np.array(list(terms.values()), np.float32)[places]
            np.add.at(mean, at, weights)
            np.maximum.at(best, at, weights)
            mean /= np.maximum(self.term_rows(words)[0], 1).astype(np.float32)
        return mean, best


def python_expand_hits(
    tokens: Ids, terms: Ids, token: Ids, unit: Ids, size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Returns the unit and the term of each hit of each entry of an index, in order of the entries.

    Args:
        tokens: The words of the hits, ascending.
        terms: The terms of the hits.
        token: The word of each entry.
        unit: The unit of each entry.
        size: The number of words.
    """
    first = np.searchsorted(tokens, np.arange(size + 1))
    fan = np.diff(first)
    where = np.flatnonzero(fan[token])
    repeat = fan[token[where]]
    offsets = np.arange(repeat.sum()) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    return np.repeat(unit[where], repeat).astype(np.int64), terms[np.repeat(first[token[where]], repeat) + offsets]


_kernel = load_kernel("words")
expand_hits = python_expand_hits if _kernel is None else _kernel.expand_hits


def make_vocabulary() -> Vocabulary:
    """Returns an empty vocabulary, of the kernel if it was built."""
    if _kernel is None:
        return Vocabulary()
    return cast(Vocabulary, _kernel.Vocabulary(describe_token, split_tokens, SPECIAL_RANGES, JOINERS))
