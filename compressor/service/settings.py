"""What the service is told: by its flags, the environment, a file, in this order. Opens nothing but that file and the
file of keys.

The file is JSON with the names of `Config`. In the environment a name is written COMPRESSOR_PORT, COMPRESSOR_UPSTREAM
and so on; `keys` is the path of a file of keys (COMPRESSOR_KEYS_FILE), or COMPRESSOR_KEYS has its lines;
`encryption_keys` likewise.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from compressor.errors import CompressorError
from compressor.service.auth import ApiKey, read_key_file, read_keys
from compressor.sessions import Policy, ToolRule
from compressor.sessions.expand_tool import TOOL_NAME
from compressor.storage.redis.client import SCHEMES
from compressor.storage.wrappers.encryption_keys import Keyring, read_keyring, read_keyring_file
from compressor.text.redaction import check_level
from compressor.tokens.context_limit import resolve_context_limit
from compressor.tokens.pricing import DEFAULT_PRICE

MEGABYTE = 2**20
WHOLE = 1_000_000  # tokens


@dataclass(frozen=True, slots=True)
class Settings:
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
    workers: processes that serve the port; each loads its own models and counts its own limits.
    drain: seconds that requests under way have when the service is told to end; linger: seconds before that in which
        `/readyz` says no and everything else is still served, for a balancer to notice.
    tls_cert, tls_key: PEM files; with them the service speaks HTTPS.
    redact: what is taken out of what is stored: "secrets" (keys, tokens, passwords that have a form), "all" (card
        numbers and e-mail addresses too), "off".
    encryption_keys: a file of keys for all stored content, the first of them encrypts; encryption_read_plain: whether
        what was stored before that, or put there by others, may be read.
    cache: whether results are kept in the store, so that the same request is worked out once.
    policy: fields of `sessions.Policy`: what is cut when; tools: rules by name, {"read": {"keep": true}}.
    conversations: of a tenant that are known at a time; memory: bytes that their last requests may have together.
    log: level of the log; log_content: at level debug it has the
        beginning of each request's body, secrets taken out, otherwise it has no content at any level.
    otel: whether traces are sent by OpenTelemetry; None: where the environment's OTEL_* say so.
    """

    host: str = "127.0.0.1"
    port: int = 8787
    keys: tuple[ApiKey, ...] = ()
    store: str | None = None
    scorer: str = "fast"
    device: str | None = None
    budget: int | float | str | None = None
    upstream: str = ""
    upstream_anthropic: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    max_body_bytes: int = 32 * MEGABYTE  # what the providers themselves take at most
    max_json_depth: int = 64
    max_concurrent_requests: int = 64
    requests_per_minute: int = 0
    timeout: float = 30.0
    upstream_timeout: float = 600.0  # the SDKs' own default
    connect_timeout: float = 10.0
    max_connections: int = 512
    workers: int = 1
    shutdown_timeout: float = 30.0
    shutdown_delay: float = 0.0
    tls_cert: str | None = None
    tls_key: str | None = None
    max_conversations: int = 1024
    max_conversation_bytes: int = 256 * MEGABYTE
    redact: str = "secrets"
    encryption_keys: Keyring | None = None
    encryption_read_plain: bool = False
    cache: bool = True
    policy: Mapping[str, Any] = field(default_factory=dict)
    log: str = "info"
    log_content: bool = False
    otel: bool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.keys, tuple) or not all(isinstance(key, ApiKey) for key in self.keys):
            raise CompressorError("keys are those of a file of keys: give its path")
        absent = ("store", "device", "tls_cert", "tls_key")  # these may be None
        for name in ("host", "scorer", "upstream", "upstream_anthropic", *absent):
            value = getattr(self, name)
            if not isinstance(value, str) and not (value is None and name in absent):
                raise CompressorError(f"{name} must be a text, not {type(value).__name__}")
        if not isinstance(self.models, Mapping) or not all(isinstance(v, str) for v in self.models.values()):
            raise CompressorError("models has a name or a path for each name of a model")
        resolve_context_limit(self.budget, DEFAULT_PRICE)  # BudgetError
        self.session_policy()
        for name in (
            "port",
            "max_body_bytes",
            "max_json_depth",
            "max_concurrent_requests",
            "max_connections",
            "max_conversations",
            "max_conversation_bytes",
            "workers",
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < (0 if name == "port" else 1):
                raise CompressorError(f"{name} must be a positive whole number, not {value!r}")
        if self.port > 65_535:
            raise CompressorError(f"port must be one from 0 to 65535, not {self.port}")
        if self.workers > 1 and self.store == "memory":
            raise CompressorError("several workers need a store that they share: a path ending in .db, or redis://...")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise CompressorError("tls_cert and tls_key go together: give both, or neither")
        for name in (
            "timeout",
            "upstream_timeout",
            "connect_timeout",
            "shutdown_timeout",
            "shutdown_delay",
            "requests_per_minute",
        ):
            value = getattr(self, name)
            least = 0 if name in ("shutdown_timeout", "shutdown_delay", "requests_per_minute") else 0.001
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < math.inf:
                raise CompressorError(f"{name} must be a positive number, not {value!r}")
        for name in ("upstream", "upstream_anthropic"):
            url = getattr(self, name)
            parts = urlsplit(url)
            if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
                raise CompressorError(f"{name} must be a base URL such as https://host/v1, not {_safe(url)!r}")
        check_level(self.redact)
        if self.encryption_keys is not None and not isinstance(self.encryption_keys, Keyring):
            raise CompressorError("encryption_keys are those of a file of keys: give its path")
        if not isinstance(self.encryption_read_plain, bool):
            raise CompressorError(f"encryption_read_plain is true or false, not {self.encryption_read_plain!r}")
        if not isinstance(self.cache, bool):
            raise CompressorError(f"cache is true or false, not {self.cache!r}")
        if not isinstance(self.log_content, bool) or self.otel not in (None, True, False):
            raise CompressorError("log_content and otel are true or false")
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
        policy = Policy.from_dict(self.policy)
        # Text that the model has expanded is not cut again.
        return replace(policy, tools={TOOL_NAME: ToolRule(max_tokens=WHOLE), **policy.tools})

    def warns_about_unencrypted_secrets(self) -> bool:
        """Whether secrets would stand in a Redis although they are to be taken out: journals of sessions are not
        redacted, and nothing is encrypted."""
        remote = self.store is not None and self.store.startswith(SCHEMES)
        return remote and self.redact != "off" and self.encryption_keys is None

    def printable(self) -> dict[str, Any]:
        """Every setting as JSON data, without a secret: no key's hash, no password of a URL."""
        out: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        out["keys"] = sorted({key.tenant for key in self.keys})
        out["encryption_keys"] = list(self.encryption_keys.ids) if self.encryption_keys else []
        out["models"], out["policy"] = dict(self.models), dict(self.policy)
        for name in ("store", "upstream", "upstream_anthropic"):
            out[name] = _safe(out[name])
        return out


def load(
    file: str | None = None, env: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Settings:
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
    if env.get("COMPRESSOR_ENCRYPTION_KEYS_FILE"):
        given["encryption_keys"] = env["COMPRESSOR_ENCRYPTION_KEYS_FILE"]
    elif env.get("COMPRESSOR_ENCRYPTION_KEYS"):
        given["encryption_keys"] = read_keyring(env["COMPRESSOR_ENCRYPTION_KEYS"], "COMPRESSOR_ENCRYPTION_KEYS")
    given |= {name: value for name, value in (flags or {}).items() if value is not None}
    if env.get("COMPRESSOR_REDIS_PASSWORD_FILE") and isinstance(given.get("store"), str):
        given["store"] = _with_password(given["store"], env["COMPRESSOR_REDIS_PASSWORD_FILE"])
    if isinstance(given.get("keys"), str):
        given["keys"] = read_key_file(given["keys"])
    if isinstance(given.get("encryption_keys"), str):
        given["encryption_keys"] = read_keyring_file(given["encryption_keys"])
    try:
        return Settings(**given)
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


def _truth(text: str) -> bool:
    if text.lower() not in ("1", "true", "yes", "0", "false", "no"):
        raise ValueError
    return text.lower() in ("1", "true", "yes")


_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("host", "store", "scorer", "device", "upstream", "upstream_anthropic", "log", "redact"), str),
    **dict.fromkeys(("tls_cert", "tls_key"), str),
    **dict.fromkeys(
        (
            "port",
            "max_body_bytes",
            "max_json_depth",
            "max_concurrent_requests",
            "requests_per_minute",
            "max_connections",
        ),
        int,
    ),
    **dict.fromkeys(("max_conversations", "max_conversation_bytes", "workers"), int),
    **dict.fromkeys(("timeout", "upstream_timeout", "connect_timeout", "shutdown_timeout", "shutdown_delay"), float),
    **dict.fromkeys(("cache", "encryption_read_plain", "log_content", "otel"), _truth),
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
    known = {f.name for f in fields(Settings)}
    if not isinstance(given, dict) or (unknown := given.keys() - known):
        names = ", ".join(sorted(unknown)) if isinstance(given, dict) else "it is no object"
        raise CompressorError(f"the file {path!r} has settings that do not exist: {names}")
    for name in ("keys", "encryption_keys"):
        if name in given and not isinstance(given[name], str):
            raise CompressorError(f"the file {path!r}: {name} is the path of a file of keys")
    return given


def _with_password(url: str, path: str) -> str:
    """A Redis URL with the password that stands in a file. One that has a user's name keeps it; one that has a
    password, and what is no Redis URL, stays as it is."""
    scheme, _, rest = url.partition("://")
    front, _, host = rest.rpartition("@")
    if not url.startswith(SCHEMES) or ":" in front:
        return url
    try:
        password = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise CompressorError(f"the file of Redis's password {path!r} cannot be read: {why}") from None
    return f"{scheme}://{front}:{quote(password, safe='')}@{host}" if password else url


def _safe(url: str | None) -> str | None:
    """A URL without user, password and options. A password may hold any sign, even one that has to be quoted: what
    stands in front of the last @ is never shown, and nothing is of a URL that can be read in two ways."""
    if not url or "://" not in url:
        return url
    scheme, _, rest = url.partition("://")
    if "@" in rest and re.search(r"[?#].*@", rest):
        return f"{scheme}://***"
    _, at, host = rest.rpartition("@")
    return f"{scheme}://{'***@' if at else ''}{re.split('[?#]', host)[0]}"
