"""Predicts how likely an agent is to repeat a string of its tool outputs in its next calls.

The small model was learned from recorded and generated runs (`training/reuse.py`). It sees a token's form, how often
and where it occurs, what its unit is, and how well the unit, its neighbourhood and its source match the query. It is
not used for documents that are read for an answer.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compressor.errors import ModelError
from compressor.native import load_kernel
from compressor.scoring.base import UnitBatch
from compressor.scoring.reuse_features import (
    TOKEN_FEATURES,
    UNIT_FEATURES,
    LexicalMatch,
    token_features,
    unit_features,
)

PATH = Path(__file__).parent / "weights" / "reuse.npz"
VERSION = 2

Floats = npt.NDArray[np.float32]
_kernel = load_kernel("reuse_features")


@dataclass(frozen=True, slots=True)
class ReuseNetwork:
    """The network tanh(token @ by_token + unit @ by_unit + bias) @ out, for each token in a unit.

    Attributes:
        by_token: [token features, hidden] weights.
        by_unit: [unit features, hidden] weights.
        bias: [hidden].
        out: [hidden] weights.
    """

    by_token: Floats
    by_unit: Floats
    bias: Floats
    out: Floats

    def __call__(
        self, token: Floats, unit: Floats, pairs: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]
    ) -> Floats:
        """Returns [pairs] log-odds, up to a constant; `pairs` are numbers of units and tokens."""
        by_unit, by_token = unit @ self.by_unit + self.bias, token @ self.by_token
        if _kernel is None:
            hidden = by_unit[pairs[0]]
            hidden += by_token[pairs[1]]
        else:
            hidden = np.empty((len(pairs[0]), len(self.out)), np.float32)
            _kernel.add_pairs(hidden, by_unit, by_token, *pairs)
        found: Floats = np.tanh(hidden, out=hidden) @ self.out
        return found


@cache
def network(path: Path = PATH) -> ReuseNetwork:
    """Returns the shipped model, read once in a process.

    Raises:
        ModelError: The file is missing, damaged or of another version.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if int(file["version"]) != VERSION:
                raise ModelError(
                    f"{path.name} has version {int(file['version'])}, but this release reads version {VERSION}"
                )
            found = ReuseNetwork(*(file[name].astype(np.float32) for name in ("by_token", "by_unit", "bias", "out")))
            widths = len(found.by_token), len(found.by_unit), *found.by_unit.shape[1:], *found.by_token.shape[1:]
            if widths != (TOKEN_FEATURES, UNIT_FEATURES, len(found.bias), len(found.out)):
                raise ValueError("arrays do not fit together")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f"cannot read the reuse model {path}: {error}; reinstall agentic-compressor") from error
    return found


def reuse_likelihood(units: UnitBatch, match: LexicalMatch) -> Floats:
    """Returns [pairs] how likely each string is to be repeated, relative to the average string of this context."""
    odds = network()(token_features(units, match), unit_features(units, match), units.index.pairs)
    out: Floats = np.exp(odds - odds.max(initial=0))
    out /= max(float(out.mean()), 1e-6) if len(out) else 1
    return out
