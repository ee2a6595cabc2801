"""One proxied request and its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from compressor.providers import Json, ProviderApi
from compressor.providers.expand_resolver import ResolvedCall
from compressor.service.http_errors import json_bytes
from compressor.service.limits.answer_watcher import AnswerWatcher
from compressor.service.limits.rate_limiter import Admission
from compressor.service.modes import Group
from compressor.service.option_headers import RequestMode, allowed_options
from compressor.service.proxy.provider_credentials import ProviderCredentials
from compressor.service.proxy.request_body import RequestBody
from compressor.service.proxy.routes import ProviderRoute
from compressor.service.proxy.upstream import Headers
from compressor.service.session_ids import read_id_header
from compressor.service.telemetry.records import CompressionEvent
from compressor.service.tenants import Tenant
from compressor.service.upload_stream import UploadStream


class UpstreamStreamError(Exception):
    """The provider's stream broke off, so the client's must break off as well."""


@dataclass
class Exchange:
    """One request and its outcome.

    Attributes:
        tenant: Who sent it.
        method: The HTTP method.
        route: The provider's route; its path is the one to send.
        query: The query, quoted.
        headers: The client's headers.
        body: The body as it was received, or unpacked if it is read here.
        upload: The body as a stream instead, if it is passed through and not small.
        send: ASGI's function that sends a part of the response.
        credentials: With whose key it goes to the provider.
        admission: How the tenant's limits have admitted the request.
        api: The provider's API, if its requests are compressed.
        call: The compressed call; None if the request goes out as it is.
        request_body: The parsed body, if it was parsed.
        is_packed: Whether the body is in an encoding that is not read here.
        warnings: Why the request was not compressed.
        notices: What else the client should know about what was sent.
        response_headers: Headers to add to the response.
        response: The provider's response that is open.
        upstream: The name of the upstream that gave it, or "".
        was_sent: Whether the provider has got the request and has not refused it.
        event: The compression that was recorded for it.
        mode: How the request is treated.
        get_option: Returns the value of the header `x-compressor-<name>` if the tenant allows it, or "".
        group: The group of its conversation, if it has one.
        key: What identifies the conversation.
        audit: The work of an audit.
        watcher: Finds the provider's usage in the answer.
        added_seconds: How long the request has waited for this service.
        was_unreachable: Whether the provider could not be reached.
    """

    tenant: Tenant
    method: str
    route: ProviderRoute
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    send: Callable[[Any], Any]
    admission: Admission
    credentials: ProviderCredentials = field(default_factory=ProviderCredentials)
    api: ProviderApi | None = None
    call: ResolvedCall | None = None
    request_body: RequestBody | None = None
    upload: UploadStream | None = None
    is_packed: bool = False
    warnings: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    response_headers: Headers = field(default_factory=list)
    response: httpx.Response | None = None
    upstream: str = ""
    was_sent: bool = False
    event: CompressionEvent | None = None
    mode: RequestMode = RequestMode("enforce", True, 0.0)  # noqa: RUF009  # frozen
    group: Group | None = None
    key: str = ""
    audit: asyncio.Future[None] | None = None
    watcher: AnswerWatcher | None = None
    added_seconds: float = 0.0
    was_unreachable: bool = False

    def __post_init__(self) -> None:
        self.get_option, _ = allowed_options(self.get_header, self.tenant.config.allow_overrides)

    @property
    def path(self) -> str:
        """The path to send, percent-encoded."""
        return self.route.path

    @property
    def provider(self) -> str:
        """The provider to ask: that of the route, or the one whose client asks for a route that two providers have."""
        is_anthropic = self.route.provider == "openai" and any(n == b"anthropic-version" for n, _ in self.headers)
        return "anthropic" if is_anthropic else self.route.provider

    @property
    def is_bypassed(self) -> bool:
        """Returns whether the client wants the request forwarded as it is."""
        return self.get_option("bypass").lower() in ("1", "true", "yes")

    @property
    def session_id(self) -> str:
        """The id of the session that the client names, or "".

        Raises:
            HttpError: 400 for an id that no session can have.
        """
        return read_id_header(next((value for n, value in self.headers if n == b"x-compressor-session"), b""))

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

    def get_header(self, name: str) -> str:
        """Returns the value of the header `x-compressor-<name>`, or ""."""
        wanted = f"x-compressor-{name}".encode()
        return next((value.decode("latin-1").strip() for n, value in self.headers if n == wanted), "")
