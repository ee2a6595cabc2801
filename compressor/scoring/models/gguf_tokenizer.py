"""Tokenizes text with the vocabulary of a GGUF model, and maps each token to the characters that it stands for."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

#: Characters that are tokenized at once, about: some of llama.cpp's splitters recurse for every character.
PART_CHARS = 16_384
#: How many bytes ahead a normalized piece is searched for in the text.
SEARCH_BYTES = 32

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class GgufTokens:
    """The tokens of a text.

    Attributes:
        ids: [n] int32 token ids.
        ends: [n] int32, where each token's characters end in the text; they start where the token before ended. If
            several tokens make up one character, it belongs to the last of them and the others are empty.
    """

    ids: Ids
    ends: Ids


class GgufVocabulary:
    """The vocabulary of a loaded model.

    Args:
        api: The module `llama_cpp`.
        vocab: llama.cpp's vocabulary pointer.

    Attributes:
        size: The number of tokens.
        start: [k] int32 tokens to start a text with, at least one.
    """

    def __init__(self, api: Any, vocab: Any) -> None:
        self._api, self._vocab = api, vocab
        self.size = int(api.llama_vocab_n_tokens(vocab))
        self._pieces: dict[int, bytes] = {}
        starts = (api.llama_vocab_bos(vocab), api.llama_vocab_eos(vocab))
        found = [t for t in starts if 0 <= t < self.size][:1]
        self.start = np.array(found, np.int32) if found else self._ids(b"\n")

    def tokens(self, text: str) -> GgufTokens:
        """Returns the tokens of a text, without special tokens. A lone surrogate is read as a question mark."""
        ids: list[Ids] = []
        ends: list[Ids] = []
        for start, stop in _parts(text):
            data = text[start:stop].encode("utf-8", "replace")
            part = self._ids(data)
            ids.append(part)
            ends.append(self._ends(part, data) + np.int32(start))
        if not ids:
            return GgufTokens(np.zeros(0, np.int32), np.zeros(0, np.int32))
        return GgufTokens(np.concatenate(ids), np.concatenate(ends))

    def _ids(self, data: bytes) -> Ids:
        def tokenize(size: int) -> Ids:
            buffer = (ctypes.c_int32 * size)()
            n = self._api.llama_tokenize(self._vocab, data, len(data), buffer, size, False, False)
            return np.array(buffer[:n], np.int32) if n >= 0 else tokenize(-n)

        return tokenize(len(data) + 8)

    def _ends(self, ids: Ids, data: bytes) -> Ids:
        """[n] characters of `data` up to the end of each token."""
        pieces = [self._piece(i) for i in ids.tolist()]
        ends = np.cumsum([len(p) for p in pieces], dtype=np.int64)
        if (whole := b"".join(pieces)) != data:
            # SentencePiece puts a space before the text; other vocabularies normalize it.
            ends = ends - 1 if whole == b" " + data else _searched(pieces, data)
        inside = np.append((np.frombuffer(data, np.uint8) & 0xC0) == 0x80, False)  # continuation bytes of UTF-8
        begun = np.concatenate([[0], np.cumsum(~inside[:-1])])
        found: Ids = (begun - inside)[ends].astype(np.int32)
        return found

    def _piece(self, token: int) -> bytes:
        """The bytes a token stands for."""

        def filled(size: int) -> bytes:
            buffer = ctypes.create_string_buffer(size)
            n = self._api.llama_token_to_piece(self._vocab, token, buffer, size, 0, False)
            return buffer.raw[:n] if n >= 0 else filled(-n)

        if (piece := self._pieces.get(token)) is None:
            piece = self._pieces[token] = filled(64)
        return piece


def _parts(text: str) -> Iterator[tuple[int, int]]:
    """Ranges of the text of about `PART_CHARS`, split before white space where there is any."""
    start = 0
    while len(text) - start > PART_CHARS:
        half = start + PART_CHARS // 2, start + PART_CHARS
        stop = max(text.rfind("\n", *half), text.rfind(" ", *half))
        stop = start + PART_CHARS if stop < 0 else stop
        yield start, stop
        start = stop
    if start < len(text):
        yield start, len(text)


def _searched(pieces: Sequence[bytes], data: bytes) -> npt.NDArray[np.int64]:
    """Where normalized pieces end in the text: each piece is searched for after the one before."""
    out, end = [], 0
    for piece in pieces:
        core = piece.strip()
        at = data.find(core, end, end + len(core) + SEARCH_BYTES) if core else -1
        end = at + len(core) if at >= 0 else end
        out.append(end)
    return np.array([*out[:-1], len(data)], np.int64)
