"""The settings that each tenant may have for itself: budgets and policy, limits, how its requests are treated.

A value in `Settings` itself holds for all tenants that have none of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from compressor.errors import CompressorError
from compressor.providers.prompt_budgets import PromptBudgets
from compressor.service.policy_options import with_defaults
from compressor.service.settings_errors import describe_errors
from compressor.service.settings_fields import Budget, Count, Json, NonNegativeInteger, PromptBudget
from compressor.service.upstream_settings import KeyReference
from compressor.sessions import Policy, ToolRule
from compressor.sessions.context_tools import CONTEXT_TOOL_NAMES

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
        max_concurrent_requests: How many requests of one tenant may be in flight.
        requests_per_minute: How many requests a tenant may send in a minute; 0 means no limit.

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
    max_concurrent_requests: Count = 64
    requests_per_minute: NonNegativeInteger = 0

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


def _session_policy(fields: Mapping[str, Any]) -> Policy:
    policy = Policy.from_dict(with_defaults(fields))
    # Text that the model has expanded or recalled is not compressed again.
    own_rules = dict.fromkeys(sorted(CONTEXT_TOOL_NAMES), ToolRule(max_tokens=UNLIMITED_TOKENS))
    return replace(policy, tools={**own_rules, **policy.tools})
