"""Finds what a request has cost: from the usage that the provider reports, else from our own counts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from compressor.errors import CompressorError
from compressor.service.limits.limit import NANODOLLARS, Limit
from compressor.tokens.billing import CallUsage, parse_provider_usage
from compressor.tokens.pricing import find_price

#: Routes whose answers a model generates; an answer without a usage is charged by our own counts.
GENERATION_ROUTES = re.compile(
    r".*(/(chat/completions|completions|responses|messages|embeddings|invoke|invoke-with-response-stream|converse"
    r"|converse-stream)|:(streamGenerateContent|generateContent))"
)
#: Routes of our own API whose answers its clients are about to send to a provider.
_OWN_ROUTES = re.compile(r"/v1/((compress|examples|tools)(/.*)?|sessions/.*/view)", re.DOTALL)
_ENDS = 2**16  # bytes at the beginning and the end of a body in which its model is looked for
_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')


@dataclass(frozen=True, slots=True)
class RequestCost:
    """What a request has cost.

    Attributes:
        tokens: The tokens of prompt and answer, cached ones included.
        dollars: Their price.
    """

    tokens: int = 0
    dollars: float = 0.0

    def amount(self, limit: Limit) -> int:
        """Returns what it adds to a limit."""
        if limit.kind == "tokens":
            return self.tokens
        return round(self.dollars * NANODOLLARS) if limit.kind == "dollars" else 1


def find_token_use(method: str, path: str, proxied: bool) -> str:
    """Returns what sort of request uses tokens: "proxy" or "api"; "" for one that does not."""
    if method != "POST" or not (GENERATION_ROUTES if proxied else _OWN_ROUTES).fullmatch(path):
        return ""
    return "proxy" if proxied else "api"


def price_tokens(prompt: int, output: int, model: str | None) -> RequestCost:
    """Returns the cost of tokens, none of them cached, at list prices."""
    return RequestCost(prompt + output, CallUsage(1, prompt, output=output).priced(find_price(model)).cost_usd)


def price_usages(usages: Iterable[Any], model: str | None) -> RequestCost | None:
    """Returns the cost of one or more calls that reported their usage, or None if no usage can be read."""
    price, bills = find_price(model), []
    for usage in usages:
        with suppress(CompressorError):
            bills.append(parse_provider_usage(usage, price))
    if not bills:
        return None
    return RequestCost(sum(bill.prompt + bill.output for bill in bills), sum(bill.cost_usd for bill in bills))


def find_model(body: bytes) -> str | None:
    """Returns the model that a body names near its beginning or end. A guess: the body is not parsed."""
    found = _MODEL.search(body[:_ENDS]) or _MODEL.search(body[-_ENDS:])
    return found[1].decode("utf-8", "replace") if found else None
