"""Names of models as clients give them, made harmless: `get_counter` reads files, and a client's string is no path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from compressor.errors import ContextError

MAX_NAME_LENGTH = 200  # characters
_FILE = re.compile(r"\.(json|gguf)$", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def sanitize_model_name(given: Any, known: Mapping[str, str] | None = None) -> str | None:
    """The name to count and price by. None: none was given. ContextError for what is no name.

    known: names and what stands for them, which may be a path: the operator's. Any other name loses what could make it
    one. A provider in front (`meta-llama/Llama-3`) stays a provider, for `:` is as good as `/` there.
    """
    if given is None or given == "":
        return None
    if not isinstance(given, str) or len(given) > MAX_NAME_LENGTH:
        raise ContextError(f"model must be a name of at most {MAX_NAME_LENGTH} characters")
    if known and given in known:
        return known[given]
    name = _CONTROL.sub("", given).replace("\\", ":").replace("/", ":").lstrip(".~: ")
    name = _FILE.sub(r"-\1", name.rstrip())
    # The colon in front is a provider without a name to those who read it, and the name of no folder.
    return name if not name or name.startswith("ft:") else f":{name}"
