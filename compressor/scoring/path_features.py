"""Computes the features of file paths by which an agent chooses which of many files to open next."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from compressor.scoring.token_index import PATH, TokenIndex, classify_token

FEATURES = 8
#: The beginnings of the names of folders that belong to code, but hold none that is edited.
_BESIDE_CODE = (
    *("doc", "locale", "i18n", "migration", "example", "release"),
    *("vendor", "node_modules", "third_party", "build", "dist"),
)
_CODE_ENDINGS = frozenset("py pyx js jsx ts tsx java c h cc cpp hpp go rs rb php cs swift kt scala sh sql pony".split())
_TEST_FILE = re.compile(r"(?:^|\.)test|tests?(?:\.|$)")


def path_features(
    index: TokenIndex, known: npt.NDArray[np.bool_], query_terms: Mapping[str, float]
) -> npt.NDArray[np.float32]:
    """Returns features of the tokens that are paths; 0 for all others.

    They are how well the file's name matches the query, whether the path holds tests, whether it holds other things
    than code, its depth, how much of its folder is one that a known path is in, whether all of it is, whether it ends
    like code, and whether it ends like a known path.

    Args:
        index: The tokens.
        known: [vocabulary] the tokens in text that stays, and those that the agent has written.
        query_terms: The query's terms with their weights.

    Returns:
        [FEATURES, vocabulary] float32.
    """
    out = np.zeros((FEATURES, len(index.kinds)), np.float32)
    names = list(index.vocabulary)
    paths = [(t, *names[t].lower().rpartition("/")) for t in np.flatnonzero(index.kinds == PATH).tolist()]
    if not paths:
        return out
    named: set[str] = set()
    for folder in {folder for t, folder, _, _ in paths if known[t] and folder}:
        parts = folder.split("/")
        named.update("/".join(parts[:k]) for k in range(1, len(parts) + 1))
    endings = {_ending(file) for t, _, _, file in paths if known[t]}
    folders = {folder: _folder_features(folder, named) for folder in {folder for _, folder, _, _ in paths}}
    rows = []
    for _, folder, _, file in paths:
        ending = _ending(file)
        found = classify_token(file[: -len(ending) - 1] if ending else file)[1]
        matched = sum([query_terms.get(term, 0.0) for term in found]) / max(len(found), 1)
        in_tests, *of_folder = folders[folder]
        in_tests = in_tests or _TEST_FILE.search(file) is not None
        rows.append((matched, in_tests, *of_folder, ending in _CODE_ENDINGS, ending in endings))
    out[:, [t for t, _, _, _ in paths]] = np.array(rows, np.float32).T
    return out


def _folder_features(folder: str, named: set[str]) -> tuple[float, ...]:
    """Returns whether it holds tests, or other things than code, its depth, and how much of it is in `named`."""
    parts = folder.split("/") if folder else []
    depth = len(parts)
    shared = next((k for k in range(depth, 0, -1) if "/".join(parts[:k]) in named), 0)
    return (
        any(p.startswith("test") or p.endswith(("test", "tests")) for p in parts),
        any(p.startswith(_BESIDE_CODE) for p in parts),
        min(depth, 8) / 8,
        shared / max(depth, 1),
        0 < depth == shared,
    )


def _ending(name: str) -> str:
    return name.rpartition(".")[2] if "." in name else ""
