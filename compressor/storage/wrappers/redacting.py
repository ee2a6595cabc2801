"""A store that redacts secrets of known forms: each is replaced by `[redacted:kind]`, also in what `expand` returns.

A ref is cut from the hash of the whole text, so it does not match the redacted text. That text is stored under a key
of its own, `redacted:REF`, so that stores with other settings can use the same database without finding unexpected
bytes. Values that were stored before redaction was switched on stay until they expire. A cached result that contains a
secret is not stored at all, because a cache must return exactly what would have been computed.

Logs and vectors are passed on unchanged: the log of a session contains what must be sent again byte for byte. Encrypt
them with `EncryptedStore`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from compressor.context.refs import REF_DIGITS
from compressor.errors import ExpiredRefError, RefError, StoreError, UnknownRefError
from compressor.storage.base import BlobStore, get_many
from compressor.storage.circuit_breaker import StoreUnavailableError
from compressor.storage.wrappers.base import LogAppend, StoreWrapper
from compressor.text.redaction import REDACTION_RE, check_level, redact, redact_json

T = TypeVar("T")
#: The first part of the key of a redacted text; the ref of the whole text follows.
REDACTED_PREFIX = "redacted:"
_REF = re.compile(rf"\d{{{REF_DIGITS}}}", re.ASCII)


class RedactingStore(StoreWrapper):
    """Redacts secrets in what is put into a store.

    Args:
        store: The store that gets the redacted content.
        level: "secrets"; "all", which also redacts card numbers and e-mail addresses; or "off", which redacts nothing
            but still finds redacted texts.
    """

    def __init__(self, store: BlobStore, level: str = "secrets") -> None:
        super().__init__(store)
        self._level = check_level(level)

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`."""
        self._write(items, self._store.put)

    def get(self, key: str) -> bytes:
        """See `BlobStore.get`. Returns the text without secrets."""
        try:
            return self._store.get(key)
        except RefError:
            if not _REF.fullmatch(key):
                raise
            try:
                return self._store.get(REDACTED_PREFIX + key)
            except ExpiredRefError:
                raise ExpiredRefError(key) from None
            except UnknownRefError:
                pass
            raise

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`. Returns the texts without secrets."""
        found = get_many(self._store, keys)
        redacted = [REDACTED_PREFIX + key for key in keys if key not in found and _REF.fullmatch(key)]
        if not redacted:
            return found
        return found | {key[len(REDACTED_PREFIX) :]: value for key, value in get_many(self._store, redacted).items()}

    def _append(self, append: LogAppend) -> bool:
        log = self._log
        return self._write(append.values, lambda items: replace(append, values=items).apply(log))

    def _write(self, items: Mapping[str, bytes], write: Callable[[Mapping[str, bytes]], T]) -> T:
        redacted = self._redacted(items)
        try:
            return write(redacted)
        except StoreUnavailableError:
            raise
        except StoreError:
            # The same text may have been redacted at another level or by an older version: then that result stays.
            texts = {key: items[key[len(REDACTED_PREFIX) :]] for key in redacted if key.startswith(REDACTED_PREFIX)}
            stored = get_many(self._store, list(texts))
            same = {key: value for key, value in stored.items() if _is_redaction(value, texts[key])}
            if all(redacted[key] == value for key, value in same.items()):
                raise
            return write({**redacted, **same})

    def _redacted(self, items: Mapping[str, bytes]) -> dict[str, bytes]:
        out: dict[str, bytes] = {}
        for key, value in items.items():
            ref, result = _REF.fullmatch(key), key.startswith("cache:")
            if (
                self._level == "off"
                or not isinstance(value, bytes)
                or not (ref or result or key.startswith("expansion:"))
            ):
                out[key] = value
                continue
            text = value.decode("utf-8", "surrogatepass")
            redacted = redact(text, self._level) if result else redact_json(text, self._level)
            if redacted == text:
                out[key] = value
            elif not result:
                out[REDACTED_PREFIX + key if ref else key] = redacted.encode("utf-8", "surrogatepass")
        return out


def _is_redaction(redacted: bytes, value: bytes) -> bool:
    """Returns whether a text may be the redaction of a value: its parts between placeholders occur there in order."""
    text = value.decode("utf-8", "surrogatepass")
    parts = REDACTION_RE.sub("\0", redacted.decode("utf-8", "surrogatepass")).split("\0")
    if len(parts) < 2 or not text.startswith(parts[0]):
        return False
    end = len(parts[0])
    for part in parts[1:-1]:
        start = text.find(part, end)
        if start < 0:
            return False
        end = start + len(part)
    return text.endswith(parts[-1]) and len(text) - len(parts[-1]) >= end
