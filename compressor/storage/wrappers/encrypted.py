"""A store that encrypts its values and logs.

Someone who reads the database sees only names and sizes. Someone who writes to it can remove or restore content, but
cannot read, forge or move it. Names stay readable: a ref is cut from a hash of its text, so a reader can check a guess
of a whole text. Two changes are not noticed: the end of a log is cut off, or a value, log or record is replaced by a
former one of the same name.
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
    """Compresses (zstd) and encrypts what is put into a store, each value bound to its name.

    Args:
        store: The store that gets the encrypted content. Leases and health are passed on; they have no content.
        keys: The first key encrypts, all keys decrypt. A value that was written with a former key can be read, and put
            again, as long as that key is among them.
        read_plain: Whether values that are not encrypted are returned as they are, rather than raise StoreError. Use it
            only after encryption was switched on, until older values have expired: meanwhile anyone who can write to
            the database can insert content.
        namespace: The owner of this part of the database (the name of a tenant), so that content cannot be moved to
            another one.

    Raises:
        StoreError: From reads, if a key is missing or content was tampered with.

    Example:
        >>> store = EncryptedStore(open_store("redis://localhost"), Keyring([key]))
        >>> compressor = Compressor(store=store)
    """

    def __init__(self, store: BlobStore, keys: Keyring, *, read_plain: bool = False, namespace: str = "") -> None:
        super().__init__(store)
        self._keys, self._read_plain, self._namespace = keys, read_plain, namespace

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`."""
        codec.validate_items(items)
        encrypted = {key: self._encrypt(key, value) for key, value in items.items()}
        try:
            self._store.put(encrypted)
        except StoreUnavailableError:
            raise
        except StoreError:
            if (existing := self._reuse_existing(items, encrypted)) == encrypted:
                raise
            self._store.put(existing)

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
            if not values or (existing := self._reuse_existing(append.values, values)) == values:
                raise
            return replace(encrypted, values=existing).apply(self._log)

    def _encrypt(self, key: str, value: bytes) -> bytes:
        return self._keys.encrypt(codec.compress(value), self._name(key))

    def _decrypt(self, key: str, stored: bytes, number: int = 0) -> bytes:
        what = f"record {number} of the log {key!r}" if number else f"the value of {key!r}"
        if is_encrypted(stored):
            return codec.decompress(self._keys.decrypt(stored, self._name(key, number), what), key)
        if self._read_plain:
            return stored
        raise StoreError(
            f"{what} is not encrypted: it was written before encryption was switched on, or by an intruder. Start with "
            "an empty store, or allow unencrypted values for a while (read_plain, encryption_read_plain)"
        )

    def _reuse_existing(self, items: Mapping[str, bytes], encrypted: Mapping[str, bytes]) -> dict[str, bytes]:
        """Returns what to store: the bytes that are already stored if they hold the same value, else `encrypted`.

        The stored bytes may differ because of a former key, another compression, or no encryption.
        """
        stored_items = get_many(self._store, list(items))
        same = {key: stored for key, stored in stored_items.items() if self._decrypt(key, stored) == items[key]}
        return {**encrypted, **same}

    def _name(self, key: str, number: int = 0) -> bytes:
        """Returns what a ciphertext is bound to: the namespace and the key, or the log and the number of the record."""
        return json.dumps([self._namespace, "log" if number else "value", number, key]).encode()
