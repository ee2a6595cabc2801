"""The settings that each tenant may have for itself: budgets and policy, limits, how its requests are treated.

A value in `Settings` itself holds for all tenants that have none of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, StrictBool, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from compressor.errors import CompressorError
from compressor.providers.prompt_budgets import PromptBudgets
from compressor.scoring import check_tier
from compressor.service.modes import Mode
from compressor.service.policy_options import with_defaults
from compressor.service.settings_errors import describe_errors
from compressor.service.settings_fields import (
    MEGABYTE,
    Budget,
    Count,
    DollarLimit,
    Duration,
    IntegerLimit,
    Json,
    Overrides,
    PromptBudget,
    Seconds,
    Share,
)
from compressor.service.upstream_settings import KeyReference
from compressor.sessions import Policy, ToolRule
from compressor.sessions.context_tools import CONTEXT_TOOL_NAMES
from compressor.storage.codec import DEFAULT_TTL
from compressor.storage.retention import Retention

#: Token limit of results of the compressor's own tools: large enough that they are never compressed again.
UNLIMITED_TOKENS = 1_000_000


class TenantSettings(BaseSettings):
    """What a tenant may have for itself.

    Attributes:
        budget: The budget of each proxied request, and of sessions that name none: tokens, a fraction of the model's
            window, or "$0.02" a call.
        tools_budget: The budget of the tool schemas of each proxied request: tokens, or a fraction of them. The tools
            that the task needs are listed, and `find_tool`, which finds the others. None lists all.
        examples_budget: The budget of the worked examples in system prompt and first messages: tokens, or a fraction of
            them. None keeps all.
        pinned_tools: Names of tools that are always listed unchanged.
        provider_keys: The keys with which requests go to providers, by the name of the upstream ("default" and
            "anthropic" are those of `upstream` and `upstream_anthropic`), each as "env:NAME" or "file:PATH". A client
            then needs no key but the one of this service, and may send it where the provider's key would be.
        policy: Fields of `sessions.Policy`. `tools` maps tool names to rules: {"read": {"never_compress": true}}.
            Without `preset` and `trigger`, views are compacted at 0.85 of the budget, down to 0.6 of it.
        originals_ttl: How long an original is kept after its last use, in seconds or as "1h", "7d". After it, its ref
            has expired (410).
        results_ttl: How long cached results are kept after their last use.
        sessions_ttl: How long messages, state and options of a session are kept after its last use.
        scorer: The scorer tier, as `Compressor` takes it. Tenants with the same one share it.
        images: Whether images are made cheaper, see `Compressor`. Otherwise each stays or goes as it is.
        mode: "enforce" compresses; "audit" measures what compression would save, and changes nothing; "off" does
            neither. For the proxy, and for `/v1/compress` without a budget.
        rollout: The share of conversations that is compressed, from 0 to 1 or as "5%"; the others are forwarded as they
            are, and their bill is measured. A conversation stays where it is while the share only grows.
        rollout_salt: Another text draws other conversations for the same share.
        fail_open: Whether a request goes out uncompressed if it cannot be compressed, or cannot be held within its
            budget. Otherwise the client gets an error.
        max_added_latency: Seconds that compression may add to a request; one that takes longer counts as failed. 0
            leaves it at `timeout`.
        allow_overrides: Whether clients may override these settings by headers: all of them, none, or the headers in a
            list, such as ["budget", "mode"].
        requests_per_minute: How many requests a tenant may send in a minute; 0 means no limit, here and below.
        tokens_per_minute: How many tokens its requests may use in a minute, answers included.
        tokens_per_day: How many tokens its requests may use in a day (UTC).
        dollars_per_minute: How many dollars its requests may cost in a minute, at list prices.
        dollars_per_day: How many dollars its requests may cost in a day (UTC).
        max_concurrent_requests: For how many requests of a tenant the service itself may work at a time. A request that
            waits for the provider, such as a stream, does not count.
        max_queue_seconds: Seconds that a request waits until there are fewer of them, before it is refused.
        max_open_requests: How many requests of a tenant each process may have open, those that wait for the provider
            included. This protects file descriptors.
        max_open_bytes: The maximum size of the bodies of these requests together. This protects memory.
        max_websockets: How many websockets of one tenant may be open in one worker.

    Raises:
        CompressorError: A value is not valid. The message lists every error, names the setting and shows the value as
            given, but no secret.
    """

    model_config = SettingsConfigDict(
        env_prefix="COMPRESSOR_", env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    budget: Budget | None = None
    tools_budget: PromptBudget | None = None
    examples_budget: PromptBudget | None = None
    pinned_tools: Annotated[tuple[str, ...], NoDecode, Json] = ()
    provider_keys: Annotated[dict[str, KeyReference], NoDecode, Json] = Field(default_factory=dict)
    policy: Annotated[dict[str, Any], NoDecode, Json] = Field(default_factory=dict)
    scorer: str = "fast"
    images: StrictBool = True
    mode: Mode = "enforce"
    rollout: Share = 1.0
    rollout_salt: str = ""
    fail_open: StrictBool = True
    max_added_latency: Seconds = 2.0
    allow_overrides: Annotated[Overrides, NoDecode] = True
    requests_per_minute: IntegerLimit = 0
    tokens_per_minute: IntegerLimit = 0
    tokens_per_day: IntegerLimit = 0
    dollars_per_minute: DollarLimit = 0.0
    dollars_per_day: DollarLimit = 0.0
    max_concurrent_requests: IntegerLimit = 0
    max_queue_seconds: Seconds = 2.0
    max_open_requests: Count = 512
    max_open_bytes: Count = 2048 * MEGABYTE
    originals_ttl: Duration = DEFAULT_TTL
    results_ttl: Duration = DEFAULT_TTL
    sessions_ttl: Duration = DEFAULT_TTL
    max_websockets: Count = 64

    def __init__(self, _names: Mapping[str, str] | None = None, **values: Any) -> None:
        """Checks the values; `_names` maps settings to what an error calls them, such as COMPRESSOR_PORT."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise CompressorError(describe_errors(error, values, _names or {})) from None

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Takes the given values only: `load` combines the sources, because its errors name where a value is from."""
        return (init_settings,)

    @field_validator("scorer")
    @classmethod
    def _check_scorer(cls, scorer: str) -> str:
        try:
            check_tier(scorer)
        except CompressorError as error:
            raise ValueError(f"is not a scorer: {error}") from None
        return scorer

    @field_validator("policy")
    @classmethod
    def _check_policy(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            _session_policy(value)
        except (CompressorError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"is not a valid sessions.Policy: {error}") from None
        return value

    def session_policy(self) -> Policy:
        """Returns the policy of all sessions."""
        return _session_policy(self.policy)

    def prompt_budgets(self) -> PromptBudgets:
        """Returns the budgets of tools and examples."""
        return PromptBudgets(self.tools_budget, self.examples_budget, self.pinned_tools)

    def retention(self) -> Retention:
        """Returns how long the store keeps the content of a tenant."""
        return Retention(originals=self.originals_ttl, results=self.results_ttl, sessions=self.sessions_ttl)


def _session_policy(fields: Mapping[str, Any]) -> Policy:
    policy = Policy.from_dict(with_defaults(fields))
    # Text that the model has expanded or recalled is not compressed again.
    own_rules = dict.fromkeys(sorted(CONTEXT_TOOL_NAMES), ToolRule(max_tokens=UNLIMITED_TOKENS))
    return replace(policy, tools={**own_rules, **policy.tools})
