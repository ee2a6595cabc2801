"""What a request has cost, found in the answers as providers send them."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from compressor.service.limits.answer_watcher import AnswerWatcher
from compressor.service.limits.request_cost import (
    GENERATION_ROUTES,
    find_model,
    price_tokens,
    price_usages,
)
from compressor.tokens.pricing import find_price

CHAT = {"prompt_tokens": 1_000, "completion_tokens": 50, "prompt_tokens_details": {"cached_tokens": 400}}


def watch(body: bytes, piece: int = 1 << 20, **headers: str) -> AnswerWatcher:
    """What passes is what comes out, in whatever pieces."""
    passed: list[bytes] = []

    async def send(message: Any) -> None:
        passed.append(message.get("body", b""))

    async def run() -> AnswerWatcher:
        watcher = AnswerWatcher(send)
        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        await watcher({"type": "http.response.start", "status": 200, "headers": pairs})
        for start in range(0, len(body), piece):
            await watcher({"type": "http.response.body", "body": body[start : start + piece], "more_body": True})
        await watcher({"type": "http.response.body", "body": b""})
        return watcher

    watcher = asyncio.run(run())
    assert b"".join(passed) == body
    return watcher


def events(*parts: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(part).encode() + b"\n\n" for part in parts)


@pytest.mark.parametrize("piece", [7, 100_000])
def test_a_usage_is_found_in_whole_answers(piece: int) -> None:
    text = 'they said \\"usage\\": {\\"prompt_tokens\\": 9}' * 3_000
    body = json.dumps({"choices": [{"message": {"content": text}}], "usage": CHAT, "system_fingerprint": "f"}).encode()
    for given, headers in ((body, {}), (gzip.compress(body), {"content_encoding": "gzip"})):
        cost = price_usages([watch(given, piece, **headers).usage()], "gpt-4o")
        assert cost is not None and cost.tokens == 1_050
        price = find_price("gpt-4o")
        assert cost.dollars == pytest.approx(price.cost(uncached=600, cached=400, output=50))


def test_a_usage_is_found_in_streams() -> None:
    words = [{"choices": [{"delta": {"content": "word"}}], "usage": None}] * 3_000
    chat = watch(events(*words, {"choices": [], "usage": CHAT}) + b"data: [DONE]\n\n", 1_000)
    assert chat.usage() == CHAT and chat.events == 3_002
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 20, "cache_read_input_tokens": 500}}}
    start["message"]["usage"]["output_tokens"] = 1  # type: ignore[index]
    deltas = [{"type": "content_block_delta", "delta": {"text": "word"}}] * 3_000
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3_000}}
    cost = price_usages([watch(events(start, *deltas, end)).usage()], "claude-sonnet-4-5")
    assert cost is not None and cost.tokens == 3_520
    completed = {"type": "response.completed", "response": {"usage": {"input_tokens": 7, "output_tokens": 3}}}
    cost = price_usages([watch(events(completed)).usage()], "gpt-5")
    assert cost is not None and cost.tokens == 10
    gemini = {"usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 4, "thoughtsTokenCount": 2}}
    cost = price_usages([watch(events(gemini)).usage()], "gemini-2.5-pro")
    assert cost is not None and cost.tokens == 17


@pytest.mark.parametrize(
    "body", [b"", b"no json", b'{"usage": {"prompt', b'{"usage": 3}', b'{"usage": {}}', b'"usage": {"a":' * 5_000]
)
def test_an_answer_without_a_usage_has_none(body: bytes) -> None:
    assert watch(body).usage() is None
    broken = gzip.compress(b'{"usage": {"prompt_tokens": 1}}')[:-20] + b"junk"
    watch(broken, content_encoding="gzip")
    assert watch(body, content_encoding="br").usage() is None


def test_usages_that_are_no_token_counts() -> None:
    assert price_usages([{"seconds": 3}], "gpt-4o") is None
    assert price_usages([], "gpt-4o") is None
    both = price_usages([CHAT, {"seconds": 3}, CHAT], "gpt-4o")
    assert both is not None and both.tokens == 2_100
    assert price_tokens(10, 5, None).tokens == 15


def test_the_model_is_read_without_parsing() -> None:
    assert find_model(b'{"model" : "gpt-4o", "messages": []}') == "gpt-4o"
    assert find_model(b'{"messages": ["' + b"x" * 200_000 + b'"], "model":"o3"}') == "o3"
    assert find_model(rb'{"messages": "\"model\": \"x\""}') is None
    assert find_model(b"\xff\x00") is None


def test_routes_that_generate() -> None:
    for path in ("/v1/chat/completions", "/openai/deployments/d/chat/completions", "/v1beta/models/g:generateContent"):
        assert GENERATION_ROUTES.fullmatch(path), path
    for path in ("/v1/messages/count_tokens", "/v1/files", "/v1/models", "/v1/batches", "/v1/responses/r_1"):
        assert not GENERATION_ROUTES.fullmatch(path), path
