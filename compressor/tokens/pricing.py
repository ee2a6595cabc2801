"""What a model's tokens cost, by its name: a table as data (`data/prices.json`, with its sources), or a caller's own.

Knows list prices of text at standard service, with the terms of the provider's prompt cache. Knows no surcharge of long
prompts, no batch or priority service, no regional premium, and nothing of contexts. Makes no network call.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

from compressor.errors import CompressorError
from compressor.tokens.model_families import base_name

PATH = Path(__file__).parents[1] / "data" / "prices.json"
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """One model's prices in dollars per million tokens, and its prompt cache.

    input: a token read fresh; output: a token written by the model; cached: a token read from the cache; write: a token
        that goes into the cache (= input where that costs nothing extra; it is paid instead of `input`, not on top).
    ttl: seconds that a cached prefix lives after its last use. minimum: least tokens of a prefix that is cached.
    window: tokens of input a call may have. output_window: tokens an answer may have.
    known: False for a guess: the name is not in the table.

    CompressorError for values that make no sense.
    """

    name: str
    input: float
    output: float
    cache_read: float
    cache_write: float
    cache_ttl_seconds: float = 300.0
    max_input_tokens: int = 128_000
    output_window: int = 16_384
    min_cacheable_tokens: int = 1_024
    is_known: bool = True

    def __post_init__(self) -> None:
        for field in (
            "input",
            "output",
            "cache_read",
            "cache_write",
            "cache_ttl_seconds",
            "max_input_tokens",
            "output_window",
            "min_cacheable_tokens",
        ):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise CompressorError(f"price {self.name!r}: {field} must be a number of at least 0, not {value!r}")
        for field in ("max_input_tokens", "output_window"):
            if getattr(self, field) < 1:
                raise CompressorError(f"price {self.name!r}: {field} must be at least 1 token")
        if not isinstance(self.is_known, bool):
            raise CompressorError(f"price {self.name!r}: is_known must be true or false, not {self.is_known!r}")

    @classmethod
    def custom(
        cls, input: float, output: float, cache_read: float | None = None, cache_write: float | None = None, **more: Any
    ) -> Price:
        """A price of one's own, dollars per million tokens. Without `cached` there is no cache discount, without
        `write` a cache write costs what input does. more: `name`, `ttl`, `window`, `output_window`, `minimum`.
        CompressorError for values that make no sense or names that do not exist."""
        return _made(
            {"name": "custom", "cache_read": input if cache_read is None else cache_read, **more}
            | {"input": input, "output": output, "cache_write": input if cache_write is None else cache_write}
        )

    def cost(self, uncached: float = 0, cache_written: float = 0, cached: float = 0, output: float = 0) -> float:
        """Dollars for so many tokens of each kind."""
        total = (
            uncached * self.input + cache_written * self.cache_write + cached * self.cache_read + output * self.output
        )
        return total / MILLION


#: For a name nobody has heard of: what a mid-size model of the two largest providers costs in November 2026, with their
#: surcharge on cache writes, so that a rewrite of the history is not taken for cheaper than it may be.
DEFAULT_PRICE = Price("typical", input=2.0, output=10.0, cache_read=0.2, cache_write=2.5, is_known=False)

#: What may follow a name of the table without making it another model: dates, release stages, modes of the same price.
_SAME = re.compile(r"\d{3,8}|v\d+|latest|preview|exp|experimental|beta|thinking|reasoning|non|instruct|chat|online|1m")
#: What may not: a letter or digit, the slash behind a provider, one more number of a version (`opus-4` + `-9`).
_OTHER = re.compile(r"[a-z0-9/]|-\d{1,2}(?!\d)")
_WORD = re.compile(r"[a-z/]")
_VERSION_DOT = re.compile(r"(?<=\d)\.(?=\d)")
_START = re.compile(r"[/.:]")


def find_price(model: str | None, own: Mapping[str, Price] | None = None) -> Price:
    """The price of a model by the longest name of the table that its name begins with, with or without a provider in
    front (`anthropic/claude-…`, `openai:gpt-…`, `us.anthropic.claude-…-v1:0`) and a date or `-latest` behind.

    own: prices by name that go before the table's, as `load_prices` gives them. `known` is False where the name is not
    one of the table's (the nearest of its family is taken, or `TYPICAL`) or names a fine-tuned model. Never raises.
    """
    if not model or not model.strip():
        return DEFAULT_PRICE
    tuned = model.strip().lower().startswith("ft:")
    name = base_name(model)
    for prices in (own, _table()):
        found = _longest(name, prices or {})
        if found is not None:
            price, same = found
            return price if same and not tuned else replace(price, is_known=False)
    return DEFAULT_PRICE


def _longest(name: str, prices: Mapping[str, Price]) -> tuple[Price, bool] | None:
    """The price whose name reaches furthest, and whether what follows leaves it the same model."""
    best: tuple[int, str, str] | None = None
    for start in _starts(name):
        rest = _plain(name[start:])
        for key, price in prices.items():
            plain = _plain(key)
            behind = rest[len(plain) :]
            # a family's row (`qwen`) stands for every version of it (`qwen3`), another row for its own version only
            if rest.startswith(plain) and not (_OTHER if price.is_known else _WORD).match(behind):
                best = max(best or (0, "", ""), (len(plain), key, behind))
    if best is None:
        return None
    _, key, behind = best
    parts = [part for part in re.split(r"[^a-z0-9]+", behind) if part]
    same = all(_SAME.fullmatch(part) or (part.isdigit() and i > 0) for i, part in enumerate(parts))
    return prices[key], same


def _starts(name: str) -> Iterator[int]:
    yield 0
    for match in _START.finditer(name):
        yield match.end()


def _plain(name: str) -> str:
    """`claude-sonnet-4.5` and `claude-sonnet-4-5` are one name."""
    return _VERSION_DOT.sub("-", name.lower())


def load_prices(path: str | Path) -> dict[str, Price]:
    """Prices by model name from a JSON file of the shape of `data/prices.json`: `{"models": {name: {"input": 2.0,
    "output": 8.0, "cached": 0.5, ...}}}`, dollars per million tokens. Only input and output are needed.

    CompressorError for a file that cannot be read, is no JSON or has another shape; it names the model to blame.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CompressorError(f"the price file {str(path)!r} cannot be read: {error}") from error
    except ValueError as error:
        raise CompressorError(f"the price file {str(path)!r} is no JSON: {error}") from error
    models = data.get("models") if isinstance(data, dict) else None
    if not isinstance(models, dict) or not models:
        raise CompressorError(
            f'the price file {str(path)!r} needs {{"models": {{name: {{"input": ..., "output": ...}}}}}}'
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


def _made(values: dict[str, Any]) -> Price:
    unknown = values.keys() - {field.name for field in fields(Price)}
    if unknown:
        raise CompressorError(f"price {values['name']!r}: no such field: {', '.join(sorted(unknown))}")
    return Price(**values)


@cache
def _table() -> dict[str, Price]:
    return load_prices(PATH)
