"""The package quicktok, which counts tokens several times as fast as tiktoken, made as exact as tiktoken.

Its ids are tiktoken's own, with two exceptions: characters that came with Unicode 17 or changed their category in it,
because tiktoken's tables are those of Unicode 16, and a long s after an apostrophe (`'ſ`), which o200k_base may take
for `'s`. `is_exact_for` tells such texts, and tiktoken encodes them. Only the version that was compared with tiktoken
is used, with the data files that were compared; with anything else, tiktoken does all the work.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.context.refs import ELLIPSIS
from compressor.native import is_native_on, load_kernel

DISTRIBUTION = "quicktok-v1"
VERSION = "0.4.0"
#: The SHA-256 of the data files: the tokens, and the classes of characters.
_FILES = {
    "cl100k_base": {
        "cl100k.vocab": "4a945d497c213acde921bc8d69bc8dad9c603ea97c50c014e04ad0fadc09eecb",
        "uniclass.bin": "6039f6f7bd056c0d211d02a907a8ed8f3317bb719fc495b9093f9cccca948809",
    },
    "o200k_base": {
        "o200k.vocab": "6b17521f79788c7ace48fc75f6edde125637a90b0018427e68f28d051b2ac1fe",
        "uniclass_o200k.bin": "8dd93d0b36e25eecc2ac43f4bc99f56fbd360fb01bb144778152fa75a6518d6d",
    },
}
#: A text with every kind of piece, and its tokens as tiktoken encodes it.
_SAMPLE = "Order №A-1042's total:\r\n\t12345.67 €  for 東京 naïve THEY'LL İstanbul 🙂<|endoftext|>   \n\n x"
_SAMPLE_TOKENS = {
    "cl100k_base": (
        "4531 97990 32 12 6849 17 596 2860 2904 197 4513 1774 13 3080 13281 220 369 61696 109 47653 95980 588 "
        "63593 6 4178 39521 46216 28584 27 91 8862 728 428 91 29 35033 865"
    ),
    "o200k_base": (
        "4861 31051 32 12 12204 17 885 3609 5699 197 7633 2548 13 5462 7950 220 395 185244 153475 737 95381 6 "
        "7454 91992 26192 27 91 419 1440 919 91 29 29104 1215"
    ),
}
#: The first and last of the characters that are letters, digits or marks of some kind for quicktok, and of another or
#: none for tiktoken.
_DIFFERENT = (
    *((0x295, 0x295), (0x88F, 0x88F), (0xC5C, 0xC5C), (0xCDC, 0xCDC), (0x1ACF, 0x1ADD), (0x1AE0, 0x1AEB)),
    *((0xA7CE, 0xA7CF), (0xA7D2, 0xA7D2), (0xA7D4, 0xA7D4), (0xA7F1, 0xA7F1), (0x10940, 0x10959), (0x10EC5, 0x10EC7)),
    *((0x10EFA, 0x10EFB), (0x11B60, 0x11B67), (0x11DB0, 0x11DDB), (0x11DE0, 0x11DE9), (0x16EA0, 0x16EB8)),
    *((0x16EBB, 0x16ED3), (0x16FF2, 0x16FF6), (0x187F8, 0x187FF), (0x18D09, 0x18D1E), (0x18D80, 0x18DF2)),
    *((0x1E6C0, 0x1E6DE), (0x1E6E0, 0x1E6F5), (0x1E6FE, 0x1E6FF), (0x2B73A, 0x2B73F), (0x2CEA2, 0x2CEAD)),
    (0x323B0, 0x33479),
)
_SURROGATES = (0xD800, 0xDFFF)
_LONG_S = "'\u017f"
_CHUNK = 1 << 20  # characters checked at once

_kernel = load_kernel("token_spans")
_is_process_short = False


def prefer_short_start() -> None:
    """Lets tiktoken count in this process, which ends soon. quicktok takes twice as long to load: 0.3 s more."""
    global _is_process_short
    _is_process_short = True


class QuicktokUnavailableError(Exception):
    """quicktok cannot be used; the message says why."""


class QuicktokEncoder:
    """One vocabulary of quicktok, safe to share between threads.

    Attributes:
        name: The package and its version.
        count: Returns the number of tokens of a text that `is_exact_for` accepts.
        known_lengths: The bytes of each token; 0 until `byte_lengths` has seen it.

    Args:
        encoding: quicktok's object.
        vocabulary: The file with its tokens, if they are to be read at once.
    """

    def __init__(self, encoding: Any, vocabulary: bytes = b"") -> None:
        self.name = f"quicktok {VERSION}"
        self.count: Callable[[str], int] = encoding.count
        self._encoding = encoding
        self.known_lengths: npt.NDArray[np.uint8] = (
            np.zeros(encoding.n_vocab, np.uint8)
            if _kernel is None
            else _kernel.read_lengths(vocabulary, encoding.n_vocab)
        )

    def encode(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """Encodes texts that `is_exact_for` accepts.

        Returns:
            The ids of all texts, and the [texts + 1] positions where those of each text start.
        """
        ids, starts = self._encoding.encode_batch(texts, 1)
        return ids, starts

    def byte_lengths(self, ids: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
        """Returns the number of bytes of each token."""
        lengths: npt.NDArray[np.uint8] = self.known_lengths[ids]
        if not lengths.all():
            for token in set(ids[lengths == 0].tolist()):
                self.known_lengths[token] = len(self._encoding.decode_single_token_bytes(token))
            lengths = self.known_lengths[ids]
        return lengths


def load_quicktok(name: str) -> QuicktokEncoder:
    """Loads a vocabulary.

    Args:
        name: "o200k_base" or "cl100k_base".

    Raises:
        QuicktokUnavailableError: quicktok is not installed, is another version than the one compared with tiktoken, has
            other data, or is not wanted.
    """
    if not is_native_on():
        raise QuicktokUnavailableError("COMPRESSOR_NATIVE=0 switches quicktok off")
    if _is_process_short:
        raise QuicktokUnavailableError("it loads faster, and this process is a short one")
    try:
        found, version = importlib.util.find_spec("quicktok"), metadata.version(DISTRIBUTION)
    except (ImportError, ValueError):
        found, version = None, ""
    if found is None or found.origin is None:
        raise QuicktokUnavailableError(f"{DISTRIBUTION} is not installed")
    if version != VERSION:
        raise QuicktokUnavailableError(f"{DISTRIBUTION} {version} was not compared with tiktoken, {VERSION} was")
    folder, vocabulary = Path(found.origin).parent / "data", b""
    try:
        for file, expected in _FILES[name].items():
            data = (folder / file).read_bytes()
            vocabulary = data if file.endswith(".vocab") else vocabulary
            if hashlib.sha256(data).hexdigest() != expected:
                raise QuicktokUnavailableError(f"{folder / file} is not the file of {DISTRIBUTION} {VERSION}")
        encoding = importlib.import_module("quicktok").get_encoding(name, str(folder))
        if " ".join(map(str, encoding.encode_ordinary(_SAMPLE))) != _SAMPLE_TOKENS[name]:
            raise QuicktokUnavailableError(f"{DISTRIBUTION} {VERSION} encodes a sample otherwise than tiktoken")
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise QuicktokUnavailableError(f"cannot load {DISTRIBUTION}: {error}") from error
    return QuicktokEncoder(encoding, vocabulary)


def is_exact_for(text: str) -> bool:
    """Returns whether quicktok encodes a text as tiktoken does.

    It does so for any text without surrogates and the two exceptions.
    """
    if text.isascii() or text.replace(ELLIPSIS, "").isascii():  # most excerpts hold nothing else
        return True
    if _LONG_S in text:
        return False
    for start in range(0, len(text), _CHUNK):
        codes = np.frombuffer(text[start : start + _CHUNK].encode("utf-32-le", "surrogatepass"), np.uint32)
        if _NEEDS_TIKTOKEN.take(codes, mode="clip").any():
            return False
    return True


def _table() -> npt.NDArray[np.bool_]:
    table = np.zeros(_DIFFERENT[-1][1] + 2, np.bool_)  # The last entry stands for all that follow.
    for first, last in (*_DIFFERENT, _SURROGATES):
        table[first : last + 1] = True
    return table


#: Whether a character needs tiktoken, by its code.
_NEEDS_TIKTOKEN = _table()
