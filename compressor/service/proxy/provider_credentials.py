"""Decides with whose key a request goes to the provider: the client's own, or a central one that replaces it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from compressor.service.http_errors import HttpError
from compressor.service.upstream_settings import KEY_HEADERS, UpstreamSettings, read_provider_key

log = logging.getLogger("compressor.service")
_KEY_HEADERS = frozenset(name.encode() for name in KEY_HEADERS)


@dataclass(frozen=True)
class ProviderCredentials:
    """With whose key a request goes to the provider.

    Attributes:
        keys: References to keys, by the name of the upstream, see `TenantSettings.provider_keys`.
        has_own_key: Whether the client's headers hold the key of this service, which no provider may see.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    has_own_key: bool = False

    def apply(
        self, headers: list[tuple[bytes, bytes]], upstream: UpstreamSettings, path: str
    ) -> list[tuple[bytes, bytes]]:
        """Returns headers with the key for an upstream instead of the client's.

        Raises:
            HttpError: There is no key, or it cannot be read.
        """
        reference = self.keys.get(upstream.name) or upstream.key
        if reference is None and not self.has_own_key:
            return headers
        try:
            key = read_provider_key(reference) if reference else ""
        except ValueError as error:
            log.error("the provider key of upstream %r %s", upstream.name, error)
            key = ""
        if not key:
            raise HttpError(
                502,
                "no_provider_key",
                f"There is no provider key for the upstream {upstream.name!r}: see provider_keys",
            )
        name = upstream.choose_key_header(path)
        value = f"Bearer {key}" if name == "authorization" else key
        return [(n, v) for n, v in headers if n.lower() not in _KEY_HEADERS] + [(name.encode(), value.encode())]
