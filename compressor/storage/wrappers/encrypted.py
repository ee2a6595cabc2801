"""A store whose values and logs are encrypted: whoever reads the database sees names and sizes only, whoever writes to
it can remove and bring back, but neither read nor forge nor move.

Names stay readable: a ref is cut from a hash of its text, so who holds the database can check a guess of a whole text.
Nothing notices that a log has lost its end, or that a value, a log or one of its records is again what once stood under
the same name. Knows no database and no way to encrypt (`keyring`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from compressor.errors import StoreError
from compressor.storage import codec as forms
from compressor.storage.base import AppendLog, BlobStore, StoreStats, get_many, require_log
from compressor.storage.circuit_breaker import StoreUnavailableError
from compressor.storage.wrappers.encryption_keys import Keyring, is_encrypted

_PASSED = ("health", "lease", "release")


class EncryptedStore:
    """`store`, with all that goes into it packed (zstd) and then encrypted, each under its own name.

        Compressor(store=EncryptedStore(open_store("redis://..."), Keyring([key])))

    keys: the first encrypts, all decrypt; a value that was written under a former key is readable, and can be put
    again, while that key is among them. read_plain: values that are not encrypted are given back as they are. That is
    for the days after encryption was switched on, until what was there before has expired; as long as it is so, whoever
    can write to the database can put in what he likes. Without it they are a StoreError.

    space: whose part of the database the store is (a tenant's name), so that nothing can be moved from one to another.

    StoreError also for a key that is missing and for what was tampered with. What else the store can do (its health,
    leases) it does as before; what goes there has no content.
    """

    def __init__(self, store: BlobStore, keys: Keyring, *, read_plain: bool = False, space: str = "") -> None:
        self._store, self._keys, self._read_plain, self._space = store, keys, read_plain, space

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`."""
        forms.validate_items(items)
        sealed = {key: self._sealed(key, value) for key, value in items.items()}
        try:
            self._store.put(sealed)
        except StoreUnavailableError:
            raise
        except StoreError:
            if (known := self._as_known(items, sealed)) == sealed:
                raise
            self._store.put(known)

    def get(self, key: str) -> bytes:
        """See `BlobStore.get`."""
        return self._opened(key, self._store.get(key))

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`."""
        return {key: self._opened(key, stored) for key, stored in get_many(self._store, keys).items()}

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """See `AppendLog.read_log`."""
        records = self._journal.read_log(name, after)
        return [(number, self._opened(name, stored, number)) for number, stored in records]

    def append_log(
        self,
        name: str,
        expected_last: int,
        records: Sequence[bytes],
        *,
        truncate_before: bool = False,
        values: Mapping[str, bytes] | None = None,
    ) -> bool:
        """See `AppendLog.append_log`."""
        forms.validate_items(values or {})
        packed = forms.compress_log(name, records)
        written = [
            self._keys.encrypt(record, self._name(name, expected_last + i)) for i, record in enumerate(packed, 1)
        ]
        sealed = {key: self._sealed(key, value) for key, value in values.items()} if values else None
        try:
            return self._journal.append_log(
                name, expected_last, written, truncate_before=truncate_before, values=sealed
            )
        except StoreUnavailableError:
            raise
        except StoreError:
            if not values or sealed is None or (known := self._as_known(values, sealed)) == sealed:
                raise
            return self._journal.append_log(name, expected_last, written, truncate_before=truncate_before, values=known)

    def drop_log(self, name: str) -> None:
        """See `AppendLog.drop_log`."""
        self._journal.drop_log(name)

    def stats(self) -> StoreStats:
        """Those of the store; sizes are of what is encrypted."""
        return self._store.stats()

    def close(self) -> None:
        """Closes the store."""
        self._store.close()

    def __getattr__(self, name: str) -> Any:
        if name not in _PASSED:  # by name: another way into the store would be a way past the encryption
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._store, name)

    def _sealed(self, key: str, value: bytes) -> bytes:
        return self._keys.encrypt(forms.compress(value), self._name(key))

    def _opened(self, key: str, stored: bytes, number: int = 0) -> bytes:
        what = f"record {number} of the log {key!r}" if number else f"the value of {key!r}"
        if is_encrypted(stored):
            return forms.decompress(self._keys.decrypt(stored, self._name(key, number), what), key)
        if self._read_plain:
            return stored
        raise StoreError(
            f"{what} is not encrypted: it was written before encryption was switched on, or by someone who should not. "
            "Begin with an empty store, or allow it for the time being (read_plain, encryption_read_plain)"
        )

    def _as_known(self, items: Mapping[str, bytes], sealed: Mapping[str, bytes]) -> dict[str, bytes]:
        """What is to be stored, with the bytes that are there already where they hold the same value: under a former
        key, in another packing, or plain."""
        there = get_many(self._store, list(items))
        same = {key: stored for key, stored in there.items() if self._opened(key, stored) == items[key]}
        return {**sealed, **same}

    def _name(self, key: str, number: int = 0) -> bytes:
        """What a ciphertext is bound to: whose it is, its key; for a log's record, the log's name and its number."""
        return json.dumps([self._space, "log" if number else "value", number, key]).encode()

    @property
    def _journal(self) -> AppendLog:
        return require_log(self._store)
