"""Provider APIs as JSON: what the clients' wrappers (and a proxy) need to know of each. No SDK is imported here."""

from __future__ import annotations

from compressor.providers.anthropic_messages import Messages
from compressor.providers.base import Api, Filter, Inner, Json, Turn, summed
from compressor.providers.openai_chat import Chat
from compressor.providers.openai_responses import Responses

__all__ = ["Api", "Chat", "Filter", "Inner", "Json", "Messages", "Responses", "Turn", "summed"]
