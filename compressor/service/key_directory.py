"""The API keys that are valid now. They may change while the service runs.

Keys come from the key file and from the database (`service.admin`). A key that either of them blocks or lets expire is
refused.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from compressor.service.auth import ApiKey, find_key

LOG_INTERVAL = 60.0  # seconds between two log lines about the same refused key
log = logging.getLogger("compressor.service")


class KeyDirectory:
    """Finds the entry of a key. Safe to share between threads.

    Args:
        keys: The keys of the key file.
        is_required: Whether a request needs a key; None: if there are keys. Keys that are removed later do not open the
            service.
        clock: Returns the time in seconds since the epoch.

    Attributes:
        is_required: Whether a request needs a key.
    """

    def __init__(
        self, keys: Iterable[ApiKey], is_required: bool | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._file_keys = tuple(keys)
        self._stored_keys: tuple[ApiKey, ...] = ()
        self._refusals: tuple[ApiKey, ...] = ()
        self.is_required = bool(self._file_keys) if is_required is None else is_required
        self._clock = clock
        self._logged: dict[str, float] = {}
        self._keys: tuple[ApiKey, ...] = ()
        self._combine()

    def find(self, given: str) -> ApiKey | None:
        """Returns the entry of a key, or None if the key is not valid now. The reason is only logged."""
        key = find_key(self._keys, given)
        if key is None:
            return None
        now = self._clock()
        state = key.state(now)
        if state == "valid":
            return key
        if now - self._logged.get(key.hash, -LOG_INTERVAL) >= LOG_INTERVAL:
            self._logged[key.hash] = now
            log.warning("refused key %s of tenant %s: it is %s", key.id, key.tenant, state)
        return None

    def list_keys(self) -> list[ApiKey]:
        """Returns the entries of all keys, also of those that are blocked or have expired."""
        return list(self._keys)

    def file_keys(self) -> tuple[ApiKey, ...]:
        """Returns the entries of the key file."""
        return self._file_keys

    def replace(self, keys: Iterable[ApiKey]) -> None:
        """Makes other keys those of the key file, from the next request on."""
        self._file_keys = tuple(keys)
        self._combine()

    def replace_stored(self, keys: Iterable[ApiKey], refusals: Iterable[ApiKey] = ()) -> None:
        """Makes other keys those of the database, from the next request on.

        Args:
            keys: The keys that it adds.
            refusals: Entries of keys of the key file that it blocks or lets expire.
        """
        self._stored_keys, self._refusals = tuple(keys), tuple(refusals)
        self._combine()

    def _combine(self) -> None:
        self._keys = combine_keys(self._file_keys, self._stored_keys, self._refusals)
        hashes = {key.hash for key in self._keys}
        self._logged = {hash: then for hash, then in self._logged.items() if hash in hashes}


def combine_keys(
    file_keys: Iterable[ApiKey], stored_keys: Iterable[ApiKey], refusals: Iterable[ApiKey]
) -> tuple[ApiKey, ...]:
    """Returns the entries of all keys, each valid only as long as every entry of it is.

    Args:
        file_keys: The keys of the key file.
        stored_keys: The keys that the database adds.
        refusals: Entries of keys of the key file that the database blocks or lets expire.
    """
    merged: dict[str, ApiKey] = {}
    for key in (*stored_keys, *file_keys):
        known = merged.get(key.hash)
        merged[key.hash] = key if known is None else _narrower(key, known)
    for refusal in refusals:
        known = merged.get(refusal.hash)
        if known is not None:
            merged[refusal.hash] = _narrower(known, refusal)
    return tuple(merged.values())


def _narrower(key: ApiKey, other: ApiKey) -> ApiKey:
    """Returns a key that is valid only when both entries are."""
    ends = [end for end in (key.expires, other.expires) if end is not None]
    return replace(key, blocked=key.blocked or other.blocked, expires=min(ends, default=None))
