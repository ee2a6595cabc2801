"""Price data that genai-prices does not have: some models, guesses for whole families, cache terms and input limits.

Sources, read in November 2026:

* Prices: litellm 1.109.1 (MIT), `model_prices_and_context_window`, which cites the providers' pages.
* OpenAI's cache: developers.openai.com/api/docs/guides/prompt-caching. Prefixes from 1,024 tokens; they live 5 to 10
  minutes, from GPT-5.6 on at least 30.
* Anthropic's cache: platform.claude.com/docs/en/build-with-claude/prompt-caching. 5 minutes; the shortest prefix
  depends on the model.
* Google's cache: ai.google.dev/gemini-api/docs/caching. Implicit, from 4,096 tokens (Gemini 2.5: 2,048).
* Alibaba's cache: alibabacloud.com/help/en/model-studio/context-cache.

Not published, and assumed here: how long the implicit caches of Google, DeepSeek, Mistral and xAI live (5 minutes;
DeepSeek says hours to days, taken as one hour), and the shortest prefix of Mistral and xAI (1,024 tokens).
"""

from __future__ import annotations

import re

#: name, input, output, cache_read, cache_write, max_input_tokens; dollars per million tokens.
PriceRow = tuple[str, float, float, float, float, int]

#: Models that genai-prices lacks.
MODEL_ROWS: tuple[PriceRow, ...] = (
    ("claude-mythos-5-1", 10, 50, 0.25, 12.5, 1_000_000),
    ("claude-mythos-5", 10, 50, 1, 12.5, 1_000_000),
    ("claude-mythos-preview", 10, 50, 1, 12.5, 1_000_000),
    ("mistral-large-3", 0.5, 1.5, 0.05, 0.5, 262_144),
    ("ministral-14b-latest", 0.2, 0.2, 0.02, 0.2, 262_144),
    ("ministral-3b-latest", 0.1, 0.1, 0.01, 0.1, 131_072),
    ("devstral-medium-latest", 0.4, 2, 0.04, 0.4, 256_000),
    ("qwen3.8-max", 2, 6, 0.25, 2, 991_808),
    ("qwen3.8-flash", 0.15, 0.47, 0.016, 0.2, 991_808),
    ("qwen3.7-max", 2.5, 7.5, 0.5, 3.125, 991_808),
    ("qwen-max", 1.6, 6.4, 0.32, 1.6, 30_720),
    ("qwen-turbo", 0.05, 0.2, 0.01, 0.05, 129_024),
    ("qwen3-next-80b-a3b-instruct", 0.15, 1.2, 0.03, 0.15, 262_144),
    ("qwq-plus", 0.8, 2.4, 0.16, 0.8, 98_304),
    ("qwen3.7-plus", 0.4, 1.6, 0.08, 0.4, 991_808),
    ("qwen3.5-plus", 0.4, 2.4, 0.08, 0.4, 991_808),
    ("qwen3-max", 1.2, 6, 0.24, 1.2, 258_048),
    ("qwen3-coder-plus", 1, 5, 0.1, 1, 997_952),
    ("qwen3-coder-flash", 0.3, 1.5, 0.08, 0.3, 997_952),
    ("qwen-plus", 0.4, 1.2, 0.08, 0.4, 997_952),
    ("qwen-flash", 0.05, 0.4, 0.01, 0.05, 997_952),
)

#: Guesses for models that are newer than both tables: the price of their family's current standard model.
FAMILY_ROWS: tuple[PriceRow, ...] = (
    ("gpt", 2, 10, 0.1, 2.5, 922_000),
    ("claude-opus", 4, 20, 0.2, 5, 1_000_000),
    ("claude-sonnet", 2, 10, 0.1, 2.5, 1_000_000),
    ("claude-haiku", 1, 5, 0.1, 1.25, 200_000),
    ("claude", 2, 10, 0.1, 2.5, 1_000_000),
    ("gemini", 2, 10, 0.1, 2, 1_048_576),
    ("deepseek", 1.32, 3.96, 0.044, 1.32, 1_000_000),
    ("mistral", 1.5, 7.5, 0.15, 1.5, 262_144),
    ("grok", 2, 6, 0.5, 2, 500_000),
    ("qwen", 2, 6, 0.25, 2, 991_808),
)

_DEFAULT_CACHE = (300.0, 1_024)
#: Pattern of a name with dashes for dots -> cache_ttl_seconds, min_cacheable_tokens. The first match wins.
_CACHE_TERMS: tuple[tuple[str, float, int], ...] = (
    (r"gpt-(?:5-[6-9]|[6-9])|gpt$", 1_800, 1_024),
    (r"claude-opus-4-[56]|claude-haiku-4-5|claude-haiku$", 300, 4_096),
    (r"claude-opus-4-7|claude-3(?:-5)?-haiku", 300, 2_048),
    (r"claude-(?:fable|mythos)|claude-opus-5|claude-(?:sonnet|haiku)-5-5|claude(?:-opus|-sonnet)?$", 300, 512),
    (r"gemini-2", 300, 2_048),
    (r"gemini", 300, 4_096),
    (r"deepseek", 3_600, 64),
)

#: Pattern of a name with dashes for dots -> the largest prompt. The first match wins. The library's windows of these
#: models count the answer too, are rounded, or are missing.
_INPUT_LIMITS: tuple[tuple[str, int], ...] = (
    (r"gpt-5(?:-\d)?-chat", 128_000),
    (r"gpt-5-1-codex|gpt-5-pro", 400_000),
    (r"gpt-5-[45](?!-(?:mini|nano))", 1_050_000),
    (r"gpt-(?:5-[6-9]|[6-9])", 922_000),
    (r"gpt-5", 272_000),
    (r"gpt-4-1(?!\d)", 1_047_576),
    (r"gemini-(?:\D|2-5|[3-9])", 1_048_576),
    (r"(?:mi|mini|magi)stral-(?:medium|small|8b)-latest", 262_144),
)


def find_cache_terms(name: str) -> tuple[float, int]:
    """Returns `cache_ttl_seconds` and `min_cacheable_tokens` of a model.

    Args:
        name: The model's name in lower case, with dashes instead of dots in versions.
    """
    for pattern, ttl_seconds, min_tokens in _CACHE_TERMS:
        if re.search(pattern, name):
            return ttl_seconds, min_tokens
    return _DEFAULT_CACHE


def find_input_limit(name: str) -> int | None:
    """Returns the largest prompt of a model in tokens, or None if genai-prices is right about it.

    Args:
        name: The model's name in lower case, with dashes instead of dots in versions.
    """
    return next((limit for pattern, limit in _INPUT_LIMITS if re.search(pattern, name)), None)
