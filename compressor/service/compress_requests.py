"""Does the work of the HTTP API's stateless routes: from the parsed body to the fields of the response."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from compressor.context.refs import find_refs
from compressor.context.results import DocumentsResult, Result
from compressor.errors import BudgetTooSmallError, UnknownRefError
from compressor.pipeline.examples.results import ExamplesResult
from compressor.pipeline.tools import ToolsResult
from compressor.service import gateway_compat, schemas
from compressor.service.budget_options import parse_prompt_budget
from compressor.service.http_errors import json_bytes
from compressor.service.model_names import sanitize_model_name
from compressor.service.settings import Settings
from compressor.service.tenants import Tenant
from compressor.sessions.expand_tool import DEFAULT_MAX_TOKENS


def compress(tenant: Tenant, body: schemas.CompressRequest, config: Settings) -> dict[str, Any]:
    """Compresses a context for one call."""
    assert body.budget is not None
    model = sanitize_model_name(body.model, config.models)
    tools, chosen = body.tools, None
    if body.tools_budget is not None and tools:
        limit = parse_prompt_budget(body.tools_budget, "tools_budget")
        chosen = tenant.compressor.select_tools(tools, limit, body.query, body.messages, model=model)
        tools = chosen.tools
    made = tenant.compressor.compress(
        body.messages, body.budget, model, body.query, tools, body.mode, body.system, body.pinned
    )
    messages = json_bytes(made.messages)  # encoded here, in a thread, and once
    out = {"messages": messages, **_describe(made, messages), "mode": body.mode}
    if chosen is None:
        return out
    out |= {"warnings": [*made.warnings, *chosen.warnings], "refs": [*out["refs"], *_refs_of_tools(chosen)]}
    sizes = describe_sizes(made.tokens_before + chosen.tokens_before - chosen.tokens_after, made.tokens_after)
    return {"tools": json_bytes(chosen.tools), **out, **sizes}


def follow(tenant: Tenant, body: schemas.CompressRequest, config: Settings) -> dict[str, Any]:
    """Compresses a history so that it begins as its conversation was last sent, for the provider's prompt cache."""
    if not body.messages:
        return {"messages": [], **describe_sizes(0, 0), "warnings": [], "refs": [], "mode": "conversation"}
    limit = None if body.tools_budget is None else parse_prompt_budget(body.tools_budget, "tools_budget")
    tracked, messages, tools = tenant.conversations.view(body.messages, body.model, body.system, body.tools, limit)
    id, report, saved = tenant.conversations.conversation_cost(tracked)
    messages, added = gateway_compat.add_placeholder_hashes(messages, tracked.conversation.runtime.counter.count)
    more = {"warnings": tracked.conversation.warnings, "refs": _refs(json_bytes(messages)), "mode": "conversation"}
    sizes = describe_sizes(report.baseline_last, report.actual_last + added)
    return {"messages": messages, **tools, **sizes, **more, "session": id, "_saved": saved}


def documents(tenant: Tenant, body: schemas.DocumentsRequest, config: Settings) -> dict[str, Any]:
    """Compresses documents to a common budget."""
    model = sanitize_model_name(body.model, config.models)
    made = tenant.compressor.compress_documents(body.documents, body.query, body.budget, model)
    text = json_bytes(made.text)
    return {"text": text, "documents": json_bytes(made.documents), **_describe(made, text)}


def examples(tenant: Tenant, body: schemas.ExamplesRequest, config: Settings) -> dict[str, Any]:
    """Selects in-context examples for a query."""
    model = sanitize_model_name(body.model, config.models)
    made = tenant.compressor.select_examples(
        body.examples, body.query, body.budget, model, body.template, body.method, body.prune, body.order
    )
    chosen = {
        "examples": json_bytes(made.examples),
        "text": json_bytes(made.text),
        "messages": json_bytes(made.messages),
    }
    refs = list(dict.fromkeys(span.ref for span in made.dropped))
    return {**chosen, **_describe(made, b""), "indices": made.indices, "shortened": made.shortened, "refs": refs}


def tools(tenant: Tenant, body: schemas.ToolsRequest, config: Settings) -> dict[str, Any]:
    """Selects the tools of one call."""
    model = sanitize_model_name(body.model, config.models)
    made = tenant.compressor.select_tools(
        body.tools, body.budget, body.query, body.messages, body.pinned, body.tool_choice, model
    )
    reports = [asdict(report) for report in made.reports]
    return {"tools": json_bytes(made.tools), **_describe(made, b""), "reports": reports, "refs": _refs_of_tools(made)}


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
