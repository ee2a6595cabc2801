"""Does the work of the HTTP API's stateless routes: from the parsed body to the fields of the response."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from compressor.context.refs import find_refs
from compressor.context.results import DocumentsResult, Result
from compressor.errors import BudgetTooSmallError, ContextError, UnknownRefError
from compressor.pipeline.examples.results import ExamplesResult
from compressor.pipeline.prompt_examples import PromptExamples
from compressor.pipeline.tools import ToolsResult
from compressor.providers.context_overflow import in_memory
from compressor.providers.example_listing import CutPrompt, ExampleListing
from compressor.service import gateway_compat, schemas
from compressor.service.budget_options import parse_prompt_budget
from compressor.service.http_errors import json_bytes
from compressor.service.model_names import sanitize_model_name
from compressor.service.result_rows import ResultRows, are_rows
from compressor.service.telemetry.session_usage import describe_usage, model_name
from compressor.service.tenant_executor import Delivery
from compressor.service.tenants import Tenant
from compressor.sessions.expand_tool import DEFAULT_MAX_TOKENS
from compressor.sessions.usage_notes import ToolUse
from compressor.tokens import get_counter


def compress(tenant: Tenant, body: schemas.CompressRequest) -> dict[str, Any]:
    """Compresses a context for one call."""
    assert body.budget is not None
    model = sanitize_model_name(body.model, tenant.config.models)
    tools, chosen = body.tools, None
    if body.tools_budget is not None and tools:
        limit = parse_prompt_budget(body.tools_budget, "tools_budget")
        chosen = tenant.compressor.select_tools(tools, limit, body.query, body.messages, model=model)
        tools = chosen.tools
    prompt, warnings = _cut_examples(tenant, body, model)
    system = prompt.system[0]["content"] if prompt.system else body.system
    made = tenant.compressor.compress(
        prompt.messages, body.budget, model, body.query, tools, body.mode, system, body.pinned
    )
    messages = json_bytes(made.messages)  # encoded here, in a thread, and once
    out = {"messages": messages, **_describe(made, messages), "mode": body.mode}
    if body.examples_budget is not None and body.system:
        out["system"] = prompt.system[0]["content"]
    out["warnings"], removed_tokens = [*made.warnings, *warnings], prompt.removed_tokens
    if chosen is not None:
        out["tools"] = json_bytes(chosen.tools)
        out["warnings"] += chosen.warnings
        out["refs"] += _refs_of_tools(chosen)
        removed_tokens += chosen.tokens_before - chosen.tokens_after
    uses = [ToolUse(one.name, one.results, one.tokens_before, one.tokens_after) for one in made.tool_sizes]
    out["_usage"] = {"model": model_name(model), "tools": tuple(uses)}
    return {**out, **describe_sizes(made.tokens_before + removed_tokens, made.tokens_after)}


def _cut_examples(tenant: Tenant, body: schemas.CompressRequest, model: str | None) -> tuple[CutPrompt, list[str]]:
    """Returns the prompt of one call with its worked examples cut, and warnings."""
    system = [{"role": "system", "content": body.system}] if body.system else []
    if body.examples_budget is None or not body.messages:
        return CutPrompt(system, body.messages, 0), []
    if body.pinned:
        raise ContextError("examples_budget may leave out messages, so it cannot be combined with pinned")
    if not all(isinstance(message, dict) for message in body.messages):
        raise ContextError("every message must be a JSON object")
    listing, compressor = ExampleListing(), tenant.compressor
    limit = parse_prompt_budget(body.examples_budget, "examples_budget")
    examples = PromptExamples(compressor.engine, get_counter(model), limit, lambda: compressor.store)
    return listing.cut(examples, system, body.messages), listing.warnings


def prompt_options(body: schemas.CompressRequest) -> dict[str, Any]:
    """Returns the budgets of tools and examples that a request names.

    Raises:
        BudgetError: A budget is neither tokens nor a fraction.
    """
    budgets = {"tools_budget": body.tools_budget, "examples_budget": body.examples_budget}
    return {name: parse_prompt_budget(value, name) for name, value in budgets.items() if value is not None}


def follow(tenant: Tenant, body: schemas.CompressRequest, delivery: Delivery) -> dict[str, Any]:
    """Compresses a history so that it begins as its conversation was last sent, for the provider's prompt cache.

    Args:
        tenant: The tenant.
        body: The request.
        delivery: Tells whether the result is still wanted; otherwise the history goes out as it is.
    """
    if not body.messages:
        return {"messages": [], **describe_sizes(0, 0), "warnings": [], "refs": [], "mode": "conversation"}
    if are_rows(body.messages):
        return _compress_rows(tenant, body)
    options, conversations = prompt_options(body), tenant.conversations
    tracked, messages, fields = conversations.view(body.messages, body.model, body.system, body.tools, options)
    if not delivery.take():
        with tracked.lock:
            before = in_memory(tracked.conversation).counters_before_view
            tracked.conversation.record_unsent(before, sent_raw=not delivery.was_cancelled)
        return {}
    id, report, saved = tenant.conversations.conversation_cost(tracked)
    messages, added = gateway_compat.add_placeholder_hashes(messages, tracked.conversation.runtime.counter.count)
    refs = _refs(json_bytes(messages))
    more: dict[str, Any] = {"_usage": describe_usage(tracked.conversation, report)}
    more |= {"warnings": tracked.conversation.warnings, **gateway_compat.describe_refs(refs), "mode": "conversation"}
    sizes = describe_sizes(report.baseline_last, report.actual_last + added)
    return {"messages": messages, **fields, **sizes, **more, "session": id, "_saved": saved}


def _compress_rows(tenant: Tenant, body: schemas.CompressRequest) -> dict[str, Any]:
    """Compresses what a gateway sends of a history that it holds back in part."""
    model = sanitize_model_name(body.model, tenant.config.models)
    rows = ResultRows(tenant.compressor, tenant.config.session_policy(), model)
    messages, _ = gateway_compat.add_placeholder_hashes(rows.compress(body.messages), get_counter(model).count)
    sizes = describe_sizes(rows.count(body.messages), rows.count(messages))
    refs = _refs(json_bytes(messages))
    more = {"warnings": rows.warnings, **gateway_compat.describe_refs(refs), "mode": "rows"}
    return {"messages": messages, **sizes, **more}


def documents(tenant: Tenant, body: schemas.DocumentsRequest) -> dict[str, Any]:
    """Compresses documents to a common budget."""
    model = sanitize_model_name(body.model, tenant.config.models)
    made = tenant.compressor.compress_documents(body.documents, body.query, body.budget, model)
    text = json_bytes(made.text)
    usage = {"model": model_name(model)}
    return {"text": text, "documents": json_bytes(made.documents), **_describe(made, text), "_usage": usage}


def examples(tenant: Tenant, body: schemas.ExamplesRequest) -> dict[str, Any]:
    """Selects in-context examples for a query."""
    model = sanitize_model_name(body.model, tenant.config.models)
    made = tenant.compressor.select_examples(
        body.examples,
        body.query,
        body.budget,
        model,
        body.template,
        body.method,
        body.prune,
        body.order,
        body.cached_budget,
    )
    chosen: dict[str, Any] = {
        "examples": json_bytes(made.examples),
        "text": json_bytes(made.text),
        "messages": json_bytes(made.messages),
    }
    if body.cached_budget is not None:
        chosen |= {"cached_text": json_bytes(made.cached_text), "cached_messages": json_bytes(made.cached_messages)}
        chosen |= {"cached_count": made.cached_count, "cached_tokens": made.cached_tokens}
    refs = list(dict.fromkeys(span.ref for span in made.dropped))
    return {**chosen, **_describe(made, b""), "indices": made.indices, "shortened": made.shortened, "refs": refs} | {
        "_usage": {"model": model_name(model)}
    }


def tools(tenant: Tenant, body: schemas.ToolsRequest) -> dict[str, Any]:
    """Selects the tools of one call."""
    model = sanitize_model_name(body.model, tenant.config.models)
    made = tenant.compressor.select_tools(
        body.tools, body.budget, body.query, body.messages, body.pinned, body.tool_choice, model
    )
    reports = [asdict(report) for report in made.reports]
    more = {"reports": reports, "refs": _refs_of_tools(made), "_usage": {"model": model_name(model)}}
    return {"tools": json_bytes(made.tools), **_describe(made, b""), **more}


def retrieve(tenant: Tenant, ref: str, query: str | None, budget: int | None) -> str:
    """Returns the original behind a ref, or the part of it that matters."""
    found = gateway_compat.extract_ref(ref)
    if found is None:  # the store also has keys that are not refs
        raise UnknownRefError(ref)
    text = tenant.compressor.expand(found)
    if budget is None and not query:
        return text
    try:
        return tenant.compressor.compress_text(text, budget or DEFAULT_MAX_TOKENS, query).text
    except BudgetTooSmallError:
        return text[: budget or DEFAULT_MAX_TOKENS]


def _describe(made: Result | DocumentsResult | ExamplesResult | ToolsResult, output: bytes) -> dict[str, Any]:
    return {
        **describe_sizes(made.tokens_before, made.tokens_after),
        "budget": made.budget,
        "tokenizer": made.tokenizer,
        "is_estimate": made.is_estimate,
        "warnings": made.warnings,
        "refs": _refs(output) if made.tokens_after < made.tokens_before else [],
        "cached": getattr(made, "cached", ""),
    }


def describe_sizes(before: int, after: int) -> dict[str, Any]:
    """Returns the fields that say how many tokens there were before and after."""
    ratio = after / before if before else 1.0
    return {
        "tokens_before": before,
        "tokens_after": after,
        "tokens_saved": before - after,
        "compression_ratio": round(ratio, 4),
    }


def _refs(output: bytes) -> list[str]:
    return list(dict.fromkeys(find_refs(output.decode())))


def _refs_of_tools(made: ToolsResult) -> list[str]:
    return list(dict.fromkeys(report.ref for report in made.reports if report.ref is not None))
