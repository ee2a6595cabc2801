"""Turns errors of settings into one readable line that names the setting and shows the value, but no secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

MAX_VALUE_CHARS = 60
_URLS = ("store", "upstream", "upstream_anthropic")
_SECRETS = ("keys", "encryption_keys", "tenants", "upstreams", "provider_keys")
_REASONS = {
    "int_parsing": "is not a valid integer",
    "int_type": "is not a valid integer",
    "int_from_float": "is not a valid integer",
    "float_parsing": "is not a valid number",
    "float_type": "is not a valid number",
    "finite_number": "is not a finite number",
    "bool_type": "is not true or false",
    "string_type": "is not a string",
    "dict_type": "is not an object",
    "model_type": "is not an object",
    "tuple_type": "is not a list",
    "missing": "is missing",
    "string_pattern_mismatch": "has a character that is not allowed there, or is too long",
    "greater_than_equal": "is too small: the minimum is {ge}",
    "less_than_equal": "is too large: the maximum is {le}",
    "literal_error": "is not one of {expected}",
    "extra_forbidden": "is not a setting that exists",
}


def describe_errors(error: ValidationError, values: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Describes all errors of a validation.

    Args:
        error: What pydantic found.
        values: The values as they were given.
        names: What to call a setting, if not by its own name: "COMPRESSOR_PORT", "--port".

    Returns:
        One line; several errors are separated by semicolons.
    """
    lines = []
    for one in error.errors(include_url=False):
        reason = _REASONS.get(one["type"], one["msg"])
        if one["type"] == "value_error":
            reason = str(one["ctx"]["error"])
        hide = one["type"] == "extra_forbidden"  # what stands under a wrong name may be a secret
        lines.append(
            f"{_subject(one['loc'], {} if hide else values, names)} {reason.format(**one.get('ctx', {}))}".strip()
        )
    return "; ".join(dict.fromkeys(lines))


def redact_url(url: str | None) -> str | None:
    """Returns a URL without its user, password and query.

    A password may contain any character, quoted or not. So nothing before the last `@` is shown, and nothing of a URL
    that can be parsed in two ways.
    """
    if not url or "://" not in url:
        return url
    scheme, _, rest = url.partition("://")
    if "@" in rest and re.search(r"[?#].*@", rest):
        return f"{scheme}://***"
    _, at, host = rest.rpartition("@")
    return f"{scheme}://{'***@' if at else ''}{re.split('[?#]', host)[0]}"


def _subject(place: tuple[int | str, ...], values: Mapping[str, Any], names: Mapping[str, str]) -> str:
    if not place:
        return ""  # a combination of settings, which its message names
    name = str(place[0])
    shown = names.get(name, name)
    if name in _SECRETS or name not in values or len(place) > 1:
        return ".".join([shown, *map(str, place[1:])])
    value = values[name]
    text = repr(redact_url(value) if name in _URLS and isinstance(value, str) else value)
    return f"{shown}={text if len(text) <= MAX_VALUE_CHARS else text[: MAX_VALUE_CHARS - 1] + '…'}"
