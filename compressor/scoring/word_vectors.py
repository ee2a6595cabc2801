"""The shipped word vectors and the small network on top: loading, and looking terms up. Scores nothing.

The file is made by `python -m training.words`; its model card is compressor/models/README.md.
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

PATH = Path(__file__).parents[1] / "models" / "words.npz"
VERSION = 1
SHAPES = 6  # rows 0..5: a year, and numbers of 1, 2, 3, 4 and more digits
BUCKETS = 64  # the rows after them: words out of the vocabulary, by their last letters
FIRST = SHAPES + BUCKETS  # row of the vocabulary's first term
RARE = 8.0  # idf of a word out of the vocabulary

Floats = npt.NDArray[np.float32]
_lock = threading.Lock()
_loaded: WordVectors | None = None


@dataclass(frozen=True, slots=True)
class WordVectors:
    """Vectors of terms and what else the file holds.

    numbers: row of each term of the vocabulary. term, asked: [rows, d] vectors of terms, as texts and as queries use
    them; kind: [classes, d] added to a term by the class of its token; bag: [rows] weight of a term in a bag of words;
    idf: [rows]; mean, scale: [features]; layers: weights and biases of the network.
    """

    numbers: dict[str, int]
    term: Floats
    asked: Floats
    kind: Floats
    bag: Floats
    idf: Floats
    mean: Floats
    scale: Floats
    layers: tuple[Floats, ...]

    def rows(self, terms: Sequence[str]) -> npt.NDArray[np.int32]:
        """[len(terms)] the row of each term; every term has one."""
        get = self.numbers.get
        return np.array([r if (r := get(t)) is not None else hash_bucket(t) for t in terms], np.int32)


def hash_bucket(term: str) -> int:
    """The row of a term that is not in the vocabulary."""
    if term.isdigit():
        return 0 if len(term) == 4 and term[0] in "12" else min(len(term), SHAPES - 1)
    return SHAPES + zlib.crc32(term[-3:].encode("utf-8", "surrogatepass")) % BUCKETS


def load_word_vectors() -> WordVectors:
    """The shipped vectors, read once per process. CompressorError if the file is missing, damaged or too new."""
    global _loaded
    if _loaded is None:
        with _lock:
            if _loaded is None:
                _loaded = load(PATH)
    return _loaded


def load(path: Path) -> WordVectors:
    """Reads a words file; see `words`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
        if int(data["version"]) != VERSION:
            raise CompressorError(f"{path.name} has version {int(data['version'])}, this release reads {VERSION}")
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
        numbers={t: FIRST + i for i, t in enumerate(vocabulary)},
        term=term,
        asked=asked,
        kind=_floats(data["kind"]),
        bag=_floats(data["bag"]),
        idf=_floats(data["idf"]),
        mean=_floats(data["mean"]),
        scale=_floats(data["scale"]),
        layers=tuple(_floats(data[f"layer{i}"]) for i in range(4)),
    )
    sizes = {len(out.bag), len(out.idf), FIRST + len(vocabulary), rows}
    if len(sizes) != 1 or out.kind.shape[1] != d or out.layers[0].shape[0] != len(out.mean):
        raise ValueError("arrays do not fit together")
    return out


def _floats(array: npt.NDArray[np.generic]) -> Floats:
    return array.astype(np.float32)
