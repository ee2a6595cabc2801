"""A store that gives one tenant a namespace of its own in a shared store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from compressor.errors import ExpiredRefError, UnknownRefError
from compressor.storage import codec
from compressor.storage.base import BlobStore, Erasure, StoredEntry, get_many
from compressor.storage.wrappers.base import LogAppend, StoreWrapper


class NamespacedStore(StoreWrapper):
    """The part of a store that belongs to one tenant.

    Its keys and logs have a prefix of their own in the shared store, so a tenant can neither find nor take a ref of
    another tenant.

    Args:
        store: The shared store.
        tenant: The name of the tenant.
    """

    forwarded = ()  # names of leases would have no prefix

    def __init__(self, store: BlobStore, tenant: str) -> None:
        super().__init__(store)
        self._prefix = codec.namespace(tenant)

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`."""
        self._store.put(self._prefixed(items))

    def get(self, key: str) -> bytes:
        """See `BlobStore.get`."""
        try:
            return self._store.get(self._prefix + key)
        except ExpiredRefError:
            raise ExpiredRefError(key) from None
        except UnknownRefError:
            raise UnknownRefError(key) from None

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`."""
        found = get_many(self._store, [self._prefix + key for key in keys])
        return {key[len(self._prefix) :]: value for key, value in found.items()}

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """See `AppendLog.read_log`."""
        try:
            return self._log.read_log(self._prefix + name, after)
        except ExpiredRefError:
            raise ExpiredRefError(name) from None
        except UnknownRefError:
            raise UnknownRefError(name) from None

    def drop_log(self, name: str) -> None:
        """See `AppendLog.drop_log`."""
        self._log.drop_log(self._prefix + name)

    def describe(self, key: str) -> StoredEntry | None:
        """See `ErasableStore.describe`."""
        return super().describe(self._prefix + key)

    def list_keys(self, prefix: str) -> list[str]:
        """See `ErasableStore.list_keys`."""
        return [key[len(self._prefix) :] for key in super().list_keys(self._prefix + prefix)]

    def remove(self, keys: Sequence[str]) -> int:
        """See `ErasableStore.remove`."""
        return super().remove([self._prefix + key for key in keys])

    def erase(self, prefix: str = "") -> Erasure:
        """See `ErasableStore.erase`."""
        return super().erase(self._prefix + prefix)

    def close(self) -> None:
        """Does nothing, because the store is shared."""

    def _append(self, append: LogAppend) -> bool:
        named = replace(append, name=self._prefix + append.name, values=self._prefixed(append.values))
        return named.apply(self._log)

    def _prefixed(self, items: Mapping[str, bytes]) -> dict[str, bytes]:
        return {self._prefix + key: value for key, value in items.items()}
