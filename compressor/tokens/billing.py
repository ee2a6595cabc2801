"""What calls cost: a provider's prompt cache simulated call by call, real usage read, and what a rewrite of the history
costs against what it saves.

Works on tokens and prices. Counts no text, knows no dialect and decides nothing. Real caches match in blocks (128
tokens at OpenAI) and sometimes miss; the simulated one matches whole pieces and never misses, for every method alike.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compressor.errors import CompressorError
from compressor.tokens.pricing import MILLION, Price


@dataclass(frozen=True, slots=True)
class CallUsage:
    """What `calls` calls had and cost. Tokens of the prompts: `fresh` at the input price, `written` into the cache,
    `cached` read from it; of the answers: `output`. money: dollars."""

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
        """All tokens of the prompts."""
        return self.uncached + self.cache_written + self.cached

    @property
    def cache_share(self) -> float:
        """Share of the prompts' tokens that came from the cache; 0 without prompts."""
        return self.cached / self.prompt if self.prompt else 0.0

    def priced(self, price: Price) -> CallUsage:
        """The same tokens at a price."""
        money = price.cost(self.uncached, self.cache_written, self.cached, self.output)
        return CallUsage(self.calls, self.uncached, self.cache_written, self.cached, self.output, money)


class PromptCacheSimulator:
    """A provider's prompt cache for one conversation. Holds the last request's pieces and nothing of those before."""

    def __init__(self, price: Price) -> None:
        self.price = price
        self._last: list[tuple[Hashable, int]] = []
        self._at = -math.inf

    def call(self, parts: Sequence[tuple[Hashable, int]], output: int = 0, at: float = 0.0) -> CallUsage:
        """Bills one request.

        parts: its pieces in order, as (key that tells their bytes apart, tokens). output: tokens of the answer.
        at: seconds on any clock. The longest run of whole pieces that the request before began with is read from the
        cache, if it is at least `minimum` tokens and was used at most `ttl` seconds ago; the rest is written, or fresh
        where the whole prompt is below `minimum`.
        """
        prompt = sum(tokens for _, tokens in parts)
        cached = self._common(parts) if at - self._at <= self.price.cache_ttl_seconds else 0
        if cached < self.price.min_cacheable_tokens:
            cached = 0
        rest = prompt - cached
        fresh, written = (rest, 0) if prompt < self.price.min_cacheable_tokens else (0, rest)
        self._last, self._at = list(parts), at
        return CallUsage(1, fresh, written, cached, output).priced(self.price)

    def _common(self, parts: Sequence[tuple[Hashable, int]]) -> int:
        total = 0
        for old, new in zip(self._last, parts, strict=False):
            if old != new:
                break
            total += new[1]
        return total


def parse_provider_usage(usage: Any, price: Price | None = None) -> CallUsage:
    """One call's bill from the usage that a provider reports: a dict or an SDK object.

    Knows OpenAI chat (`prompt_tokens`; DeepSeek's `prompt_cache_hit_tokens` too), OpenAI Responses and Agents
    (`input_tokens` with `input_tokens_details`), Anthropic (`input_tokens` beside `cache_read_input_tokens` and
    `cache_creation_input_tokens`), LangChain's `usage_metadata` (`input_token_details`), pydantic-ai
    (`cache_read_tokens`, `cache_write_tokens`) and Gemini (`prompt_token_count`). Without a price `money` is 0.
    CompressorError for anything else.
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
            f"{type(usage).__name__} is no usage we know: give the provider's usage object or dict, "
            "with prompt_tokens or input_tokens in it"
        )
    return bill.priced(price) if price else bill


def _input_tokens(usage: Any) -> CallUsage:
    """Anthropic's `input_tokens` are the uncached ones alone; everyone else's are all."""
    given, output = _tokens(usage, "input_tokens"), _tokens(usage, "output_tokens")
    if _has(usage, "cache_read_input_tokens") or _has(usage, "cache_creation_input_tokens"):
        written = _tokens(usage, "cache_creation_input_tokens")
        return CallUsage(1, given, written, _tokens(usage, "cache_read_input_tokens"), output)
    details = _get(usage, "input_tokens_details")
    if details is not None:
        return _split(given, _tokens(details, "cached_tokens"), _tokens(details, "cache_write_tokens"), output)
    details = _get(usage, "input_token_details")
    if details is not None:
        # langchain-anthropic splits the writes by lifetime and leaves `cache_creation` at 0 then
        names = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
        written = _tokens(details, "cache_creation") or sum(_tokens(details, name) for name in names)
        return _split(given, _tokens(details, "cache_read"), written, output)
    return _split(given, _tokens(usage, "cache_read_tokens"), _tokens(usage, "cache_write_tokens"), output)


def _split(prompt: int, cached: int, written: int, output: int) -> CallUsage:
    """cached and written are parts of the prompt; where more of them are reported than it has, the prompt wins."""
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
    """Dollars that every later call saves once a history of `before` tokens has become one of `after`: what went would
    have been read from the cache each time. Negative where the history grew."""
    return (before - after) * price.cache_read / MILLION


def cache_rewrite_cost(price: Price, kept_after_first_change: int, warm: bool = True) -> float:
    """Dollars that changing the history costs once: the tokens that stay behind the first change are written again
    instead of read. warm: whether the cache still lives; after its `ttl` all is written anyway: a rewrite is free."""
    return max(0.0, kept_after_first_change * (price.cache_write - price.cache_read) / MILLION) if warm else 0.0


def break_even(price: Price, before: int, after: int, kept_after_first_change: int, warm: bool = True) -> float:
    """Calls, the next one included, after which a rewrite has paid for itself; infinite where it never does."""
    saved, cost = saved_per_call(price, before, after), cache_rewrite_cost(price, kept_after_first_change, warm)
    if saved <= 0:
        return math.inf
    return cost / saved
