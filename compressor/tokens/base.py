"""The base class of all tokenizers: it remembers counts and handles lone surrogates.

Lone surrogates cannot be written as UTF-8. Each counts as one replacement character, as in tiktoken's own fallback.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from compressor.caches import TextMemo, TwoGenerationCache

Offsets = npt.NDArray[np.int32]
Spans = npt.NDArray[np.int32]
SpanCounts = npt.NDArray[np.float32]


#: Bytes of the texts in each memory of a vocabulary: counts, tokens of texts (or their offsets), counts of units.
MAX_CACHE_BYTES = 12 << 20


class Tokenizer(ABC):
    """A loaded vocabulary, safe to share between threads.

    Attributes:
        name: What results report: "o200k_base", "hf:tokenizer.json" or "gguf:model.gguf".
        count: Returns the number of tokens in a text, and remembers it: known texts cost a dict lookup.
        encoder: The package that encodes, for `compressor doctor`.
        counts_refs_alike: Whether all refs, which are twelve digits, take the same tokens wherever they stand.
    """

    name: str
    count: Callable[[str], int]
    encoder = ""
    counts_refs_alike = False

    def __init__(self, name: str) -> None:
        self.name = name
        self._counts = TextMemo(self._count_clean, MAX_CACHE_BYTES)
        self._cached_offsets: TwoGenerationCache[Offsets] = TwoGenerationCache(MAX_CACHE_BYTES)
        self._cached_span_counts: TwoGenerationCache[tuple[Spans, SpanCounts]] = TwoGenerationCache(MAX_CACHE_BYTES)
        self.count = self._counts.__getitem__

    @abstractmethod
    def _count(self, text: str) -> int:
        """Counts the tokens of a text without surrogates."""

    @abstractmethod
    def _offsets(self, text: str) -> Offsets:
        """Returns the character that each token of a text without surrogates starts in, then the text's length."""

    def _count_clean(self, text: str) -> int:
        return self._count(replace_surrogates(text))

    def count_batch(self, texts: Sequence[str]) -> list[int]:
        """Returns the number of tokens in each of many texts. The counts are not remembered."""
        return [self._count_clean(text) for text in texts]

    def encode_ahead(self, texts: Sequence[str]) -> None:
        """Encodes texts whose counts are asked for soon, and then those of their spans."""
        for text in texts:
            self.offsets(text)

    def count_spans(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[SpanCounts]:
        """Returns how many tokens start in each span, for many texts at once.

        The counts are remembered for as long as the same array of spans is given, as a remembered layout does.

        Args:
            texts: The texts.
            spans: For each text an array of [spans, 2]: the first character of each span and the one after its last.

        Returns:
            [spans] float32 for each text, which holds counts up to 16 million exactly. Do not write to the arrays.
        """
        found = [self._cached_span_counts.get(text) for text in texts]
        unknown = [i for i, entry in enumerate(found) if entry is None or entry[0] is not spans[i]]
        if unknown:
            counts = self._count_spans([texts[i] for i in unknown], [spans[i] for i in unknown])
            for i, count in zip(unknown, counts, strict=True):
                count.flags.writeable = False
                found[i] = entry = (spans[i], count)
                self._cached_span_counts.replace(texts[i], entry)
        return [entry[1] for entry in found if entry is not None]

    def _count_spans(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[SpanCounts]:
        counts = []
        for text, bounds in zip(texts, spans, strict=True):
            at = np.searchsorted(self.offsets(text), bounds)
            counts.append((at[:, 1] - at[:, 0]).astype(np.float32))
        return counts

    def offsets(self, text: str) -> Offsets:
        """Returns the character that each token starts in, and remembers it together with the count.

        Returns:
            [tokens + 1] int32: the offsets in order, then the length of the text. Do not write to the array.
        """
        offsets = self._cached_offsets.get(text)
        if offsets is None:
            clean = replace_surrogates(text)
            offsets = self._offsets(clean)
            if clean is not text:
                offsets = _original_offsets(text)[offsets]
            self._cached_offsets.put(text, offsets)
            self._counts.put(text, len(offsets) - 1)
        return offsets


def replace_surrogates(text: str) -> str:
    """Returns a text that can be written as UTF-8: the same one, or one with replacement characters for surrogates."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _original_offsets(text: str) -> Offsets:
    """The offset in the text of each character of the cleaned text; the two halves of a pair become one character."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    high = (codes >= 0xD800) & (codes < 0xDC00)
    low = (codes >= 0xDC00) & (codes < 0xE000)
    second = np.zeros(len(codes) + 1, np.bool_)
    second[1:-1] = high[:-1] & low[1:]
    return np.flatnonzero(~second).astype(np.int32)


def byte_to_character_offsets(text: str, byte_offsets: npt.NDArray[np.int32]) -> Offsets:
    """Converts byte offsets into a text's UTF-8 to character offsets.

    Args:
        text: The text.
        byte_offsets: Offsets in bytes. An offset inside a character becomes the offset of that character.
    """
    if text.isascii():
        return byte_offsets
    data = np.frombuffer(text.encode(), np.uint8)
    index = np.empty(len(data) + 1, np.int32)
    np.cumsum((data & 0xC0) != 0x80, out=index[:-1])
    index[:-1] -= 1
    index[-1] = len(text)
    return index[byte_offsets]


def byte_offsets(text: str) -> npt.NDArray[np.int64]:
    """Returns where each character of a text without surrogates starts in its UTF-8, then the length of that."""
    data = np.frombuffer(text.encode(), np.uint8)
    return np.append(np.flatnonzero((data & 0xC0) != 0x80), len(data))
