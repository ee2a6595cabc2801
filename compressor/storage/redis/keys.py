"""The names of keys in Redis, and which of them share a hash slot.

    {prefix}:{schema version}:{tenant, or "-"}:{v:KEY}       a value in its stored form (codec.py)   string
    {prefix}:{schema version}:{tenant, or "-"}:{v:KEY}:was   its tombstone: empty, lives longer      string
    {prefix}:{schema version}:{tenant, or "-"}:{l:NAME}      a log: its head, then its records       list
    {prefix}:{schema version}:{tenant, or "-"}:{l:NAME}:was  its tombstone                           string
    {prefix}:{schema version}:{tenant, or "-"}:{w:NAME}      a lease: its token, lives for seconds   string
    {prefix}:{schema version}:{tenant, or "-"}:{q:TENANT}:NAME  a counter of the service's limits    hash, sorted set

The last pair of braces is part of the name: it is a hash tag of Redis Cluster. A tag is never empty and ends at the
first `}`, so a value and its tombstone share a slot whatever characters the key has. Values share no slot with logs,
because a value belongs to all logs that refer to it. The counters of a tenant share one.
"""

from __future__ import annotations

from compressor.errors import StoreError

SCHEMA = 1  # keys of other schema versions are ignored, and expire by their own TTL
_TOMBSTONE_SUFFIX = b":was"


class RedisKeys:
    """Builds the keys of one tenant.

    Args:
        prefix: The first part of all keys.
        tenant: The name of the tenant; "" for the shared keys.

    Raises:
        StoreError: If the prefix or the tenant cannot be used.
    """

    def __init__(self, prefix: str, tenant: str) -> None:
        if not isinstance(prefix, str) or not prefix or set(prefix) & set("{}"):
            raise StoreError(f"a Redis key prefix must be a non-empty string without braces, not {prefix!r}")
        if not isinstance(tenant, str):
            raise StoreError(f"the name of a tenant must be a string, not {tenant!r}")
        escaped = _escape(tenant) or "-"
        self._prefix = f"{prefix}:{SCHEMA}:{escaped}:".encode("utf-8", "surrogatepass")
        self._counters = self._prefix + b"{q:%s}:" % escaped.encode("utf-8", "surrogatepass")

    def value(self, key: str) -> tuple[bytes, bytes]:
        """Returns the key of a value and the key of its tombstone."""
        return self._pair(b"v", key)

    def log(self, name: str) -> tuple[bytes, bytes]:
        """Returns the key of a log and the key of its tombstone."""
        return self._pair(b"l", name)

    def lease(self, name: str) -> bytes:
        """Returns the key of a lease."""
        return self._pair(b"w", name)[0]

    def counter(self, name: str) -> bytes:
        """Returns the key of a counter. All counters of a tenant have one hash slot."""
        return self._counters + name.encode()

    @property
    def all_values(self) -> bytes:
        """The SCAN pattern of all values."""
        return _glob(self._prefix) + b"{v:*}"

    @property
    def all_logs(self) -> bytes:
        """The SCAN pattern of all logs."""
        return _glob(self._prefix) + b"{l:*}"

    def values_with(self, prefix: str) -> bytes:
        """Returns the SCAN pattern of the values whose keys begin with a prefix."""
        return _glob(self._prefix + b"{v:" + prefix.encode("utf-8", "surrogatepass")) + b"*}"

    def everything_with(self, prefix: str) -> list[bytes]:
        """Returns the SCAN patterns of values, logs, leases and tombstones whose names begin with a prefix."""
        name = prefix.encode("utf-8", "surrogatepass")
        return [_glob(self._prefix + b"{%s:%s" % (kind, name)) + b"*" for kind in (b"v", b"l", b"w")]

    def parse_value(self, name: bytes) -> str:
        """Returns the key of the value that has this name in Redis."""
        return name[len(self._prefix) + len(b"{v:") : -1].decode("utf-8", "surrogatepass")

    def parse_name(self, name: bytes) -> str:
        """Returns the beginning of the key of anything of this tenant; its end may be that of a tombstone."""
        return name[len(self._prefix) + len(b"{v:") :].decode("utf-8", "replace")

    def _pair(self, kind: bytes, name: str) -> tuple[bytes, bytes]:
        key = b"%s{%s:%s}" % (self._prefix, kind, name.encode("utf-8", "surrogatepass"))
        return key, key + _TOMBSTONE_SUFFIX


def _escape(tenant: str) -> str:
    """Escapes colons, braces and a lone "-", so that the keys of two tenants never have the same beginning."""
    for char in "%:{}":
        tenant = tenant.replace(char, f"%{ord(char):02X}")
    return "%2D" if tenant == "-" else tenant


def _glob(text: bytes) -> bytes:
    for char in (b"\\", b"*", b"?", b"[", b"]"):
        text = text.replace(char, b"\\" + char)
    return text
