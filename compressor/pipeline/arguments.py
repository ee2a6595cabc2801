"""Checks the arguments that the public methods share, so that a wrong type is a clear error at the call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compressor.context.refs import REF_DIGITS, find_refs
from compressor.errors import CompressorError, ContextError


def check_model(model: Any) -> None:
    """Raises CompressorError unless `model` is a model's name or None."""
    if model is not None and not isinstance(model, str):
        raise CompressorError(f'model must be the name of a model, such as "gpt-4o", or None, not {model!r}')


def check_query(query: Any) -> None:
    """Raises ContextError unless `query` is a text or None."""
    if query is not None and not isinstance(query, str):
        raise ContextError(f"query must be a str or None, not {type(query).__name__}")


def check_list(value: Any, name: str, hint: str = "") -> list[Any]:
    """Returns the items of a list or tuple.

    Args:
        value: The argument.
        name: Its name, for the error message.
        hint: What to write instead, for the error message.

    Raises:
        ContextError: `value` is a text, or not a sequence.
    """
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise ContextError(f"{name} must be a list, not {type(value).__name__}{hint and ': '}{hint}")
    return list(value)


def parse_ref(ref: Any) -> str:
    """Returns the ref in `ref`, which may be a whole placeholder such as `[…cut ref 123456789012]`.

    Raises:
        CompressorError: `ref` is not a text.
    """
    if not isinstance(ref, str):
        # A number cannot stand in for the text: it has lost the zeros at the front of the ref.
        raise CompressorError(f"ref must be a str of {REF_DIGITS} digits or a whole placeholder, not {ref!r}")
    return next(iter(find_refs(ref)), ref.strip())
