"""Lossless folds of text: what a text says twice is said once, and `unfold` gives every character back.

`fold` applies the folds of one text (`FOLDS`, in order). `repeats` works across the tool outputs of a context and goes
first; `json_fold` folds JSON, which `fold` leaves to it. Folds know no budget: they make a text smaller or leave it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compressor.text.lossless.base import LosslessCodec
from compressor.text.lossless.common_prefix import CommonPrefixCodec
from compressor.text.lossless.line_numbers import LineNumberCodec
from compressor.text.lossless.log_templates import LogTemplateCodec
from compressor.text.lossless.run_length import RunLengthCodec

__all__ = ["COPY_SAFE_CODECS", "LOSSLESS_CODECS", "LosslessCodec", "decode_losslessly", "encode_losslessly"]

#: In the order they are applied: equal lines go before lines of one template, whole paths before what is left of them.
LOSSLESS_CODECS: tuple[LosslessCodec, ...] = (
    RunLengthCodec(),
    LogTemplateCodec(),
    CommonPrefixCodec(),
    LineNumberCodec(),
)

_BY_NAME = {f.name: f for f in LOSSLESS_CODECS}
_SHORTEST = 120  # characters below which no fold earns its note


#: Those that leave every word, number and path of the text in it as it was, where an agent can copy it from.
COPY_SAFE_CODECS: tuple[LosslessCodec, ...] = (RunLengthCodec(), LogTemplateCodec())


def encode_losslessly(
    text: str, count: Callable[[str], int] | None = None, folds: Sequence[LosslessCodec] = LOSSLESS_CODECS
) -> tuple[str, tuple[str, ...]]:
    """The text with every fold that makes it smaller, and the names of those folds, first applied first.

    `count` gives the tokens of a text; without it a fold's own estimate decides. Each fold proves on this very text
    that decoding gives it back.
    """
    if len(text) < _SHORTEST:
        return text, ()
    names: list[str] = []
    size = count(text) if count else 0
    for f in folds:
        folded = f.encode(text)
        if folded is None:
            continue
        if count:
            smaller = count(folded)
            if smaller >= size:
                continue
            size = smaller
        text = folded
        names.append(f.name)
    return text, tuple(names)


def decode_losslessly(folded: str, names: Sequence[str]) -> str:
    """The original of what `fold` returned. `KeyError` for a name that is no fold's."""
    for name in reversed(names):
        folded = _BY_NAME[name].decode(folded)
    return folded
