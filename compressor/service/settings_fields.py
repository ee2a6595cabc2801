"""The types of the settings' fields: what a value may be, and how a text becomes one."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from compressor.errors import BudgetError
from compressor.service.budget_options import parse_prompt_budget
from compressor.service.option_headers import check_overrides
from compressor.tokens.context_limit import resolve_context_limit
from compressor.tokens.pricing import DEFAULT_PRICE

MEGABYTE = 2**20
AUTO = "auto"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", re.ASCII)
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 7 * 86_400.0}
MAX_DURATION = 100 * 365 * 86_400.0  # seconds


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("is not a number")
    return value


def _no_limit(value: Any) -> Any:
    return 0 if value is None else _no_boolean(value)


def parse_json(value: Any) -> Any:
    """Returns a value that an environment variable or a flag gives as JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("is not valid JSON") from None


def parse_duration(value: Any) -> float:
    """Returns a duration in seconds.

    Args:
        value: A number of seconds, or text with a unit: "90s", "30m", "1h", "7d", "2w".

    Raises:
        ValueError: The value has another form, or is negative or longer than 100 years.
    """
    seconds: Any = value
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip().lower())
        seconds = float(found[1]) * _UNITS[found[2]] if found else None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= MAX_DURATION:
        raise ValueError("is neither seconds (3600) nor a duration (90s, 30m, 1h, 7d)")
    return float(seconds)


def _parse_positive_duration(value: Any) -> float:
    seconds = parse_duration(value)
    if seconds < 1:
        raise ValueError("is shorter than a second")
    return seconds


def _parse_prompt_budget(value: Any) -> Any:
    if not isinstance(value, (int, float, str)):
        raise ValueError("is neither tokens (4000) nor a fraction (25%)")
    try:
        return parse_prompt_budget(value, "it")
    except BudgetError:
        raise ValueError("is neither tokens (4000) nor a fraction (25%)") from None


def parse_budget(text: str) -> int | float | str:
    """Parses a budget.

    Args:
        text: Tokens ("4000"), a fraction of the window ("0.5", "50%") or money ("$0.02").

    Raises:
        ValueError: The text has another form.
    """
    text = text.strip()
    if text.startswith("$"):
        return text
    try:
        if text.endswith("%"):
            return float(text[:-1]) / 100
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise ValueError("is neither tokens (4000) nor a fraction (50%) nor money ($0.02)") from None


def _check_budget(value: Any) -> Any:
    budget = parse_budget(value) if isinstance(value, str) else value
    try:
        resolve_context_limit(budget, DEFAULT_PRICE)
    except ValueError as error:  # BudgetError is one
        raise ValueError(f"is not a valid budget: {error}") from None
    return budget


def _parse_share(value: Any) -> Any:
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip()[:-1]) / 100
        except ValueError:
            raise ValueError("is neither a fraction (0.05) nor a percentage (5%)") from None
    return _no_boolean(value)


def _parse_overrides(value: Any) -> Any:
    if isinstance(value, str):
        text = value.strip().lower()
        if text in ("1", "true", "yes", "0", "false", "no"):
            return text in ("1", "true", "yes")
        value = [name.strip() for name in value.split(",")] if not text.startswith("[") else parse_json(value)
    if not isinstance(value, (bool, list, tuple)):
        raise ValueError('is neither true nor false nor a list of names such as ["budget", "mode"]')
    return check_overrides(value)


def _no_automatic(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() == AUTO else _no_boolean(value)


Count = Annotated[int, Field(ge=1), BeforeValidator(_no_boolean)]
Port = Annotated[int, Field(ge=0, le=65_535), BeforeValidator(_no_boolean)]
NonNegativeInteger = Annotated[int, Field(ge=0), BeforeValidator(_no_boolean)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_no_boolean)]
#: None means that the service chooses.
AutomaticCount = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_no_automatic)]
#: 0 and None mean no limit.
IntegerLimit = Annotated[int, Field(ge=0), BeforeValidator(_no_limit)]
DollarLimit = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_no_limit)]
PromptBudget = Annotated[int | float, BeforeValidator(_parse_prompt_budget)]
PositiveSeconds = Annotated[float, Field(ge=0.001, allow_inf_nan=False), BeforeValidator(_no_boolean)]
Duration = Annotated[float, BeforeValidator(_parse_positive_duration)]
StoreBytes = Annotated[int, Field(ge=MEGABYTE), BeforeValidator(_no_boolean)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), BeforeValidator(_no_boolean)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), BeforeValidator(_parse_share)]
Overrides = Annotated[bool | tuple[str, ...], BeforeValidator(_parse_overrides)]
Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_no_boolean)]
Budget = Annotated[int | float | str, BeforeValidator(_check_budget)]
Json = BeforeValidator(parse_json)
