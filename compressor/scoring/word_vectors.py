"""Loads the shipped word vectors and the small network on top of them, and looks terms up.

`python -m training.words` makes the file; its model card is compressor/scoring/weights/README.md.
"""

from __future__ import annotations

import threading
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compressor.errors import CompressorError

PATH = Path(__file__).parent / "weights" / "words.npz"
VERSION = 1
#: Rows 0 to 5: a year, and numbers of 1, 2, 3, 4 and more digits.
NUMBER_ROWS = 6
#: The next rows: words that are not in the vocabulary, by their last letters.
HASH_BUCKETS = 64
#: The row of the vocabulary's first term.
FIRST_TERM_ROW = NUMBER_ROWS + HASH_BUCKETS
#: The idf of a word that is not in the vocabulary.
UNKNOWN_IDF = 8.0

Floats = npt.NDArray[np.float32]
_lock = threading.Lock()
_loaded: WordVectors | None = None


@dataclass(frozen=True, slots=True)
class WordVectors:
    """The contents of the file.

    Attributes:
        row_by_term: The row of each term of the vocabulary.
        term: [rows, d] the vectors of terms in texts.
        query_term: [rows, d] the vectors of terms in queries.
        kind: [classes, d] what is added to a term's vector for the class of its token.
        bag: [rows] the weight of a term in a bag of words.
        idf: [rows] the background idf.
        mean: [features] the mean of the network's features.
        scale: [features] their scale.
        layers: The weights and biases of the network.
    """

    row_by_term: dict[str, int]
    term: Floats
    query_term: Floats
    kind: Floats
    bag: Floats
    idf: Floats
    mean: Floats
    scale: Floats
    layers: tuple[Floats, ...]

    def rows(self, terms: Sequence[str]) -> npt.NDArray[np.int32]:
        """Returns [len(terms)] the row of each term; unknown terms share rows by their last letters."""
        get = self.row_by_term.get
        return np.array([r if (r := get(t)) is not None else hash_bucket(t) for t in terms], np.int32)


def hash_bucket(term: str) -> int:
    """Returns the row of a term that is not in the vocabulary."""
    if term.isdigit():
        return 0 if len(term) == 4 and term[0] in "12" else min(len(term), NUMBER_ROWS - 1)
    return NUMBER_ROWS + zlib.crc32(term[-3:].encode("utf-8", "surrogatepass")) % HASH_BUCKETS


def load_word_vectors() -> WordVectors:
    """Returns the shipped vectors, read once in a process.

    Raises:
        CompressorError: The file is missing, damaged or of another version.
    """
    global _loaded
    if _loaded is None:
        with _lock:
            if _loaded is None:
                _loaded = read_word_vectors(PATH)
    return _loaded


def read_word_vectors(path: Path) -> WordVectors:
    """Reads a file of word vectors; see `load_word_vectors`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
        if int(data["version"]) != VERSION:
            raise CompressorError(
                f"{path.name} has version {int(data['version'])}, but this release reads version {VERSION}"
            )
        return _built(data)
    except (OSError, ValueError, KeyError, IndexError, zipfile.BadZipFile, zlib.error) as e:
        raise CompressorError(f"cannot read the word vectors {path}: {e}; reinstall agentic-compressor") from e


def _built(data: dict[str, npt.NDArray[np.generic]]) -> WordVectors:
    vocabulary = data["vocabulary"].tobytes().decode("utf-8").split("\n")
    term = _floats(data["term"]) * _floats(data["term_scale"])[:, None]
    rows, d = term.shape
    asked = term.copy()
    asked[data["asked_rows"].astype(np.int64)] += _floats(data["asked"]) * _floats(data["asked_scale"])[:, None]
    out = WordVectors(
        row_by_term={t: FIRST_TERM_ROW + i for i, t in enumerate(vocabulary)},
        term=term,
        query_term=asked,
        kind=_floats(data["kind"]),
        bag=_floats(data["bag"]),
        idf=_floats(data["idf"]),
        mean=_floats(data["mean"]),
        scale=_floats(data["scale"]),
        layers=tuple(_floats(data[f"layer{i}"]) for i in range(4)),
    )
    sizes = {len(out.bag), len(out.idf), FIRST_TERM_ROW + len(vocabulary), rows}
    if len(sizes) != 1 or out.kind.shape[1] != d or out.layers[0].shape[0] != len(out.mean):
        raise ValueError("arrays do not fit together")
    return out


def _floats(array: npt.NDArray[np.generic]) -> Floats:
    return array.astype(np.float32)
