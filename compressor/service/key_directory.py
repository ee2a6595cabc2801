"""The API keys that are valid now. They may change while the service runs."""

from __future__ import annotations

from collections.abc import Iterable

from compressor.service.auth import ApiKey, find_key


class KeyDirectory:
    """Finds the entry of a key. Safe to share between threads.

    Args:
        keys: The keys. Without any, the service needs none, and never will: keys that are removed later do not open it.

    Attributes:
        is_required: Whether a request needs a key.
    """

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = tuple(keys)
        self.is_required = bool(self._keys)

    def find(self, given: str) -> ApiKey | None:
        """Returns the entry of a key, or None if the key is not valid."""
        return find_key(self._keys, given)

    def replace(self, keys: Iterable[ApiKey]) -> None:
        """Makes other keys the valid ones, from the next request on."""
        self._keys = tuple(keys)
