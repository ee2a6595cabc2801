"""How things are called in Redis, and which of them share a hash slot. Talks to no server.

    {prefix}:{schema version}:{tenant, or "-"}:{v:KEY}       a value, as packed by values.py       string
    {prefix}:{schema version}:{tenant, or "-"}:{v:KEY}:was   its tombstone: empty, lives longer    string
    {prefix}:{schema version}:{tenant, or "-"}:{l:NAME}      a log: its head, then its records     list
    {prefix}:{schema version}:{tenant, or "-"}:{l:NAME}:was  its tombstone                         string
    {prefix}:{schema version}:{tenant, or "-"}:{w:NAME}      a lease: its token, lives seconds     string

The braces are in the names: they are Redis Cluster's hash tags. A tag never is empty, and ends at the first `}`, so
that a thing and its tombstone share a slot whatever characters its key has. Values share none with logs: a value
belongs to all logs that refer to it.
"""

from __future__ import annotations

from compressor.errors import StoreError

SCHEMA = 1  # what is written under other schema versions is not seen, and goes by its own TTL
_WAS = b":was"


class RedisKeys:
    """The keys of one tenant under a prefix. StoreError for what is no prefix or no tenant."""

    def __init__(self, prefix: str, tenant: str) -> None:
        if not isinstance(prefix, str) or not prefix or set(prefix) & set("{}"):
            raise StoreError(f"a Redis key prefix is a string without braces that is not empty, not {prefix!r}")
        if not isinstance(tenant, str):
            raise StoreError(f"a tenant is a string, not {tenant!r}")
        self._front = f"{prefix}:{SCHEMA}:{_escape(tenant) or '-'}:".encode("utf-8", "surrogatepass")

    def value(self, key: str) -> tuple[bytes, bytes]:
        """A value's key and that of its tombstone."""
        return self._pair(b"v", key)

    def log(self, name: str) -> tuple[bytes, bytes]:
        """A log's key and that of its tombstone."""
        return self._pair(b"l", name)

    def lease(self, name: str) -> bytes:
        """A lease's key."""
        return self._pair(b"w", name)[0]

    @property
    def all_values(self) -> bytes:
        """A pattern for SCAN."""
        return _glob(self._front) + b"{v:*}"

    @property
    def all_logs(self) -> bytes:
        """A pattern for SCAN."""
        return _glob(self._front) + b"{l:*}"

    def _pair(self, kind: bytes, name: str) -> tuple[bytes, bytes]:
        key = b"%s{%s:%s}" % (self._front, kind, name.encode("utf-8", "surrogatepass"))
        return key, key + _WAS


def _escape(tenant: str) -> str:
    """Without colons and braces, and never "-": no tenant's keys begin as another's."""
    for char in "%:{}":
        tenant = tenant.replace(char, f"%{ord(char):02X}")
    return "%2D" if tenant == "-" else tenant


def _glob(text: bytes) -> bytes:
    for char in (b"\\", b"*", b"?", b"[", b"]"):
        text = text.replace(char, b"\\" + char)
    return text
