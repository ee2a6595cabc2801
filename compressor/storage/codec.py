"""The stored form of values and log records, and the limits that all stores share.

The stored form is one byte that names the encoding (`R` raw, `Z` zstd), followed by the value.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from compressor.errors import StoreError

if TYPE_CHECKING:
    import zstandard

DAY = 86_400.0
DEFAULT_TTL = 7 * DAY  # a conversation with an agent is resumed within a week or not at all
MAX_KEY = 200  # characters
#: The longest time, in seconds, after which a repeated use renews a TTL again.
RENEW_SECONDS = 60.0
#: A log is not evicted for this many seconds after its last use: its agent is probably still working, and losing the
#: state of a session is worse than losing an original.
LOG_IN_USE = 3_600.0
#: A tombstone (the record that a key existed) outlives its value by this many TTLs.
TOMBSTONE_TTLS = 4
#: Only this many tombstones are kept, the newest, so that they do not fill a busy store.
MAX_TOMBSTONES = 100_000

#: The beginning of the keys of a tenant in a store that several tenants share.
NAMESPACE = re.compile(r"t[0-9a-f]{16}:")
NAMESPACE_LENGTH = 18

_RAW, _ZSTD = b"R", b"Z"
_MIN_ZSTD_BYTES = 512  # zstd saves next to nothing on shorter values


class _Codecs(threading.local):
    """The zstd contexts of one thread: they are expensive to build and must not be shared between threads."""

    def __init__(self) -> None:
        import zstandard  # costs 15 ms to import, and many runs store nothing

        self.compressor: zstandard.ZstdCompressor = zstandard.ZstdCompressor(level=3)
        self.decompressor: zstandard.ZstdDecompressor = zstandard.ZstdDecompressor()
        self.error: type[Exception] = zstandard.ZstdError


_codecs: _Codecs | None = None


def _thread_codecs() -> _Codecs:
    global _codecs
    if _codecs is None:
        _codecs = _Codecs()
    return _codecs


def compress(value: bytes) -> bytes:
    """Returns the stored form of a value: zstd level 3 for values of 512 bytes or more, if that is smaller."""
    if len(value) >= _MIN_ZSTD_BYTES:
        packed = _thread_codecs().compressor.compress(value)
        if len(packed) < len(value):
            return _ZSTD + packed
    return _RAW + value


def decompress(stored: bytes, key: str) -> bytes:
    """Returns the value of a stored form.

    Args:
        stored: What `compress` returned.
        key: The key of the value, for the error message.

    Raises:
        StoreError: If the stored form is damaged.
    """
    if stored[:1] == _RAW:
        return stored[1:]
    codecs = _thread_codecs()
    if stored[:1] == _ZSTD:
        try:
            return codecs.decompressor.decompress(memoryview(stored)[1:])
        except codecs.error as exc:
            raise StoreError(f"the stored value of {key!r} is damaged ({exc})") from exc
    raise StoreError(f"the stored value of {key!r} is damaged (unknown encoding)")


def namespace(tenant: str) -> str:
    """Returns the beginning of a tenant's keys in a store that several tenants share."""
    return f"t{hashlib.blake2b(tenant.encode(), digest_size=8).hexdigest()}:"


def is_below(prefix: str, name: str) -> bool:
    """Returns whether a name begins with a prefix; without a prefix, whether it has no namespace."""
    return name.startswith(prefix) if prefix else not NAMESPACE.match(name)


def validate_items(items: Mapping[str, bytes]) -> None:
    """Checks the items of a put before any of them is stored.

    Raises:
        StoreError: If a key is too long or a value is not bytes.
    """
    for key, value in items.items():
        _check_key(key, "store key")
        if not isinstance(value, bytes):
            raise StoreError(f"the value of {key!r} is {type(value).__name__}, not bytes")


def compress_log(name: str, records: Sequence[bytes]) -> list[bytes]:
    """Returns the stored forms of log records.

    Raises:
        StoreError: If the name is too long or a record is not bytes.
    """
    _check_key(name, "log name")
    for record in records:
        if not isinstance(record, bytes):
            raise StoreError(f"a record of the log {name!r} is {type(record).__name__}, not bytes")
    return [compress(record) for record in records]


def _check_key(key: str, what: str) -> None:
    if not isinstance(key, str) or len(key) > MAX_KEY:
        raise StoreError(f"a {what} must be a string of at most {MAX_KEY} characters, not {key!r:.80}")


def validate_limit(limit: int) -> None:
    """Raises StoreError unless the limit is positive."""
    if not limit > 0:
        raise StoreError(f"the size limit of a store must be a positive number of bytes, not {limit!r}")


def collision_error(key: str) -> StoreError:
    """Returns the error of a put that would overwrite a value."""
    return StoreError(f"key {key!r} already holds other bytes: a stored original is never overwritten")


def too_large_error(need: int, limit: int) -> StoreError:
    """Returns the error of a call that does not fit into the store.

    Args:
        need: The bytes of the new items and of the logs that must not be evicted for them.
        limit: The size limit of the store in bytes.
    """
    return StoreError(
        f"the new items and the sessions in use take {need:,} bytes, which is over the store's limit of {limit:,}: "
        "open the store with a larger `limit`"
    )
