"""Writes the schema of a function as each message format requires it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compressor.errors import CompressorError


def function_schema(format_name: str, name: str, description: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a tool schema.

    Args:
        format_name: "openai_chat", "openai_responses", "anthropic", "mcp", "gemini", "bedrock" or "plain".
        name: The function's name.
        description: What the function does, as the model reads it.
        parameters: The JSON schema of its parameters.

    Raises:
        CompressorError: The format is another one.
    """
    named = {"name": name, **({"description": description} if description else {})}
    if format_name == "openai_chat":
        return {"type": "function", "function": {**named, "parameters": parameters}}
    if format_name == "openai_responses":
        return {"type": "function", **named, "parameters": parameters}
    if format_name == "gemini":
        return {"functionDeclarations": [{**named, "parametersJsonSchema": parameters}]}
    if format_name == "bedrock":
        return {"toolSpec": {**named, "inputSchema": {"json": parameters}}}
    if key := {"anthropic": "input_schema", "mcp": "inputSchema", "plain": "parameters"}.get(format_name):
        return {**named, key: parameters}
    raise CompressorError(
        f"cannot write a tool schema for {format_name!r}: use openai_chat, openai_responses, anthropic, mcp, gemini, "
        "bedrock or plain"
    )
