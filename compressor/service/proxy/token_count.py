"""Answers requests that count tokens with the size of what would be sent, not of what the client has."""

from __future__ import annotations

from compressor.providers import AnthropicMessagesApi, ProviderApi
from compressor.service.failure_notices import WARNINGS
from compressor.service.http_errors import json_bytes
from compressor.service.proxy.exchange import Exchange
from compressor.service.proxy.request_body import read_body
from compressor.service.proxy.request_options import read_options
from compressor.service.proxy.upstream import Headers

#: The response header that says whose count an answer has: "view" for ours, "provider" for the provider's. As a
#: request header with the value "provider" it asks for the provider's.
HEADER = b"x-compressor-count"


def wants_provider(exchange: Exchange) -> bool:
    """Returns whether the client wants the provider to count its request as it is."""
    return exchange.is_bypassed or exchange.get_option("count").lower() == "provider"


def count_view(exchange: Exchange, api: ProviderApi, max_depth: int) -> tuple[bytes, Headers] | None:
    """Counts the tokens of what would be sent to the provider.

    Args:
        exchange: The request.
        api: The API whose request is to be counted.
        max_depth: How deep the JSON of a body may be nested.

    Returns:
        The body of the answer and its headers; None if the client's own request would be sent, so that the provider's
        count is the right one.

    Raises:
        CompressorError: The request cannot be compressed.
        HttpError: The request cannot be read.
    """
    conversations = exchange.tenant.conversations
    session, budget, options = read_options(exchange)
    body = read_body(exchange.body, max_depth, conversations.similar_bodies)
    call = conversations.preview(api, body.data, session, budget, options, exchange.route.deployment)
    if call is None or call.body is body.data or WARNINGS.get([]):
        return None
    before, after = call.tracked.conversation.cost_report().baseline_last, call.tracked.view_tokens
    made: dict[str, object] = {"input_tokens": after}
    if not isinstance(api, AnthropicMessagesApi):
        made = {"object": "response.input_tokens", **made}
    headers = [
        (b"content-type", b"application/json"),
        (HEADER, b"view"),
        (b"x-compressor-tokens-before", b"%d" % before),
        (b"x-compressor-tokens-after", b"%d" % after),
    ]
    return json_bytes(made), headers
