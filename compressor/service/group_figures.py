"""Counts what each group of conversations costs: those that are compressed, those that are held out, those audited.

What the provider bills is taken from its own `usage`, in all groups alike. Whoever is in a group counts in it, even
where a request could not be compressed: groups are compared as they were drawn.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import Counter, Histogram

from compressor.caches import LruCache
from compressor.errors import CompressorError
from compressor.providers import Json
from compressor.service.modes import GROUPS, Group
from compressor.service.telemetry.metrics import DURATION_BUCKETS, Metrics
from compressor.tokens.billing import CallUsage, parse_provider_usage
from compressor.tokens.price import Price

MAX_CONVERSATIONS = 65_536  # whose sums are kept; a conversation that comes back later counts as another one
_NAMES = "calls measured_calls conversations provider_errors expand_rounds uncompressed_calls dollars".split()
_TOKENS = ("uncached", "cached", "cache_written", "output")
_MOMENTS = ("calls_squared", "dollars_squared", "calls_dollars")


@dataclass
class GroupCall:
    """One call of a conversation of a group.

    Attributes:
        tenant: The tenant's name.
        group: The group.
        key: What identifies the conversation.
        price: The model's price.
        added_seconds: How long the request waited for this service.
        usages: What the provider reported for each of its requests; empty if it reported nothing.
        has_failed: Whether the provider answered with an error.
        is_compressed: Whether what was sent was compressed.
        expand_rounds: Rounds in which the model asked for removed text.
    """

    tenant: str
    group: Group
    key: str
    price: Price
    added_seconds: float = 0.0
    usages: list[Json] = field(default_factory=list)
    has_failed: bool = False
    is_compressed: bool = False
    expand_rounds: int = 0


class GroupFigures:
    """The figures of all groups, as metrics. Safe to share between threads.

    Args:
        metrics: The metrics of the service, which hold the figures.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        given: Any = {"registry": metrics.registry, "namespace": "compressor"}
        labels = ["tenant", "group"]
        texts = {
            "calls": "Calls of conversations, by group: compressed, holdout, audit.",
            "measured_calls": "Calls whose usage the provider reported.",
            "conversations": "Conversations.",
            "provider_errors": "Calls that the provider answered with an error.",
            "expand_rounds": "Rounds in which the model asked for removed text.",
            "uncompressed_calls": "Calls of compressed conversations that were sent as they were.",
            "dollars": "Dollars of the measured calls, from the provider's usage and list prices.",
        }
        self._counters = {name: Counter(f"group_{name}", texts[name], labels, **given) for name in _NAMES}
        self._tokens = Counter(
            "group_tokens", "Tokens of the measured calls, as the provider reported them.", [*labels, "kind"], **given
        )
        self._moments = Counter(
            "group_conversation_squares",
            "Sums of squares over conversations, from which the spread of the figures follows.",
            [*labels, "of"],
            **given,
        )
        self._added = Histogram(
            "group_added_seconds", "Seconds a call waited for this service.", labels, buckets=DURATION_BUCKETS, **given
        )
        self._audit_tokens = Counter(
            "audit_tokens", "Tokens of audited calls, before and after compression.", ["tenant", "state"], **given
        )
        self._audit_dollars = Counter(
            "audit_dollars", "Dollars of audited calls, before and after compression.", ["tenant", "state"], **given
        )
        self._sums: LruCache[tuple[str, str], tuple[int, float]] = LruCache(MAX_CONVERSATIONS)
        self._lock = threading.Lock()

    def record(self, call: GroupCall) -> None:
        """Takes a call whose answer is complete."""
        labels = call.tenant, call.group
        count = {name: counter.labels(*labels) for name, counter in self._counters.items()}
        count["calls"].inc()
        count["provider_errors"].inc(call.has_failed)
        count["expand_rounds"].inc(call.expand_rounds)
        count["uncompressed_calls"].inc(call.group == "compressed" and not call.is_compressed)
        self._added.labels(*labels).observe(call.added_seconds)
        bills = _parse(call.usages)
        dollars = 0.0
        if bills:
            count["measured_calls"].inc()
            for bill in bills:
                dollars += bill.priced(call.price).cost_usd
                for kind in _TOKENS:
                    self._tokens.labels(*labels, kind).inc(getattr(bill, kind))
            count["dollars"].inc(dollars)
        with self._lock:
            known = self._sums.get((call.group, call.key))
            calls, spent = known or (0, 0.0)
            now = calls + bool(bills), spent + dollars
            self._sums.put((call.group, call.key), now)
        count["conversations"].inc(known is None)
        squares = now[0] ** 2 - calls**2, now[1] ** 2 - spent**2, now[0] * now[1] - calls * spent
        for name, value in zip(_MOMENTS, squares, strict=True):
            self._moments.labels(*labels, name).inc(max(0.0, value))

    def record_audit(self, tenant: str, tokens: tuple[int, int], dollars: tuple[float, float]) -> None:
        """Takes what compression would have done to a call: tokens and dollars, before and after."""
        for state, count, cost in zip(("before", "after"), tokens, dollars, strict=True):
            self._audit_tokens.labels(tenant, state).inc(count)
            self._audit_dollars.labels(tenant, state).inc(max(0.0, cost))

    def sums(self, tenant: str) -> dict[str, dict[str, float]]:
        """Returns all sums of a tenant by group, of all processes; those of the audit itself are in group "audit"."""
        out: dict[str, dict[str, float]] = {group: {} for group in GROUPS}
        for metric in self._metrics.collect():
            for sample in metric.samples:
                labels = sample.labels
                if labels.get("tenant") != tenant or sample.name.endswith("_created"):
                    continue
                name = sample.name.removeprefix("compressor_").removesuffix("_total")
                if name.startswith("group_") and labels.get("group") in out:
                    detail = next((labels[one] for one in ("kind", "of", "le") if one in labels), "")
                    out[labels["group"]][f"{name.removeprefix('group_')}:{detail}".removesuffix(":")] = sample.value
                elif name.startswith("audit_"):
                    out["audit"][f"{name}:{labels['state']}"] = sample.value
        return out


def _parse(usages: Sequence[Json]) -> list[CallUsage]:
    try:
        return [parse_provider_usage(usage) for usage in usages]
    except CompressorError:
        return []
