"""Wraps an Anthropic client so that it compresses what it sends and answers the model's expand and recall calls itself.

Compressed are messages and beta messages: `create`, `parse` and `stream`, whole and streamed, sync and async. Sent
unchanged are batches, raw responses (`with_raw_response`, `with_streaming_response`) and all other APIs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from compressor.errors import MissingDependencyError
from compressor.providers import AnthropicMessagesApi, ProviderApi
from compressor_agents.sdk_clients import compress_client
from compressor_agents.sdk_names import refuse_to_shadow

refuse_to_shadow(__name__, "anthropic")
try:
    import anthropic
except ImportError:
    raise MissingDependencyError("anthropic", "anthropic") from None

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from compressor import Compressor
    from compressor_agents.sdk_clients import ClientOptions

_PATHS = ("/v1/messages", "/v1/messages?beta=true")
_APIS: Mapping[str, ProviderApi] = dict.fromkeys(_PATHS, AnthropicMessagesApi())
Client = TypeVar("Client", anthropic.Anthropic, anthropic.AsyncAnthropic)


def with_compression(client: Client, compressor: Compressor | None = None, **options: Unpack[ClientOptions]) -> Any:
    """Returns a client of the same class that sends compressed histories and has a method `cost_report()`.

    The original client does not change; both share their connections.

    Args:
        client: An `anthropic.Anthropic` or `anthropic.AsyncAnthropic`.
        compressor: Compresses and stores; None makes one with the defaults.
        **options: see `sdk_clients.ClientOptions`.

    Raises:
        CompressorError: If `client` is not an Anthropic client, or an option is wrong.

    Example:
        >>> client = with_compression(anthropic.Anthropic(), budget=32_000)
        >>> client.messages.create(model="claude-sonnet-5", max_tokens=1024, messages=history, tools=tools)
        >>> print(client.cost_report().report())
    """
    return compress_client(client, (anthropic.Anthropic, anthropic.AsyncAnthropic), _APIS, compressor, **options)
