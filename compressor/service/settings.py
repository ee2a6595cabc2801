"""Server settings, read from CLI flags, environment variables and a config file, in that order of precedence.

`Settings` holds and checks the values; `settings_sources.load` reads them. `Settings(...)` itself reads neither the
environment nor a file, so an application that embeds the service gets what it passes.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, InstanceOf, StrictBool, field_validator, model_validator
from pydantic_settings import NoDecode
from typing_extensions import Self

from compressor.errors import CompressorError
from compressor.service.auth import ApiKey
from compressor.service.settings_errors import redact_url
from compressor.service.settings_fields import (
    MEGABYTE,
    AutomaticCount,
    Count,
    Json,
    Port,
    PositiveSeconds,
    Seconds,
    StoreBytes,
)
from compressor.service.tenant_settings import TenantSettings
from compressor.service.upstream_settings import UpstreamSettings, check_base_url
from compressor.storage import STORE_FORMS, check_store_name
from compressor.storage.redis.client import SCHEMES
from compressor.storage.wrappers.encryption_keys import Keyring
from compressor.storage.wrappers.resilient import LOCAL_BYTES
from compressor.text.redaction import check_level

#: Settings that can change while the service runs.
RELOADABLE = frozenset(("keys", "tenants", "log", *TenantSettings.model_fields))
_UPSTREAMS = (
    "upstream",
    "upstream_anthropic",
    "upstream_azure",
    "upstream_gemini",
    "upstream_vertex",
    "upstream_bedrock",
)


class Settings(TenantSettings):
    """All settings of the service.

    Every setting can be given as a keyword, as a key of the config file, or as an environment variable with the prefix
    `COMPRESSOR_`, such as COMPRESSOR_PORT.

    Attributes:
        host: The address to listen on. Other than the loopback address it requires `keys`.
        port: The port to listen on; 0 picks a free one.
        keys: The API keys. Without keys, everybody who reaches the loopback address may use the service. A config file
            and COMPRESSOR_KEYS_FILE give the path of a key file; COMPRESSOR_KEYS holds its lines.
        key_store: Where keys come from: "file" (`keys` only), or "database" (those that `compressor admin key create`
            and `/admin/v1/keys` make in the store, and `keys`). With "database" the service never runs without keys.
        store: Where originals and sessions are stored, as `Compressor` takes it.
        store_limit_bytes: The largest size of a store in a file or in memory; None for its default (512 and 64 MiB). A
            Redis has a limit of its own, `maxmemory`.
        near_cache_bytes: How many bytes of the values in Redis each worker also keeps in its memory.
        device: The device of a model scorer: "cuda", "mps" or "cpu".
        upstream: The provider's base URL, with or without its `/v1`. Nothing is proxied without it.
        upstream_anthropic: The base URL for `/v1/messages`, if it differs from `upstream`.
        upstreams: Providers by the models that they serve, as a list of `UpstreamSettings`. Those that serve the model
            of a request are asked in this order. `upstream` and `upstream_anthropic` get what none of them serves.
        upstream_http2: Whether HTTP/2 is spoken with providers that offer it.
        upstream_azure: The base URL for Azure's `/openai/...`, `/models/...` and `/anthropic/...`, likewise.
        upstream_gemini: The base URL for Gemini's `/v1beta/...`, likewise.
        upstream_vertex: The base URL for Vertex's `/v1/projects/...`, likewise.
        upstream_bedrock: The base URL for Bedrock's `/model/...`, likewise.
        websockets: Whether the websockets of the providers are served.
        forward_unknown_routes: Whether requests to `/v1/...` paths that no provider is known to have are sent to the
            provider. Otherwise they get 404, because a misspelt route of this service would send content there.
        models: Maps model names that clients send to the name or the tokenizer file to count with.
        max_body_bytes: The maximum size of a request body that is read here, unpacked. The default is what the
            providers accept.
        max_upload_bytes: The maximum size of a body that is passed through. The default is the largest file of OpenAI.
        max_json_depth: How deep the JSON of a body may be nested.
        timeout: Seconds for the service's own work, and for a body to arrive.
        upstream_timeout: Seconds the provider may be silent. The default is that of the SDKs.
        connect_timeout: Seconds to connect to the provider.
        max_connections: How many connections to the provider may be open.
        probe_port: A second port, without TLS and keys, that answers only `/healthz` and `/readyz`, so that load
            balancers and Kubernetes need no key. None opens none; 0 picks a free one.
        probe_host: The address of that port; None takes `host`.
        probe_metrics: Whether that port also answers `/metrics`, with the metrics of all tenants.
        workers: Processes that serve the port. Each loads its own models. None, or "auto", lets `compressor serve`
            choose (`with_worker_count`).
        shutdown_timeout: Seconds that requests in flight have to finish when the service is told to end.
        shutdown_delay: Seconds before that in which `/readyz` answers 503 and everything else is still served, so that
            load balancers notice.
        tls_cert: A PEM file with the certificate. With `tls_key` the service speaks HTTPS.
        tls_key: A PEM file with the certificate's key.
        max_conversations: How many conversations of a tenant are kept in memory.
        max_conversation_bytes: The maximum size of the last requests of a tenant's conversations together.
        share_conversations: Whether the workers and machines on one store continue each other's conversations without a
            name, also after a restart. None does so with every store but "memory".
        redact: What is removed from stored text: "secrets" (keys, tokens, passwords of a known form), "all" (card
            numbers and e-mail addresses as well) or "off".
        tenants: Settings of single tenants, by name: {"search": {"budget": 8000}}. A tenant may have every setting of
            `TenantSettings` for itself; the others it has from here.
        encryption_keys: The keys that encrypt all stored content; the first encrypts, all decrypt.
        encryption_read_plain: Whether content that was stored unencrypted may be read.
        cache: Whether results are kept in the store, so that an identical request is computed once.
        log: The log level.
        log_content: Whether the log at level debug shows the beginning of each request's body, with secrets removed.
            Otherwise the log has no content at any level.
        otel: Whether traces are sent by OpenTelemetry; None follows the environment's OTEL_* variables.

    Raises:
        CompressorError: A value is not valid, or the host is open and there are no keys. The message lists every error,
            names the setting and shows the value as given, but no secret.
    """

    host: str = "127.0.0.1"
    port: Port = 8787
    keys: Annotated[tuple[InstanceOf[ApiKey], ...], NoDecode] = ()
    key_store: Literal["file", "database"] = "file"
    store: str | None = None
    store_limit_bytes: StoreBytes | None = None
    near_cache_bytes: StoreBytes = LOCAL_BYTES
    device: str | None = None
    upstream: str = ""
    upstream_anthropic: str = ""
    upstreams: Annotated[tuple[UpstreamSettings, ...], NoDecode, Json] = ()
    upstream_http2: StrictBool = False
    upstream_azure: str = ""
    upstream_gemini: str = ""
    upstream_vertex: str = ""
    upstream_bedrock: str = ""
    websockets: StrictBool = True
    forward_unknown_routes: StrictBool = False
    models: Annotated[dict[str, str], NoDecode, Json] = Field(default_factory=dict)
    tenants: Annotated[dict[str, dict[str, Any]], NoDecode, Json] = Field(default_factory=dict)
    max_body_bytes: Count = 32 * MEGABYTE
    max_upload_bytes: Count = 512 * MEGABYTE
    max_json_depth: Count = 64
    timeout: PositiveSeconds = 30.0
    upstream_timeout: PositiveSeconds = 600.0
    connect_timeout: PositiveSeconds = 10.0
    max_connections: Count = 512
    probe_port: Port | None = None
    probe_host: str | None = None
    probe_metrics: StrictBool = False
    workers: AutomaticCount = None
    shutdown_timeout: Seconds = 30.0
    shutdown_delay: Seconds = 0.0
    tls_cert: str | None = None
    tls_key: str | None = None
    max_conversations: Count = 1024
    max_conversation_bytes: Count = 256 * MEGABYTE
    share_conversations: StrictBool | None = None
    redact: str = "secrets"
    encryption_keys: Annotated[InstanceOf[Keyring] | None, NoDecode] = None
    encryption_read_plain: StrictBool = False
    cache: StrictBool = True
    log: Literal["debug", "info", "warning", "error"] = "info"
    log_content: StrictBool = False
    otel: StrictBool | None = None

    def __init__(self, _names: Mapping[str, str] | None = None, **values: Any) -> None:
        """Checks the values; `_names` maps settings to what an error calls them, such as COMPRESSOR_PORT."""
        super().__init__(_names, **values)

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        return [*self.printable().items()]  # without secrets

    @field_validator(*_UPSTREAMS)
    @classmethod
    def _check_url(cls, url: str) -> str:
        return check_base_url(url)

    @field_validator("upstreams")
    @classmethod
    def _check_names(cls, value: tuple[UpstreamSettings, ...]) -> tuple[UpstreamSettings, ...]:
        names = [one.name for one in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"has a name twice: {', '.join(twice)}")
        return value

    @field_validator("store")
    @classmethod
    def _check_store(cls, store: str | None) -> str | None:
        try:
            check_store_name(store)
        except CompressorError:
            raise ValueError(f"is not a store: use {STORE_FORMS}") from None  # the error itself may show a password
        return store

    @field_validator("redact")
    @classmethod
    def _check_redact(cls, level: str) -> str:
        try:
            return check_level(level)
        except CompressorError as error:
            raise ValueError(f"is not valid: {error}") from None

    @field_validator("tenants")
    @classmethod
    def _check_tenants(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        try:
            for name, own in value.items():
                TenantSettings({field: f"{name}.{field}" for field in own}, **own)
        except CompressorError as error:
            raise ValueError(f"has invalid settings: {error}") from None
        return value

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        problems = []
        if (self.workers or 1) > 1 and self.store == "memory":
            problems.append(
                "several workers need a store that they share: set it to a path ending in .db or redis://..."
            )
        if bool(self.tls_cert) != bool(self.tls_key):
            problems.append("tls_cert and tls_key belong together: set both or neither")
        if not self.needs_keys and not is_loopback(self.host):
            problems.append(
                f"without keys the service listens only on the loopback address, not on {self.host!r}: "
                "give --keys FILE (`compressor serve --new-key TENANT` makes a key), or --host 127.0.0.1"
            )
        is_remote = self.store is not None and self.store.startswith(SCHEMES)
        if is_remote and self.store_limit_bytes is not None:
            problems.append(
                "store_limit_bytes is for a store in a file or in memory: set maxmemory of the Redis instead"
            )
        if self.key_store == "database" and self.store == "memory" and not self.keys:
            problems.append(
                "key_store=database needs a store that lasts, or a key that may make the others: set store to a path "
                "ending in .db or redis://..., or give --keys FILE with an admin key"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def needs_keys(self) -> bool:
        """Whether every request needs an API key."""
        return bool(self.keys) or self.key_store == "database"

    def with_changes(self, new: Self) -> tuple[Self, list[str]]:
        """Returns these settings with those of `new` that can change while the service runs.

        Args:
            new: The settings as they are given now.

        Returns:
            The settings, and the names of the others that differ: only a restart can change those.
        """
        update = {name: getattr(new, name) for name in RELOADABLE}
        others = [name for name in type(self).model_fields if name not in RELOADABLE]
        return self.model_copy(update=update), [name for name in others if self._differs(new, name)]

    def _differs(self, other: Self, name: str) -> bool:
        if name == "encryption_keys":
            mine, theirs = self.encryption_keys, other.encryption_keys
            return (mine.ids if mine else None) != (theirs.ids if theirs else None)
        if name == "workers" and other.workers is None:
            return False  # the start has chosen a number
        return bool(getattr(self, name) != getattr(other, name))

    @property
    def shares_conversations(self) -> bool:
        """Whether conversations without a name are in the store."""
        return self.store != "memory" if self.share_conversations is None else self.share_conversations

    def find_upstreams(self, path: str, model: str = "", provider: str = "") -> list[UpstreamSettings]:
        """Returns the providers of a request, the preferred one first.

        Args:
            path: The path, as `proxy.routes.ProviderRoute` has it.
            model: The model that the request names, or "".
            provider: The provider whose path it is: "anthropic", "azure", "gemini", "vertex", "bedrock", or "" for
                what the path itself says.
        """
        if found := [one for one in self.upstreams if one.serves(path, model)]:
            return found
        provider = provider or ("anthropic" if path.startswith("/v1/messages") else "")
        if provider and (url := getattr(self, f"upstream_{provider}", "")):
            return [UpstreamSettings(name=provider, url=url)]
        return [UpstreamSettings(name="default", url=self.upstream)] if self.upstream else []

    def upstream_of(self, path: str, provider: str = "") -> str:
        """Returns the preferred provider's base URL for a path, without the end that the path has too, or ""."""
        found = self.find_upstreams(path, "", provider)
        return found[0].base_of(path) if found else ""

    @property
    def has_provider_keys(self) -> bool:
        """Whether requests go to a provider with a central key, so that clients need none."""
        return bool(self.provider_keys) or any(one.key for one in self.upstreams)

    def for_tenant(self, name: str, overrides: Mapping[str, Any] | None = None) -> Self:
        """Returns the settings as they hold for one tenant.

        Args:
            name: The tenant's name.
            overrides: More settings of this tenant, which come before those in `tenants`.

        Raises:
            CompressorError: A value is not valid, or a tenant cannot have that setting for itself.
        """
        given = {**self.tenants.get(name, {}), **(overrides or {})}
        if not given:
            return self
        checked = TenantSettings(**given)
        return self.model_copy(update={field: getattr(checked, field) for field in given})

    def warns_about_unencrypted_secrets(self) -> bool:
        """Returns True if secrets would be stored in Redis although they should be removed.

        The logs of sessions are not redacted, so they need encryption.
        """
        remote = self.store is not None and self.store.startswith(SCHEMES)
        return remote and self.redact != "off" and self.encryption_keys is None

    def printable(self) -> dict[str, Any]:
        """Returns all settings as JSON data, without any secret: no hash of a key, no password of a URL."""
        out: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields}
        out["keys"] = sorted({key.tenant for key in self.keys})
        out["encryption_keys"] = list(self.encryption_keys.ids) if self.encryption_keys else []
        out |= {name: dict(out[name]) for name in ("models", "policy", "tenants")}
        for name in ("store", *_UPSTREAMS):
            out[name] = redact_url(out[name])
        out["upstreams"] = [one.model_dump() | {"url": redact_url(one.url)} for one in self.upstreams]
        return out


def is_loopback(host: str) -> bool:
    """Returns True if a host can be reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
