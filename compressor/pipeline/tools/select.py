"""Chooses the tools that one call needs: `Compressor.select_tools`. Pure: remembers originals, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from compressor.context.budget import is_share, tokens_of
from compressor.context.formats import detect
from compressor.context.model import Context
from compressor.context.refs import ref_of
from compressor.errors import InvalidContext, RefError
from compressor.pipeline.tools.catalog import Pool
from compressor.pipeline.tools.results import Fate, ToolReport, ToolsResult
from compressor.pipeline.tools.tool import chosen_by, dumped
from compressor.scoring.base import Query, Scorer
from compressor.scoring.query import query_of
from compressor.storage.base import Store
from compressor.storage.text_values import put_texts
from compressor.tokens import Counter


def select_tools(
    tools: Sequence[Any],
    budget: int | float,
    query: str | None,
    messages: Sequence[Any] | None,
    pinned: Collection[str],
    tool_choice: Any,
    counter: Counter,
    scorer: Scorer,
    store: Callable[[], Store],
) -> ToolsResult:
    """See `Compressor.select_tools`."""
    pool = Pool(listed(tools), counter, scorer)
    whole = pinned_names(pool, pinned) | (chosen_by(tool_choice) & pool.names.keys())
    limit = tokens_of(budget, pool.before)
    context = detect(messages, tools).parse(messages) if messages else None
    if pool.before <= limit:
        return result_of(pool, pool.tools, None, limit, whole)
    if is_share(budget) and is_ours(pool.tools, store):
        return result_of(pool, pool.tools, None, pool.before, whole)
    wanted = query_for(context, query)
    called = called_in(context) & pool.names.keys() if context is not None else set()
    chosen = pool.choose(wanted, limit, whole, called)
    result = result_of(pool, chosen.forms, chosen.scores, limit, whole)
    originals = {r.ref: dumped(pool.tools[r.index]) for r in result.reports if r.ref is not None}
    if is_share(budget):
        originals[fingerprint(result.tools)] = "chosen"
    if originals:
        put_texts(store(), originals)
    return result


def listed(tools: Any) -> list[Any]:
    """The tools as a list; InvalidContext for what is none."""
    if tools is None:
        return []
    if isinstance(tools, (str, bytes)) or not isinstance(tools, Sequence):
        raise InvalidContext(f"tools must be a list, not {type(tools).__name__}")
    return list(tools)


def pinned_names(pool: Pool, pinned: Collection[str]) -> set[str]:
    """The pinned names; InvalidContext for one that no function has."""
    names = {pinned} if isinstance(pinned, str) else set(pinned)
    if unknown := sorted(str(name) for name in names - pool.names.keys()):
        raise InvalidContext(f"pinned: there is no tool called {unknown[0]!r} among {len(pool.names)}")
    return names


def query_for(context: Context | None, query: str | None) -> Query:
    """The query of a choice: the caller's own, or what the messages ask for."""
    if context is not None:
        return query_of(context, query, ())
    return Query(((query, 1.0),) if query and query.strip() else ())


def called_in(context: Context) -> set[str]:
    """Every name that may be that of a tool called in these messages."""
    named = {slot.name for turn in context.turns for slot in turn.slots if slot.name}
    return named | {text for turn in context.turns for text in turn.extras}


def result_of(
    pool: Pool, forms: Sequence[Any | None], scores: Sequence[float] | None, limit: int, whole: Collection[str]
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
        ref = ref_of(dumped(tool)) if fate in ("dropped", "slimmed") else None
        reports.append(ToolReport(i, name, fate, pool.costs[i], after, scores[i] if scores else 0.0, ref))
    sent = [form for form in forms if form is not None]
    return ToolsResult(
        tools=sent,
        tokens_before=pool.before,
        tokens_after=pool.total(sent),
        budget=limit,
        reports=reports,
        warnings=list(dict.fromkeys(pool.warnings)),
        estimate=pool.counter.estimate,
        tokenizer=pool.counter.name,
    )


def fingerprint(tools: Sequence[Any]) -> str:
    """The key under which a choice is remembered, so that a share of it is not taken twice."""
    return "tools:" + ref_of(dumped(list(tools)))


def is_ours(tools: Sequence[Any], store: Callable[[], Store]) -> bool:
    """Whether these very tools are a choice of ours."""
    try:
        store().get(fingerprint(tools))
    except RefError:
        return False
    return True
