"""Makes model names that clients send harmless: `get_counter` reads files, so a client's name must not be a path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from compressor.errors import ContextError

MAX_NAME_LENGTH = 200
_FILE = re.compile(r"\.(json|gguf)$", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def sanitize_model_name(name: Any, models: Mapping[str, str] | None = None) -> str | None:
    """Returns the name to count and price by.

    A name loses whatever could make it a path. A provider in front of it (`meta-llama/Llama-3`) is still recognised,
    because `:` separates it as well as `/` does.

    Args:
        name: The model that the client names; None or "" if it names none.
        models: The operator's names, and what to use instead of each, which may be a path.

    Returns:
        The harmless name, or None if the client named no model.

    Raises:
        ContextError: The name is not a string, or too long.
    """
    if name is None or name == "":
        return None
    if not isinstance(name, str) or len(name) > MAX_NAME_LENGTH:
        raise ContextError(f"model must be a string of at most {MAX_NAME_LENGTH} characters")
    if models and name in models:
        return models[name]
    clean = _CONTROL.sub("", name).replace("\\", ":").replace("/", ":").lstrip(".~: ")
    clean = _FILE.sub(r"-\1", clean.rstrip())
    # The colon in front reads as a provider without a name, and cannot begin the name of a folder.
    return clean if not clean or clean.startswith("ft:") else f":{clean}"
