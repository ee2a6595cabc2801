"""Server settings, read from CLI flags, environment variables and a config file, in that order of precedence.

`Settings` holds and checks the values; `settings_sources.load` reads them. `Settings(...)` itself reads neither the
environment nor a file, so an application that embeds the service gets what it passes.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    InstanceOf,
    StrictBool,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import Self

from compressor.errors import BudgetError, CompressorError
from compressor.providers.prompt_budgets import PromptBudgets
from compressor.service.auth import ApiKey
from compressor.service.budget_options import parse_prompt_budget
from compressor.service.policy_options import with_defaults
from compressor.service.settings_errors import describe_errors, redact_url
from compressor.sessions import Policy, ToolRule
from compressor.sessions.context_tools import CONTEXT_TOOL_NAMES
from compressor.storage.redis.client import SCHEMES
from compressor.storage.wrappers.encryption_keys import Keyring
from compressor.text.redaction import check_level
from compressor.tokens.context_limit import resolve_context_limit
from compressor.tokens.pricing import DEFAULT_PRICE

MEGABYTE = 2**20
#: Token limit of results of the compressor's own tools: large enough that they are never compressed again.
UNLIMITED_TOKENS = 1_000_000


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("is not a number")
    return value


def _parse_json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("is not valid JSON") from None


def _parse_prompt_budget(value: Any) -> Any:
    if not isinstance(value, (int, float, str)):
        raise ValueError("is neither tokens (4000) nor a fraction (25%)")
    try:
        return parse_prompt_budget(value, "it")
    except BudgetError:
        raise ValueError("is neither tokens (4000) nor a fraction (25%)") from None


Count = Annotated[int, Field(ge=1), BeforeValidator(_no_boolean)]
Port = Annotated[int, Field(ge=0, le=65_535), BeforeValidator(_no_boolean)]
NonNegativeInteger = Annotated[int, Field(ge=0), BeforeValidator(_no_boolean)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_no_boolean)]
PromptBudget = Annotated[int | float, BeforeValidator(_parse_prompt_budget)]
PositiveSeconds = Annotated[float, Field(ge=0.001, allow_inf_nan=False), BeforeValidator(_no_boolean)]


class Settings(BaseSettings):
    """All settings of the service.

    Every setting can be given as a keyword, as a key of the config file, or as an environment variable with the prefix
    `COMPRESSOR_`, such as COMPRESSOR_PORT.

    Attributes:
        host: The address to listen on. Other than the loopback address it requires `keys`.
        port: The port to listen on; 0 picks a free one.
        keys: The API keys. Without keys, everybody who reaches the loopback address may use the service. A config file
            and COMPRESSOR_KEYS_FILE give the path of a key file; COMPRESSOR_KEYS holds its lines.
        store: Where originals and sessions are stored, as `Compressor` takes it.
        scorer: The scorer tier, as `Compressor` takes it.
        device: The device of a model scorer: "cuda", "mps" or "cpu".
        budget: The budget of each proxied request, and of sessions that name none: tokens, a fraction of the model's
            window, or "$0.02" a call.
        tools_budget: The budget of the tool schemas of each proxied request: tokens, or a fraction of them. The tools
            that the task needs are listed, and `find_tool`, which finds the others. None lists all.
        examples_budget: The budget of the worked examples in system prompt and first messages: tokens, or a fraction of
            them. None keeps all.
        pinned_tools: Names of tools that are always listed unchanged.
        upstream: The provider's base URL, with or without its `/v1`. Nothing is proxied without it.
        upstream_anthropic: The base URL for `/v1/messages`, if it differs from `upstream`.
        models: Maps model names that clients send to the name or the tokenizer file to count with.
        max_body_bytes: The maximum size of a request body. The default is what the providers accept.
        max_json_depth: How deep the JSON of a body may be nested.
        max_concurrent_requests: How many requests of one tenant may be in flight.
        requests_per_minute: How many requests a tenant may send in a minute; 0 means no limit.
        timeout: Seconds for the service's own work, and for a body to arrive.
        upstream_timeout: Seconds the provider may be silent. The default is that of the SDKs.
        connect_timeout: Seconds to connect to the provider.
        max_connections: How many connections to the provider may be open.
        workers: Processes that serve the port. Each loads its own models and counts its own limits.
        shutdown_timeout: Seconds that requests in flight have to finish when the service is told to end.
        shutdown_delay: Seconds before that in which `/readyz` answers 503 and everything else is still served, so that
            load balancers notice.
        tls_cert: A PEM file with the certificate. With `tls_key` the service speaks HTTPS.
        tls_key: A PEM file with the certificate's key.
        max_conversations: How many conversations of a tenant are kept in memory.
        max_conversation_bytes: The maximum size of the last requests of a tenant's conversations together.
        redact: What is removed from stored text: "secrets" (keys, tokens, passwords of a known form), "all" (card
            numbers and e-mail addresses as well) or "off".
        encryption_keys: The keys that encrypt all stored content; the first encrypts, all decrypt.
        encryption_read_plain: Whether content that was stored unencrypted may be read.
        cache: Whether results are kept in the store, so that an identical request is computed once.
        policy: Fields of `sessions.Policy`. `tools` maps tool names to rules: {"read": {"never_compress": true}}.
            Without `preset` and `trigger`, views are compacted at 0.85 of the budget, down to 0.6 of it.
        log: The log level.
        log_content: Whether the log at level debug shows the beginning of each request's body, with secrets removed.
            Otherwise the log has no content at any level.
        otel: Whether traces are sent by OpenTelemetry; None follows the environment's OTEL_* variables.

    Raises:
        CompressorError: A value is not valid, or the host is open and there are no keys. The message lists every error,
            names the setting and shows the value as given, but no secret.
    """

    model_config = SettingsConfigDict(
        env_prefix="COMPRESSOR_", env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    port: Port = 8787
    keys: Annotated[tuple[InstanceOf[ApiKey], ...], NoDecode] = ()
    store: str | None = None
    scorer: str = "fast"
    device: str | None = None
    budget: int | float | str | None = None
    tools_budget: PromptBudget | None = None
    examples_budget: PromptBudget | None = None
    pinned_tools: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parse_json)] = ()
    upstream: str = ""
    upstream_anthropic: str = ""
    models: Annotated[dict[str, str], NoDecode, BeforeValidator(_parse_json)] = {}
    max_body_bytes: Count = 32 * MEGABYTE
    max_json_depth: Count = 64
    max_concurrent_requests: Count = 64
    requests_per_minute: NonNegativeInteger = 0
    timeout: PositiveSeconds = 30.0
    upstream_timeout: PositiveSeconds = 600.0
    connect_timeout: PositiveSeconds = 10.0
    max_connections: Count = 512
    workers: Count = 1
    shutdown_timeout: Seconds = 30.0
    shutdown_delay: Seconds = 0.0
    tls_cert: str | None = None
    tls_key: str | None = None
    max_conversations: Count = 1024
    max_conversation_bytes: Count = 256 * MEGABYTE
    redact: str = "secrets"
    encryption_keys: Annotated[InstanceOf[Keyring] | None, NoDecode] = None
    encryption_read_plain: StrictBool = False
    cache: StrictBool = True
    policy: Annotated[dict[str, Any], NoDecode, BeforeValidator(_parse_json)] = {}
    log: Literal["debug", "info", "warning", "error"] = "info"
    log_content: StrictBool = False
    otel: StrictBool | None = None

    def __init__(self, _names: Mapping[str, str] | None = None, **values: Any) -> None:
        """Checks the values; `_names` maps settings to what an error calls them, such as COMPRESSOR_PORT."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise CompressorError(describe_errors(error, values, _names or {})) from None

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        return [*self.printable().items()]  # without secrets

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Takes the given values only: `load` combines the sources, because its errors name where a value is from."""
        return (init_settings,)

    @field_validator("budget", mode="before")
    @classmethod
    def _check_budget(cls, value: Any) -> Any:
        budget = parse_budget(value) if isinstance(value, str) else value
        try:
            resolve_context_limit(budget, DEFAULT_PRICE)
        except ValueError as error:  # BudgetError is one
            raise ValueError(f"is not a valid budget: {error}") from None
        return budget

    @field_validator("upstream", "upstream_anthropic")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
            raise ValueError("is not a base URL such as https://host/v1")
        return url

    @field_validator("redact")
    @classmethod
    def _check_redact(cls, level: str) -> str:
        try:
            return check_level(level)
        except CompressorError as error:
            raise ValueError(f"is not valid: {error}") from None

    @field_validator("policy")
    @classmethod
    def _check_policy(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            _session_policy(value)
        except (CompressorError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"is not a valid sessions.Policy: {error}") from None
        return value

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        problems = []
        if self.workers > 1 and self.store == "memory":
            problems.append(
                "several workers need a store that they share: set it to a path ending in .db or redis://..."
            )
        if bool(self.tls_cert) != bool(self.tls_key):
            problems.append("tls_cert and tls_key belong together: set both or neither")
        if not self.keys and not is_loopback(self.host):
            problems.append(
                f"without keys the service listens only on the loopback address, not on {self.host!r}: "
                "give --keys FILE (`compressor serve --new-key TENANT` makes a key), or --host 127.0.0.1"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def upstream_of(self, path: str) -> str:
        """Returns the provider's base URL for a path, without its `/v1`, or "" if there is none."""
        url = (self.upstream_anthropic if path.startswith("/v1/messages") else "") or self.upstream
        return url.rstrip("/").removesuffix("/v1")

    def session_policy(self) -> Policy:
        """Returns the policy of all sessions."""
        return _session_policy(self.policy)

    def prompt_budgets(self) -> PromptBudgets:
        """Returns the budgets of tools and examples."""
        return PromptBudgets(self.tools_budget, self.examples_budget, self.pinned_tools)

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
        out["models"], out["policy"] = dict(self.models), dict(self.policy)
        for name in ("store", "upstream", "upstream_anthropic"):
            out[name] = redact_url(out[name])
        return out


def parse_budget(text: str) -> int | float | str:
    """Parses a budget.

    Args:
        text: Tokens ("4000"), a fraction of the window ("0.5", "50%") or money ("$0.02").

    Raises:
        ValueError: The text has another form.
    """
    text = text.strip()
    if text.startswith("$"):
        return text
    try:
        if text.endswith("%"):
            return float(text[:-1]) / 100
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        raise ValueError("is neither tokens (4000) nor a fraction (50%) nor money ($0.02)") from None


def is_loopback(host: str) -> bool:
    """Returns True if a host can be reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _session_policy(fields: Mapping[str, Any]) -> Policy:
    policy = Policy.from_dict(with_defaults(fields))
    # Text that the model has expanded or recalled is not compressed again.
    own_rules = dict.fromkeys(sorted(CONTEXT_TOOL_NAMES), ToolRule(max_tokens=UNLIMITED_TOKENS))
    return replace(policy, tools={**own_rules, **policy.tools})
