"""Remembers under which id a response ends at the provider, if the client knows it under another one.

An answer with hidden rounds consists of several responses. The client sees the id of the first one, and the provider
continues from the last one.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress

from compressor.caches import LruCache
from compressor.errors import CompressorError
from compressor.providers.expand_resolver import MAX_RESPONSE_IDS
from compressor.storage.base import BlobStore, get_many


class ResponseIds:
    """The ids of one tenant's responses. Safe to share between threads.

    Args:
        store: Where other processes find them, until the TTL of the store ends; None keeps them in this process.
    """

    def __init__(self, store: BlobStore | None = None) -> None:
        self._store = store
        self._known: LruCache[str, str] = LruCache(MAX_RESPONSE_IDS)

    def put(self, visible_id: str, latest_id: str) -> None:
        """Remembers that the response which the client knows as `visible_id` ends as `latest_id`."""
        self._known.put(visible_id, latest_id)
        if self._store is not None:
            with suppress(CompressorError):  # this process knows it all the same
                self._store.put({_key(visible_id): latest_id.encode("utf-8", "surrogatepass")})

    def get(self, visible_id: str) -> str | None:
        """Returns the id to continue from, or None if the client's own one is right or nothing is known of it."""
        known = self._known.get(visible_id)
        if known is not None or self._store is None or not visible_id:
            return known
        found: dict[str, bytes] = {}
        with suppress(CompressorError):
            found = get_many(self._store, [_key(visible_id)])
        return next((value.decode("utf-8", "surrogatepass") for value in found.values()), None)


def _key(visible_id: str) -> str:
    return f"response:{hashlib.blake2b(visible_id.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
