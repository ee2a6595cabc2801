"""Errors by which providers and local servers say that a prompt is too long, and others that only sound like it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from compressor import Compressor
from compressor.providers import is_context_overflow
from compressor.providers.base import visible_usage
from compressor.providers.context_overflow import halve_limit
from compressor.sessions import Conversation
from support.session_tools import conversation


@pytest.mark.parametrize(
    "text",
    [
        '{"error": {"message": "too many", "code": "context_length_exceeded"}}',
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        "prompt is too long: 210213 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
        "the request exceeds the available context size, try increasing it",
        "Input is too long for requested model.",
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "Requested tokens (9000) exceed context window of 4096",
        "Please reduce the length of the messages or completion.",
    ],
)
def test_a_prompt_that_is_too_long(text: str) -> None:
    assert is_context_overflow(400, text) and not is_context_overflow(500, text) and not is_context_overflow(None, text)


@pytest.mark.parametrize(
    "text",
    [
        "temperature must be below 2",
        "tools: Input tag 'custom' found using 'type' does not match any of the expected tags",
        "messages.3: `tool_use` ids were found without `tool_result` blocks immediately after",
        "Invalid type for 'messages[0].content'",
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
        "The name is too long",
    ],
)
def test_other_refusals(text: str) -> None:
    assert not is_context_overflow(400, text)
    assert is_context_overflow(413, text), "413 needs no words"


def test_each_halving_gives_a_smaller_view_until_nothing_more_may_leave() -> None:
    made = Conversation(Compressor(store="memory"), "gpt-4o", 50_000)
    made.sync(conversation(20))
    sizes = [(made.view(), made.view_tokens)[1]]
    for _ in range(3):
        assert halve_limit(made)
        sizes.append(made.view_tokens)
    assert all(after <= before / 2 for before, after in pairwise(sizes))
    while halve_limit(made):
        sizes.append(made.view_tokens)
    assert sizes == sorted(sizes, reverse=True) and len(sizes) < 20
    assert "smallest possible view" in made.warnings[-1]


def test_the_usage_that_a_caller_sees_has_the_last_prompt_and_all_output() -> None:
    chat = [
        {
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "total_tokens": 110,
            "prompt_tokens_details": {"cached_tokens": 5},
        },
        None,
        {
            "prompt_tokens": 300,
            "completion_tokens": 7,
            "total_tokens": 307,
            "prompt_tokens_details": {"cached_tokens": 9},
        },
    ]
    assert visible_usage(chat) == {
        "prompt_tokens": 300,
        "completion_tokens": 17,
        "total_tokens": 317,
        "prompt_tokens_details": {"cached_tokens": 9},
    }
    messages = [
        {"input_tokens": 9, "cache_read_input_tokens": 80, "output_tokens": 5, "server_tool_use": {"searches": 1}},
        {"input_tokens": 4, "cache_read_input_tokens": 95, "output_tokens": 6, "server_tool_use": {"searches": 2}},
    ]
    assert visible_usage(messages) == {
        "input_tokens": 4,
        "cache_read_input_tokens": 95,
        "output_tokens": 11,
        "server_tool_use": {"searches": 3},
    }
    assert visible_usage([None]) is None and visible_usage([chat[0]]) == chat[0]
