"""One proxied request, and what becomes of it. Data only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from compressor_agents.apis import Api, Json
from compressor_agents.resolving import Call

from compressor.service.tenants import Tenant
from compressor.service.upstream import Headers


class Broken(Exception):
    """The provider's stream broke: the client's has to break too."""


@dataclass
class Exchange:
    """One request and what became of it. `head`: our headers of the answer; `open`: the provider's answer at hand."""

    tenant: Tenant
    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    send: Callable[[Any], Any]
    api: Api | None = None
    call: Call | None = None
    given: Json = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    head: Headers = field(default_factory=list)
    open: httpx.Response | None = None

    @property
    def heads(self) -> Headers:
        """Our headers, with what went wrong."""
        if not self.warnings:
            return self.head
        text = "not compressed: " + ", ".join(dict.fromkeys(self.warnings))
        return [*self.head, (b"x-compressor-warning", text.encode("ascii", "replace"))]

    def option(self, name: str) -> str:
        """What a header of ours says, "" if there is none."""
        wanted = f"x-compressor-{name}".encode()
        return next((value.decode("latin-1").strip() for n, value in self.headers if n == wanted), "")
