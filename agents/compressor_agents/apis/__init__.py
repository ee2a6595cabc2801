"""Provider APIs as JSON: what the clients' wrappers (and a proxy) need to know of each. No SDK is imported here."""

from __future__ import annotations

from compressor_agents.apis.anthropic import Messages
from compressor_agents.apis.base import Api, Filter, Inner, Json, Turn, summed
from compressor_agents.apis.chat import Chat
from compressor_agents.apis.responses import Responses

__all__ = ["Api", "Chat", "Filter", "Inner", "Json", "Messages", "Responses", "Turn", "summed"]
