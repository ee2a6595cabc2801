"""Selects the tools that one call needs: the implementation of `Compressor.select_tools`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from compressor.context.budget import Budget, is_fraction, resolve_budget
from compressor.context.formats import detect_format
from compressor.context.model import Context
from compressor.context.refs import compute_ref
from compressor.errors import ContextError, RefError
from compressor.pipeline.tools.catalog import ToolCatalog
from compressor.pipeline.tools.results import ToolAction, ToolReport, ToolsResult
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
    """Selects tools within a budget; see `Compressor.select_tools`.

    Args:
        tools: The tools, in any provider's format.
        budget: Tokens, or a fraction of the tokens of all tools.
        query: What the call is about; None reads it from `messages`.
        messages: The messages of the call.
        pinned: Names of tools that are sent unchanged.
        tool_choice: The `tool_choice` of the request; tools that it forces are sent unchanged.
        counter: Counts the tokens.
        scorer: Its model ranks the tools, if it has one.
        store: Returns the store for the schemas of what is shortened or dropped.

    Raises:
        ContextError: If the tools or messages are invalid.
        BudgetError: If the budget is invalid.
        BudgetTooSmallError: If what must be sent does not fit.
        StoreError: If the store cannot be written.
    """
    pool = ToolCatalog(as_tool_list(tools), counter, scorer)
    unchanged = pinned_names(pool, pinned) | (forced_tool_names(tool_choice) & pool.index_by_name.keys())
    limit = resolve_budget(budget, pool.total_tokens)
    context = detect_format(messages, tools).parse(messages) if messages else None
    if pool.total_tokens <= limit:
        return build_result(pool, pool.tools, None, limit, unchanged)
    if is_fraction(budget) and is_own_output(pool.given, store):
        return build_result(pool, pool.tools, None, pool.total_tokens, unchanged)
    tool_query = make_query(context, query)
    called = called_names(context) & pool.index_by_name.keys() if context is not None else set()
    chosen = pool.allocate(tool_query, limit, unchanged, called)
    result = build_result(pool, chosen.variants, chosen.scores, limit, unchanged)
    originals = {
        r.ref: dump_tool(tool) for r, tool in zip(result.reports, pool.tools, strict=True) if r.ref is not None
    }
    if is_fraction(budget):
        originals[fingerprint(result.tools)] = "chosen"
    if originals:
        put_texts(store(), originals)
    return result


def as_tool_list(tools: Any) -> list[Any]:
    """Returns the tools as a list, [] for None. Raises ContextError for other values."""
    if tools is None:
        return []
    if isinstance(tools, (str, bytes)) or not isinstance(tools, Sequence):
        raise ContextError(f"tools must be a list, not {type(tools).__name__}")
    return list(tools)


def pinned_names(pool: ToolCatalog, pinned: Collection[str]) -> set[str]:
    """Returns the pinned names. Raises ContextError for a name that no function has."""
    names = {pinned} if isinstance(pinned, str) else set(pinned)
    if unknown := sorted(str(name) for name in names - pool.index_by_name.keys()):
        raise ContextError(f"pinned: none of the {len(pool.index_by_name)} tools is called {unknown[0]!r}")
    return names


def make_query(context: Context | None, query: str | None) -> Query:
    """Returns the caller's query, or one that is built from the messages."""
    if context is not None:
        return build_query(context, query, ())
    return Query(((query, 1.0),) if query and query.strip() else ())


def called_names(context: Context) -> set[str]:
    """Returns every name in the messages that may be the name of a called tool."""
    named = {slot.name for turn in context.turns for slot in turn.slots if slot.name}
    return named | {text for turn in context.turns for text in turn.extras}


def build_result(
    pool: ToolCatalog,
    variants: Sequence[Any | None],
    scores: Sequence[float] | None,
    limit: int,
    pinned: Collection[str],
) -> ToolsResult:
    """Builds the result of a selection.

    Args:
        pool: The tools.
        variants: For each tool what is sent, None for nothing.
        scores: The relevance of each tool, or None.
        limit: The budget in tokens.
        pinned: Names of the pinned tools.
    """
    reports = []
    for i, (tool, variant, function) in enumerate(zip(pool.tools, variants, pool.functions, strict=True)):
        name = function.name if function is not None else _native_name(tool)
        action: ToolAction = "kept"
        if function is None:
            action = "native"
        elif variant is None:
            action = "dropped"
        elif variant is not tool:
            action = "slimmed"
        elif name in pinned:
            action = "pinned"
        after = 0 if variant is None else pool.costs[i] if variant is tool else pool.cost(variant)
        ref = compute_ref(dump_tool(tool)) if action in ("dropped", "slimmed") else None
        reports.append(
            ToolReport(pool.sources[i], name, action, pool.costs[i], after, scores[i] if scores else 0.0, ref)
        )
    sent = pool.join([variant for variant in variants if variant is not None])
    if variants is pool.tools:
        sent = list(pool.given)
    return ToolsResult(
        tools=sent,
        tokens_before=pool.total_tokens,
        tokens_after=pool.count_tokens(sent),
        budget=limit,
        reports=reports,
        warnings=list(dict.fromkeys(pool.warnings)),
        is_estimate=pool.counter.is_estimate,
        tokenizer=pool.counter.name,
    )


def _native_name(tool: Any) -> str:
    data = tool if isinstance(tool, Mapping) else vars(tool) if hasattr(tool, "__dict__") else {}
    return str(data.get("name") or data.get("type") or "")


def fingerprint(tools: Sequence[Any]) -> str:
    """Returns the key under which a selection is remembered, so that a fraction is not applied to it twice."""
    return "tools:" + compute_ref(dump_tool(list(tools)))


def is_own_output(tools: Sequence[Any], store: Callable[[], BlobStore]) -> bool:
    """Whether these tools are the result of an earlier selection."""
    try:
        store().get(fingerprint(tools))
    except RefError:
        return False
    return True
