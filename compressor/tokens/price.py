"""Defines the price of a model: list prices, long-prompt tiers, and the terms of the prompt cache."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from compressor.errors import CompressorError

MILLION = 1_000_000
_RATES = ("input", "output", "cache_read", "cache_write")


def _check_number(name: str, field: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise CompressorError(f"price {name!r}: {field} must be a number of at least 0, not {value!r}")


@dataclass(frozen=True, slots=True)
class PriceTier:
    """Prices in dollars per million tokens for requests with long prompts.

    Providers bill the whole request at the higher prices, not only the tokens above the threshold.

    Attributes:
        above_input_tokens: The tier applies to requests whose prompt, cached tokens included, has more tokens.
        input: Price of an uncached prompt token.
        output: Price of a token that the model writes.
        cache_read: Price of a prompt token read from the provider's cache.
        cache_write: Price of a prompt token written into the cache, paid instead of `input`.
    """

    above_input_tokens: int
    input: float
    output: float
    cache_read: float
    cache_write: float


@dataclass(frozen=True, slots=True)
class Price:
    """One model's prices in dollars per million tokens, and the terms of its prompt cache.

    Attributes:
        name: The model that the price belongs to, as reports show it.
        input: Price of an uncached prompt token.
        output: Price of a token that the model writes.
        cache_read: Price of a prompt token read from the provider's cache.
        cache_write: Price of a prompt token written into the cache, paid instead of `input`. Equals `input` where
            writing costs nothing extra.
        cache_ttl_seconds: How long a cached prefix lives after its last use.
        max_input_tokens: The largest prompt that the model takes.
        min_cacheable_tokens: The shortest prefix that the provider caches.
        is_known: False if the price is a guess because the model has no price of its own.
        tiers: Prices of long prompts, by ascending threshold.

    Raises:
        CompressorError: A value is not a valid price, number of tokens or tier.
    """

    name: str
    input: float
    output: float
    cache_read: float
    cache_write: float
    cache_ttl_seconds: float = 300.0
    max_input_tokens: int = 128_000
    min_cacheable_tokens: int = 1_024
    is_known: bool = True
    tiers: tuple[PriceTier, ...] = ()

    def __post_init__(self) -> None:
        for field in (*_RATES, "cache_ttl_seconds", "max_input_tokens", "min_cacheable_tokens"):
            _check_number(self.name, field, getattr(self, field))
        if self.max_input_tokens < 1:
            raise CompressorError(f"price {self.name!r}: max_input_tokens must be at least 1")
        if not isinstance(self.is_known, bool):
            raise CompressorError(f"price {self.name!r}: is_known must be true or false, not {self.is_known!r}")
        threshold = 0
        for tier in self.tiers:
            for field in (*_RATES, "above_input_tokens"):
                _check_number(self.name, f"{field} of a tier", getattr(tier, field))
            if tier.above_input_tokens <= threshold:
                raise CompressorError(f"price {self.name!r}: above_input_tokens must rise from tier to tier, from 1 on")
            threshold = tier.above_input_tokens

    @classmethod
    def custom(
        cls, input: float, output: float, cache_read: float | None = None, cache_write: float | None = None, **more: Any
    ) -> Price:
        """Creates a price of your own, in dollars per million tokens.

        Args:
            input: Price of an uncached prompt token.
            output: Price of a token that the model writes.
            cache_read: Price of a token read from the cache; without it there is no cache discount.
            cache_write: Price of a token written into the cache; without it writing costs as much as `input`.
            **more: Any other field of `Price`. A tier may be a `PriceTier` or a dict; in a dict the cache prices may
                be left out as above.

        Raises:
            CompressorError: A field is unknown or its value is not valid.

        Example:
            >>> Price.custom(input=3, output=15, cache_read=0.3, name="my-model").cost(uncached=1_000_000)
            3.0
        """
        values = {"name": "custom", **more, "input": input, "output": output}
        values |= {"cache_read": input if cache_read is None else cache_read}
        values |= {"cache_write": input if cache_write is None else cache_write}
        _check_fields(values["name"], values, Price)
        return cls(**{**values, "tiers": tuple(_make_tiers(values["name"], values.get("tiers", ())))})

    def rates(self, prompt_tokens: float) -> PriceTier:
        """Returns the prices of a request with so many prompt tokens; the base prices count from 0 tokens."""
        for tier in reversed(self.tiers):
            if prompt_tokens > tier.above_input_tokens:
                return tier
        return PriceTier(0, self.input, self.output, self.cache_read, self.cache_write)

    def cost(
        self,
        uncached: float = 0,
        cache_written: float = 0,
        cached: float = 0,
        output: float = 0,
        prompt_tokens: float | None = None,
    ) -> float:
        """Returns what the tokens of one request cost, in dollars.

        Args:
            uncached: Prompt tokens billed at the input price.
            cache_written: Prompt tokens written into the provider's cache.
            cached: Prompt tokens read from the provider's cache.
            output: Tokens of the answer.
            prompt_tokens: Tokens of the request's whole prompt, which decide the tier. By default the sum of the three
                kinds of prompt tokens; give it where only a part of a request is priced.
        """
        rates = self.rates(uncached + cache_written + cached if prompt_tokens is None else prompt_tokens)
        total = (
            uncached * rates.input
            + cache_written * rates.cache_write
            + cached * rates.cache_read
            + output * rates.output
        )
        return total / MILLION

    def affordable_prompt_tokens(self, dollars: float) -> int:
        """Returns the most uncached prompt tokens that one request may have for `dollars`.

        At most `max_input_tokens`, and that for a model whose prompt tokens cost nothing.
        """
        tokens = 0.0
        ends = [*(tier.above_input_tokens for tier in self.tiers), math.inf]
        for rates, end in zip([self.rates(0), *self.tiers], ends, strict=True):
            affordable = min(end, dollars * 1e6 / rates.input) if rates.input else end
            if affordable > rates.above_input_tokens:
                tokens = affordable
        return int(min(tokens, self.max_input_tokens))


def _make_tiers(name: str, tiers: Any) -> Iterable[PriceTier]:
    if not isinstance(tiers, (list, tuple)):
        raise CompressorError(f"price {name!r}: tiers must be a list, not {tiers!r}")
    for tier in tiers:
        if isinstance(tier, PriceTier):
            yield tier
            continue
        if not isinstance(tier, Mapping) or not {"above_input_tokens", "input", "output"} <= tier.keys():
            raise CompressorError(f"price {name!r}: a tier needs above_input_tokens, input and output")
        _check_fields(name, tier, PriceTier)
        yield PriceTier(**{"cache_read": tier["input"], "cache_write": tier["input"], **tier})


def _check_fields(name: str, values: Mapping[str, Any], kind: type[Price] | type[PriceTier]) -> None:
    known = {field.name for field in fields(kind)}
    unknown = values.keys() - known
    if unknown:
        raise CompressorError(
            f"price {name!r}: unknown field {', '.join(sorted(unknown))}; the fields are {', '.join(sorted(known))}"
        )


#: For unknown models: what a mid-size model of the two largest providers costs in November 2026, with their surcharge
#: on cache writes, so that rewriting the history never looks cheaper than it may be.
DEFAULT_PRICE = Price("typical", input=2.0, output=10.0, cache_read=0.2, cache_write=2.5, is_known=False)
