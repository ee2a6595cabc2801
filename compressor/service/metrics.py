"""Counters for Prometheus, each under its tenant. Counts what it is told; holds no content, and of keys and sessions no
name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


@dataclass(frozen=True, slots=True)
class Work:
    """One compression that the service did, for whoever counts: no content.

    before, after: tokens. saved: net dollars by list prices. seconds: what it took here, without the provider. cache:
    whether its result was known, being worked out by another, or worked out now; "" where results are not kept.
    session: whose call it was, "" for a single one. warnings: the fallbacks taken."""

    tenant: str
    kind: Literal["call", "documents", "examples", "conversation", "session"]
    before: int
    after: int
    saved: float = 0.0
    seconds: float = 0.0
    cache: Literal["", "hit", "waited", "miss"] = ""
    tier: str = "fast"
    session: str = ""
    warnings: tuple[str, ...] = ()


class Metrics:
    """One service's counters."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.listeners: list[Callable[[Work], None]] = []
        given: Any = {"registry": self._registry, "namespace": "compressor"}
        self.requests = Counter("requests", "Requests answered.", ["tenant", "route", "status"], **given)
        self.seconds = Histogram(
            "request_seconds", "Until the answer was over.", ["tenant", "route"], buckets=SECONDS, **given
        )
        self.own = Histogram(
            "overhead_seconds",
            "What the proxy itself took before it asked upstream.",
            ["tenant"],
            buckets=SECONDS,
            **given,
        )
        self.inside = Gauge("requests_in_flight", "Requests under way.", ["tenant"], **given)
        self.before = Counter("tokens_before", "Tokens of contexts as they came.", ["tenant"], **given)
        self.after = Counter("tokens_after", "Tokens of contexts as they went.", ["tenant"], **given)
        self.saved = Gauge("saved_dollars", "Net money saved since the start, by list prices.", ["tenant"], **given)
        self.fallbacks = Counter("fallbacks", "Requests sent as they were, and why.", ["tenant", "reason"], **given)
        self.expansions = Counter("expansions", "Expand rounds resolved inside calls.", ["tenant"], **given)
        self.upstream = Counter("upstream_errors", "Upstream errors, by status or kind.", ["tenant", "kind"], **given)
        self.unsaving = Counter(
            "calls_without_savings", "Compressed calls that came out no smaller.", ["tenant"], **given
        )

    def did(self, work: Work) -> None:
        """Counts it, and tells those who listen."""
        self.before.labels(work.tenant).inc(work.before)
        self.after.labels(work.tenant).inc(work.after)
        if work.saved:
            self.saved.labels(work.tenant).inc(work.saved)
        if work.after >= work.before:
            self.unsaving.labels(work.tenant).inc()
        for listener in self.listeners:
            listener(work)

    def text(self, tenant: str | None = None) -> bytes:
        """The exposition format; of one tenant only, or of all."""
        return generate_latest(self._registry if tenant is None else _Of(self._registry, tenant))


class _Of:
    """A registry's samples of one tenant."""

    def __init__(self, registry: CollectorRegistry, tenant: str) -> None:
        self._registry, self._tenant = registry, tenant

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            own = Metric(metric.name, metric.documentation, metric.type)
            own.samples = [sample for sample in metric.samples if sample.labels.get("tenant") == self._tenant]
            yield own
