"""Prometheus metrics of the service, each labelled with its tenant. No content, no key, no session id.

docs/observability.md explains each metric.

If several processes serve one port, each writes its numbers to a file in a shared folder, and the process that is asked
returns the sum of all (prometheus_client's multiprocess mode). Call `prepare_multiprocess` before they start,
`use_metrics_slot` in each, and `worker_ended` when one has ended.
"""

from __future__ import annotations

import atexit
import os
import platform
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import prometheus_client.values as values
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from compressor._version import __version__
from compressor.caches import LruCache
from compressor.errors import CompressorError
from compressor.service.telemetry.no_savings_alert import NoSavingsMonitor
from compressor.service.telemetry.records import CURRENT_RECORD, CompressionEvent, RequestRecord
from compressor.service.telemetry.warning_categories import categorize
from compressor.storage.wrappers.resilient import StoreHealth

DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_MAX_SESSIONS = 4_096  # sessions whose last event is kept
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_TIERS = frozenset(("fast", "embedding", "pruner", "perplexity", "cascade", "none"))


class Metrics:
    """The metrics of one service.

    Attributes:
        is_multiprocess: Whether other processes count as well. Then the sources must be called now and then, because
            another process may be asked for the metrics.
        listeners: Called with each event.
        fallback_listeners: Called with the tenant and the reason of each request that was forwarded uncompressed.
        expansion_listeners: Called with the tenant of each hidden round.
        sources: Called before the metrics are shown, to set the gauges.
    """

    def __init__(self) -> None:
        self._registry = self._shown = CollectorRegistry()
        self.is_multiprocess = bool(folder := os.environ.get(_FOLDER))
        if folder:
            if not os.path.isdir(folder):
                raise CompressorError(f"{_FOLDER}={folder!r} is not a folder: create it, or unset the variable")
            self._shown = CollectorRegistry()
            MultiProcessCollector(self._shown, folder)  # type: ignore[no-untyped-call]
        self.listeners: list[Callable[[CompressionEvent], None]] = []
        self.fallback_listeners: list[Callable[[str, str], None]] = []
        self.expansion_listeners: list[Callable[[str], None]] = []
        self.sources: list[Callable[[], None]] = []
        self._savings = NoSavingsMonitor()
        self._stored: dict[str, StoreHealth] = {}
        self._sessions: LruCache[tuple[str, str], int] = LruCache(_MAX_SESSIONS)
        self._lock, self._refreshing = threading.Lock(), threading.Lock()
        given: Any = {"registry": self._registry, "namespace": "compressor"}
        timed: Any = {**given, "buckets": DURATION_BUCKETS}
        live: Any = {**given, "multiprocess_mode": "livesum"}
        self.requests = Counter("requests", "Requests answered.", ["tenant", "route", "status"], **given)
        self.request_seconds = Histogram(
            "request_seconds", "Seconds until the response was complete.", ["tenant", "route"], **timed
        )
        self.overhead = Histogram(
            "overhead_seconds", "Seconds the proxy spent before it sent the request upstream.", ["tenant"], **timed
        )
        self.first_token = Histogram(
            "time_to_first_token_seconds",
            "Seconds until the first part of a streamed answer was sent to the client.",
            ["tenant", "route"],
            **timed,
        )
        self.first_token_own = Histogram(
            "time_to_first_token_own_seconds",
            "Seconds of the time to the first token that the compressor itself took.",
            ["tenant", "route"],
            **timed,
        )
        self.queue_waits = Histogram("queue_wait_seconds", "Seconds a call waited, by queue.", ["queue"], **timed)
        self.in_flight = Gauge("requests_in_flight", "Requests in flight.", ["tenant"], **live)
        self.compressions = Counter("compressions", "Contexts compressed.", ["tenant", "kind", "tier"], **given)
        self.compression_seconds = Histogram(
            "compression_seconds",
            "Seconds a compression, or the append of messages to a session, took, without the provider.",
            ["tenant", "kind"],
            **timed,
        )
        self.result_cache = Counter(
            "result_cache",
            "Lookups in the result cache, by outcome: hit, coalesced, miss.",
            ["tenant", "outcome"],
            **given,
        )
        self.tokens_before = Counter("tokens_before", "Tokens of contexts before compression.", ["tenant"], **given)
        self.tokens_after = Counter("tokens_after", "Tokens of contexts after compression.", ["tenant"], **given)
        self.billed_tokens = Counter(
            "provider_prompt_tokens", "Prompt tokens that the provider billed.", ["tenant", "cached"], **given
        )
        # Two counters that only rise, so that rates survive a restart, and a gauge of their difference.
        self.gained = Counter("gained_dollars", "Dollars saved, at list prices.", ["tenant"], **given)
        self.lost = Counter(
            "lost_dollars", "Dollars that compression cost more than it saved, at list prices.", ["tenant"], **given
        )
        self.saved = Gauge(  # a gauge, because it falls where compression costs more than it saves
            "saved_dollars",
            "Net dollars saved since the start, at list prices.",
            ["tenant"],
            multiprocess_mode="sum",
            **given,
        )
        self.over_window = Counter(
            "calls_over_window",
            "Calls whose context was larger than the model's window before compression, and fitted it afterwards.",
            ["tenant"],
            **given,
        )
        self.auth_failures = Counter(
            "auth_failures", "Requests without a valid API key, by reason.", ["reason"], **given
        )
        self.fallbacks = Counter(
            "fallbacks", "Requests forwarded uncompressed, by reason.", ["tenant", "reason"], **given
        )
        self.warnings = Counter("warnings", "Warnings of compressions, by reason.", ["tenant", "reason"], **given)
        self.expansions = Counter(
            "expansions", "Rounds of expand and recall calls resolved inside calls.", ["tenant"], **given
        )
        self.upstream_errors = Counter(
            "upstream_errors", "Upstream errors, by status or kind.", ["tenant", "kind"], **given
        )
        self.limited = Counter("limited", "Requests refused by a limit of this service.", ["tenant", "limit"], **given)
        self.limit_fallbacks = Counter(
            "limit_fallbacks",
            "Requests whose limits this process counted alone, because the shared counters did not answer.",
            ["tenant"],
            **given,
        )
        self.calls_without_savings = Counter(
            "calls_without_savings", "Compressions that saved no tokens.", ["tenant"], **given
        )
        self.no_savings_fraction = Gauge(
            "calls_without_savings_ratio",
            "Fraction of a tenant's last 100 calls that saved less than 1 % of their tokens.",
            ["tenant"],
            multiprocess_mode="livemostrecent",
            **given,
        )
        self.sessions = Gauge("sessions_open", "Sessions and conversations held in memory.", ["tenant"], **live)
        self.circuit_open = Gauge("store_circuit_open", "Processes whose circuit breaker of the store is open.", **live)
        self.pending = Gauge("store_pending_values", "Values waiting to be written to the store.", ["tenant"], **live)
        self.dropped = Counter(
            "store_dropped_values", "Values that could not be written to the store.", ["tenant"], **given
        )
        self.failures = Counter("store_failures", "Calls that found the store unavailable.", **given)
        build = Gauge(
            "build_info", "The version, as labels.", ["version", "python"], multiprocess_mode="livemax", **given
        )
        build.labels(__version__, platform.python_version()).set(1)

    def record(self, event: CompressionEvent) -> None:
        """Counts an event, and calls the listeners."""
        tenant, request = event.tenant, CURRENT_RECORD.get()
        if event.kind != "answer":
            self.compression_seconds.labels(tenant, event.kind).observe(event.seconds)
        if event.is_compression:
            reasons = self._record_compression(event)
            if request is not None:
                request.warn(*reasons)
        self.saved.labels(tenant).inc(event.saved)
        # Both are always set, so that the two series have the same labels.
        self.gained.labels(tenant).inc(max(0.0, event.saved))
        self.lost.labels(tenant).inc(max(0.0, -event.saved))
        if event.billed_tokens:
            self.billed_tokens.labels(tenant, "yes").inc(event.billed_cached)
            self.billed_tokens.labels(tenant, "no").inc(event.billed_tokens - event.billed_cached)
        if request is not None:
            known = request.compression
            if event.kind == "answer" and known is not None:
                event_of_call = replace(known, saved=known.saved + event.saved)
            else:
                event_of_call = event
            request.compression = event_of_call
        for listener in self.listeners:
            listener(event)

    def _record_compression(self, event: CompressionEvent) -> list[str]:
        """Counts a compression, and returns the reasons of its new warnings."""
        tenant = event.tenant
        reasons = [categorize(warning) for warning in self._new_warnings(event)]
        tier = "fast" if "scorer_fell_back" in reasons else event.tier if event.tier in _TIERS else "other"
        self.compressions.labels(tenant, event.kind, tier).inc()
        self.tokens_before.labels(tenant).inc(event.tokens_before)
        self.tokens_after.labels(tenant).inc(event.tokens_after)
        if event.cache:
            self.result_cache.labels(tenant, event.cache).inc()
        if event.over_window:
            self.over_window.labels(tenant).inc()
        if event.tokens_after >= event.tokens_before:
            self.calls_without_savings.labels(tenant).inc()
        for reason in reasons:
            self.warnings.labels(tenant, reason).inc()
        self._observe(tenant, 1 - event.tokens_after / event.tokens_before if event.tokens_before else 0.0, reasons)
        return reasons

    def record_fallback(self, tenant: str, warning: str) -> None:
        """Counts a request that was forwarded uncompressed."""
        reason = categorize(warning)
        self.fallbacks.labels(tenant, reason).inc()
        self._observe(tenant, 0.0, [reason])
        if (record := CURRENT_RECORD.get()) is not None:
            record.warn(reason)
        for listener in self.fallback_listeners:
            listener(tenant, reason)

    def record_expansion(self, tenant: str) -> None:
        """Counts a hidden round, in which expand and recall calls were answered."""
        self.expansions.labels(tenant).inc()
        for listener in self.expansion_listeners:
            listener(tenant)

    def record_first_token(self, tenant: str, record: RequestRecord) -> None:
        """Takes note that the first part of a streamed answer is being sent now."""
        if record.first_token_seconds is None:
            record.first_token_seconds = time.perf_counter() - record.started
            self.first_token.labels(tenant, record.route).observe(record.first_token_seconds)
            self.first_token_own.labels(tenant, record.route).observe(record.own_seconds)

    def record_queue_wait(self, queue: str, seconds: float) -> None:
        """Records how long a call waited in a queue: "thread", "tenant" or "scorer"."""
        self.queue_waits.labels(queue).observe(seconds)

    def record_store_health(self, health: Mapping[str, StoreHealth]) -> None:
        """Sets the metrics of a remote store, from its health by tenant. Circuit and failures are the same for all."""
        self.circuit_open.set(any(now.state != "closed" for now in health.values()))
        last, self._stored = self._stored, dict(health)
        failures = max((now.failures for now in health.values()), default=0)
        self.failures.inc(max(0, failures - max((then.failures for then in last.values()), default=0)))
        for tenant, now in health.items():
            self.pending.labels(tenant).set(now.pending)
            self.dropped.labels(tenant).inc(max(0, now.dropped - (last[tenant].dropped if tenant in last else 0)))

    def refresh(self) -> None:
        """Calls the sources."""
        with self._refreshing:
            for source in self.sources:
                source()

    @property
    def registry(self) -> CollectorRegistry:
        """The registry in which this process counts."""
        return self._registry

    def collect(self) -> Iterable[Metric]:
        """Returns the metrics of all processes that serve the port."""
        return self._shown.collect()

    def text(self, tenant: str | None = None) -> bytes:
        """Returns the metrics in the exposition format, of one tenant or of all."""
        self.refresh()
        return generate_latest(_Samples(self._shown, tenant))

    def _new_warnings(self, event: CompressionEvent) -> Sequence[str]:
        """Returns the warnings that are new: a session's event repeats the old ones."""
        if not event.session:
            return event.warnings
        with self._lock:
            known = self._sessions.get((event.tenant, event.session)) or 0
            self._sessions.put((event.tenant, event.session), len(event.warnings))
        return event.warnings[known:]

    def _observe(self, tenant: str, saved_fraction: float, reasons: list[str]) -> None:
        if (fraction := self._savings.observe(tenant, saved_fraction, reasons)) is not None:
            self.no_savings_fraction.labels(tenant).set(fraction)


def prepare_multiprocess() -> str:
    """Creates the shared folder for processes that are started from now on, and returns its path.

    The folder is removed when this process ends. This process counts nothing itself.
    """
    folder = os.environ[_FOLDER] = tempfile.mkdtemp(prefix="compressor-metrics-")
    atexit.register(_remove, folder, os.getpid())
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]  # it was chosen at import, which was too early
    return folder


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # and this is not a fork of it
        shutil.rmtree(folder, ignore_errors=True)


def use_metrics_slot(slot: int) -> None:
    """Makes this process count in the file of its slot.

    A replacement of a dead process continues that one's file, so there are never more files than slots.
    """
    values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]


def worker_ended(slot: int) -> None:
    """Removes the live gauges of a process that has ended; its counters stay."""
    if os.path.isdir(os.environ.get(_FOLDER, "")):
        mark_process_dead(slot)  # type: ignore[no-untyped-call]


class _Samples:
    """A registry's samples, of one tenant or of all, without the creation times of counters."""

    def __init__(self, registry: CollectorRegistry, tenant: str | None) -> None:
        self._registry, self._tenant = registry, tenant

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            shown = Metric(metric.name, metric.documentation, metric.type)
            shown.samples = [*self._of(metric.samples)]
            if shown.samples:
                yield shown

    def _of(self, samples: Iterable[Any]) -> Iterator[Any]:
        for sample in samples:
            if not sample.name.endswith("_created") and self._tenant in (None, sample.labels.get("tenant")):
                yield sample
