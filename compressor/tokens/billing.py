"""Bills calls: simulates a provider's prompt cache, reads reported usage, and weighs rewriting the history.

Real caches match in blocks (128 tokens at OpenAI) and sometimes miss. The simulated one matches whole pieces and never
misses, for every compression method alike.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compressor.errors import CompressorError
from compressor.tokens.price import MILLION, Price


@dataclass(frozen=True, slots=True)
class CallUsage:
    """Tokens and cost of one call, or of several added up.

    Attributes:
        calls: Number of calls.
        uncached: Prompt tokens billed at the input price.
        cache_written: Prompt tokens written into the provider's cache.
        cached: Prompt tokens read from the provider's cache.
        output: Tokens of the answers.
        cost_usd: Cost in dollars; 0 until priced.
    """

    calls: int = 0
    uncached: int = 0
    cache_written: int = 0
    cached: int = 0
    output: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: CallUsage) -> CallUsage:
        return CallUsage(
            self.calls + other.calls,
            self.uncached + other.uncached,
            self.cache_written + other.cache_written,
            self.cached + other.cached,
            self.output + other.output,
            self.cost_usd + other.cost_usd,
        )

    @property
    def prompt(self) -> int:
        """Returns all tokens of the prompts."""
        return self.uncached + self.cache_written + self.cached

    @property
    def cached_fraction(self) -> float:
        """Returns the fraction of the prompt tokens that came from the cache; 0 without prompts."""
        return self.cached / self.prompt if self.prompt else 0.0

    def priced(self, price: Price) -> CallUsage:
        """Returns the same tokens with their cost under `price`.

        The price's tier depends on the prompt of one request: price several calls one by one before you add them up.
        For a sum of calls the mean prompt decides.
        """
        prompt_tokens = self.prompt / self.calls if self.calls > 1 else self.prompt
        cost_usd = price.cost(self.uncached, self.cache_written, self.cached, self.output, prompt_tokens)
        return CallUsage(self.calls, self.uncached, self.cache_written, self.cached, self.output, cost_usd)


class PromptCacheSimulator:
    """Simulates a provider's prompt cache for one conversation, of which it holds the last request only.

    Args:
        price: The model's price, with the terms of its cache.
    """

    def __init__(self, price: Price) -> None:
        self.price = price
        self._last: list[tuple[Hashable, int]] = []
        self._last_used = -math.inf

    def call(self, parts: Sequence[tuple[Hashable, int]], output: int = 0, now: float = 0.0) -> CallUsage:
        """Bills one request.

        The longest run of whole pieces that the previous request began with is read from the cache, if it has at least
        `price.min_cacheable_tokens` and was used at most `price.cache_ttl_seconds` ago. The rest is written into the
        cache, or billed as uncached if the whole prompt is too short to be cached.

        Args:
            parts: The pieces of the request in order, each as (key that identifies its bytes, tokens).
            output: Tokens of the answer.
            now: Seconds on any clock.

        Returns:
            The tokens and their cost.
        """
        prompt = sum(tokens for _, tokens in parts)
        cached = self._common(parts) if now - self._last_used <= self.price.cache_ttl_seconds else 0
        if cached < self.price.min_cacheable_tokens:
            cached = 0
        rest = prompt - cached
        uncached, written = (rest, 0) if prompt < self.price.min_cacheable_tokens else (0, rest)
        self._last, self._last_used = list(parts), now
        return CallUsage(1, uncached, written, cached, output).priced(self.price)

    def _common(self, parts: Sequence[tuple[Hashable, int]]) -> int:
        total = 0
        for old, new in zip(self._last, parts, strict=False):
            if old != new:
                break
            total += new[1]
        return total


def parse_provider_usage(usage: Any, price: Price | None = None) -> CallUsage:
    """Reads the usage that a provider reports for one call.

    Understands OpenAI chat (`prompt_tokens`; DeepSeek's `prompt_cache_hit_tokens`, too), OpenAI Responses and Agents
    (`input_tokens` with `input_tokens_details`), Anthropic (`input_tokens` beside `cache_read_input_tokens` and
    `cache_creation_input_tokens`), LangChain's `usage_metadata` (`input_token_details`), pydantic-ai
    (`cache_read_tokens`, `cache_write_tokens`) and Gemini (`prompt_token_count`).

    Args:
        usage: A dict or an SDK object.
        price: The model's price; without it the cost is 0.

    Raises:
        CompressorError: The usage has another form, or a number of tokens is not one.
    """
    if _has(usage, "prompt_tokens"):
        details = _get(usage, "prompt_tokens_details")
        cached = _tokens(details, "cached_tokens") or _tokens(usage, "prompt_cache_hit_tokens")
        written = _tokens(details, "cache_write_tokens")
        bill = _split(_tokens(usage, "prompt_tokens"), cached, written, _tokens(usage, "completion_tokens"))
    elif _has(usage, "input_tokens"):
        bill = _input_tokens(usage)
    elif _has(usage, "prompt_token_count"):
        output = _tokens(usage, "candidates_token_count") + _tokens(usage, "thoughts_token_count")
        cached = _tokens(usage, "cached_content_token_count")
        bill = _split(_tokens(usage, "prompt_token_count"), cached, 0, output)
    else:
        raise CompressorError(
            f"cannot read token usage from {type(usage).__name__}: pass the provider's usage object or dict, "
            "with prompt_tokens or input_tokens in it"
        )
    return bill.priced(price) if price else bill


def _input_tokens(usage: Any) -> CallUsage:
    """Anthropic's `input_tokens` are the uncached ones only; all other providers count the whole prompt."""
    given, output = _tokens(usage, "input_tokens"), _tokens(usage, "output_tokens")
    if _has(usage, "cache_read_input_tokens") or _has(usage, "cache_creation_input_tokens"):
        written = _tokens(usage, "cache_creation_input_tokens")
        return CallUsage(1, given, written, _tokens(usage, "cache_read_input_tokens"), output)
    details = _get(usage, "input_tokens_details")
    if details is not None:
        return _split(given, _tokens(details, "cached_tokens"), _tokens(details, "cache_write_tokens"), output)
    details = _get(usage, "input_token_details")
    if details is not None:
        # langchain-anthropic splits the writes by lifetime and then leaves `cache_creation` at 0.
        names = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
        written = _tokens(details, "cache_creation") or sum(_tokens(details, name) for name in names)
        return _split(given, _tokens(details, "cache_read"), written, output)
    return _split(given, _tokens(usage, "cache_read_tokens"), _tokens(usage, "cache_write_tokens"), output)


def _split(prompt: int, cached: int, written: int, output: int) -> CallUsage:
    """Splits the prompt; `cached` and `written` are parts of it and are limited to it."""
    cached = min(cached, prompt)
    written = min(written, prompt - cached)
    return CallUsage(1, prompt - cached - written, written, cached, output)


def _get(usage: Any, name: str) -> Any:
    return usage.get(name) if isinstance(usage, Mapping) else getattr(usage, name, None)


def _has(usage: Any, name: str) -> bool:
    return _get(usage, name) is not None


def _tokens(usage: Any, name: str) -> int:
    value = None if usage is None else _get(usage, name)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise CompressorError(f"usage: {name} must be a number of tokens, not {value!r}")
    return value


def saved_per_call(price: Price, before: int, after: int) -> float:
    """Returns the dollars that every later call saves after the history has shrunk.

    The removed tokens would have been read from the cache with each call. Where the smaller prompt falls below a
    long-prompt tier, the tokens that stay get cheaper, too.

    Args:
        price: The model's price.
        before: Prompt tokens before.
        after: Prompt tokens after; the result is negative if there are more of them.
    """
    rate, lower_rate = price.rates(before).cache_read, price.rates(after).cache_read
    if rate == lower_rate:
        return (before - after) * rate / MILLION
    return (before * rate - after * lower_rate) / MILLION


def cache_rewrite_cost(
    price: Price, kept_after_first_change: int, warm: bool = True, prompt_tokens: int | None = None
) -> float:
    """Returns the dollars that changing the history costs once.

    The tokens that stay behind the first change are written into the cache again instead of being read from it.

    Args:
        price: The model's price.
        kept_after_first_change: The number of these tokens.
        warm: Whether the provider's cache still holds the old history. If not, everything is written anyway, and the
            rewrite costs nothing.
        prompt_tokens: Tokens of the whole prompt after the rewrite, which decide the price's tier. By default
            `kept_after_first_change`.
    """
    if not warm:
        return 0.0
    rates = price.rates(kept_after_first_change if prompt_tokens is None else prompt_tokens)
    return max(0.0, kept_after_first_change * (rates.cache_write - rates.cache_read) / MILLION)
