"""A store whose values and logs are encrypted: whoever reads the database sees names and sizes only, whoever writes to
it can remove and bring back, but neither read nor forge nor move.

Names stay readable: a ref is cut from a hash of its text, so who holds the database can check a guess of a whole text.
Nothing notices that a log has lost its end, or that a value, a log or one of its records is again what once stood under
the same name. Knows no database and no way to encrypt (`keyring`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from compressor.errors import StoreError
from compressor.storage import codec
from compressor.storage.base import BlobStore, get_many
from compressor.storage.circuit_breaker import StoreUnavailableError
from compressor.storage.wrappers.base import LogAppend, StoreWrapper
from compressor.storage.wrappers.encryption_keys import Keyring, is_encrypted


class EncryptedStore(StoreWrapper):
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
        super().__init__(store)
        self._keys, self._read_plain, self._space = keys, read_plain, space

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`."""
        codec.validate_items(items)
        encrypted = {key: self._encrypt(key, value) for key, value in items.items()}
        try:
            self._store.put(encrypted)
        except StoreUnavailableError:
            raise
        except StoreError:
            if (known := self._as_known(items, encrypted)) == encrypted:
                raise
            self._store.put(known)

    def get(self, key: str) -> bytes:
        """See `BlobStore.get`."""
        return self._decrypt(key, self._store.get(key))

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`."""
        return {key: self._decrypt(key, stored) for key, stored in get_many(self._store, keys).items()}

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """See `AppendLog.read_log`."""
        records = self._log.read_log(name, after)
        return [(number, self._decrypt(name, stored, number)) for number, stored in records]

    def _append(self, append: LogAppend) -> bool:
        codec.validate_items(append.values)
        packed = codec.compress_log(append.name, append.records)
        records = [
            self._keys.encrypt(record, self._name(append.name, append.expected_last + i))
            for i, record in enumerate(packed, 1)
        ]
        values = {key: self._encrypt(key, value) for key, value in append.values.items()}
        encrypted = replace(append, records=records, values=values)
        try:
            return encrypted.apply(self._log)
        except StoreUnavailableError:
            raise
        except StoreError:
            if not values or (known := self._as_known(append.values, values)) == values:
                raise
            return replace(encrypted, values=known).apply(self._log)

    def _encrypt(self, key: str, value: bytes) -> bytes:
        return self._keys.encrypt(codec.compress(value), self._name(key))

    def _decrypt(self, key: str, stored: bytes, number: int = 0) -> bytes:
        what = f"record {number} of the log {key!r}" if number else f"the value of {key!r}"
        if is_encrypted(stored):
            return codec.decompress(self._keys.decrypt(stored, self._name(key, number), what), key)
        if self._read_plain:
            return stored
        raise StoreError(
            f"{what} is not encrypted: it was written before encryption was switched on, or by someone who should not. "
            "Begin with an empty store, or allow it for the time being (read_plain, encryption_read_plain)"
        )

    def _as_known(self, items: Mapping[str, bytes], encrypted: Mapping[str, bytes]) -> dict[str, bytes]:
        """What is to be stored, with the bytes that are there already where they hold the same value: under a former
        key, in another packing, or plain."""
        there = get_many(self._store, list(items))
        same = {key: stored for key, stored in there.items() if self._decrypt(key, stored) == items[key]}
        return {**encrypted, **same}

    def _name(self, key: str, number: int = 0) -> bytes:
        """What a ciphertext is bound to: whose it is, its key; for a log's record, the log's name and its number."""
        return json.dumps([self._space, "log" if number else "value", number, key]).encode()
