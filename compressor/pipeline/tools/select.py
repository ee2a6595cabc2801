"""Chooses the tools that one call needs: `Compressor.select_tools`. Pure: remembers originals, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from compressor.context.budget import Budget, is_fraction, resolve_budget
from compressor.context.formats import detect_format
from compressor.context.model import Context
from compressor.context.refs import compute_ref
from compressor.errors import ContextError, RefError
from compressor.pipeline.tools.catalog import ToolCatalog
from compressor.pipeline.tools.results import Fate, ToolReport, ToolsResult
from compressor.pipeline.tools.tool import dump_tool, forced_tool_names
from compressor.scoring.base import Query, Scorer
from compressor.scoring.query import build_query
from compressor.storage.base import BlobStore
from compressor.storage.text_values import put_texts
from compressor.tokens import TokenCounter


def select_tools(
    tools: Sequence[Any],
    budget: Budget,
    query: str | None,
    messages: Sequence[Any] | None,
    pinned: Collection[str],
    tool_choice: Any,
    counter: TokenCounter,
    scorer: Scorer,
    store: Callable[[], BlobStore],
) -> ToolsResult:
    """See `Compressor.select_tools`."""
    pool = ToolCatalog(listed(tools), counter, scorer)
    whole = pinned_names(pool, pinned) | (forced_tool_names(tool_choice) & pool.names.keys())
    limit = resolve_budget(budget, pool.before)
    context = detect_format(messages, tools).parse(messages) if messages else None
    if pool.before <= limit:
        return build_result(pool, pool.tools, None, limit, whole)
    if is_fraction(budget) and is_own_output(pool.tools, store):
        return build_result(pool, pool.tools, None, pool.before, whole)
    wanted = query_for(context, query)
    called = called_in(context) & pool.names.keys() if context is not None else set()
    chosen = pool.choose(wanted, limit, whole, called)
    result = build_result(pool, chosen.forms, chosen.scores, limit, whole)
    originals = {r.ref: dump_tool(pool.tools[r.index]) for r in result.reports if r.ref is not None}
    if is_fraction(budget):
        originals[fingerprint(result.tools)] = "chosen"
    if originals:
        put_texts(store(), originals)
    return result


def listed(tools: Any) -> list[Any]:
    """The tools as a list; ContextError for what is none."""
    if tools is None:
        return []
    if isinstance(tools, (str, bytes)) or not isinstance(tools, Sequence):
        raise ContextError(f"tools must be a list, not {type(tools).__name__}")
    return list(tools)


def pinned_names(pool: ToolCatalog, pinned: Collection[str]) -> set[str]:
    """The pinned names; ContextError for one that no function has."""
    names = {pinned} if isinstance(pinned, str) else set(pinned)
    if unknown := sorted(str(name) for name in names - pool.names.keys()):
        raise ContextError(f"pinned: there is no tool called {unknown[0]!r} among {len(pool.names)}")
    return names


def query_for(context: Context | None, query: str | None) -> Query:
    """The query of a choice: the caller's own, or what the messages ask for."""
    if context is not None:
        return build_query(context, query, ())
    return Query(((query, 1.0),) if query and query.strip() else ())


def called_in(context: Context) -> set[str]:
    """Every name that may be that of a tool called in these messages."""
    named = {slot.name for turn in context.turns for slot in turn.slots if slot.name}
    return named | {text for turn in context.turns for text in turn.extras}


def build_result(
    pool: ToolCatalog, forms: Sequence[Any | None], scores: Sequence[float] | None, limit: int, whole: Collection[str]
) -> ToolsResult:
    """The result of sending these forms."""
    reports = []
    for i, (tool, form, function) in enumerate(zip(pool.tools, forms, pool.functions, strict=True)):
        name = function.name if function is not None else str(tool.get("name") or tool.get("type") or "")
        fate: Fate = "kept"
        if function is None:
            fate = "native"
        elif form is None:
            fate = "dropped"
        elif form is not tool:
            fate = "slimmed"
        elif name in whole:
            fate = "pinned"
        after = 0 if form is None else pool.costs[i] if form is tool else pool.cost(form)
        ref = compute_ref(dump_tool(tool)) if fate in ("dropped", "slimmed") else None
        reports.append(ToolReport(i, name, fate, pool.costs[i], after, scores[i] if scores else 0.0, ref))
    sent = [form for form in forms if form is not None]
    return ToolsResult(
        tools=sent,
        tokens_before=pool.before,
        tokens_after=pool.total(sent),
        budget=limit,
        reports=reports,
        warnings=list(dict.fromkeys(pool.warnings)),
        is_estimate=pool.counter.is_estimate,
        tokenizer=pool.counter.name,
    )


def fingerprint(tools: Sequence[Any]) -> str:
    """The key under which a choice is remembered, so that a share of it is not taken twice."""
    return "tools:" + compute_ref(dump_tool(list(tools)))


def is_own_output(tools: Sequence[Any], store: Callable[[], BlobStore]) -> bool:
    """Whether these very tools are a choice of ours."""
    try:
        store().get(fingerprint(tools))
    except RefError:
        return False
    return True
