"""The bodies of `/admin/v1`, with an example of each. Unlike those of `/v1`, they refuse unknown fields."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr

from compressor.service.auth import TENANT_NAME, parse_time
from compressor.service.http_errors import HttpError
from compressor.service.settings_fields import parse_duration


def parse_expires(value: Any, now: float) -> float | None:
    """Returns when a key ends, in seconds since the epoch; None if it does not.

    Args:
        value: A time as text, or a duration from now.
        now: The time.

    Raises:
        HttpError: 422 for any other value.
    """
    if value is None:
        return None
    if isinstance(value, str):
        with suppress(ValueError, OverflowError):
            return parse_time(value)
    with suppress(ValueError):
        return now + parse_duration(value)
    message = "expires is neither a time (2026-12-31T00:00:00Z) nor a duration from now (30d, 12h, 3600)"
    raise HttpError(422, "invalid_request", message)


def parse_overlap(value: Any) -> float:
    """Returns a duration in seconds.

    Raises:
        HttpError: 422 if the value is not a duration.
    """
    try:
        return parse_duration(value)
    except ValueError as error:
        raise HttpError(422, "invalid_request", f"overlap {error}") from None


TenantName = Annotated[StrictStr, Field(pattern=f"^{TENANT_NAME}$", examples=["search"])]


class _AdminBody(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class NewKeyRequest(_AdminBody):
    """A new key."""

    tenant: TenantName
    admin: StrictBool = Field(default=False, description="Whether it may use /admin/v1.")
    expires: Any = Field(
        default=None, description='When it ends: a time, or a duration from now ("30d", seconds). Null: it does not.'
    )

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"tenant": "search", "expires": "90d"}]})


class KeyChangeRequest(_AdminBody):
    """A change of a key. Fields that are left out stay."""

    blocked: StrictBool | None = Field(default=None, description="Whether the key is refused.")
    expires: Any = Field(default=None, description="When it ends, as for a new key. Null: it does not.")

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"blocked": True}]})


class RotateRequest(_AdminBody):
    """How long the old key stays valid beside the new one."""

    overlap: Any = Field(default=0, description='A duration ("1h", or seconds). 0: it ends at once.')

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"overlap": "1h"}]})


class TenantSettingsRequest(BaseModel):
    """Settings of a tenant: those of `TenantSettings`, by name."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [{"budget": 8000, "originals_ttl": "1h"}]})
