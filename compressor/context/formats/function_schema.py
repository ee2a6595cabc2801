"""The schema of a function as each dialect writes it. Knows no function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compressor.errors import CompressorError


def function_schema(dialect: str, name: str, description: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The schema for "openai_chat", "openai_responses" or "anthropic". CompressorError for another."""
    named = {"name": name, "description": description}
    if dialect == "openai_chat":
        return {"type": "function", "function": {**named, "parameters": parameters}}
    if dialect == "openai_responses":
        return {"type": "function", **named, "parameters": parameters}
    if dialect == "anthropic":
        return {**named, "input_schema": parameters}
    raise CompressorError(f"no tool schema for {dialect!r}: use openai_chat, openai_responses or anthropic")
