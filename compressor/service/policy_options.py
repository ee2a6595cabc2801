"""Reads when a session compacts, and down to what size: from settings, headers and request bodies.

Without such options the service compacts a view only when it is nearly full, never for the price alone: a client that
has changed nothing but its base URL keeps what it sends, and the prices of its model do not change what is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from compressor.errors import CompressorError
from compressor.sessions import Policy

#: The fields of `Policy` that a client may choose for its session.
FIELDS = ("preset", "trigger", "target", "keep")
#: Fractions of the budget at which a view is compacted, and down to which.
TRIGGER, TARGET = ("fraction", 0.85), ("fraction", 0.6)
_FORM = "must be tokens (12000) or a fraction (0.85 or 85%)"


def with_defaults(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a policy with the service's own defaults.

    A preset, or the trigger "cost", asks for compactions that lower the bill, so nothing is added to it.
    """
    asks_for_cost = fields.get("trigger") == "cost" or (fields.get("preset") and not fields.get("trigger"))
    return dict(fields) if asks_for_cost else {"trigger": TRIGGER, "target": TARGET, **fields}


def change_policy(policy: Policy, options: Mapping[str, Any]) -> Policy:
    """Returns a policy with a session's own options.

    Raises:
        CompressorError: An option is not valid.
    """
    if not options:
        return policy
    if unknown := [name for name in options if name not in FIELDS]:
        raise CompressorError(f"a session has no option {', '.join(map(repr, unknown))}: it has {', '.join(FIELDS)}")
    cleared = {"trigger": None, "target": None} if "preset" in options or options.get("trigger") == "cost" else {}
    return replace(policy, **{**cleared, **options})


def read_headers(get_option: Callable[[str], str]) -> dict[str, Any]:
    """Returns, as JSON data, the options in the headers `x-compressor-preset`, `-trigger`, `-target` and `-keep`.

    Args:
        get_option: Returns the value of a header by the end of its name, or "".

    Raises:
        CompressorError: A size cannot be read.
    """
    given = {name: value for name in FIELDS if (value := get_option(name))}
    return {name: value if name == "preset" else parse_size(name, value) for name, value in given.items()}


def parse_size(name: str, text: str) -> list[Any] | str:
    """Parses a size, such as "12000", "0.85" or "85%", to a size as JSON data; a trigger may be "cost".

    Args:
        name: The name of the option, for errors.
        text: The text.

    Raises:
        CompressorError: The text has another form.
    """
    if name == "trigger" and text == "cost":
        return text
    number, is_percent = text.removesuffix("%").strip(), text.endswith("%")
    try:
        if number.isdigit() and not is_percent and number != "1":
            return ["tokens", int(number)]
        return ["fraction", float(number) / 100 if is_percent else float(number)]
    except ValueError:
        raise CompressorError(f"x-compressor-{name} {_FORM}, not {text!r:.80}") from None
