"""Looks list prices up: in genai-prices, which is read offline, then in our own rows for what it lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, time, timezone
from decimal import Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from compressor.tokens.price import Price, PriceTier
from compressor.tokens.price_data import FAMILY_ROWS, MODEL_ROWS, PriceRow, find_cache_terms, find_input_limit

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

_Match = tuple[Price, bool]  # a price, and whether the name means exactly the model that it is the price of

#: What may follow a model's name without making it another model: dates, release stages, modes of the same price.
_SAME = re.compile(r"\d{3,8}|v\d+|latest|preview|exp|experimental|beta|thinking|reasoning|non|instruct|chat|online|1m")
#: What may not: a letter or digit, the slash behind a provider, one more number of a version (`opus-4` + `-9`).
_OTHER_MODEL = re.compile(r"[a-z0-9/]|-\d{1,2}(?!\d)")
_WORD = re.compile(r"[a-z/]")
_VERSION_DOT = re.compile(r"(?<=\d)\.(?=\d)")
_SEPARATOR = re.compile(r"[^a-z0-9]+")
_START = re.compile(r"[/.:]")
#: `anthropic.claude-…`, `us.anthropic.claude-…`: how Amazon Bedrock names the models of other companies.
_BEDROCK = re.compile(r"(?:[a-z-]+\.)?[a-z]+\.[a-z]")
_DEFAULT_WINDOW = 128_000


def match_price(name: str, prices: Mapping[str, Price]) -> _Match | None:
    """Finds the longest name in a table of prices that a model's name begins with.

    Args:
        name: The model's name in lower case, with or without a provider in front.
        prices: Prices by name. A price that is not `is_known` stands for every version of its family.

    Returns:
        The price, and whether what follows its name leaves it the same model; None if no name matches.
    """
    best: tuple[int, str, str] | None = None
    for _, rest in _suffixes(name):
        rest = dash_versions(rest)
        for key, price in prices.items():
            key_name = dash_versions(key)
            behind = rest[len(key_name) :]
            if rest.startswith(key_name) and not (_OTHER_MODEL if price.is_known else _WORD).match(behind):
                best = max(best or (0, "", ""), (len(key_name), key, behind))
    if best is None:
        return None
    return prices[best[1]], _is_same_model(best[2])


@lru_cache(maxsize=1_024)
def list_price(name: str) -> _Match | None:
    """Finds the list price of a model. The result is remembered, so that prices do not change within a process.

    Args:
        name: The model's name in lower case, with or without a provider in front.

    Returns:
        The price, and whether it is that of the very model or only of its nearest relative; None for unknown models.
    """
    if (price := _catalog_price(name)) or (price := _catalog_price(name + "-preview")):
        return price, True
    own = match_price(name, _own_rows())
    if own and own[0].is_known and own[1]:
        return own
    for shorter, is_same in _shorter_names(name):
        if price := _catalog_price(shorter):
            return price, is_same
    return own and (own[0], own[1] and own[0].is_known)


def dash_versions(name: str) -> str:
    """Returns the name in lower case with dashes in versions: `claude-sonnet-4.5` is `claude-sonnet-4-5`."""
    return _VERSION_DOT.sub("-", name.lower())


def _catalog_price(name: str) -> Price | None:
    """The price that genai-prices has for exactly this name."""
    found: Price | None = None
    for model, rest in _catalog_models(name):
        if found is None:
            found = _convert(model, rest)
            if found and (model.context_window or find_input_limit(dash_versions(rest))):
                return found
        elif model.context_window:  # the host's row has no window, the row of the model's maker has one
            return replace(found, max_input_tokens=model.context_window)
    return found


def _catalog_models(name: str) -> Iterator[tuple[ModelInfo, str]]:
    """Rows of genai-prices for a name, each with the part of the name that it was found by.

    The row of the host that the name begins with comes first, then that of the model's maker, then OpenRouter's. The
    lookup is ours and not the library's `find_provider_model`, because that one remembers every unknown name.
    """
    providers = _providers()
    suffixes = list(_suffixes(name))
    for host, rest in suffixes:
        for provider in _candidates(providers, host, rest):
            if model := provider.find_model(rest, all_providers=providers):
                yield model, rest
    openrouter = [provider for provider in providers if provider.id == "openrouter"]
    for _, rest in suffixes:
        for provider in openrouter if "/" in rest else ():
            if model := provider.find_model(rest):
                yield model, rest


def _candidates(providers: list[Provider], host: str, name: str) -> list[Provider]:
    found: list[Provider] = []
    if host:
        named = [p for p in providers if p.id == host]
        found += named or [p for p in providers if p.provider_match is not None and p.provider_match.is_match(host)][:1]
    if _BEDROCK.match(name):
        found += [p for p in providers if p.id == "aws"]
    return found + [p for p in providers if p.model_match is not None and p.model_match.is_match(name)][:1]


def _providers() -> list[Provider]:
    # Imported here, because genai-prices takes 0.3 s to load and most processes never ask for a price.
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot().providers


def _convert(model: ModelInfo, name: str) -> Price | None:
    """The price of a row, or None for a row without prices of text (speech, embeddings)."""
    prices = _standard_prices(model)
    if prices.input_mtok is None or prices.output_mtok is None:
        return None
    rates = {
        "input": prices.input_mtok,
        "output": prices.output_mtok,
        "cache_read": prices.input_mtok if prices.cache_read_mtok is None else prices.cache_read_mtok,
        "cache_write": prices.input_mtok if prices.cache_write_mtok is None else prices.cache_write_mtok,
    }
    thresholds = {tier.start for rate in rates.values() if not isinstance(rate, Decimal) for tier in rate.tiers}
    tiers = (
        PriceTier(start, **{name: _rate_at(rate, start) for name, rate in rates.items()})
        for start in sorted(thresholds)
        if start > 0
    )
    ttl_seconds, min_tokens = find_cache_terms(dash_versions(model.id))
    base = PriceTier(0, **{name: _rate_at(rate, 0) for name, rate in rates.items()})
    return Price(
        model.id,
        base.input,
        base.output,
        base.cache_read,
        base.cache_write,
        cache_ttl_seconds=ttl_seconds,
        max_input_tokens=find_input_limit(dash_versions(name)) or model.context_window or _DEFAULT_WINDOW,
        min_cacheable_tokens=min_tokens,
        tiers=tuple(tiers),
    )


def _standard_prices(model: ModelInfo) -> ModelPrice:
    """The prices of today; of prices that change with the hour the highest, so that no saving is overstated."""
    today = datetime.now(tz=timezone.utc).date()
    hours = (datetime.combine(today, time(hour), tzinfo=timezone.utc) for hour in range(24))
    prices = [model.get_prices(hour) for hour in hours] if isinstance(model.prices, list) else [model.prices]
    return max(prices, key=lambda price: _rate_at(price.input_mtok or Decimal(0), 0))


def _rate_at(rate: Decimal | TieredPrices, threshold: int) -> float:
    """The price of a request with more tokens than `threshold`, or the base price for a threshold of 0."""
    if isinstance(rate, Decimal):
        return float(rate)
    price = rate.base
    for tier in rate.tiers:
        if 0 < tier.start <= threshold:
            price = tier.price
    return float(price)


@cache
def _own_rows() -> dict[str, Price]:
    known = {row[0]: _from_row(row, True) for row in MODEL_ROWS}
    return known | {row[0]: _from_row(row, False) for row in FAMILY_ROWS}


def _from_row(row: PriceRow, is_known: bool) -> Price:
    name, price_input, output, cache_read, cache_write, max_input_tokens = row
    ttl_seconds, min_tokens = find_cache_terms(dash_versions(name))
    return Price(
        name, price_input, output, cache_read, cache_write, ttl_seconds, max_input_tokens, min_tokens, is_known
    )


def _suffixes(name: str) -> Iterator[tuple[str, str]]:
    """The name, then what is left of it behind each separator, with the provider's name that precedes it."""
    yield "", name
    start = 0
    for match in _START.finditer(name):
        yield name[start : match.start()], name[match.end() :]
        start = match.end()


def _shorter_names(name: str) -> Iterator[tuple[str, bool]]:
    """The names that a name begins with and that may be of a related model, the longest first."""
    name = dash_versions(name) if _SEPARATOR.search(name) else name
    for match in reversed(list(_SEPARATOR.finditer(name))):
        behind = name[match.start() :]
        if match.start() and not _OTHER_MODEL.match(behind):
            yield name[: match.start()], _is_same_model(behind)


def _is_same_model(behind: str) -> bool:
    parts = [part for part in _SEPARATOR.split(behind) if part]
    return all(_SAME.fullmatch(part) or (part.isdigit() and i > 0) for i, part in enumerate(parts))
