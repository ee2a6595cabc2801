"""The encryption keys of a store: AES-256-GCM with a synthetic nonce.

A store refuses other bytes under a known key, so the same value under the same name must encrypt to the same bytes. The
nonce is therefore not random: it is the first 96 bits of HMAC-SHA-256, under a key of its own, over name and value (the
synthetic IV of Rogaway and Shrimpton, "A Provable-Security Treatment of the Key-Wrap Problem", Eurocrypt 2006, with GCM
as the encryption). Two different values share a nonce as rarely as with random nonces: change the key before it has
encrypted 2^32 values (NIST SP 800-38D, 8.3). An observer can tell that the same value was put under the same name
again, which the store shows anyway. This is own code around `AESGCM` of the package cryptography, because its
`AESGCMSIV` (RFC 8452), which does the same, takes 5 times as long here and needs OpenSSL 3.2.

An encrypted value is 4 bytes of prefix, 6 that identify the key, 12 of nonce, and the ciphertext with its tag (16).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressor.errors import CompressorError, MissingDependencyError, StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX = "ek_"
ENCRYPTED_PREFIX = b"\xacs1\x00"
_ID, _NONCE, _TAG = 6, 12, 16
_HEAD = len(ENCRYPTED_PREFIX) + _ID + _NONCE
_KEY = re.compile(rf"{PREFIX}([A-Za-z0-9_-]{{43}})")


def new_encryption_key() -> str:
    """Returns a new key: 256 random bits, as text."""
    return PREFIX + secrets.token_urlsafe(32)


class Keyring:
    """Encrypts with the first of some keys, and decrypts with all of them. Its `repr` and `ids` reveal no key.

    Args:
        keys: Keys from `new_encryption_key`: the current one, then former ones.

    Raises:
        CompressorError: If a key is not valid; the message does not repeat it.
        MissingDependencyError: If the package of the extra "encryption" is not installed.

    Example:
        >>> keyring = Keyring([new_encryption_key()])
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if isinstance(keys, str) or not keys:
            raise CompressorError("a keyring needs a list of at least one key; the first key encrypts")
        parsed = [_Key(_bits(key, f"encryption key {number}")) for number, key in enumerate(keys, 1)]
        self._first = parsed[0]
        self._keys = {key.id: key for key in reversed(parsed)}

    @property
    def ids(self) -> tuple[str, ...]:
        """The IDs of the keys, that of the encrypting key first. They reveal nothing of the keys."""
        return tuple(dict.fromkeys([self._first.id.hex(), *(id.hex() for id in reversed(self._keys))]))

    def encrypt(self, value: bytes, name: bytes) -> bytes:
        """Returns the value encrypted with the first key and bound to its name; the same bytes each time."""
        return self._first.encrypt(value, name)

    def decrypt(self, encrypted: bytes, name: bytes, what: str) -> bytes:
        """Returns the value that was encrypted.

        Args:
            encrypted: What `encrypt` returned.
            name: The name that the value is bound to.
            what: What is being read, for the error message.

        Raises:
            StoreError: If the keyring does not have the key, or the value was not encrypted under this name.
        """
        id = encrypted[len(ENCRYPTED_PREFIX) : len(ENCRYPTED_PREFIX) + _ID]
        key = self._keys.get(id)
        if key is None:
            raise StoreError(
                f"{what} is encrypted with the key {id.hex()}, which is not among the encryption keys "
                f"({', '.join(self.ids)}): keep a former key after the new one until all its values have expired"
            )
        value = key.decrypt(encrypted, name)
        if value is None:
            raise StoreError(
                f"{what} was tampered with or moved here from another name: it does not match its encryption tag"
            )
        return value

    def __reduce__(self) -> Any:
        raise TypeError(
            "encryption keys are not pickled, because a pickle would show them: open the encrypted store anew in the "
            "other process"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Keyring:
        return self

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self.ids)})"


def is_encrypted(stored: bytes) -> bool:
    """Returns whether bytes have the prefix and the length of an encrypted value."""
    return stored.startswith(ENCRYPTED_PREFIX) and len(stored) >= _HEAD + _TAG


def read_keyring(text: str, where: str) -> Keyring:
    """Reads a keyring from text.

    Args:
        text: One key a line (or between `;`), the encrypting key first; `#` starts a comment.
        where: The origin of the text, for error messages.

    Raises:
        CompressorError: If a line is not a key, or there is no key. The message names the line, but not its content.
    """
    keys = []
    for number, line in enumerate(re.split(r"[\n;]", text), 1):
        if line := line.split("#")[0].strip():
            _bits(line, f"{where}, line {number}")
            keys.append(line)
    if not keys:
        raise CompressorError(
            f"{where} contains no encryption key: make one with `compressor serve --new-encryption-key`"
        )
    return Keyring(keys)


def read_keyring_file(path: str) -> Keyring:
    """Reads a keyring from a file.

    Raises:
        CompressorError: If the file cannot be read, or is not a valid keyring.
    """
    return read_keyring(read_keyring_text(path), path)


def read_keyring_text(path: str) -> str:
    """Returns the text of a file of encryption keys.

    Raises:
        CompressorError: If the file cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CompressorError(f"the file of encryption keys {path!r} cannot be read: {why}") from None


class _Key:
    """One key, from which three keys for three purposes are derived (by HKDF-Expand of RFC 5869)."""

    def __init__(self, bits: bytes) -> None:
        self.id = _derived(bits, b"id")[:_ID]
        self._nonces = _derived(bits, b"nonces")
        self._cipher = _cipher(_derived(bits, b"encryption"))

    def encrypt(self, value: bytes, name: bytes) -> bytes:
        nonce = hmac.digest(self._nonces, len(name).to_bytes(8, "big") + name + value, "sha256")[:_NONCE]
        head = ENCRYPTED_PREFIX + self.id + nonce
        return head + self._cipher.encrypt(nonce, value, head + name)

    def decrypt(self, encrypted: bytes, name: bytes) -> bytes | None:
        from cryptography.exceptions import InvalidTag

        head = encrypted[:_HEAD]
        try:
            return self._cipher.decrypt(head[-_NONCE:], encrypted[_HEAD:], head + name)
        except InvalidTag:
            return None


def _derived(bits: bytes, purpose: bytes) -> bytes:
    # The label is part of the format: another one would derive other keys.
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
    raise CompressorError(
        f"{what} is not a valid encryption key: make one with `compressor serve --new-encryption-key`"
    )
