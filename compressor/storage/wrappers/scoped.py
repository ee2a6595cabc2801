"""A store that grants one scope access to everything that is put into it."""

from __future__ import annotations

from collections.abc import Mapping

from compressor.storage.base import BlobStore
from compressor.storage.wrappers.base import StoreWrapper


def grant_key(scope: str, ref: str) -> str:
    """Returns the key whose presence allows a scope to read a ref."""
    return f"grant:{scope}:{ref}"


class ScopedStore(StoreWrapper):
    """A store that grants a scope access to each value that is put into it.

    Args:
        store: The store.
        scope: The scope: a tenant and a session.
    """

    forwarded = ()

    def __init__(self, store: BlobStore, scope: str) -> None:
        super().__init__(store)
        self._scope = scope

    def put(self, items: Mapping[str, bytes]) -> None:
        """See `BlobStore.put`."""
        self._store.put({**items, **{grant_key(self._scope, key): b"" for key in items}})

    def close(self) -> None:
        """Does nothing, because the store does not belong to the session."""
