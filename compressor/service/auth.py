"""API keys: who may use the service, and as which tenant. Only hashes of keys are stored.

A key is 256 random bits (`new_key`), so a plain SHA-256 of it cannot be reversed by guessing. scrypt is for passwords,
which can be guessed, and would add tens of milliseconds to every request and to every wrong guess of a stranger. A text
too short to be such a key is rejected, whatever its hash.

A key file (or COMPRESSOR_KEYS, with `;` for line ends) has a key on each line; `#` starts a comment:

    # tenant   hash of the key                admin: may see the metrics of all tenants
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
MIN_KEY_LENGTH = 32
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})\s+sha256:([0-9a-fA-F]{64})(?:\s+(admin))?")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The entry of one key in a key file.

    Attributes:
        tenant: The tenant's name.
        hash: The SHA-256 of the key, in hex.
        admin: Whether the key may see the metrics of all tenants.
    """

    tenant: str
    hash: str
    admin: bool = False

    def line(self) -> str:
        """Returns the line of a key file."""
        return f"{self.tenant}\tsha256:{self.hash}" + ("\tadmin" if self.admin else "")


def new_key(tenant: str, admin: bool = False) -> tuple[str, ApiKey]:
    """Makes a new key.

    Args:
        tenant: The tenant's name.
        admin: Whether the key may see the metrics of all tenants.

    Returns:
        The key itself, and its entry for the key file.

    Raises:
        CompressorError: The tenant's name is not valid.
    """
    if not _LINE.fullmatch(f"{tenant} sha256:{'0' * 64}"):
        raise CompressorError(f"{tenant!r} is not a valid tenant name: use 1 to 64 letters, digits, and . _ -")
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    return key, ApiKey(tenant, _hash(key), admin)


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
        match = _LINE.fullmatch(line)
        if match is None:
            raise CompressorError(
                f"{where}, line {number}: expected `TENANT sha256:HASH`, never the key itself; "
                "`compressor serve --new-key TENANT` makes a key and its line"
            )
        found.append(ApiKey(match[1], match[2].lower(), bool(match[3])))
    return tuple(found)


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
