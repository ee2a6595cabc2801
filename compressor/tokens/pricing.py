"""Finds what a model's tokens cost, by its name or in a price file of your own.

List prices come from the `genai-prices` package through `price_catalog.py`. They are those of text at standard
service: without batch or priority discounts and without storage fees of explicit caches. No network call is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from compressor.errors import CompressorError
from compressor.tokens.model_families import base_name
from compressor.tokens.price import DEFAULT_PRICE, Price, PriceTier
from compressor.tokens.price_catalog import list_price, match_price

__all__ = ["DEFAULT_PRICE", "Price", "PriceTier", "find_price", "load_prices"]

_MAX_NAME_LENGTH = 200  # longer than any model's name; bounds the work that a hostile name can cause


def find_price(model: str | None, own: Mapping[str, Price] | None = None) -> Price:
    """Finds the price of a model by its name. Never raises.

    A provider may precede the name (`anthropic/claude-…`, `openai:gpt-…`, `us.anthropic.claude-…-v1:0`), a date or
    `-latest` may follow it. A provider that hosts other companies' models (Bedrock, Azure, OpenRouter) is billed at its
    own prices where genai-prices has them. A price that changes with the time of day is taken at its daily maximum.

    Args:
        model: The model's name as a request has it.
        own: Your own prices by model name, for example from `load_prices`; they win over the list prices.

    Returns:
        The price. `is_known` is False if the model has no price of its own: then it is the price of the nearest model
        of the same family, or `DEFAULT_PRICE`. It is False for fine-tuned models, too.
    """
    if not model or not model.strip() or len(model) > _MAX_NAME_LENGTH:
        return DEFAULT_PRICE
    name = base_name(model)
    found = match_price(name, own) if own else None
    price, is_same_model = found or list_price(name) or (DEFAULT_PRICE, False)
    if is_same_model and not model.strip().lower().startswith("ft:"):
        return price
    return replace(price, is_known=False)


def load_prices(path: str | Path) -> dict[str, Price]:
    """Reads prices by model name from a JSON file, for the argument `own` of `find_price`.

    Args:
        path: A file such as `{"models": {"my-model": {"input": 2.0, "output": 8.0, "cache_read": 0.5}}}`, in dollars
            per million tokens. Only `input` and `output` are required; every other field of `Price` may be given.

    Raises:
        CompressorError: The file cannot be read, is not valid JSON or has another shape. The message names the model.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CompressorError(f"cannot read the price file {str(path)!r}: {error}") from error
    except ValueError as error:
        raise CompressorError(f"the price file {str(path)!r} is not valid JSON: {error}") from error
    models = data.get("models") if isinstance(data, dict) else None
    if not isinstance(models, dict) or not models:
        raise CompressorError(
            f'the price file {str(path)!r} must have the form {{"models": {{name: {{"input": ..., "output": ...}}}}}}'
        )
    prices = {}
    for name, row in models.items():
        if not isinstance(row, dict) or not {"input", "output"} <= row.keys():
            raise CompressorError(f"the price file {str(path)!r}: model {name!r} needs input and output")
        try:
            prices[name] = Price.custom(**{**row, "name": name})
        except CompressorError as error:
            raise CompressorError(f"the price file {str(path)!r}: {error}") from error
    return prices
