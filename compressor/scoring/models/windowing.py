"""Which tokens belong to which unit, and which stretches of tokens a model reads at once.

Windows end where units end, are about equally long, and begin with the last unit of the one before, as context. A unit
longer than a window is cut itself. Pure arithmetic on token numbers: knows no model, query or score.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

OVERLAP = 8  # a unit longer than this part of a window is not read twice
_WORD = re.compile(r"\S+")


def _at(spans: Ints) -> Ints:
    """[k] the character by which a token is placed: its last, for many tokenizers count the space in front."""
    out: Ints = np.maximum(spans[:, 1] - 1, spans[:, 0])
    return out


def token_to_unit(spans: Ints, units: npt.NDArray[np.integer]) -> Ints:
    """[k] the unit each token stands in, -1 between units. spans: [k, 2]; units: [n, 2] characters, in order."""
    at = _at(spans)
    unit: Ints = np.searchsorted(units[:, 0], at, side="right").astype(np.int64) - 1
    return np.where((unit >= 0) & (at < units[unit, 1]), unit, -1)


def token_word_weights(spans: Ints, text: str) -> npt.NDArray[np.float32]:
    """[k] one over the tokens of the word that each token is of, so that every word counts once."""
    begins = np.array([m.start() for m in _WORD.finditer(text)], np.int64)
    word = np.searchsorted(begins, _at(spans), side="right")
    return (1 / np.bincount(word)[word]).astype(np.float32) if len(word) else np.zeros(0, np.float32)


def split_windows(owner: Ints, room: int) -> list[tuple[int, int]]:
    """Windows over all k tokens as ranges [start, stop) of at most `room`. owner: [k] as `owners` gives it."""
    if not len(owner):
        return []
    # Tokens between units go with the unit before them.
    last = np.maximum.accumulate(owner)
    borders = np.concatenate([[0], np.flatnonzero(np.diff(last)) + 1, [len(owner)]])
    for i in np.flatnonzero(np.diff(borders) > room)[::-1].tolist():
        pieces = -((borders[i] - borders[i + 1]) // room)
        borders = np.insert(borders, i + 1, np.linspace(borders[i], borders[i + 1], pieces + 1, dtype=int)[1:-1])
    out: list[tuple[int, int]] = []
    i = 0
    while (left := len(owner) - borders[i]) > room:
        aim = borders[i] + left / -(-left // room)
        j = int(np.searchsorted(borders, aim))
        j -= int(borders[j] - borders[i] > room)
        out.append((int(borders[i]), int(borders[j])))
        again = j - 1 > i and (borders[j] - borders[j - 1]) * OVERLAP <= room
        i = j - 1 if again else j
    return [*out, (int(borders[i]), len(owner))]
