"""Turns texts into sets of hashed n-grams: stemmed words, pairs of neighbouring words, and runs of 3 and 4 characters.

Words show what a text is about, pairs how it is phrased, and characters match other forms of a word and typos.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from compressor.scoring.token_index import TOKEN, terms

Features = npt.NDArray[np.uint32]
Wide = npt.NDArray[np.uint64]

VERSION = 1  # part of the key in the store; change it when features change
MAX_CHARS = 4_000  # only the beginning of a text is read
CHAR_NGRAM_SIZES = (3, 4)  # 3 to 5 covered no more labels of clinc150 and took 1.5 times as long
_EDGE = 0x1E  # separates texts; it occurs in no word
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SALT = {n: np.uint64(0xC2B2AE3D27D4EB4F + 2 * n) for n in (1, 2, *CHAR_NGRAM_SIZES)}
_HIGH = np.uint64(32)


def ngram_features(texts: Sequence[str]) -> list[Features]:
    """Returns the distinct n-grams of each text as sorted 32-bit hashes, which are the same in every process.

    Raises:
        ValueError: For more than 1,048,576 texts.
    """
    if not texts:
        return []
    if len(texts) > 1 << 20:
        raise ValueError("at most 1,048,576 texts at once")
    short = [text[:MAX_CHARS] for text in texts]
    found = np.unique(np.concatenate([*_words(short), *_characters(short)]))
    owner = (found >> _HIGH).astype(np.int64)
    ends = np.searchsorted(owner, np.arange(1, len(short)))
    return np.split((found & np.uint64(0xFFFFFFFF)).astype(np.uint32), ends)


def _words(texts: Sequence[str]) -> list[Wide]:
    """Words and pairs of words, each as (text << 32 | hash)."""
    hashes: list[int] = []
    sizes: list[int] = []
    for text in texts:
        found = [zlib.crc32(term.encode("utf-8", "surrogatepass")) for term in terms(text)]
        hashes += [1, *found, 2]  # both ends of a text count as words
        sizes.append(len(found) + 2)
    word = np.array(hashes, np.uint64)
    owner = np.repeat(np.arange(len(texts), dtype=np.uint64), sizes)
    inner = word > 2
    pair = (owner[1:] == owner[:-1]) & (inner[1:] | inner[:-1])  # a text without words has no pairs
    return [
        _keys(owner[inner], _mixed(word[inner], 1)),
        _keys(owner[1:][pair], _mixed(_mixed(word[:-1][pair], 2) + word[1:][pair], 2)),
    ]


def _characters(texts: Sequence[str]) -> list[Wide]:
    """Runs of characters of the lower-case words, joined and surrounded by one space."""
    lines = [f" {' '.join(TOKEN.findall(text.lower()))} " for text in texts]
    code = np.frombuffer(chr(_EDGE).join(lines).encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    edge = code == _EDGE
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


def pack_features(found: Sequence[Features]) -> bytes:
    """Packs the features of several texts into bytes."""
    sizes = np.array([len(f) for f in found], "<u4")
    flat = np.concatenate([*found, np.zeros(0, np.uint32)]).astype("<u4")
    return np.concatenate([np.array([len(found)], "<u4"), sizes, flat]).tobytes()


def unpack_features(data: bytes) -> list[Features] | None:
    """Unpacks what `pack_features` has packed; returns None for anything else."""
    if len(data) < 4 or len(data) % 4:
        return None
    numbers = np.frombuffer(data, "<u4").astype(np.uint32)
    count = int(numbers[0])
    ends = np.cumsum(numbers[1 : 1 + count].astype(np.int64))
    if len(ends) != count or len(numbers) != 1 + count + (int(ends[-1]) if count else 0):
        return None
    return np.split(numbers[1 + count :], ends[:-1]) if count else []
