"""Computes the features of file paths by which an agent chooses which of many files to open next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from compressor.scoring.token_index import PATH, TokenIndex, classify_token

FEATURES = 8
#: Paths that are remembered, and up to which length.
MAX_KNOWN_PATHS, MAX_KNOWN_CHARS = 8_192, 200
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
    tokens, rows = path_rows(index, known, query_terms)
    if tokens:
        out[:, tokens] = np.array(rows, np.float32).T
    return out


def path_rows(
    index: TokenIndex, known: npt.NDArray[np.bool_], query_terms: Mapping[str, float]
) -> tuple[list[int], list[tuple[float, ...]]]:
    """Returns the tokens that are paths, and the features of each of them; see `path_features`."""
    tokens: list[int] = np.flatnonzero(index.kinds == PATH).tolist()
    if not tokens:
        return [], []
    names = list(index.vocabulary)
    files = [path_parts(names[t]) for t in tokens]
    known_files = [files[i] for i in np.flatnonzero(known[tokens]).tolist()]
    named = frozenset(prefix for file in known_files for prefix in file.folder.prefixes)
    endings = {file.ending for file in known_files}
    weight_of = query_terms.get
    rows: list[tuple[float, ...]] = []
    for file in files:
        matched = sum([weight_of(term, 0.0) for term in file.terms]) / max(len(file.terms), 1)
        folder = file.folder
        depth = shared = len(folder.prefixes)
        while shared and folder.prefixes[shared - 1] not in named:
            shared -= 1
        of_folder = folder.is_beside_code, folder.depth, shared / max(depth, 1), 0 < depth == shared
        rows.append((matched, file.is_test, *of_folder, file.is_code, file.ending in endings))
    return tokens, rows


@dataclass(frozen=True, slots=True)
class Folder:
    """What the name of a folder says.

    Attributes:
        prefixes: The folder and those around it, the outermost first.
        has_tests: Whether it holds tests.
        is_beside_code: Whether it holds other things than code.
        depth: How deep it is, up to 1.
    """

    prefixes: tuple[str, ...]
    has_tests: bool
    is_beside_code: bool
    depth: float


@dataclass(frozen=True, slots=True)
class PathParts:
    """What a path says. It is shared between calls and never changed.

    Attributes:
        folder: Its folder.
        ending: The ending of its file.
        terms: The terms of its file's name without the ending.
        is_test: Whether the file, or its folder, is for tests.
        is_code: Whether it ends like code.
    """

    folder: Folder
    ending: str
    terms: tuple[str, ...]
    is_test: bool
    is_code: bool


def path_parts(path: str) -> PathParts:
    """Returns what a path says, from the cache if it was read before."""
    return (_known_path if len(path) <= MAX_KNOWN_CHARS else _read_path)(path)


def _read_path(path: str) -> PathParts:
    name, _, file = path.lower().rpartition("/")
    folder = (_known_folder if len(path) <= MAX_KNOWN_CHARS else _read_folder)(name)
    ending = file.rpartition(".")[2] if "." in file else ""
    found = classify_token(file[: -len(ending) - 1] if ending else file)[1]
    is_test = folder.has_tests or _TEST_FILE.search(file) is not None
    return PathParts(folder, ending, found, is_test, ending in _CODE_ENDINGS)


def _read_folder(name: str) -> Folder:
    parts = name.split("/") if name else []
    return Folder(
        tuple("/".join(parts[:k]) for k in range(1, len(parts) + 1)),
        any(p.startswith("test") or p.endswith(("test", "tests")) for p in parts),
        any(p.startswith(_BESIDE_CODE) for p in parts),
        min(len(parts), 8) / 8,
    )


_known_path = lru_cache(maxsize=MAX_KNOWN_PATHS)(_read_path)
_known_folder = lru_cache(maxsize=MAX_KNOWN_PATHS)(_read_folder)
