"""Keys for what is kept: bytes in, sealed bytes out, and back. Knows no store.

AES-256-GCM. A store refuses other bytes under a known key, so the same value under the same name has to become the
same bytes: the nonce is no random one but the first 96 bits of HMAC-SHA-256, under a key of its own, over name and
value (the synthetic IV of Rogaway and Shrimpton, "A Provable-Security Treatment of the Key-Wrap Problem", Eurocrypt
2006, with GCM in the place of their encryption). Two different values meet in a nonce as rarely as with random ones:
change the key before it has sealed 2^32 values (NIST SP 800-38D, 8.3). What can be seen is that the same value was put
under the same name again, which the store shows anyway. GCM-SIV (RFC 8452) would say the same in fewer words, but takes
5 times as long here and is missing where OpenSSL is older than 3.2.

A sealed value: 4 bytes that say so, 6 that name its key, 12 of nonce, the ciphertext with its tag (16).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compressor.errors import CompressorError, MissingDependencyError, StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX = "ek_"
ENCRYPTED_PREFIX = b"\xacs1\x00"
_ID, _NONCE, _TAG = 6, 12, 16
_HEAD = len(ENCRYPTED_PREFIX) + _ID + _NONCE
_KEY = re.compile(rf"{PREFIX}([A-Za-z0-9_-]{{43}})")


def new_encryption_key() -> str:
    """A new key: 256 random bits, as text."""
    return PREFIX + secrets.token_urlsafe(32)


class Keyring:
    """Keys that open what is sealed. The first one seals; the others, of former days, only open.

    keys: as `new_encryption_key` gives them. CompressorError, which repeats none of it, for what is no key;
    MissingDependencyError without the package of the extra "encryption". Its `repr` and its `ids` tell no key.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if isinstance(keys, str) or not keys:
            raise CompressorError("a keyring is a list of keys, the one that encrypts first")
        made = [_Key(_bits(key, f"encryption key {number}")) for number, key in enumerate(keys, 1)]
        self._first = made[0]
        self._keys = {key.id: key for key in reversed(made)}

    @property
    def ids(self) -> tuple[str, ...]:
        """What the keys are called, the one that seals first; nothing of a key can be told from it."""
        return tuple(dict.fromkeys([self._first.id.hex(), *(id.hex() for id in reversed(self._keys))]))

    def encrypt(self, value: bytes, name: bytes) -> bytes:
        """The value under the first key, bound to its name; the same bytes each time."""
        return self._first.encrypt(value, name)

    def decrypt(self, sealed: bytes, name: bytes, what: str) -> bytes:
        """The value again. StoreError where its key is not here, or where it is not what was sealed under this name;
        `what` says in it what was read."""
        key = self._keys.get(sealed[len(ENCRYPTED_PREFIX) : len(ENCRYPTED_PREFIX) + _ID])
        if key is None:
            id = sealed[len(ENCRYPTED_PREFIX) : len(ENCRYPTED_PREFIX) + _ID].hex()
            raise StoreError(
                f"{what} is encrypted with the key {id}, which is not among the encryption keys "
                f"({', '.join(self.ids)}): keep a former key behind the new one until all that it encrypted has expired"
            )
        value = key.decrypt(sealed, name)
        if value is None:
            raise StoreError(
                f"{what} has been tampered with, or moved here from another name: it is not what was encrypted there"
            )
        return value

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self.ids)})"


def is_encrypted(stored: bytes) -> bool:
    """Whether it says that it is sealed."""
    return stored.startswith(ENCRYPTED_PREFIX) and len(stored) >= _HEAD + _TAG


def read_keyring(text: str, where: str) -> Keyring:
    """The keys of a file's text: one a line (or between `;`), the one that encrypts first; `#` begins a comment.
    CompressorError, which names the line and none of its content, for anything else."""
    keys = []
    for number, line in enumerate(re.split(r"[\n;]", text), 1):
        if line := line.split("#")[0].strip():
            _bits(line, f"{where}, line {number}")
            keys.append(line)
    if not keys:
        raise CompressorError(f"{where}: there is no encryption key; `compressor serve --new-encryption-key` makes one")
    return Keyring(keys)


def read_keyring_file(path: str) -> Keyring:
    """The keys in a file. CompressorError if there is none to read, or no key in it."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no UTF-8"
        raise CompressorError(f"the file of encryption keys {path!r} cannot be read: {why}") from None
    return read_keyring(text, path)


class _Key:
    """One key: three others are made of it, for three things (as HKDF-Expand of RFC 5869 makes them)."""

    def __init__(self, bits: bytes) -> None:
        self.id = _derived(bits, b"id")[:_ID]
        self._nonces = _derived(bits, b"nonces")
        self._cipher = _cipher(_derived(bits, b"encryption"))

    def encrypt(self, value: bytes, name: bytes) -> bytes:
        nonce = hmac.digest(self._nonces, len(name).to_bytes(8, "big") + name + value, "sha256")[:_NONCE]
        head = ENCRYPTED_PREFIX + self.id + nonce
        return head + self._cipher.encrypt(nonce, value, head + name)

    def decrypt(self, sealed: bytes, name: bytes) -> bytes | None:
        from cryptography.exceptions import InvalidTag

        head = sealed[:_HEAD]
        try:
            return self._cipher.decrypt(head[-_NONCE:], sealed[_HEAD:], head + name)
        except InvalidTag:
            return None


def _derived(bits: bytes, purpose: bytes) -> bytes:
    return hmac.digest(bits, b"compressor sealed 1 " + purpose + b"\x01", "sha256")


def _cipher(bits: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise MissingDependencyError("cryptography", "encryption") from None
    return AESGCM(bits)


def _bits(key: str, what: str) -> bytes:
    match = _KEY.fullmatch(key) if isinstance(key, str) else None
    if match:
        try:
            bits = base64.urlsafe_b64decode(match[1] + "=")
        except binascii.Error:
            bits = b""
        if len(bits) == 32:
            return bits
    raise CompressorError(f"{what}: that is no encryption key; `compressor serve --new-encryption-key` makes one")
