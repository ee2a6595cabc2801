"""An Anthropic client that compresses what it sends, and answers the model's expand calls itself.

    client = wrap(anthropic.Anthropic(), budget=32_000)
    client.messages.create(model="claude-sonnet-5", max_tokens=1024, messages=history, tools=tools)   # as ever
    print(client.balance().report())

Messages, the beta ones too: `create`, `parse`, `stream`, whole and streamed, sync and async. Everything else goes
through as it is, and so do raw responses (`with_raw_response`, `with_streaming_response`). Batches are not compressed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from compressor.errors import CompressorError, MissingExtra
from compressor.providers import Api, Messages
from compressor.providers.conversation_tracker import Threads
from compressor.providers.expand_resolver import Resolver
from compressor_agents.sdk_clients import AsyncCompressing, SyncCompressing, compressing

try:
    import anthropic
except ImportError:
    raise MissingExtra("anthropic", "anthropic") from None

if TYPE_CHECKING:
    from compressor import Compressor
    from compressor.sessions.policy import Policy

_APIS: Mapping[str, Api] = {"/v1/messages": Messages(), "/v1/messages?beta=true": Messages()}
Client = TypeVar("Client", anthropic.Anthropic, anthropic.AsyncAnthropic)


class _Sync(SyncCompressing):
    apis = _APIS


class _Async(AsyncCompressing):
    apis = _APIS


def wrap(
    client: Client,
    compressor: Compressor | None = None,
    budget: int | float | str | None = None,
    policy: Policy | None = None,
    session: Any = None,
    expand: bool = True,
    fail_open: bool = True,
) -> Any:
    """A client of the same class (a subclass of it) that sends compressed histories. The one given is not changed; both
    share their connections.

    compressor: None makes one with defaults. budget: of each request: tokens, a share of the model's window (a float
    below 1), "$0.02", None for 0.8 of the window. policy: what is cut when. session: a `Session` or an id, to which all
    calls belong then; None: a history belongs to the conversation whose messages it extends. expand: whether the model
    is given the tool `expand_context` for what was cut; its calls are answered here, and the caller does not see them.
    fail_open: an error of ours is logged and the caller's own request sent; else it is raised.

    Beside its own methods the result has `balance()`. CompressorError for something that is no client.
    """
    resolver = Resolver(Threads(compressor, budget, policy, session), expand, fail_open)
    if isinstance(client, anthropic.AsyncAnthropic):
        return compressing(client, _Async, resolver)
    if isinstance(client, anthropic.Anthropic):
        return compressing(client, _Sync, resolver)
    raise CompressorError(f"give an anthropic.Anthropic or anthropic.AsyncAnthropic, not {type(client).__name__}")
