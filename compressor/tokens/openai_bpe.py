"""The two OpenAI vocabularies, loaded without network access.

The package quicktok counts where it is installed (`quicktok_encoder.py`), and tiktoken what quicktok cannot. tiktoken
and its ranks are loaded when the first text needs them.

Once per process, quicktok takes about 0.5 s to load (o200k_base), and tiktoken half of that.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from compressor.caches import TwoGenerationCache
from compressor.native import load_kernel
from compressor.tokens.base import (
    MAX_CACHE_BYTES,
    Offsets,
    SpanCounts,
    Spans,
    Tokenizer,
    byte_offsets,
    byte_to_character_offsets,
    replace_surrogates,
)
from compressor.tokens.quicktok_encoder import QuicktokEncoder, QuicktokUnavailableError, is_exact_for, load_quicktok
from compressor.tokens.tiktoken_ranks import load_tiktoken

if TYPE_CHECKING:
    import tiktoken

Ids = npt.NDArray[np.uint32]

#: Characters given to tiktoken at once, because its regular expressions fail on a million characters of white space.
_MAX_PIECE = 400_000
#: Places at which both patterns always end a token: before a line's first letter, before a space between words.
_BORDER = re.compile(r"(?<=\n)(?=[A-Za-z0-9])|(?<=[A-Za-z])(?= [A-Za-z])")
_BORDER_WINDOW = 20_000

_MAX_GROUP = 100_000  # characters of lines that are encoded together

_kernel = load_kernel("token_spans")

_loaded: dict[str, BytePairTokenizer] = {}
_lock = threading.Lock()


def get_byte_pair_tokenizer(name: str) -> BytePairTokenizer:
    """Returns the vocabulary of that name, which the whole process shares.

    Args:
        name: "o200k_base" or "cl100k_base".

    Raises:
        TokenizerError: The rank file is missing or is not the one that tiktoken expects.
    """
    with _lock:
        if name not in _loaded:
            _loaded[name] = BytePairTokenizer(name)
        return _loaded[name]


class BytePairTokenizer(Tokenizer):
    """One of OpenAI's vocabularies.

    tiktoken encodes a text of more than 400,000 characters in pieces that are cut where tokens end anyway. Only a text
    without such a place in 20,000 characters is cut elsewhere, and may count a token or two more.

    Attributes:
        encoder: The package that encodes, with its version; why it is tiktoken, if it is.
    """

    counts_refs_alike = True  # three digits are one token, and nothing else joins them

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._loading = threading.Lock()
        self._loaded: tuple[tiktoken.Encoding, npt.NDArray[np.uint8]] | None = None
        self._quicktok: QuicktokEncoder | None = None
        self._cached_ids: TwoGenerationCache[Ids] = TwoGenerationCache(MAX_CACHE_BYTES)
        try:
            self._quicktok = load_quicktok(name)
            self.encoder = self._quicktok.name
        except QuicktokUnavailableError as error:
            self.encoder = f"tiktoken, because {error}"
            self._load()

    @property
    def encoding(self) -> tiktoken.Encoding:
        """Returns the `tiktoken.Encoding`, whose counts are the right ones."""
        return self._load()[0]

    @property
    def _lengths(self) -> npt.NDArray[np.uint8]:
        """The bytes of each token; the ranks are consecutive."""
        return self._load()[1]

    def _load(self) -> tuple[tiktoken.Encoding, npt.NDArray[np.uint8]]:
        if self._loaded is None:
            with self._loading:
                if self._loaded is None:
                    self._loaded = load_tiktoken(self.name)
        return self._loaded

    def _tokens(self, text: str) -> npt.NDArray[np.uint32]:
        return self.encoding.encode_to_numpy(text, disallowed_special=())

    def _count_clean(self, text: str) -> int:
        if self._quicktok is not None and is_exact_for(text):
            return self._quicktok.count(text)
        return super()._count_clean(text)

    def _count(self, text: str) -> int:
        if self._quicktok is not None and is_exact_for(text):
            return self._quicktok.count(text)
        if len(text) <= _MAX_PIECE:
            return len(self._tokens(text))
        return sum(len(self._tokens(piece)) for piece in _pieces(text))

    def count_batch(self, texts: Sequence[str]) -> list[int]:
        """Returns the number of tokens in each of many texts. tiktoken encodes lines together, twice as fast."""
        if self._quicktok is not None:
            return super().count_batch(texts)
        counts: list[int] = []
        for lines in _line_groups(texts):
            counts += self._count_lines(lines) if len(lines) > 1 else super().count_batch(lines)
        return counts

    def _count_lines(self, lines: list[str]) -> list[int]:
        """The tokens of texts that are encoded together; each must end where a token ends."""
        joined = "".join(lines)
        if joined.isascii():
            sizes = np.fromiter(map(len, lines), np.int64, len(lines))
        else:
            sizes = np.array([len(line.encode("utf-8", "surrogatepass")) for line in lines])
            if joined != replace_surrogates(joined):
                return super().count_batch(lines)
        ends = np.cumsum(self._lengths[self._tokens(joined)], dtype=np.int64)
        last = np.searchsorted(ends, np.cumsum(sizes))
        if not np.array_equal(ends[last], np.cumsum(sizes)):
            return super().count_batch(lines)
        counts: list[int] = np.diff(last, prepend=-1).tolist()
        return counts

    def _offsets(self, text: str) -> Offsets:
        if self._quicktok is not None and is_exact_for(text):
            lengths = self._quicktok.byte_lengths(self._quicktok.encode([text])[0])
        else:
            pieces = [text] if len(text) <= _MAX_PIECE else _pieces(text)
            lengths = self._lengths[np.concatenate([self._tokens(piece) for piece in pieces])]
        offsets = np.zeros(len(lengths) + 1, np.int32)
        np.cumsum(lengths, out=offsets[1:])
        return byte_to_character_offsets(text, offsets)

    def encode_ahead(self, texts: Sequence[str]) -> None:
        """Encodes texts whose counts are asked for soon, and then those of their spans."""
        if self._quicktok is None:
            super().encode_ahead(texts)
            return
        unknown = [text for text in dict.fromkeys(texts) if text not in self._counts and is_exact_for(text)]
        if unknown:
            ids, starts = self._quicktok.encode(unknown)
            places = starts.tolist()
            for text, start, end in zip(unknown, places, places[1:], strict=False):
                self._counts.put(text, end - start)
                self._cached_ids.put(text, ids[start:end].copy())

    def _encode(self, texts: Sequence[str], quicktok: QuicktokEncoder) -> list[Ids] | None:
        """The ids of each text, or None if quicktok is not exact for all of them."""
        out = {text: self._cached_ids.get(text) for text in texts}
        unknown = [text for text, ids in out.items() if ids is None]
        if unknown:
            if not all(map(is_exact_for, unknown)):
                return None
            joined, starts = quicktok.encode(unknown)
            places = starts.tolist()
            for text, start, end in zip(unknown, places, places[1:], strict=False):
                out[text] = joined[start:end]
        return [ids for text in texts if (ids := out[text]) is not None]

    def _count_spans(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[SpanCounts]:
        quicktok = self._quicktok
        ids = None if quicktok is None else self._encode(texts, quicktok)
        if quicktok is None or ids is None:
            return super()._count_spans(texts, spans)
        if _kernel is None:
            return count_spans_of_ids(texts, spans, ids, quicktok)
        listed = list(texts), [np.ascontiguousarray(bounds, np.int32) for bounds in spans], ids, quicktok.known_lengths
        counts: list[SpanCounts] | None = _kernel.count_spans(*listed)
        if counts is None:
            quicktok.byte_lengths(np.concatenate(ids))
            counts = _kernel.count_spans(*listed)
        assert counts is not None
        return counts


def count_spans_of_ids(
    texts: Sequence[str], spans: Sequence[Spans], ids: Sequence[Ids], quicktok: QuicktokEncoder
) -> list[SpanCounts]:
    """Returns how many tokens start in each span; what the kernel does, in Python.

    Args:
        texts: The texts, without surrogates.
        spans: [spans, 2] of each text.
        ids: The tokens of each text.
        quicktok: The vocabulary.
    """
    joined = "".join(texts)
    sizes = list(map(len, spans))
    starts = list(accumulate(map(len, texts), initial=0))
    bounds = np.concatenate(spans) + np.repeat(starts[:-1], sizes)[:, None]
    if not joined.isascii():
        bounds = byte_offsets(joined)[bounds]
    lengths = quicktok.byte_lengths(np.concatenate(ids))
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    at = np.searchsorted(offsets, bounds)
    counts = (at[:, 1] - at[:, 0]).astype(np.float32)
    ends = list(accumulate(sizes))
    return [counts[end - size : end].copy() for end, size in zip(ends, sizes, strict=True)]


def _line_groups(texts: Sequence[str]) -> Iterator[list[str]]:
    """Groups of consecutive texts that can be encoded as one.

    Both patterns end a token between a line break and a letter or digit.
    """
    group: list[str] = []
    size = 0
    for text in texts:
        if group and not (group[-1].endswith("\n") and text[:1].isalnum() and size < _MAX_GROUP):
            yield group
            group, size = [], 0
        group.append(text)
        size += len(text)
    if group:
        yield group


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _MAX_PIECE:
        end = start + _MAX_PIECE
        for border in _BORDER.finditer(text, end - _BORDER_WINDOW, end):
            end = border.start()
        yield text[start:end]
        start = end
    yield text[start:]
