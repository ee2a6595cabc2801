"""A store that keeps no secret that has a form (`redaction`): texts behind refs are kept with `[redacted:kind]` in the
place of each, so that is what an `expand` gives back.

A ref is cut from a hash of the whole text, so a redacted text is not what its ref says. It is kept under a name of its
own, `redacted:REF`: stores with other settings, or none, use the same database without finding other bytes than theirs.
What was kept before redaction was switched on stays until its time is over. A finished compression (`caching`) with a
secret in it is not kept at all: what comes out of a cache has to be what would have been worked out.

Logs are passed on as they are: a session's journal holds what has to be sent again byte for byte. Encrypt them
(`sealed`). So are vectors. Finds no secrets itself.
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
FRONT = "redacted:"
_REF = re.compile(rf"\d{{{REF_DIGITS}}}", re.ASCII)


class RedactingStore(StoreWrapper):
    """`store`, with secrets taken out of what is put into it.

    level: "secrets"; "all", which takes card numbers and e-mail addresses out too; "off": takes nothing out, but finds
    what was put in redacted."""

    def __init__(self, store: BlobStore, level: str = "secrets") -> None:
        super().__init__(store)
        self._level = check_level(level)

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`."""
        self._write(items, self._store.put)

    def get(self, key: str) -> bytes:
        """See `BlobStore.get`: the text without secrets."""
        try:
            return self._store.get(key)
        except RefError:
            if not _REF.fullmatch(key):
                raise
            try:
                return self._store.get(FRONT + key)
            except ExpiredRefError:
                raise ExpiredRefError(key) from None
            except UnknownRefError:
                pass
            raise

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`: the texts without secrets."""
        found = get_many(self._store, keys)
        left = [FRONT + key for key in keys if key not in found and _REF.fullmatch(key)]
        if not left:
            return found
        return found | {key[len(FRONT) :]: value for key, value in get_many(self._store, left).items()}

    def _append(self, append: LogAppend) -> bool:
        log = self._log
        return self._write(append.values, lambda items: replace(append, values=items).apply(log))

    def _write(self, items: Mapping[str, bytes], write: Callable[[Mapping[str, bytes]], T]) -> T:
        made = self._redacted(items)
        try:
            return write(made)
        except StoreUnavailableError:
            raise
        except StoreError:
            # Another level, or an older version's rules: what is there was made of the same text, and stays.
            names = {key: items[key[len(FRONT) :]] for key in made if key.startswith(FRONT)}
            there = get_many(self._store, list(names))
            known = {key: held for key, held in there.items() if _is_made_of(held, names[key])}
            if all(made[key] == held for key, held in known.items()):
                raise
            return write({**made, **known})

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
            made = redact(text, self._level) if result else redact_json(text, self._level)
            if made == text:
                out[key] = value
            elif not result:
                out[FRONT + key if ref else key] = made.encode("utf-8", "surrogatepass")
        return out


def _is_made_of(redacted: bytes, value: bytes) -> bool:
    """Whether one is the other but for its marks: what stands between them comes in the same order."""
    text = value.decode("utf-8", "surrogatepass")
    parts = REDACTION_RE.sub("\0", redacted.decode("utf-8", "surrogatepass")).split("\0")
    if len(parts) < 2 or not text.startswith(parts[0]):
        return False
    at = len(parts[0])
    for part in parts[1:-1]:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return text.endswith(parts[-1]) and len(text) - len(parts[-1]) >= at
