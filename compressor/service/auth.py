"""API keys: who may use the service, and as which tenant. Knows no HTTP and stores no key.

A key is 256 random bits (`new_key`), so a plain SHA-256 of it cannot be guessed back: scrypt is for passwords, which
can be guessed, and would cost every request tens of milliseconds and a stranger's every wrong guess as much. What is
too short to be such a key is refused, whatever its hash.

A file of keys (or COMPRESSOR_KEYS, with `;` for line ends) has a key on each line, `#` begins a comment:

    # tenant   hash of the key                may see the metrics of all tenants
    search     sha256:9f86d081884c7d65...
    platform   sha256:60303ae22b998861...     admin
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from compressor.errors import CompressorError

KEY_PREFIX = "ck_"
MIN_KEY_LENGTH = 32  # characters of a key
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})\s+sha256:([0-9a-fA-F]{64})(?:\s+(admin))?")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key's hash (hex), whose it is, and whether its owner sees the metrics of all tenants."""

    tenant: str
    hash: str
    admin: bool = False

    def line(self) -> str:
        """As it stands in a file of keys."""
        return f"{self.tenant}\tsha256:{self.hash}" + ("\tadmin" if self.admin else "")


def new_key(tenant: str, admin: bool = False) -> tuple[str, ApiKey]:
    """A new key for a tenant, and what to keep of it. CompressorError for what is no tenant's name."""
    if not _LINE.fullmatch(f"{tenant} sha256:{'0' * 64}"):
        raise CompressorError(f"a tenant's name has 1 to 64 letters, digits and ._- in it, unlike {tenant!r}")
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    return key, ApiKey(tenant, _hash(key), admin)


def read_keys(text: str, where: str) -> tuple[ApiKey, ...]:
    """The keys of a file's text. CompressorError, which names the line and none of its content, for anything else."""
    found = []
    for number, line in enumerate(re.split(r"[\n;]", text), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise CompressorError(
                f"{where}, line {number}: a key stands there as `TENANT sha256:HASH`, never itself; "
                "`compressor serve --new-key TENANT` makes one and its line"
            )
        found.append(ApiKey(match[1], match[2].lower(), bool(match[3])))
    return tuple(found)


def read_key_file(path: str) -> tuple[ApiKey, ...]:
    """The keys in a file. CompressorError if there is none to read, or no key in it."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise CompressorError(f"the file of keys {path!r} cannot be read: {why}") from None
    keys = read_keys(text, path)
    if not keys:
        raise CompressorError(f"there is no key in {path!r}: `compressor serve --new-key TENANT` makes one")
    return keys


def find_key(keys: Iterable[ApiKey], given: str) -> ApiKey | None:
    """The key that was given, in a time that does not depend on what the known ones are."""
    right: ApiKey | None = None
    hashed = _hash(given)
    for key in keys:
        if hmac.compare_digest(key.hash, hashed):
            right = key
    return right if len(given) >= MIN_KEY_LENGTH else None


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
