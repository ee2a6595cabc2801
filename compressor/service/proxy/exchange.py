"""One proxied request, and what becomes of it. Data only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from compressor.providers import Json, ProviderApi
from compressor.providers.expand_resolver import ResolvedCall
from compressor.service.http_errors import json_bytes
from compressor.service.proxy.request_body import RequestBody
from compressor.service.proxy.upstream import Headers
from compressor.service.tenants import Tenant


class UpstreamStreamError(Exception):
    """The provider's stream broke: the client's has to break too."""


@dataclass
class Exchange:
    """One request and what became of it. `read`: its body, if that was read; `head`: our headers of the answer; `open`:
    the provider's answer at hand."""

    tenant: Tenant
    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    send: Callable[[Any], Any]
    api: ProviderApi | None = None
    call: ResolvedCall | None = None
    request_body: RequestBody | None = None
    warnings: list[str] = field(default_factory=list)
    response_headers: Headers = field(default_factory=list)
    response: httpx.Response | None = None

    @property
    def data(self) -> Json:
        """The body as data; empty where it was not read."""
        return {} if self.request_body is None else self.request_body.data

    def encode(self, made: Json) -> bytes:
        """A copy of the body as it goes on. ValueError for what JSON has no form for."""
        return json_bytes(made) if self.request_body is None else self.request_body.encode(made)

    @property
    def all_response_headers(self) -> Headers:
        """Our headers, with what went wrong."""
        if not self.warnings:
            return self.response_headers
        text = "not compressed: " + ", ".join(dict.fromkeys(self.warnings))
        return [*self.response_headers, (b"x-compressor-warning", text.encode("ascii", "replace"))]

    def get_option(self, name: str) -> str:
        """What a header of ours says, "" if there is none."""
        wanted = f"x-compressor-{name}".encode()
        return next((value.decode("latin-1").strip() for n, value in self.headers if n == wanted), "")
