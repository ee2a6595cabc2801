"""Turns texts into sets of hashed n-grams: stemmed words, pairs of neighbouring words, and runs of 3 and 4 characters.

Words show what a text is about, pairs how it is phrased, and characters match other forms of a word and typos.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from compressor.scoring.token_index import TOKEN, classify_token, split_tokens

Features = npt.NDArray[np.uint32]
Wide = npt.NDArray[np.uint64]

VERSION = 1  # part of the key in the store; change it when features change
MAX_CHARS = 4_000  # only the beginning of a text is read
CHAR_NGRAM_SIZES = (3, 4)  # 3 to 5 covered no more labels of clinc150 and took 1.5 times as long
MAX_CHUNK_TEXTS, MAX_CHUNK_CHARS = 250, 100_000  # texts that are read at once: their arrays fit into a CPU's cache
_EDGE = "\x1e"  # separates texts; it occurs in no word
_ASCII_TOKEN_OR_EDGE = re.compile(rf"\w+(?:[./@#\-]\w+)*|{_EDGE}")  # `TOKEN` for ASCII texts
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SALT = {n: np.uint64(0xC2B2AE3D27D4EB4F + 2 * n) for n in (1, 2, *CHAR_NGRAM_SIZES)}
_HIGH = np.uint64(32)


class FeatureRows:
    """The features of several texts, one row each, in one array.

    Attributes:
        sizes: [n] the number of features of each text.
        flat: [sum of sizes] the features of all texts, in order; those of a text are sorted.
    """

    def __init__(self, sizes: npt.NDArray[np.int32], flat: Features) -> None:
        self.sizes, self.flat = sizes, flat

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, row: int) -> Features:
        end = int(self.sizes[: row % len(self) + 1].sum())
        return self.flat[end - int(self.sizes[row]) : end]

    def __iter__(self) -> Iterator[Features]:
        ends = np.cumsum(self.sizes).tolist()
        return (self.flat[a:b] for a, b in zip([0, *ends], ends, strict=False))

    def select(self, rows: Sequence[int]) -> FeatureRows:
        """Returns the features of some rows, in their order."""
        every = list(self)
        found = [every[row] for row in rows]
        return FeatureRows(self.sizes[list(rows)], np.concatenate([*found, np.zeros(0, np.uint32)]))


def join_features(parts: Sequence[FeatureRows]) -> FeatureRows:
    """Returns the rows of several parts, one part after the other."""
    sizes = np.concatenate([*(part.sizes for part in parts), np.zeros(0, np.int32)])
    return FeatureRows(sizes, np.concatenate([*(part.flat for part in parts), np.zeros(0, np.uint32)]))


def ngram_features(texts: Sequence[str]) -> FeatureRows:
    """Returns the distinct n-grams of each text as sorted 32-bit hashes, which are the same in every process."""
    return join_features([_chunk_features(chunk) for chunk in _chunks(texts)])


def _chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    """The beginnings of the texts, in lists of limited length."""
    chunk: list[str] = []
    chars = 0
    for text in texts:
        if len(chunk) == MAX_CHUNK_TEXTS or chars > MAX_CHUNK_CHARS:
            yield chunk
            chunk, chars = [], 0
        chunk.append(text[:MAX_CHARS])
        chars += len(chunk[-1])
    if chunk:
        yield chunk


def _chunk_features(texts: list[str]) -> FeatureRows:
    joined = _EDGE.join(texts)
    if joined.count(_EDGE) != len(texts) - 1:
        joined = _EDGE.join([text.replace(_EDGE, " ") for text in texts])
    if joined.isascii():  # one pass over all texts is faster than one for each
        tokens = _ASCII_TOKEN_OR_EDGE.findall(joined)
        line = f" {' '.join(tokens)} ".lower()
    else:
        tokens = [token for text in joined.split(_EDGE) for token in (*split_tokens(text), _EDGE)][:-1]
        line = _EDGE.join([f" {' '.join(TOKEN.findall(text.lower()))} " for text in texts])
    found = np.concatenate([*_words(tokens), *_characters(line)])
    found.sort()
    if len(found):
        found = found[np.concatenate([[True], found[1:] != found[:-1]])]
    sizes = np.bincount((found >> _HIGH).astype(np.int64), minlength=len(texts)).astype(np.int32)
    return FeatureRows(sizes, found.astype(np.uint32))  # the lower 32 bits


def _words(tokens: list[str]) -> list[Wide]:
    """Words and pairs of words, each as (text << 32 | hash). `tokens` has an edge between two texts."""
    numbers: dict[str, int] = {_EDGE: 0}
    token = np.array([numbers.setdefault(t, len(numbers)) for t in tokens], np.int64)
    hashes: list[int] = [2, 1]  # both ends of a text count as words
    sizes = [2]
    for name in list(numbers)[1:]:
        found = _token_hashes(name)
        hashes += found
        sizes.append(len(found))
    token = np.concatenate([[0], token, [0]])  # the end before the first text and the start after the last are cut off
    count = np.array(sizes)[token]
    place = np.repeat(np.cumsum(sizes)[token] - np.cumsum(count), count) + np.arange(int(count.sum()))
    word = np.array(hashes, np.uint64)[place][1:-1]
    is_end = np.repeat(token == 0, count)[1:-1]
    owner = ((np.cumsum(is_end) - 1) // 2).astype(np.uint64)
    inner = word > 2
    pair = (owner[1:] == owner[:-1]) & (inner[1:] | inner[:-1])  # a text without words has no pairs
    return [
        _keys(owner[inner], _mixed(word[inner], 1)),
        _keys(owner[1:][pair], _mixed(_mixed(word[:-1][pair], 2) + word[1:][pair], 2)),
    ]


@lru_cache(maxsize=1 << 14)
def _token_hashes(token: str) -> tuple[int, ...]:
    """The hashes of the terms of a token."""
    return tuple(zlib.crc32(term.encode("utf-8", "surrogatepass")) for term in classify_token(token)[1])


def _characters(line: str) -> list[Wide]:
    """Runs of characters of the lower-case words, joined and surrounded by one space; an edge between two texts."""
    code = np.frombuffer(line.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    edge = code == ord(_EDGE)
    owner = np.cumsum(edge).astype(np.uint64)
    out = []
    for n in CHAR_NGRAM_SIZES:
        count = len(code) - n + 1
        if count <= 0:
            continue
        value = np.zeros(count, np.uint64)
        is_inside = np.ones(count, np.bool_)
        for i in range(n):
            value = value * _MIX + code[i : i + count]
            is_inside &= ~edge[i : i + count]
        out.append(_keys(owner[:count][is_inside], _mixed(value[is_inside], n)))
    return out


def _mixed(value: Wide, kind: int) -> Wide:
    """Mixes hashes into the lower 32 bits, differently for each kind of n-gram."""
    value = (value + _SALT[kind]) * _MIX
    value ^= value >> np.uint64(29)
    out: Wide = (value * _MIX) >> _HIGH
    return out


def _keys(owner: Wide, value: Wide) -> Wide:
    out: Wide = (owner << _HIGH) | value
    return out


def pack_features(found: FeatureRows) -> bytes:
    """Packs the features of several texts into bytes."""
    head = np.array([len(found)], "<u4")
    return np.concatenate([head, found.sizes.astype("<u4"), found.flat.astype("<u4")]).tobytes()


def unpack_features(data: bytes) -> FeatureRows | None:
    """Unpacks what `pack_features` has packed; returns None for anything else."""
    if len(data) < 4 or len(data) % 4:
        return None
    numbers = np.frombuffer(data, "<u4").astype(np.uint32)
    count = int(numbers[0])
    sizes = numbers[1 : 1 + count]
    if len(sizes) != count or len(numbers) != 1 + count + int(sizes.sum(dtype=np.int64)):
        return None
    return FeatureRows(sizes.astype(np.int32), numbers[1 + count :])
