"""Finds what a request has cost: from the usage that the provider reports, else from our own counts."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from compressor.errors import CompressorError
from compressor.service.limits.limit import NANODOLLARS, Limit
from compressor.tokens.billing import CallUsage, parse_provider_usage
from compressor.tokens.pricing import find_price

Send = Callable[[Any], Awaitable[None]]
#: Routes whose answers a model generates; an answer without a usage is charged by our own counts.
GENERATION_ROUTES = re.compile(
    r".*(/(chat/completions|completions|responses|messages|embeddings|invoke|invoke-with-response-stream|converse"
    r"|converse-stream)|:(streamGenerateContent|generateContent))"
)
#: Routes of our own API whose answers its clients are about to send to a provider.
_OWN_ROUTES = re.compile(r"/v1/((compress|examples|tools)(/.*)?|sessions/.*/view)", re.DOTALL)
_HEAD, _TAIL = 2**15, 2**16  # bytes of an answer that are kept: Anthropic's usage begins at the front, others end it
_USAGE = re.compile(rb'"usage(?:Metadata)?"\s*:\s*(?=\{)')
_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')
_CAMEL = re.compile(r"(?<!^)(?=[A-Z])")
_decode = json.JSONDecoder().raw_decode


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
    found = _MODEL.search(body[:_TAIL]) or _MODEL.search(body[-_TAIL:])
    return found[1].decode("utf-8", "replace") if found else None


class AnswerWatcher:
    """Passes an answer on to the client, and finds the usage in it.

    Args:
        send: ASGI's function that sends a part of the answer.

    Attributes:
        status: The status of the answer, 0 before it.
        events: The number of server-sent events so far. Providers send about one token in each.
    """

    def __init__(self, send: Send) -> None:
        self._send, self.status, self.events = send, 0, 0
        self._head, self._tail = b"", bytearray()
        self._unpack: Callable[[bytes], bytes] | None = bytes

    async def __call__(self, message: Any) -> None:
        """Takes a part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            encoding = dict(message.get("headers", ())).get(b"content-encoding", b"identity").lower()
            self._unpack = _unpacker(encoding)
        elif body := message.get("body"):
            self._feed(body)
        await self._send(message)

    def usage(self) -> Mapping[str, Any] | None:
        """Returns the usage in the answer, or None if it has none that can be read."""
        merged: dict[str, Any] = {}
        for part in (self._head, bytes(self._tail)):
            for match in _USAGE.finditer(part):
                with suppress(ValueError, RecursionError):
                    found, _ = _decode(part[match.end() :].decode("utf-8", "replace"))
                    merged = _merge(merged, found)
        return merged or None

    def _feed(self, data: bytes) -> None:
        if self._unpack is None:
            return
        try:
            data = self._unpack(data)
        except zlib.error:
            self._unpack = None
            return
        self.events += (self._tail[-4:] + data).count(b"data:")
        if len(self._head) < _HEAD:
            self._head += data[: _HEAD - len(self._head)]
        self._tail += data
        if len(self._tail) > 2 * _TAIL:
            del self._tail[:-_TAIL]


def _unpacker(encoding: bytes) -> Callable[[bytes], bytes] | None:
    if encoding in (b"", b"identity"):
        return bytes
    return zlib.decompressobj(47).decompress if encoding in (b"gzip", b"deflate") else None


def _merge(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the larger of each count: streams report what there is so far."""
    out = dict(one)
    for key, value in other.items():
        name = _CAMEL.sub("_", key).lower()
        if isinstance(value, dict):
            out[name] = _merge(out.get(name) or {}, value)
        elif isinstance(value, int) and not isinstance(value, bool):
            out[name] = max(value, out.get(name) or 0)
    return out
