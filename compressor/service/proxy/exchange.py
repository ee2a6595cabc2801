"""One proxied request and its outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from compressor.providers import Json, ProviderApi
from compressor.providers.expand_resolver import ResolvedCall
from compressor.service.http_errors import json_bytes
from compressor.service.proxy.provider_credentials import ProviderCredentials
from compressor.service.proxy.request_body import RequestBody
from compressor.service.proxy.upstream import Headers
from compressor.service.telemetry.records import CompressionEvent
from compressor.service.tenants import Tenant


class UpstreamStreamError(Exception):
    """The provider's stream broke off, so the client's must break off as well."""


@dataclass
class Exchange:
    """One request and its outcome.

    Attributes:
        tenant: Who sent it.
        method: The HTTP method.
        path: The path, quoted.
        query: The query, quoted.
        headers: The client's headers.
        body: The body as it was received.
        send: ASGI's function that sends a part of the response.
        credentials: With whose key it goes to the provider.
        api: The provider's API, if its requests are compressed.
        call: The compressed call; None if the request goes out as it is.
        request_body: The parsed body, if it was parsed.
        warnings: Why the request was not compressed.
        notices: What else the client should know about what was sent.
        response_headers: Headers to add to the response.
        response: The provider's response that is open.
        event: The compression that was recorded for it.
        upstream: The name of the upstream that gave it, or "".
    """

    tenant: Tenant
    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    send: Callable[[Any], Any]
    credentials: ProviderCredentials = field(default_factory=ProviderCredentials)
    api: ProviderApi | None = None
    call: ResolvedCall | None = None
    request_body: RequestBody | None = None
    warnings: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    response_headers: Headers = field(default_factory=list)
    response: httpx.Response | None = None
    event: CompressionEvent | None = None
    upstream: str = ""

    @property
    def data(self) -> Json:
        """The body as JSON data, {} if it was not parsed."""
        return {} if self.request_body is None else self.request_body.data

    def encode(self, data: Json) -> bytes:
        """Returns a changed copy of the body as bytes.

        Raises:
            ValueError: JSON cannot represent it.
        """
        return json_bytes(data) if self.request_body is None else self.request_body.encode(data)

    @property
    def all_response_headers(self) -> Headers:
        """The headers to add to the response, the warnings included."""
        reasons = ["not compressed: " + ", ".join(dict.fromkeys(self.warnings))] if self.warnings else []
        text = "; ".join([*reasons, *dict.fromkeys(self.notices)])
        warning = [(b"x-compressor-warning", text.encode("ascii", "replace"))] if text else []
        return [*self.response_headers, *warning]

    def set_header(self, name: bytes, value: bytes) -> None:
        """Sets a header of the response."""
        self.response_headers = [pair for pair in self.response_headers if pair[0] != name] + [(name, value)]

    def get_option(self, name: str) -> str:
        """Returns the value of the header `x-compressor-<name>`, or ""."""
        wanted = f"x-compressor-{name}".encode()
        return next((value.decode("latin-1").strip() for n, value in self.headers if n == wanted), "")
