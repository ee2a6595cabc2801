"""API keys: who may use the service, and as which tenant. Only hashes of keys are stored.

A key is 256 random bits (`new_key`), so a plain SHA-256 of it cannot be reversed by guessing. scrypt is for passwords,
which can be guessed, and would add tens of milliseconds to every request and to every wrong guess of a stranger. A text
too short to be such a key is rejected, whatever its hash.

A key file (or COMPRESSOR_KEYS, with `;` for line ends) has a key on each line; `#` starts a comment:

    # tenant   hash of the key              admin: may use /admin/v1, and see the metrics of all tenants
    search     sha256:9f86d081884c7d65...
    search     sha256:2c624232cdd22177...   created=2026-11-01T09:00:00Z expires=2026-12-31T00:00:00Z
    platform   sha256:60303ae22b998861...   admin
    old        sha256:d4735e3a265e16ee...   blocked=yes
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from compressor.errors import CompressorError

KEY_PREFIX = "ck_"
MIN_KEY_LENGTH = 32
ID_LENGTH = 12
TENANT_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_LINE = re.compile(rf"({TENANT_NAME})\s+sha256:([0-9a-fA-F]{{64}})((?:\s+\S+)*)")
_YES, _NO = ("yes", "true", "1"), ("no", "false", "0")
KeyState = Literal["valid", "expired", "blocked"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The entry of one key.

    Attributes:
        tenant: The tenant's name.
        hash: The SHA-256 of the key, in hex.
        admin: Whether the key may use `/admin/v1`, and see the metrics of all tenants.
        created: When it was made, in seconds since the epoch; None if that is not known.
        expires: When it ends; None if it does not.
        blocked: Whether it is refused until it is unblocked.
    """

    tenant: str
    hash: str
    admin: bool = False
    created: float | None = None
    expires: float | None = None
    blocked: bool = False

    @property
    def id(self) -> str:
        """A short name of the key that reveals nothing: the first digits of its hash."""
        return self.hash[:ID_LENGTH]

    def state(self, now: float | None = None) -> KeyState:
        """Returns whether the key may be used at a time, by default now."""
        if self.blocked:
            return "blocked"
        return "expired" if self.expires is not None and self.expires <= (now or time.time()) else "valid"

    def line(self) -> str:
        """Returns the line of a key file."""
        words = [self.tenant, f"sha256:{self.hash}", *(["admin"] if self.admin else [])]
        words += [f"created={format_time(self.created)}"] if self.created is not None else []
        words += [f"expires={format_time(self.expires)}"] if self.expires is not None else []
        return "\t".join([*words, *(["blocked=yes"] if self.blocked else [])])

    def describe(self) -> dict[str, Any]:
        """Returns the entry as JSON data, without the hash."""
        return {
            "id": self.id,
            "tenant": self.tenant,
            "admin": self.admin,
            "state": self.state(),
            "created": None if self.created is None else format_time(self.created),
            "expires": None if self.expires is None else format_time(self.expires),
            "blocked": self.blocked,
        }


def format_time(seconds: float) -> str:
    """Returns a time as text, such as 2026-11-30T09:00:00Z."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> float:
    """Parses a time such as 2026-11-30T09:00:00Z or 2026-11-30; without a zone it is UTC.

    Returns:
        Seconds since the epoch.

    Raises:
        ValueError: The text has another form.
    """
    found = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text.strip()))
    return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()


def check_tenant_name(tenant: str) -> str:
    """Returns a tenant's name.

    Raises:
        CompressorError: The name is not valid.
    """
    if not re.fullmatch(TENANT_NAME, tenant):
        raise CompressorError(f"{tenant!r:.80} is not a valid tenant name: use 1 to 64 letters, digits, and . _ -")
    return tenant


def new_key(
    tenant: str, admin: bool = False, created: float | None = None, expires: float | None = None
) -> tuple[str, ApiKey]:
    """Makes a new key.

    Args:
        tenant: The tenant's name.
        admin: Whether the key may use `/admin/v1`, and see the metrics of all tenants.
        created: When it is made, in seconds since the epoch.
        expires: When it ends.

    Returns:
        The key itself, and its entry for the key file.

    Raises:
        CompressorError: The tenant's name is not valid.
    """
    check_tenant_name(tenant)
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    return key, ApiKey(tenant, _hash(key), admin, created, expires)


def read_keys(text: str, where: str) -> tuple[ApiKey, ...]:
    """Parses the text of a key file.

    Args:
        text: The text.
        where: What an error calls it.

    Raises:
        CompressorError: A line is not valid. The message names the line, but not its content, which may be a key.
    """
    found = []
    for number, line in enumerate(re.split(r"[\n;]", text), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        key = parse_line(line)
        if key is None:
            raise CompressorError(
                f"{where}, line {number}: expected `TENANT sha256:HASH`, never the key itself; after it may stand "
                "admin, created=TIME, expires=TIME and blocked=yes; `compressor serve --new-key TENANT` makes a key "
                "and its line"
            )
        found.append(key)
    return tuple(found)


def parse_line(line: str) -> ApiKey | None:
    """Returns the entry on a line of a key file, without its comment; None if the line is not valid."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    fields: dict[str, Any] = {}
    for word in match[3].split():
        name, has_value, value = word.partition("=")
        if name in fields or (name == "admin") == bool(has_value):
            return None
        try:
            if name == "admin":
                fields[name] = True
            elif name in ("created", "expires"):
                fields[name] = parse_time(value)
            elif name == "blocked" and value.lower() in _YES + _NO:
                fields[name] = value.lower() in _YES
            else:
                return None
        except ValueError:
            return None
    return ApiKey(match[1], match[2].lower(), **fields)


def read_key_file(path: str, allow_empty: bool = False) -> tuple[ApiKey, ...]:
    """Reads a key file.

    Args:
        path: Its path.
        allow_empty: Whether the file may have no key.

    Raises:
        CompressorError: The file cannot be read, has an invalid line, or has no key.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CompressorError(f"Cannot read the key file {path!r}: {reason}") from None
    keys = read_keys(text, path)
    if not keys and not allow_empty:
        raise CompressorError(f"The key file {path!r} has no key: `compressor serve --new-key TENANT` makes one")
    return keys


def find_key(keys: Iterable[ApiKey], given: str) -> ApiKey | None:
    """Returns the entry of a given key, or None. The time it takes does not depend on the known keys."""
    right: ApiKey | None = None
    hashed = _hash(given)
    for key in keys:
        if hmac.compare_digest(key.hash, hashed):
            right = key
    return right if len(given) >= MIN_KEY_LENGTH else None


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
