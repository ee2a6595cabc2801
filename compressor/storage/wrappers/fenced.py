"""A store whose use can be ended, so that work that has begun cannot write back what was erased meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compressor.errors import StoreError
from compressor.storage.base import BlobStore
from compressor.storage.wrappers.base import LogAppend, StoreWrapper


class FencedStore(StoreWrapper):
    """Forwards every call until `end` is called; from then on each raises StoreError.

    Args:
        store: The store.
    """

    def __init__(self, store: BlobStore) -> None:
        super().__init__(store)
        self._has_ended = False

    def end(self) -> None:
        """Ends the use of this object. The inner store stays open."""
        self._has_ended = True

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`."""
        self._check()
        super().put(items)

    def get(self, key: str) -> bytes:
        """See `BlobStore.get`."""
        self._check()
        return super().get(key)

    def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See `BatchStore.get_many`."""
        self._check()
        return super().get_many(keys)

    def read_log(self, name: str, after: int = 0) -> list[tuple[int, bytes]]:
        """See `AppendLog.read_log`."""
        self._check()
        return super().read_log(name, after)

    def drop_log(self, name: str) -> None:
        """See `AppendLog.drop_log`."""
        self._check()
        super().drop_log(name)

    def _append(self, append: LogAppend) -> bool:
        self._check()
        return super()._append(append)

    def _check(self) -> None:
        if self._has_ended:
            raise StoreError("what the tenant had stored was erased while the request was served: send it again")
