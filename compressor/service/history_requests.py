"""Answers `/v1/compress` without a budget: a gateway's history, compressed as the tenant's mode says.

The provider's bill of such a call is not seen here, so it is no part of a rollout's comparison.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from compressor.service import compress_requests, gateway_compat, schemas
from compressor.service.group_figures import GroupFigures
from compressor.service.http_errors import HttpError
from compressor.service.latency import make_delivery
from compressor.service.modes import conversation_key, is_in_share
from compressor.service.option_headers import PREFIX, RequestMode, allowed_options, find_unknown, read_mode
from compressor.service.telemetry.metrics import Metrics
from compressor.service.tenant_executor import Delivery
from compressor.service.tenants import Tenant

Headers = Iterable[tuple[bytes, bytes]]


class HistoryRequests:
    """Answers these requests.

    Args:
        metrics: Takes fallbacks.
        figures: Takes what audits find.
    """

    def __init__(self, metrics: Metrics, figures: GroupFigures) -> None:
        self._metrics, self._figures = metrics, figures

    async def compress(
        self, tenant: Tenant, body: schemas.CompressRequest, headers: Headers, size: int = 0
    ) -> dict[str, Any]:
        """Returns the fields of the response.

        Args:
            tenant: The tenant.
            body: The request.
            headers: Its headers.
            size: Its bytes.

        Raises:
            HttpError: The history cannot be compressed, and must not go back as it is.
            CompressorError: As above, or it cannot be read, and is not from a gateway.
        """
        headers = [*headers]
        found = {name: value.decode("latin-1").strip() for name, value in reversed(headers)}
        get_option, ignored = allowed_options(
            lambda name: found.get(f"{PREFIX}{name}".encode(), ""), tenant.config.allow_overrides
        )
        notices = [f"unknown header {PREFIX}{name}" for name in find_unknown(headers)]
        notices += [f"{PREFIX}{name} is not allowed here" for name in ignored]
        mode = read_mode(lambda name: "", tenant.config)
        try:
            mode = read_mode(get_option, tenant.config)
            made = await self._run(tenant, body, mode, size)
        except Exception as error:  # a gateway waits; some would answer its agent 502 for a 4xx
            if not mode.fail_open or not all(isinstance(message, dict) for message in body.messages):
                raise
            kind = gateway_compat.fallback_kind(error)
            self._metrics.record_fallback(tenant.name, kind)
            made = _unchanged(body, f"not compressed: {kind}")
            if isinstance(error, HttpError) and kind == "invalid_option":
                notices.append(str(error))
        return {**made, "warnings": [*made["warnings"], *notices]}

    async def _run(self, tenant: Tenant, body: schemas.CompressRequest, mode: RequestMode, size: int) -> dict[str, Any]:
        if mode.mode == "off":
            return _unchanged(body, "not compressed: the mode is off")
        delivery = make_delivery(mode.max_added_latency)
        made = await tenant.executor.run(self._work, tenant, body, mode, delivery, delivery=delivery, size=size)
        if (audit := made.pop("_audit", None)) is not None:
            self._figures.record_audit(tenant.name, *audit)
        return made

    def _work(
        self, tenant: Tenant, body: schemas.CompressRequest, mode: RequestMode, delivery: Delivery
    ) -> dict[str, Any]:
        config = tenant.config
        key = conversation_key(tenant.name, "", body.messages)
        if mode.mode == "audit":
            _note_raw(tenant, key, body)
            return _audit(tenant, body)
        if not mode.is_chosen and not is_in_share(key, config.rollout, config.rollout_salt):
            _note_raw(tenant, key, body)
            return {**_unchanged(body), "group": "holdout"}
        made = compress_requests.follow(tenant, body, delivery)
        return {**made, "group": "compressed"} if config.rollout < 1 else made


def _note_raw(tenant: Tenant, key: str, body: schemas.CompressRequest) -> None:
    if all(isinstance(message, dict) for message in body.messages):
        tenant.raw_histories.note(key, body.messages)


def _audit(tenant: Tenant, body: schemas.CompressRequest) -> dict[str, Any]:
    """Returns the history as it is, with what compression would have saved."""
    if not body.messages:
        return {**_unchanged(body), "group": "audit"}
    options = compress_requests.prompt_options(body)
    tracked, _, _ = tenant.audit.view(body.messages, body.model, body.system, body.tools, options)
    report, cost, cost_after = tenant.audit.take_costs(tracked)
    before, after = report.baseline_last, report.actual_last
    found = {"tokens_after": after, "saved_usd": round(report.saved_cost, 6)}
    sizes = compress_requests.describe_sizes(before, before)
    made = {**_unchanged(body), **sizes, "group": "audit", "audit": found}
    return {**made, "_audit": ((before, after), (cost, cost_after))}


def _unchanged(body: schemas.CompressRequest, *warnings: str) -> dict[str, Any]:
    sizes = compress_requests.describe_sizes(0, 0)
    return {"messages": body.messages, **sizes, "warnings": [*warnings], "refs": [], "mode": "conversation"}
