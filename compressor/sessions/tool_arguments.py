"""Reads the arguments with which a model calls one of a session's own tools.

A model can only read an error, so what is wrong is returned as a sentence and never raised.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class WrongArgumentsError(ValueError):
    """The arguments of a call cannot be used; the text says why. It never leaves the tools."""


def parse_arguments(arguments: Mapping[str, Any] | str | None, required: str, example: str) -> Mapping[str, Any]:
    """Returns the arguments of a call.

    Args:
        arguments: The arguments, as JSON text or parsed.
        required: The argument that must be a text.
        example: What the argument may look like.

    Raises:
        WrongArgumentsError: They are not JSON, or the required argument is missing.
    """
    shown = f"{{{json.dumps(required)}: {json.dumps(example)}}}"
    try:
        given = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError) as error:
        raise WrongArgumentsError(f"the arguments are not valid JSON ({error}). Pass {shown}.") from None
    if not isinstance(given, Mapping) or not str(given.get(required) or "").strip():
        raise WrongArgumentsError(f"pass the argument {required}, for example {shown}.")
    return given


def parse_max_tokens(arguments: Mapping[str, Any], default: int) -> int:
    """Returns the argument `max_tokens` of a call.

    Raises:
        WrongArgumentsError: It is not a whole number of at least 1.
    """
    value = arguments.get("max_tokens")
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise WrongArgumentsError(f"max_tokens must be a whole number, at least 1, not {value!r:.40}.")
    return value
