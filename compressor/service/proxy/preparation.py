"""Finds what to send to the provider for a request: its compressed view, or what the client has sent.

Compression may fail, take too long, or not be wanted: the tenant's mode, and the group of the conversation, decide. In
an audit the request goes out at once, and what compression would have done is worked out meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from compressor.errors import CompressorError
from compressor.providers import ProviderApi
from compressor.providers.expand_resolver import ResolvedCall
from compressor.service.conversations import ConversationRegistry
from compressor.service.failure_notices import ABOVE_BUDGET, FAIL_OPEN, NOTICES, WARNINGS
from compressor.service.group_figures import GroupFigures
from compressor.service.http_errors import HttpError, to_http_error, without_message
from compressor.service.latency import check_size, make_delivery, working_in_background
from compressor.service.modes import Group, conversation_key, is_in_share
from compressor.service.option_headers import allowed_options, find_unknown, read_mode
from compressor.service.proxy.exchange import Exchange
from compressor.service.proxy.request_body import read_body
from compressor.service.proxy.request_options import read_options
from compressor.service.proxy.upstream import Headers
from compressor.service.request_limits import parse
from compressor.service.session_ids import write_id_header
from compressor.service.settings import Settings
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.records import CompressionEvent
from compressor.service.telemetry.session_usage import describe_usage
from compressor.service.telemetry.tracing import span
from compressor.service.tenant_executor import Delivery
from compressor.sessions.cost_report import CostReport

log = logging.getLogger("compressor.service")


#: Errors of requests that were not read in time, so that only a rollout of everything tells their group.
TOO_LATE = ("latency_exceeded", "too_large_for_latency", "timeout")


@dataclass
class Prepared:
    """What was found out about a request, in a thread.

    Attributes:
        call: The compressed call, or None if the request goes out as it is.
        headers: Headers to add to the response.
        event: The compression, for the metrics.
    """

    call: ResolvedCall | None = None
    headers: Headers = field(default_factory=list)
    event: CompressionEvent | None = None


class Preparation:
    """Prepares requests.

    Args:
        config: The settings of the service.
        metrics: Takes compressions and fallbacks.
        figures: Takes what audits find.
    """

    def __init__(self, config: Settings, metrics: Metrics, figures: GroupFigures) -> None:
        self._config, self._metrics, self._figures = config, metrics, figures

    async def prepare(self, exchange: Exchange) -> None:
        """Finds what to send.

        Raises:
            HttpError: The request cannot be compressed, and must not go out uncompressed.
        """
        api = exchange.route.api if exchange.method == "POST" else None
        if exchange.is_packed:
            return
        if api is None:
            exchange.body = await self.map_response_id(exchange)
            return
        WARNINGS.set(exchange.warnings)
        NOTICES.set(exchange.notices)
        try:
            self._read_mode(exchange)
            if exchange.mode.mode == "off":
                exchange.body = await self.map_response_id(exchange)
                return
            exchange.api = api
            FAIL_OPEN.set(exchange.mode.fail_open)
            if exchange.mode.mode == "audit":
                exchange.audit = asyncio.ensure_future(self._run_audit(exchange, api))
            else:
                await self._run(exchange, api)
        except Exception as error:
            if not exchange.mode.fail_open:
                raise to_http_error(error) from None
            self.fall_back(exchange, to_http_error(error).kind, error)
        if exchange.call is None:
            exchange.body = await self.map_response_id(exchange)
        for warning in exchange.warnings:
            self._metrics.record_fallback(exchange.tenant.name, warning)

    async def finish_audit(self, exchange: Exchange) -> None:
        """Waits for the audit of a request, which has its own limit, and adds what it found to the response."""
        if exchange.audit is not None:
            with suppress(Exception):  # it has noted its failure itself
                await exchange.audit

    def fall_back(self, exchange: Exchange, reason: str, error: BaseException | None = None) -> None:
        """Notes why a request goes out uncompressed."""
        if reason not in exchange.warnings:
            exchange.warnings.append(reason)
        if isinstance(error, HttpError) and reason == "invalid_option":
            exchange.notices.append(str(error))
        kept = (b"x-compressor-session", b"x-compressor-group")
        exchange.response_headers = [pair for pair in exchange.response_headers if pair[0] in kept]
        if error is not None and not isinstance(error, (CompressorError, HttpError)):
            log.error("forwarded uncompressed: %s", type(error).__name__, exc_info=without_message(error))

    def _read_mode(self, exchange: Exchange) -> None:
        config = exchange.tenant.config
        unknown = find_unknown(exchange.headers)
        exchange.get_option, ignored = allowed_options(exchange.get_header, config.allow_overrides)
        exchange.notices += [f"unknown header x-compressor-{name}" for name in unknown]
        exchange.notices += [f"x-compressor-{name} is not allowed here" for name in ignored]
        exchange.mode = read_mode(lambda name: "", config)  # if a header is not valid
        exchange.mode = read_mode(exchange.get_option, config)

    async def _run(self, exchange: Exchange, api: ProviderApi) -> None:
        delivery = make_delivery(exchange.mode.max_added_latency)
        with span("work", {"code.function.name": "conversation"}):
            try:
                executor, size = exchange.tenant.executor, _new_bytes(exchange)
                prepared = await executor.run(self._prepare, exchange, api, delivery, delivery=delivery, size=size)
            except HttpError as error:
                if error.kind in TOO_LATE and exchange.group is None and exchange.tenant.config.rollout >= 1:
                    exchange.group, exchange.key = "compressed", f"{exchange.tenant.name}\0unread"
                raise
        if prepared is None:  # nobody waits for it
            return
        exchange.call, exchange.response_headers = prepared.call, prepared.headers
        exchange.event = prepared.event
        if (event := prepared.event) is not None:  # not in the thread, which may still finish after its timeout
            exchange.notices.extend(text for text in event.warnings if text not in exchange.notices)
            self._metrics.record(event)

    def _prepare(self, exchange: Exchange, api: ProviderApi, delivery: Delivery) -> Prepared | None:
        with working_in_background(delivery):
            return self._compress(exchange, api, delivery)

    def _compress(self, exchange: Exchange, api: ProviderApi, delivery: Delivery) -> Prepared | None:
        start = time.perf_counter()
        tenant = exchange.tenant
        session, budget, options = read_options(exchange)
        if tenant.config.rollout >= 1:  # no need to read it to know its group
            check_size(tenant.work_rate, _new_bytes(exchange), delivery)
        body = exchange.request_body = read_body(
            exchange.body, self._config.max_json_depth, tenant.conversations.similar_bodies
        )
        group = self._find_group(exchange, api, session)
        if group == "holdout":
            tenant.raw_histories.note(exchange.key, api.read_messages(body.data))
            return Prepared(headers=[(b"x-compressor-group", b"holdout")])
        size = max(0, body.size - body.known_size)
        check_size(tenant.work_rate, size, delivery)
        with tenant.work_rate.measure(size):
            call = tenant.conversations.prepare(api, body, session, budget, options, exchange.route.deployment)
        if call is None:
            return Prepared()
        if not delivery.take():
            call.record_unsent(sent_raw=exchange.mode.fail_open and not delivery.was_cancelled)
            return None
        notices = [*NOTICES.get([]), *([ABOVE_BUDGET] if call.tracked.is_above_budget else [])]
        id, report, saved = tenant.conversations.conversation_cost(call.tracked)
        headers = _describe(id, report)
        if tenant.config.rollout < 1:
            headers.append((b"x-compressor-group", b"compressed"))
        more: Any = {**describe_usage(call.tracked.conversation, report), "session": id}
        more |= {"tier": tenant.compressor.scorer.name, "warnings": tuple(notices)}
        sizes, seconds = (report.baseline_last, report.actual_last), time.perf_counter() - start
        event = CompressionEvent(tenant.name, "conversation", *sizes, saved, seconds, **more)
        return Prepared(call, headers, event)

    def _find_group(self, exchange: Exchange, api: ProviderApi, session: str) -> Group | None:
        """Finds the group of the conversation, and its key, which hold even if the rest fails."""
        config = exchange.tenant.config
        if not api.supports(exchange.data):
            return None
        exchange.key = conversation_key(exchange.tenant.name, session, api.read_messages(exchange.data))
        is_compressed = exchange.mode.is_chosen or is_in_share(exchange.key, config.rollout, config.rollout_salt)
        exchange.group = "compressed" if is_compressed else "holdout"
        if exchange.mode.mode == "audit":
            exchange.group = "audit"
        return exchange.group

    async def _run_audit(self, exchange: Exchange, api: ProviderApi) -> None:
        FAIL_OPEN.set(True)
        WARNINGS.set([])
        NOTICES.set([])
        delivery = make_delivery(exchange.mode.max_added_latency)
        try:
            executor, size = exchange.tenant.executor, len(exchange.body)
            done = await executor.run(self._audit, exchange, api, delivery, delivery=delivery, size=size)
            reasons = list(WARNINGS.get([]))
        except Exception as error:
            done, reasons = None, [to_http_error(error).kind]
        if done is None:
            reason = ", ".join(reasons) or "not one whole history"
            exchange.notices.append(f"audit: would not be compressed: {reason}")
            return
        report, cost, cost_after = done
        exchange.set_header(b"x-compressor-group", b"audit")
        before, after = report.baseline_last, report.actual_last
        exchange.set_header(b"x-compressor-tokens-before", b"%d" % before)
        exchange.set_header(b"x-compressor-tokens-after", b"%d" % before)
        exchange.set_header(b"x-compressor-audit-tokens-after", b"%d" % after)
        exchange.set_header(b"x-compressor-audit-saved-usd", b"%.6f" % report.saved_cost)
        self._figures.record_audit(exchange.tenant.name, (before, after), (cost, cost_after))

    def _audit(
        self, exchange: Exchange, api: ProviderApi, delivery: Delivery
    ) -> tuple[CostReport, float, float] | None:
        with working_in_background(delivery):
            return self._measure(exchange, api, delivery)

    def _measure(
        self, exchange: Exchange, api: ProviderApi, delivery: Delivery
    ) -> tuple[CostReport, float, float] | None:
        tenant = exchange.tenant
        session, budget, options = read_options(exchange)
        registry: ConversationRegistry = tenant.audit
        body = exchange.request_body = read_body(exchange.body, self._config.max_json_depth, registry.similar_bodies)
        if self._find_group(exchange, api, session) is None:
            return None
        tenant.raw_histories.note(exchange.key, api.read_messages(body.data))
        size = max(0, body.size - body.known_size)
        check_size(tenant.work_rate, size, delivery)
        with tenant.work_rate.measure(size):
            call = registry.prepare(api, body, session, budget, options, exchange.route.deployment)
        return None if call is None else tenant.audit.take_costs(call.tracked)

    async def map_response_id(self, exchange: Exchange) -> bytes:
        """Returns the body as it came, unless it continues a response that the client knows under another id."""
        if b'"previous_response_id"' not in exchange.body:
            return exchange.body
        try:
            given = exchange.data or parse(exchange.body, self._config.max_json_depth)
            made = await exchange.tenant.executor.run(exchange.tenant.conversations.map_response_id, given)
            return exchange.body if made is given else exchange.encode(made)
        except (HttpError, CompressorError, ValueError, AttributeError):
            return exchange.body


def _new_bytes(exchange: Exchange) -> int:
    """Returns how many bytes of a body are new at least: more than any known conversation has."""
    return max(0, len(exchange.body) - exchange.tenant.conversations.largest_body())


def _describe(id: str, report: CostReport) -> Headers:
    return [
        (b"x-compressor-session", write_id_header(id)),
        (b"x-compressor-tokens-before", b"%d" % report.baseline_last),
        (b"x-compressor-tokens-after", b"%d" % report.actual_last),
        (b"x-compressor-saved-usd", b"%.6f" % report.saved_cost),
    ]
