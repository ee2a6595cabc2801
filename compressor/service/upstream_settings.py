"""The providers that requests are sent to: where each is, for which models and paths, and whose key it gets."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

#: The headers in which providers take a key.
KEY_HEADERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_KEY_FORM = "must be env:NAME or file:PATH, never the key itself"


def check_key_reference(value: Any) -> str:
    """Checks that a text refers to a key that can be read.

    Args:
        value: "env:NAME" for a variable, "file:PATH" for a file that holds nothing else.

    Returns:
        The text.

    Raises:
        ValueError: It has another form, or there is no key. The message has no part of a key.
    """
    if not isinstance(value, str) or not re.fullmatch(r"(env|file):.+", value):
        raise ValueError(_KEY_FORM)
    read_provider_key(value)
    return value


def read_provider_key(reference: str) -> str:
    """Reads a provider's key. It is read at each use, so a file may change.

    Args:
        reference: "env:NAME" or "file:PATH".

    Raises:
        ValueError: There is no such variable or file, it is empty, or it is no text of one line.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        key = os.environ.get(name, "").strip()
        where = f"the variable {name}"
    else:
        where = f"the file {name!r}"
        try:
            key = Path(name).read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not ASCII"
            raise ValueError(f"names {where}, which cannot be read: {reason}") from None
    if not key:
        raise ValueError(f"names {where}, which is not set or empty")
    if not key.isprintable() or not key.isascii() or " " in key:
        raise ValueError(f"names {where}, which does not hold one key: it must be one line of ASCII without spaces")
    return key


KeyReference = Annotated[str, BeforeValidator(check_key_reference)]


def check_base_url(url: str) -> str:
    """Checks a provider's base URL.

    Raises:
        ValueError: It is not one.
    """
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise ValueError("is not a base URL such as https://host/v1")
    return url


class UpstreamSettings(BaseModel):
    """One provider, or one deployment of a model.

    Attributes:
        name: What the response header `x-compressor-upstream` and the log call it.
        url: The base URL, with or without its `/v1`.
        models: The models that it serves, as patterns: "gpt-*". Requests that name no model go to an upstream with "*".
        paths: The beginnings of the paths that it serves: "/v1/messages". Without any it serves all.
        rename: What it calls a model, by the name that clients send: {"gpt-4o": "my-deployment"}.
        key: The key of the service itself at this provider, as "env:NAME" or "file:PATH". It replaces the client's.
            A tenant may have another one (`TenantSettings.provider_keys`).
        key_header: The header for the key; by default the one that the API of the request uses.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: Annotated[str, Field(pattern=f"^{_NAME}$")]
    url: Annotated[str, Field(min_length=1)]
    models: tuple[str, ...] = ("*",)
    paths: tuple[Annotated[str, Field(pattern="^/")], ...] = ()
    rename: dict[str, str] = Field(default_factory=dict)
    key: KeyReference | None = None
    key_header: Literal["authorization", "x-api-key", "api-key", "x-goog-api-key"] | None = None

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        return check_base_url(url)

    @property
    def base(self) -> str:
        """The base URL without its `/v1`."""
        return self.url.rstrip("/").removesuffix("/v1")

    def serves(self, path: str, model: str) -> bool:
        """Returns whether requests to a path for a model ("" for none) go to it."""
        if self.paths and not any(path.startswith(one) for one in self.paths):
            return False
        return any(pattern == "*" or (model and fnmatchcase(model, pattern)) for pattern in self.models)

    def choose_key_header(self, path: str) -> str:
        """Returns the header in which the provider takes a key for a path."""
        if self.key_header is not None:
            return self.key_header
        if path.startswith("/v1/messages"):
            return "x-api-key"
        if path.startswith("/v1beta"):
            return "x-goog-api-key"
        return "api-key" if path.startswith("/openai/deployments") else "authorization"
