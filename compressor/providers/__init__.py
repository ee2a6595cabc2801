"""Reads and writes the request bodies and responses of each provider API as plain JSON, without any SDK."""

from __future__ import annotations

from compressor.providers.anthropic_messages import AnthropicMessagesApi
from compressor.providers.base import (
    ContextCall,
    HiddenRounds,
    Json,
    ModelTurn,
    ProviderApi,
    StreamFilter,
    sum_usage,
    tool_name,
    visible_usage,
)
from compressor.providers.context_overflow import is_context_overflow
from compressor.providers.openai_chat import OpenAIChatApi
from compressor.providers.openai_responses import OpenAIResponsesApi

__all__ = [
    "AnthropicMessagesApi",
    "ContextCall",
    "HiddenRounds",
    "Json",
    "ModelTurn",
    "OpenAIChatApi",
    "OpenAIResponsesApi",
    "ProviderApi",
    "StreamFilter",
    "is_context_overflow",
    "sum_usage",
    "tool_name",
    "visible_usage",
]
