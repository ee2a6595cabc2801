"""Wraps an OpenAI client so that it compresses what it sends and answers the model's expand and recall calls itself.

Compressed are chat completions and Responses: `create`, `parse` and `stream`, whole and streamed, sync and async. Sent
unchanged are requests that do not contain their history (`previous_response_id`, `conversation`), requests for several
answers (`n`), raw responses (`with_raw_response`, `with_streaming_response`) and all other APIs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from compressor.errors import MissingDependencyError
from compressor.providers import OpenAIChatApi, OpenAIResponsesApi, ProviderApi
from compressor_agents.sdk_clients import compress_client
from compressor_agents.sdk_names import refuse_to_shadow

refuse_to_shadow(__name__, "openai")
try:
    import openai
except ImportError:
    raise MissingDependencyError("openai", "openai") from None

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from compressor import Compressor
    from compressor_agents.sdk_clients import ClientOptions

_APIS: Mapping[str, ProviderApi] = {"/chat/completions": OpenAIChatApi(), "/responses": OpenAIResponsesApi()}
Client = TypeVar("Client", openai.OpenAI, openai.AsyncOpenAI)


def with_compression(client: Client, compressor: Compressor | None = None, **options: Unpack[ClientOptions]) -> Any:
    """Returns a client of the same class that sends compressed histories and has a method `cost_report()`.

    The original client does not change; both share their connections.

    Args:
        client: An `openai.OpenAI` or `openai.AsyncOpenAI`.
        compressor: Compresses and stores; None makes one with the defaults.
        **options: see `sdk_clients.ClientOptions`.

    Raises:
        CompressorError: If `client` is not an OpenAI client, or an option is wrong.

    Example:
        >>> client = with_compression(openai.OpenAI(), budget=32_000)
        >>> client.chat.completions.create(model="gpt-4o", messages=history, tools=tools)
        >>> print(client.cost_report().report())
    """
    return compress_client(client, (openai.OpenAI, openai.AsyncOpenAI), _APIS, compressor, **options)
