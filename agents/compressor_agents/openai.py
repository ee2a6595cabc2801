"""An OpenAI client that compresses what it sends, and answers the model's expand calls itself.

    client = wrap(openai.OpenAI(), budget=32_000)
    client.chat.completions.create(model="gpt-4o", messages=history, tools=tools)   # as ever
    print(client.cost_report().report())

Chat completions and Responses: `create`, `parse`, `stream`, whole and streamed, sync and async. Everything else goes
through as it is, and so does what does not hold its history (`previous_response_id`, `conversation`), several answers
at once (`n`), and raw responses (`with_raw_response`, `with_streaming_response`). Compresses no embeddings or audio.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from compressor.errors import CompressorError, MissingDependencyError
from compressor.providers import OpenAIChatApi, OpenAIResponsesApi, ProviderApi
from compressor.providers.conversation_tracker import ConversationTracker
from compressor.providers.expand_resolver import ExpandResolver
from compressor_agents.sdk_clients import AsyncCompressionMixin, SyncCompressionMixin, make_compressing_client

try:
    import openai
except ImportError:
    raise MissingDependencyError("openai", "openai") from None

if TYPE_CHECKING:
    from compressor import Compressor
    from compressor.sessions.policy import Policy

_APIS: Mapping[str, ProviderApi] = {"/chat/completions": OpenAIChatApi(), "/responses": OpenAIResponsesApi()}
Client = TypeVar("Client", openai.OpenAI, openai.AsyncOpenAI)


class _SyncOpenAI(SyncCompressionMixin):
    apis = _APIS


class _AsyncOpenAI(AsyncCompressionMixin):
    apis = _APIS


def with_compression(
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
    below 1), "$0.02", None for 0.8 of the window. policy: what is cut when. session: a `OnnxSession` or an id, to which all
    calls belong then; None: a history belongs to the conversation whose messages it extends. expand: whether the model
    is given the tool `expand_context` for what was cut; its calls are answered here, and the caller does not see them.
    fail_open: an error of ours is logged and the caller's own request sent; else it is raised.

    Beside its own methods the result has `balance()`. CompressorError for something that is no client.
    """
    resolver = ExpandResolver(ConversationTracker(compressor, budget, policy, session), expand, fail_open)
    if isinstance(client, openai.AsyncOpenAI):
        return make_compressing_client(client, _AsyncOpenAI, resolver)
    if isinstance(client, openai.OpenAI):
        return make_compressing_client(client, _SyncOpenAI, resolver)
    raise CompressorError(f"give an openai.OpenAI or openai.AsyncOpenAI, not {type(client).__name__}")
