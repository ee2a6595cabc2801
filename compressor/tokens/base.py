"""What all tokenizers have in common: remembered counts and lone surrogates. Splits no text itself.

Lone surrogates cannot be written as UTF-8. They count as tiktoken's own fallback counts them: as what UTF-16 makes of
the text, a replacement character each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from compressor.caches import TwoGenerationCache

Offsets = npt.NDArray[np.int32]


class Tokenizer(ABC):
    """A loaded vocabulary. Safe to share between threads.

    `name` is what results report: "o200k_base", "hf:tokenizer.json", "gguf:model.gguf".
    """

    name: str

    def __init__(self, name: str) -> None:
        self.name = name
        self._cached_counts: TwoGenerationCache[int] = TwoGenerationCache()
        self._cached_offsets: TwoGenerationCache[Offsets] = TwoGenerationCache()
        self.cached_count = self._cached_counts.get

    @abstractmethod
    def _count(self, text: str) -> int:
        """Tokens in a text that is free of surrogates."""

    @abstractmethod
    def _offsets(self, text: str) -> Offsets:
        """Where each token of a text free of surrogates starts, in characters, then the text's length."""

    def count(self, text: str) -> int:
        """Tokens in a text. Remembered."""
        count = self.cached_count(text)
        if count is None:
            count = self._count(_clean(text))
            self._cached_counts.put(text, count)
        return count

    def offsets(self, text: str) -> Offsets:
        """[tokens + 1] int32: the character each token starts in, in order, then the length of the text.
        Remembered, and the count with it: do not write to it."""
        offsets = self._cached_offsets.get(text)
        if offsets is None:
            clean = _clean(text)
            offsets = self._offsets(clean)
            if clean is not text:
                offsets = _origins(text)[offsets]
            self._cached_offsets.put(text, offsets, offsets.nbytes)
            self._cached_counts.put(text, len(offsets) - 1)
        return offsets


def _clean(text: str) -> str:
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _origins(text: str) -> Offsets:
    """Where each character of the cleaned text stands in the text itself; the two halves of a pair become one."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    high = (codes >= 0xD800) & (codes < 0xDC00)
    low = (codes >= 0xDC00) & (codes < 0xE000)
    second = np.zeros(len(codes) + 1, np.bool_)
    second[1:-1] = high[:-1] & low[1:]
    return np.flatnonzero(~second).astype(np.int32)


def byte_to_character_offsets(text: str, at: npt.NDArray[np.int32]) -> Offsets:
    """Byte offsets into a text's UTF-8 as character offsets; one inside a character becomes that character's."""
    if text.isascii():
        return at
    data = np.frombuffer(text.encode(), np.uint8)
    index = np.empty(len(data) + 1, np.int32)
    np.cumsum((data & 0xC0) != 0x80, out=index[:-1])
    index[:-1] -= 1
    index[-1] = len(text)
    return index[at]
