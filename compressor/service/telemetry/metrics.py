"""Counters for Prometheus, each under its tenant. Counts what it is told; holds no content, and of keys and sessions no
name. docs/observability.md says what each means.

Where several processes serve one port, each writes its numbers into a file of a folder that they share, and whichever
is asked gives the sum of all (prometheus_client's multiprocess mode): `prepare_multiprocess` before they start,
`use_metrics_slot` in each, `worker_ended` when one has ended.
"""

from __future__ import annotations

import atexit
import os
import platform
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import prometheus_client.values as values
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from compressor._version import __version__
from compressor.errors import CompressorError
from compressor.service.telemetry.logging import CURRENT_RECORD
from compressor.service.telemetry.no_savings_alert import NoSavingsMonitor
from compressor.service.telemetry.warning_categories import categorize
from compressor.storage.wrappers.resilient import StoreHealth

DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_SESSIONS = 4_096  # whose last work is remembered
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_TIERS = frozenset(("fast", "embedding", "pruner", "perplexity", "cascade", "none"))


@dataclass(frozen=True, slots=True)
class CompressionEvent:
    """One compression that the service did, for whoever counts: no content.

    before, after: tokens. saved: net dollars by list prices. seconds: what it took here, without the provider. cache:
    whether its result was known, being worked out by another, or worked out now; "" where results are not kept.
    session: whose call it was, "" for a single one. warnings: the fallbacks taken. refs: of what was cut. billed,
    billed_cached: prompt tokens of the session that the provider has billed so far, and those of them that came from
    its cache."""

    tenant: str
    kind: Literal["call", "documents", "examples", "conversation", "session"]
    tokens_before: int
    tokens_after: int
    saved: float = 0.0
    seconds: float = 0.0
    cache: Literal["", "hit", "waited", "miss"] = ""
    tier: str = "fast"
    session: str = ""
    warnings: tuple[str, ...] = ()
    refs: tuple[str, ...] = ()
    billed_tokens: int = 0
    billed_cached: int = 0


class Metrics:
    """One service's counters. `sources` are asked for the numbers of now, before they are shown."""

    def __init__(self) -> None:
        self._registry = self._shown = CollectorRegistry()
        #: Whether other processes count, too: then the sources have to be asked now and then, for whoever is shown us.
        self.is_multiprocess = bool(folder := os.environ.get(_FOLDER))
        if folder:
            if not os.path.isdir(folder):
                raise CompressorError(f"{_FOLDER} names no folder: {folder!r}; make it, or unset it")
            self._shown = CollectorRegistry()
            MultiProcessCollector(self._shown, folder)  # type: ignore[no-untyped-call]
        self.listeners: list[Callable[[CompressionEvent], None]] = []
        self.sources: list[Callable[[], None]] = []
        self._savings = NoSavingsMonitor()
        self._stored: dict[str, StoreHealth] = {}
        self._sessions: OrderedDict[tuple[str, str], tuple[int, int, int]] = OrderedDict()
        self._lock, self._refreshing = threading.Lock(), threading.Lock()
        given: Any = {"registry": self._registry, "namespace": "compressor"}
        timed: Any = {**given, "buckets": DURATION_BUCKETS}
        live: Any = {**given, "multiprocess_mode": "livesum"}
        self.requests = Counter("requests", "Requests answered.", ["tenant", "route", "status"], **given)
        self.request_seconds = Histogram("request_seconds", "Until the answer was over.", ["tenant", "route"], **timed)
        self.overhead = Histogram(
            "overhead_seconds", "What the proxy itself took before it asked upstream.", ["tenant"], **timed
        )
        self.queue_waits = Histogram(
            "queue_wait_seconds", "Until a call's turn came, by what it waited for.", ["queue"], **timed
        )
        self.in_flight = Gauge("requests_in_flight", "Requests under way.", ["tenant"], **live)
        self.compressions = Counter("compressions", "Contexts compressed.", ["tenant", "kind", "tier"], **given)
        self.compression_seconds = Histogram(
            "compression_seconds", "A compression, without the provider.", ["tenant", "kind"], **timed
        )
        self.result_cache = Counter("result_cache", "Results asked of the cache.", ["tenant", "outcome"], **given)
        self.tokens_before = Counter("tokens_before", "Tokens of contexts as they came.", ["tenant"], **given)
        self.tokens_after = Counter("tokens_after", "Tokens of contexts as they went.", ["tenant"], **given)
        self.billed_tokens = Counter(
            "provider_prompt_tokens", "Prompt tokens that the provider billed.", ["tenant", "cached"], **given
        )
        # Two that only rise, so that a restart is none of a loss; and what is left of them.
        self.gained = Counter("gained_dollars", "Money saved, by list prices.", ["tenant"], **given)
        self.lost = Counter("lost_dollars", "Money that compressing cost more than it saved.", ["tenant"], **given)
        self.saved = Gauge(  # no counter: it goes down where compressing costs more than it saves
            "saved_dollars",
            "Net money saved since the start, by list prices.",
            ["tenant"],
            multiprocess_mode="sum",
            **given,
        )
        self.fallbacks = Counter("fallbacks", "Requests sent as they were, and why.", ["tenant", "reason"], **given)
        self.warnings = Counter("warnings", "What compressions warned of.", ["tenant", "reason"], **given)
        self.expansions = Counter("expansions", "Expand rounds resolved inside calls.", ["tenant"], **given)
        self.upstream_errors = Counter(
            "upstream_errors", "Upstream errors, by status or kind.", ["tenant", "kind"], **given
        )
        self.calls_without_savings = Counter(
            "calls_without_savings", "Compressions that came out no smaller.", ["tenant"], **given
        )
        self.no_savings_fraction = Gauge(
            "unsaving_calls_ratio",
            "Share of a tenant's last calls (100 at most) that saved less than 1 % or nothing.",
            ["tenant"],
            multiprocess_mode="livemostrecent",
            **given,
        )
        self.sessions = Gauge("sessions_open", "Sessions and conversations held in memory.", ["tenant"], **live)
        self.circuit_open = Gauge("store_breaker_open", "Processes whose breaker before the store is open.", **live)
        self.pending = Gauge("store_pending_values", "Values that wait to be written to the store.", ["tenant"], **live)
        self.dropped = Counter(
            "store_dropped_values", "Values that could not be written to the store.", ["tenant"], **given
        )
        self.failures = Counter("store_failures", "Calls that found the store unavailable.", **given)
        build = Gauge(
            "build_info", "The version, as labels.", ["version", "python"], multiprocess_mode="livemax", **given
        )
        build.labels(__version__, platform.python_version()).set(1)

    def record(self, work: CompressionEvent) -> None:
        """Counts it, and tells those who listen."""
        tenant, (warnings, billed, cached) = work.tenant, self._news(work)
        reasons = [categorize(warning) for warning in warnings]
        tier = "fast" if "scorer_fell_back" in reasons else work.tier if work.tier in _TIERS else "other"
        self.compressions.labels(tenant, work.kind, tier).inc()
        self.compression_seconds.labels(tenant, work.kind).observe(work.seconds)
        self.tokens_before.labels(tenant).inc(work.tokens_before)
        self.tokens_after.labels(tenant).inc(work.tokens_after)
        if work.cache:
            self.result_cache.labels(tenant, work.cache).inc()
        self.saved.labels(tenant).inc(work.saved)
        self.gained.labels(tenant).inc(max(0.0, work.saved))  # of both, or one could not be compared with the other
        self.lost.labels(tenant).inc(max(0.0, -work.saved))
        if billed:
            self.billed_tokens.labels(tenant, "yes").inc(cached)
            self.billed_tokens.labels(tenant, "no").inc(billed - cached)
        if work.tokens_after >= work.tokens_before:
            self.calls_without_savings.labels(tenant).inc()
        for why in reasons:
            self.warnings.labels(tenant, why).inc()
        self._observe(tenant, 1 - work.tokens_after / work.tokens_before if work.tokens_before else 0.0, reasons)
        if (record := CURRENT_RECORD.get()) is not None:
            record.work = work
            record.warn(*reasons)
        for listener in self.listeners:
            listener(work)

    def record_fallback(self, tenant: str, warning: str) -> None:
        """A request was sent as it was."""
        why = categorize(warning)
        self.fallbacks.labels(tenant, why).inc()
        self._observe(tenant, 0.0, [why])
        if (record := CURRENT_RECORD.get()) is not None:
            record.warn(why)

    def record_queue_wait(self, queue: str, seconds: float) -> None:
        """A call waited its turn: for a "thread", or for the "scorer"."""
        self.queue_waits.labels(queue).observe(seconds)

    def record_store_health(self, health: Mapping[str, StoreHealth]) -> None:
        """How it is with each tenant's part of a remote store. Breaker and failures are the same for all."""
        self.circuit_open.set(any(now.state != "closed" for now in health.values()))
        last, self._stored = self._stored, dict(health)
        failures = max((now.failures for now in health.values()), default=0)
        self.failures.inc(max(0, failures - max((then.failures for then in last.values()), default=0)))
        for tenant, now in health.items():
            self.pending.labels(tenant).set(now.pending)
            self.dropped.labels(tenant).inc(max(0, now.dropped - (last[tenant].dropped if tenant in last else 0)))

    def refresh(self) -> None:
        """Asks the sources."""
        with self._refreshing:
            for source in self.sources:
                source()

    def text(self, tenant: str | None = None) -> bytes:
        """The exposition format; of one tenant only, or of all."""
        self.refresh()
        return generate_latest(_Samples(self._shown, tenant))

    def _news(self, work: CompressionEvent) -> tuple[Sequence[str], int, int]:
        """Warnings and billed tokens that were not there before: a session has its old ones too."""
        if not work.session:
            return work.warnings, 0, 0
        with self._lock:
            known = self._sessions.pop((work.tenant, work.session), None)
            self._sessions[work.tenant, work.session] = len(work.warnings), work.billed_tokens, work.billed_cached
            if len(self._sessions) > _SESSIONS:
                self._sessions.popitem(last=False)
        if known is None:  # what was billed before this process knew it is not this process's news
            return work.warnings, 0, 0
        billed = max(0, work.billed_tokens - known[1])
        return work.warnings[known[0] :], billed, min(max(0, work.billed_cached - known[2]), billed)

    def _observe(self, tenant: str, share: float, reasons: list[str]) -> None:
        if (unsaving := self._savings.observe(tenant, share, reasons)) is not None:
            self.no_savings_fraction.labels(tenant).set(unsaving)


def prepare_multiprocess() -> str:
    """A fresh folder for the numbers of processes that are started from here on; its path. It goes when this process
    ends, which counts nothing itself."""
    folder = os.environ[_FOLDER] = tempfile.mkdtemp(prefix="compressor-metrics-")
    atexit.register(_remove, folder, os.getpid())
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]  # chosen at import: too early
    return folder


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # and not in a fork of it
        shutil.rmtree(folder, ignore_errors=True)


def use_metrics_slot(place: int) -> None:
    """This process counts on in the file of that place, which is nobody else's: that of a process that has ended, where
    it stands in for one. So there are no more files than places, however often processes die."""
    values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]


def worker_ended(place: int) -> None:
    """Forgets what a process that has ended had at that moment; what it has counted stays."""
    if os.path.isdir(os.environ.get(_FOLDER, "")):
        mark_process_dead(place)  # type: ignore[no-untyped-call]


class _Samples:
    """A registry's samples, of one tenant only or of all; without the times at which counters were made."""

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
