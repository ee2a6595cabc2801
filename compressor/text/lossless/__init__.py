"""Lossless codecs: a text that repeats itself is written shorter, and decoding returns every character.

`encode_losslessly` applies the codecs for one text (`LOSSLESS_CODECS`, in order). `back_references` works across the
tool outputs of a context and is applied first; `json_tables` encodes JSON, which the codecs for text leave alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compressor.caches import TwoGenerationCache
from compressor.text.lossless.base import LosslessCodec
from compressor.text.lossless.common_prefix import CommonPrefixCodec
from compressor.text.lossless.line_numbers import LineNumberCodec
from compressor.text.lossless.log_templates import LogTemplateCodec
from compressor.text.lossless.run_length import RunLengthCodec

__all__ = [
    "COPY_SAFE_CODECS",
    "LOSSLESS_CODECS",
    "LosslessCodec",
    "decode_losslessly",
    "encode_losslessly",
    "encode_whole",
    "most_saved",
]

#: In the order of application: equal lines before lines of one template, whole paths before their remainders.
LOSSLESS_CODECS: tuple[LosslessCodec, ...] = (
    RunLengthCodec(),
    LogTemplateCodec(),
    CommonPrefixCodec(),
    LineNumberCodec(),
)

_BY_NAME = {codec.name: codec for codec in LOSSLESS_CODECS}
_MIN_CHARS = 120  # in a shorter text no codec saves more than its note costs

#: The codecs that leave every word, number and path in one piece, so that an agent can copy it.
COPY_SAFE_CODECS: tuple[LosslessCodec, ...] = (RunLengthCodec(), LogTemplateCodec())

#: Bytes of the texts that `encode_whole` remembers.
MAX_CACHE_BYTES = 4 << 20
_encoded: TwoGenerationCache[tuple[str | None, tuple[str, ...]]] = TwoGenerationCache(MAX_CACHE_BYTES)


def encode_whole(text: str) -> tuple[str, tuple[str, ...]]:
    """Does what `encode_losslessly` does with all codecs and without a count, and remembers it."""
    found = _encoded.get(text)
    if found is None:
        encoded, names = encode_losslessly(text)
        _encoded.put(text, (encoded if names else None, names))
        return encoded, names
    return text if found[0] is None else found[0], found[1]


def encode_losslessly(
    text: str, count: Callable[[str], int] | None = None, codecs: Sequence[LosslessCodec] = LOSSLESS_CODECS
) -> tuple[str, tuple[str, ...]]:
    """Applies every codec that makes a text smaller. Each codec verifies that decoding returns this very text.

    Args:
        text: Any text.
        count: Counts the tokens of a text. Without it, each codec's own estimate decides.
        codecs: The codecs, in the order of application.

    Returns:
        The encoded text and the names of the codecs applied, in order.
    """
    if len(text) < _MIN_CHARS:
        return text, ()
    names: list[str] = []
    size = count(text) if count else 0
    for codec in codecs:
        encoded = codec.encode(text)
        if encoded is None:
            continue
        if count:
            smaller = count(encoded)
            if smaller >= size:
                continue
            size = smaller
        text = encoded
        names.append(codec.name)
    return text, tuple(names)


def most_saved(text: str) -> int:
    """Returns a number that `encode_losslessly` cannot save more characters than, at a fraction of its cost."""
    if len(text) < _MIN_CHARS:
        return 0
    *others, last = [codec.most_saved for codec in LOSSLESS_CODECS]
    return len(text) if any(most(text) for most in others) else min(len(text), last(text))


def decode_losslessly(encoded: str, names: Sequence[str]) -> str:
    """Returns the original of a text that `encode_losslessly` returned.

    Args:
        encoded: The encoded text.
        names: The names of the codecs, as returned with it.

    Raises:
        KeyError: A name is not the name of a codec.
    """
    for name in reversed(names):
        encoded = _BY_NAME[name].decode(encoded)
    return encoded
