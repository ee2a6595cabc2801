"""The schema of a function as each dialect writes it. Knows no function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compressor.errors import CompressorError


def function_schema(format_name: str, name: str, description: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The schema for "openai_chat", "openai_responses" or "anthropic". CompressorError for another."""
    named = {"name": name, "description": description}
    if format_name == "openai_chat":
        return {"type": "function", "function": {**named, "parameters": parameters}}
    if format_name == "openai_responses":
        return {"type": "function", **named, "parameters": parameters}
    if format_name == "anthropic":
        return {**named, "input_schema": parameters}
    raise CompressorError(f"no tool schema for {format_name!r}: use openai_chat, openai_responses or anthropic")
