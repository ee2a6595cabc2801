"""How long a store keeps what is put into it: originals, cached results and sessions may have a TTL each.

A store asks for the TTL of each key. A number of seconds gives everything the same TTL; `Retention` tells kinds of
content apart by their keys; `NamespacedRetention` has one for each tenant of a shared store.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from compressor.errors import StoreError
from compressor.storage import codec

#: For what must never expire, such as API keys. Redis has no TTL that is infinite.
PERMANENT = 100 * 365 * codec.DAY
#: The beginnings of the keys of what can be computed again.
RESULT_PREFIXES = ("cache:", "vector:", "examples-ngrams:", "examples-values:")
#: The beginnings of the keys and of the names of logs that belong to a session.
SESSION_PREFIXES = tuple(
    f"{kind}:"
    for kind in (
        "session",
        "options",
        "tools",
        "expansion",
        "conversation",
        "tracked",
        "turn",
        "response",
        "result-row",
    )
)
#: The beginnings of the names of logs of usage, and of the keys of example stores.
OTHER_PREFIXES = ("examples:", "ledger:", "calls:", "calls-watched:")
_PROMPT_EXAMPLES = re.compile(r"examples:[0-9a-f]{24}")  # what a session chose, not an example store


class TtlPolicy(Protocol):
    """Says how long each value and log is kept after its last use."""

    @property
    def longest(self) -> float:
        """The longest TTL in seconds of what has none of its own."""
        ...

    def ttl(self, key: str) -> float:
        """Returns the TTL in seconds of a value or a log."""
        ...


@dataclass(frozen=True, slots=True)
class UniformTtl:
    """The same TTL for everything.

    Attributes:
        seconds: The TTL.
    """

    seconds: float

    @property
    def longest(self) -> float:
        """The TTL."""
        return self.seconds

    def ttl(self, key: str) -> float:
        """See `TtlPolicy.ttl`."""
        return self.seconds


@dataclass(frozen=True, slots=True)
class Retention:
    """TTLs by the kind of content, in seconds after the last use.

    Attributes:
        originals: Of the texts behind refs, and of the permissions to read them.
        results: Of cached results and vectors.
        sessions: Of the messages, the state and the options of sessions.
        others: Of example stores and of usage statistics.
    """

    originals: float = codec.DEFAULT_TTL
    results: float = codec.DEFAULT_TTL
    sessions: float = codec.DEFAULT_TTL
    others: float = codec.DEFAULT_TTL

    @property
    def longest(self) -> float:
        """The longest of the TTLs."""
        return max(self.originals, self.results, self.sessions, self.others)

    def ttl(self, key: str) -> float:
        """See `TtlPolicy.ttl`."""
        if key.startswith(SESSION_PREFIXES) or _PROMPT_EXAMPLES.fullmatch(key):
            return self.sessions
        if key.startswith(RESULT_PREFIXES):
            return self.results
        return self.others if key.startswith(OTHER_PREFIXES) else self.originals


class NamespacedRetention:
    """The TTLs of a store that several tenants share, see `NamespacedStore`. They may change at any time.

    Args:
        shared: The TTLs of what belongs to no tenant, and of tenants that have none of their own.
    """

    def __init__(self, shared: TtlPolicy) -> None:
        self.shared = shared
        self._by_namespace: dict[str, TtlPolicy] = {}

    @property
    def longest(self) -> float:
        """The longest of the shared TTLs."""
        return self.shared.longest

    def set(self, tenant: str, policy: TtlPolicy) -> None:
        """Gives a tenant TTLs of its own, from the next use of each value on."""
        self._by_namespace[codec.namespace(tenant)] = policy

    def of(self, tenant: str) -> TenantRetention:
        """Returns the TTLs of a tenant by the keys without namespace; they follow later changes."""
        return TenantRetention(self, codec.namespace(tenant) if tenant else "")

    def ttl(self, key: str) -> float:
        """See `TtlPolicy.ttl`."""
        if codec.NAMESPACE.match(key):
            start, key = key[: codec.NAMESPACE_LENGTH], key[codec.NAMESPACE_LENGTH :]
            return self._by_namespace.get(start, self.shared).ttl(key)
        return self.shared.ttl(key)


@dataclass(frozen=True, slots=True)
class TenantRetention:
    """The TTLs of one tenant in a `NamespacedRetention`.

    Attributes:
        retention: The TTLs of all tenants.
        namespace: The beginning of the tenant's keys, or "".
    """

    retention: NamespacedRetention
    namespace: str

    @property
    def longest(self) -> float:
        """The longest of the shared TTLs."""
        return self.retention.longest

    def ttl(self, key: str) -> float:
        """See `TtlPolicy.ttl`."""
        return self.retention.ttl(self.namespace + key)


def as_policy(ttl: float | TtlPolicy) -> TtlPolicy:
    """Returns the policy of a store's argument `ttl`.

    Raises:
        StoreError: The TTL is not a positive number.
    """
    policy = UniformTtl(ttl) if isinstance(ttl, (int, float)) else ttl
    try:
        is_valid = policy.longest > 0
    except (AttributeError, TypeError):
        is_valid = False
    if not is_valid:
        raise StoreError(f"the TTL of a store must be a positive number of seconds, not {ttl!r}")
    return policy
