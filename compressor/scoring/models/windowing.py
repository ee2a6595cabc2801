"""Assigns tokens to units, and splits them into windows that a model reads at once.

Windows end where units end, are about equally long, and start with the last unit of the previous window, as context. A
unit that is longer than a window is split.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

#: A unit that is longer than one part in so many of a window is not read twice.
MAX_OVERLAP_PARTS = 8
_WORD = re.compile(r"\S+")


def _anchors(spans: Ints) -> Ints:
    """[k] the character that places a token: its last one, as many tokenizers include the space before a word."""
    out: Ints = np.maximum(spans[:, 1] - 1, spans[:, 0])
    return out


def token_to_unit(spans: Ints, units: npt.NDArray[np.integer]) -> Ints:
    """Returns [k] the unit of each token, -1 between units.

    Args:
        spans: [k, 2] the characters of each token.
        units: [n, 2] the characters of each unit, in order.
    """
    at = _anchors(spans)
    unit: Ints = np.searchsorted(units[:, 0], at, side="right").astype(np.int64) - 1
    return np.where((unit >= 0) & (at < units[unit, 1]), unit, -1)


def token_word_weights(spans: Ints, text: str) -> npt.NDArray[np.float32]:
    """Returns [k] one over the number of tokens of each token's word, so that every word counts once."""
    begins = np.array([m.start() for m in _WORD.finditer(text)], np.int64)
    word = np.searchsorted(begins, _anchors(spans), side="right")
    return (1 / np.bincount(word)[word]).astype(np.float32) if len(word) else np.zeros(0, np.float32)


def split_windows(owner: Ints, max_tokens: int) -> list[tuple[int, int]]:
    """Splits k tokens into windows.

    Args:
        owner: [k] the unit of each token, see `token_to_unit`.
        max_tokens: Tokens of a window.

    Returns:
        Ranges [start, stop) of tokens, which may overlap.
    """
    if not len(owner):
        return []
    # Tokens between units belong to the unit before them.
    last = np.maximum.accumulate(owner)
    borders = np.concatenate([[0], np.flatnonzero(np.diff(last)) + 1, [len(owner)]])
    for i in np.flatnonzero(np.diff(borders) > max_tokens)[::-1].tolist():
        pieces = -((borders[i] - borders[i + 1]) // max_tokens)
        borders = np.insert(borders, i + 1, np.linspace(borders[i], borders[i + 1], pieces + 1, dtype=int)[1:-1])
    out: list[tuple[int, int]] = []
    i = 0
    while (left := len(owner) - borders[i]) > max_tokens:
        aim = borders[i] + left / -(-left // max_tokens)
        j = int(np.searchsorted(borders, aim))
        j -= int(borders[j] - borders[i] > max_tokens)
        out.append((int(borders[i]), int(borders[j])))
        again = j - 1 > i and (borders[j] - borders[j - 1]) * MAX_OVERLAP_PARTS <= max_tokens
        i = j - 1 if again else j
    return [*out, (int(borders[i]), len(owner))]
