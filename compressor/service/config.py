"""What the service is told: by its flags, the environment, a file, in this order. Opens nothing but that file and the
file of keys.

The file is JSON with the names of `Config`. In the environment a name is written COMPRESSOR_PORT, COMPRESSOR_UPSTREAM
and so on; `keys` is the path of a file of keys (COMPRESSOR_KEYS_FILE), or COMPRESSOR_KEYS has its lines.
"""

from __future__ import annotations

import ipaddress
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from compressor.errors import CompressorError
from compressor.prices import TYPICAL
from compressor.service.auth import Key, read_key_file, read_keys
from compressor.sessions import Policy, ToolRule
from compressor.sessions.expand import NAME
from compressor.sessions.limits import limit_of

MEGABYTE = 2**20
WHOLE = 1_000_000  # tokens


@dataclass(frozen=True, slots=True)
class Config:
    """All settings. CompressorError for those that make no sense, an open host without keys among them.

    host, port: where it listens. keys: who may use it; none: everybody who reaches the loopback address.
    store, scorer, device: as `Compressor` takes them. budget: of each proxied request, and of sessions that name none.
    upstream: the provider's base URL, with or without its `/v1`; upstream_anthropic: that for `/v1/messages`, if it is
        another one. Without them nothing is proxied.
    models: names of models that clients use, and the name or tokenizer file to count them by.
    body: bytes a request may have; depth: how deep its JSON may be nested. concurrency: requests of a tenant at a time;
        rate: a minute, 0: as many as it likes.
    timeout: seconds for our own work, and for a body to arrive; upstream_timeout: seconds the provider may be silent;
        connect_timeout: seconds to reach it; connections: to it at a time.
    drain: seconds that requests under way have when the service is told to end.
    policy: fields of `sessions.Policy`: what is cut when; tools: rules by name, {"read": {"keep": true}}.
    conversations: of a tenant that are known at a time. log: level of the log, which has no content at any level.
    """

    host: str = "127.0.0.1"
    port: int = 8787
    keys: tuple[Key, ...] = ()
    store: str | None = None
    scorer: str = "fast"
    device: str | None = None
    budget: int | float | str | None = None
    upstream: str = ""
    upstream_anthropic: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    body: int = 32 * MEGABYTE  # what the providers themselves take at most
    depth: int = 64
    concurrency: int = 64
    rate: int = 0
    timeout: float = 30.0
    upstream_timeout: float = 600.0  # the SDKs' own default
    connect_timeout: float = 10.0
    connections: int = 512
    drain: float = 30.0
    conversations: int = 256
    policy: Mapping[str, Any] = field(default_factory=dict)
    log: str = "info"

    def __post_init__(self) -> None:
        if not isinstance(self.keys, tuple) or not all(isinstance(key, Key) for key in self.keys):
            raise CompressorError("keys are those of a file of keys: give its path")
        for name in ("host", "store", "scorer", "device", "upstream", "upstream_anthropic"):
            value = getattr(self, name)
            if not isinstance(value, str) and not (value is None and name in ("store", "device")):
                raise CompressorError(f"{name} must be a text, not {type(value).__name__}")
        if not isinstance(self.models, Mapping) or not all(isinstance(v, str) for v in self.models.values()):
            raise CompressorError("models has a name or a path for each name of a model")
        limit_of(self.budget, TYPICAL)  # InvalidBudget
        self.session_policy()
        for name in ("port", "body", "depth", "concurrency", "connections", "conversations"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < (0 if name == "port" else 1):
                raise CompressorError(f"{name} must be a positive whole number, not {value!r}")
        for name in ("timeout", "upstream_timeout", "connect_timeout", "drain", "rate"):
            value = getattr(self, name)
            least = 0 if name in ("drain", "rate") else 0.001
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < math.inf:
                raise CompressorError(f"{name} must be a positive number, not {value!r}")
        for name in ("upstream", "upstream_anthropic"):
            url = getattr(self, name)
            parts = urlsplit(url)
            if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
                raise CompressorError(f"{name} must be a base URL such as https://host/v1, not {_safe(url)!r}")
        if self.log not in ("debug", "info", "warning", "error"):
            raise CompressorError(f"log must be debug, info, warning or error, not {self.log!r}")
        if not self.keys and not is_loopback(self.host):
            raise CompressorError(
                f"without keys the service only listens on the loopback address, not on {self.host!r}: "
                "give --keys FILE (`compressor serve --new-key TENANT` makes a key), or --host 127.0.0.1"
            )

    def upstream_of(self, path: str) -> str:
        """The base URL for a path, without its `/v1`; "" if there is none."""
        url = (self.upstream_anthropic if path.startswith("/v1/messages") else "") or self.upstream
        return url.rstrip("/").removesuffix("/v1")

    def session_policy(self) -> Policy:
        """The policy of all sessions. CompressorError if it makes no sense."""
        try:
            tools = {name: ToolRule(**rule) for name, rule in dict(self.policy.get("tools", {})).items()}
            # What the model asked for is not cut again.
            return Policy(**{**self.policy, "tools": {NAME: ToolRule(most=WHOLE), **tools}})
        except (TypeError, ValueError) as error:
            raise CompressorError(f"policy has the fields of sessions.Policy: {error}") from None

    def printable(self) -> dict[str, Any]:
        """Every setting as JSON data, without a secret: no key's hash, no password of a URL."""
        out: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        out["keys"] = sorted({key.tenant for key in self.keys})
        out["models"], out["policy"] = dict(self.models), dict(self.policy)
        for name in ("store", "upstream", "upstream_anthropic"):
            out[name] = _safe(out[name])
        return out


def load(
    file: str | None = None, env: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Config:
    """The settings. CompressorError for a file that cannot be read, names that do not exist and values that make no
    sense. `flags` that are None were not given."""
    given: dict[str, Any] = _from_file(file) if file else {}
    env = env or {}
    for name, read in _READERS.items():
        if (text := env.get(f"COMPRESSOR_{name.upper()}")) not in (None, ""):
            try:
                given[name] = read(text)
            except ValueError:
                raise CompressorError(
                    f"COMPRESSOR_{name.upper()} is not what it has to be: see Config.{name}"
                ) from None
    if env.get("COMPRESSOR_KEYS_FILE"):
        given["keys"] = env["COMPRESSOR_KEYS_FILE"]
    elif env.get("COMPRESSOR_KEYS"):
        given["keys"] = read_keys(env["COMPRESSOR_KEYS"], "COMPRESSOR_KEYS")
    given |= {name: value for name, value in (flags or {}).items() if value is not None}
    if isinstance(given.get("keys"), str):
        given["keys"] = read_key_file(given["keys"])
    try:
        return Config(**given)
    except (TypeError, ValueError) as error:
        if isinstance(error, CompressorError):
            raise
        raise CompressorError(f"a setting has a value of the wrong kind: {error}") from None


def budget_of(text: str) -> int | float | str:
    """A budget as text: tokens ("4000"), a share ("0.5", "50%"), money ("$0.02"). ValueError for anything else."""
    text = text.strip()
    if text.startswith("$"):
        return text
    if text.endswith("%"):
        return float(text[:-1]) / 100
    return int(text) if text.isdigit() else float(text)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError
    return found


_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("host", "store", "scorer", "device", "upstream", "upstream_anthropic", "log"), str),
    **dict.fromkeys(("port", "body", "depth", "concurrency", "rate", "connections", "conversations"), int),
    **dict.fromkeys(("timeout", "upstream_timeout", "connect_timeout", "drain"), float),
    "budget": budget_of,
    "models": _object,
    "policy": _object,
}


def _from_file(path: str) -> dict[str, Any]:
    try:
        given = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CompressorError(f"the file {path!r} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise CompressorError(f"the file {path!r} is no JSON: {error}") from None
    known = {f.name for f in fields(Config)}
    if not isinstance(given, dict) or (unknown := given.keys() - known):
        names = ", ".join(sorted(unknown)) if isinstance(given, dict) else "it is no object"
        raise CompressorError(f"the file {path!r} has settings that do not exist: {names}")
    if "keys" in given and not isinstance(given["keys"], str):
        raise CompressorError(f"the file {path!r}: keys is the path of a file of keys")
    return given


def _safe(url: str | None) -> str | None:
    """A URL without user, password and options."""
    if not url or "://" not in url:
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, f"***@{host}" if "@" in parts.netloc else host, parts.path, "", ""))
