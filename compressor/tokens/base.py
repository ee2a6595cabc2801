"""The base class of all tokenizers: it caches counts and handles lone surrogates.

Lone surrogates cannot be written as UTF-8. Each counts as one replacement character, as in tiktoken's own fallback.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from compressor.caches import TwoGenerationCache

Offsets = npt.NDArray[np.int32]


class Tokenizer(ABC):
    """A loaded vocabulary, safe to share between threads.

    Attributes:
        name: What results report: "o200k_base", "hf:tokenizer.json" or "gguf:model.gguf".
        cached_count: Returns the count of a text that was counted before, or None.
        counts_refs_alike: Whether all refs, which are twelve digits, take the same tokens wherever they stand.
    """

    name: str
    counts_refs_alike = False

    def __init__(self, name: str) -> None:
        self.name = name
        self._cached_counts: TwoGenerationCache[int] = TwoGenerationCache()
        self._cached_offsets: TwoGenerationCache[Offsets] = TwoGenerationCache()
        self.cached_count = self._cached_counts.get

    @abstractmethod
    def _count(self, text: str) -> int:
        """Counts the tokens of a text without surrogates."""

    @abstractmethod
    def _offsets(self, text: str) -> Offsets:
        """Returns the character that each token of a text without surrogates starts in, then the text's length."""

    def count(self, text: str) -> int:
        """Returns the number of tokens in a text, and caches it."""
        count = self.cached_count(text)
        if count is None:
            count = self._count(replace_surrogates(text))
            self._cached_counts.put(text, count)
        return count

    def count_batch(self, texts: Sequence[str]) -> list[int]:
        """Returns the number of tokens in each of many texts. The counts are not cached."""
        return [self._count(replace_surrogates(text)) for text in texts]

    def offsets(self, text: str) -> Offsets:
        """Returns the character that each token starts in, and caches it together with the count.

        Returns:
            [tokens + 1] int32: the offsets in order, then the length of the text. Do not write to the array.
        """
        offsets = self._cached_offsets.get(text)
        if offsets is None:
            clean = replace_surrogates(text)
            offsets = self._offsets(clean)
            if clean is not text:
                offsets = _original_offsets(text)[offsets]
            self._cached_offsets.put(text, offsets, offsets.nbytes)
            self._cached_counts.put(text, len(offsets) - 1)
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
