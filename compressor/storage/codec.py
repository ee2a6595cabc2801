"""How every store holds a value or a log's record, and for how long. Knows no database.

A stored value is one byte that says how it is packed (`R` raw, `Z` zstd), then the value.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from compressor.errors import StoreError

if TYPE_CHECKING:
    import zstandard

DAY = 86_400.0
DEFAULT_TTL = 7 * DAY  # an agent's conversation is picked up again within a week or not at all
MAX_KEY = 200  # characters
RENEW_SECONDS = 60.0
#: Seconds after a log's last use in which the size limit does not take it: its agent is at work, and a session that
#: loses its state is worse off than one that loses an original.
LOG_IN_USE = 3_600.0
#: A tombstone (the memory that a key existed) outlives its value by this many TTLs ...
TOMBSTONE_TTLS = 4
#: ... and only this many are kept, the youngest, so that a busy store does not fill up with them.
MAX_TOMBSTONES = 100_000

_RAW, _ZSTD = b"R", b"Z"
_MIN_PACK = 512  # bytes; below it zstd saves next to nothing


class _Codecs(threading.local):
    """zstd contexts are expensive to build and must not be shared between threads."""

    def __init__(self) -> None:
        import zstandard  # costs 15 ms to import, and many runs store nothing

        self.compressor: zstandard.ZstdCompressor = zstandard.ZstdCompressor(level=3)
        self.decompressor: zstandard.ZstdDecompressor = zstandard.ZstdDecompressor()
        self.error: type[Exception] = zstandard.ZstdError


_codecs: _Codecs | None = None


def _local() -> _Codecs:
    global _codecs
    if _codecs is None:
        _codecs = _Codecs()
    return _codecs


def compress(value: bytes) -> bytes:
    """The stored form of a value: zstd level 3 from 512 bytes on, where that is smaller."""
    if len(value) >= _MIN_PACK:
        packed = _local().compressor.compress(value)
        if len(packed) < len(value):
            return _ZSTD + packed
    return _RAW + value


def decompress(stored: bytes, key: str) -> bytes:
    """The value again. `StoreError` if the stored form is damaged; `key` is for the message."""
    if stored[:1] == _RAW:
        return stored[1:]
    codecs = _local()
    if stored[:1] == _ZSTD:
        try:
            return codecs.decompressor.decompress(memoryview(stored)[1:])
        except codecs.error as exc:
            raise StoreError(f"the stored value of {key!r} is damaged ({exc})") from exc
    raise StoreError(f"the stored value of {key!r} is damaged (unknown packing)")


def validate_items(items: Mapping[str, bytes]) -> None:
    """`StoreError` for a key that is too long or a value that is not bytes: nothing of the put is stored then."""
    for key, value in items.items():
        _check_key(key, "store key")
        if not isinstance(value, bytes):
            raise StoreError(f"the value of {key!r} is {type(value).__name__}, not bytes")


def compress_log(name: str, records: Sequence[bytes]) -> list[bytes]:
    """The stored forms of a log's records. `StoreError` for a name that is too long or a record that is not bytes."""
    _check_key(name, "log's name")
    for record in records:
        if not isinstance(record, bytes):
            raise StoreError(f"a record of the log {name!r} is {type(record).__name__}, not bytes")
    return [compress(record) for record in records]


def _check_key(key: str, what: str) -> None:
    if not isinstance(key, str) or len(key) > MAX_KEY:
        raise StoreError(f"a {what} is a string of at most {MAX_KEY} characters, not {key!r:.80}")


def validate_limits(ttl: float, limit: int) -> None:
    """`StoreError` unless both are positive."""
    if not ttl > 0:
        raise StoreError(f"a store's TTL is a positive number of seconds, not {ttl!r}")
    if not limit > 0:
        raise StoreError(f"a store's size limit is a positive number of bytes, not {limit!r}")


def collision_error(key: str) -> StoreError:
    return StoreError(f"key {key!r} already holds other bytes: a stored original is never overwritten")


def too_large_error(need: int, limit: int) -> StoreError:
    """`need`: the bytes of what was to be stored, and of the logs that may not go for it."""
    return StoreError(
        f"what this one call stores and the sessions in use take {need:,} bytes, more than the store's limit of "
        f"{limit:,}: open the store with a larger `limit`"
    )
