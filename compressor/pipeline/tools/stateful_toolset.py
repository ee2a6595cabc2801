"""Selects the tools of one agent over many calls, and keeps their bytes stable until they must change.

Providers put the tools before everything else, so one changed byte invalidates the prompt cache of the whole
conversation. A selection therefore stays, in its variants and its order. If it fits, it lists all tools, the unlikely
ones as names that `find_tool` tells in full. Otherwise it grows at its end: by tools that the agent has found with
`find_tool` or called, and by those that a new user request likely needs. A new selection is made
when a clearly better one is possible and the last one has served long enough, when a called or found tool no longer
fits, when the tools themselves change, and after `compact`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Protocol

from compressor.context.budget import Budget, resolve_budget
from compressor.context.formats import detect_format
from compressor.context.formats.function_tools import read_function
from compressor.context.model import Context
from compressor.context.refs import compute_ref
from compressor.errors import BudgetTooSmallError, CompressorError
from compressor.pipeline.tools import search_tool
from compressor.pipeline.tools.catalog import ToolCatalog
from compressor.pipeline.tools.list_chooser import Entry
from compressor.pipeline.tools.list_planner import ListPlanner
from compressor.pipeline.tools.provider_search import Deferral
from compressor.pipeline.tools.select import as_tool_list, called_names, past_calls, pinned_names
from compressor.pipeline.tools.tool import dump_tool, forced_tool_names
from compressor.scoring.base import Query, Scorer
from compressor.scoring.query import MAX_PART_CHARS, build_query
from compressor.storage.base import BlobStore
from compressor.storage.text_values import put_texts
from compressor.tokens import get_counter

STATE_VERSION = 2
READABLE_VERSIONS = (1, 2)  # of version 1 the tools that were found are kept, and a new selection is made
MAX_REMEMBERED = 60  # called tools
ToolSearch = Literal["find_tool", "provider"]


class ScorerAndStore(Protocol):
    """What a tool set uses of a `Compressor`."""

    @property
    def scorer(self) -> Scorer:
        """Ranks the tools."""
        ...

    @property
    def store(self) -> BlobStore:
        """Keeps the schemas of what is shortened or dropped."""
        ...


class ToolSet:
    """The tools that are sent with the calls of one agent, within a token budget.

    Attributes:
        state: The selection as JSON, from which another process can continue.

    Args:
        compressor: Its scorer ranks the tools, and its store keeps the schemas of what is shortened or dropped.
        tools: All tools of the agent, as for `Compressor.select_tools`.
        budget: Tokens, or a fraction of the tokens of all tools.
        model: The model whose tokens are counted.
        pinned: Names of tools that are sent unchanged.
        find: Whether tools that are not sent can be searched for.
        state: The `state` of an earlier tool set, to continue with its selection.
        search: How: "find_tool" sends a tool of that name if something is missing, and `answer` answers its calls.
            "provider" uses the provider's own search and sends all other tools with `defer_loading`. If the model or
            the format of the tools has none, a warning says so and `find_tool` is used.

    Raises:
        ContextError: If the tools are invalid, or no tool has a pinned name.
        BudgetError: If the budget is invalid.
        TokenizerError: If the model is a tokenizer file that cannot be read.
        CompressorError: If the state is from an unknown version, or `search` is unknown.
    """

    def __init__(
        self,
        compressor: ScorerAndStore,
        tools: Sequence[Any],
        budget: Budget,
        model: str | None = None,
        pinned: Collection[str] = (),
        find: bool = True,
        state: Mapping[str, Any] | None = None,
        search: ToolSearch = "find_tool",
    ) -> None:
        if search not in ("find_tool", "provider"):
            raise CompressorError(f"search must be 'find_tool' or 'provider', not {search!r}")
        self._compressor, self._model = compressor, model
        self._catalog = ToolCatalog(as_tool_list(tools), get_counter(model), compressor.scorer)
        self._limit = resolve_budget(budget, self._catalog.total_tokens)
        self._pinned = pinned_names(self._catalog, pinned)
        self._warnings: list[str] = []
        self._deferral = (
            Deferral.make(self._catalog, model, self._limit, self._warnings) if search == "provider" else None
        )
        self._offers_search = find and self._deferral is None and bool(self._catalog.function_indices)
        options = [self._catalog.tools, sorted(self._pinned), self._limit, find]
        self._digest = compute_ref(dump_tool([*options, search] if self._deferral else options))
        if state and state.get("version") not in READABLE_VERSIONS:
            raise CompressorError(
                f"the state of a tool set has the unknown version {state.get('version')!r}: it must be {STATE_VERSION}"
            )
        # "forms": by name, in the order sent, the description and schema of a shortened tool, or None.
        given = json.loads(json.dumps(state)) if state else {}
        if given.get("version") == 1:
            given = {"found": given.get("found", [])}
        self.state: dict[str, Any] = {**given, "version": STATE_VERSION}

    @property
    def warnings(self) -> list[str]:
        """What the user should know: schemas that cannot be shortened, fallbacks."""
        return list(dict.fromkeys([*self._catalog.warnings, *self._warnings]))

    @property
    def sent(self) -> list[str]:
        """The names of the functions that are sent, in order; those of all functions before the first `view`."""
        return list(self.state.get("forms", self._catalog.index_by_name))

    def compact(self) -> None:
        """Lets the next `view` make a new selection. Call it when the provider's prompt cache is lost anyway."""
        self.state.pop("forms", None)

    def view(self, messages: Sequence[Any], tool_choice: Any = None) -> list[Any]:
        """Returns the tools to send with these messages, with the same bytes as before if possible.

        Args:
            messages: The messages of the call.
            tool_choice: The `tool_choice` of the request; tools that it forces are sent unchanged.

        Raises:
            ContextError: If the messages cannot be read.
            BudgetTooSmallError: If not even one tool fits, or the pinned ones do not. In the middle of a conversation
                `find_tool` and the tools that were called first are left out before that, with a warning.
            StoreError: If the store cannot be written.
        """
        pool, state = self._catalog, self.state
        if pool.total_tokens <= self._limit:
            return list(pool.tools)
        context = detect_format(messages, pool.tools).parse(messages) if messages else Context([], [], "")
        unchanged = self._pinned | (forced_tool_names(tool_choice) & pool.index_by_name.keys())
        request = _request_id(context)
        is_new = request != state.get("turn")
        state["requests"] = state.get("requests", 0) + is_new
        self._remember(context)
        query = _request_query(context)
        planner = self._planner(context)
        try:
            entries = self._plan(planner, query, unchanged, is_new)
        except BudgetTooSmallError:
            if "turn" not in state:
                raise
            # In the middle of a conversation, a tool that the request forces is sent in the variant that fits.
            forced = sorted(unchanged - self._pinned)
            state["called"] = [*(name for name in state["called"] if name not in forced), *forced]
            self._warnings.append("the tools that tool_choice forces are shortened: the budget has no room for them")
            entries = planner.choose(query, self._pinned)
        if entries is not None:
            self._store_entries(entries)
        self._warnings += planner.warnings
        state["turn"], state["digest"] = request, self._digest
        return self._rendered()

    def _plan(
        self, planner: ListPlanner, query: Query, unchanged: Collection[str], is_new: bool
    ) -> dict[str, Entry] | None:
        if self.state.get("digest") != self._digest or "forms" not in self.state:
            return planner.choose(query, unchanged)
        return planner.update(self._entries(), query, unchanged, is_new)

    def answer(self, arguments: Mapping[str, Any] | str | None) -> str:
        """Answers a call of `find_tool` with the complete schemas of the tools that match.

        It never raises, and the same call always has the same answer. The tools in the answer are sent from the next
        `view` on.

        Args:
            arguments: The arguments of the call, as JSON or as a mapping.
        """
        return search_tool.answer_search(self._catalog, arguments)

    def _remember(self, context: Context) -> None:
        """Notes the tools that were called, the newest last, and those that `find_tool` has found."""
        pool, state = self._catalog, self.state
        named = called_names(context) & pool.index_by_name.keys()
        by_time = [slot.name for turn in context.turns for slot in turn.slots if slot.kind == "tool_call"]
        order = {name: i for i, name in enumerate(by_time)}
        known = [name for name in state.get("called", []) if name in pool.index_by_name and name not in named]
        called = [*known, *sorted(named, key=lambda name: (order.get(name, -1), pool.index_by_name[name]))]
        state["called"] = called[-MAX_REMEMBERED:]
        found = [*state.get("found", []), *search_tool.found_names(pool, context)]
        state["found"] = [name for name in dict.fromkeys(found) if name in pool.index_by_name]

    def _planner(self, context: Context) -> ListPlanner:
        pool, deferral = self._catalog, self._deferral
        base = pool.frame_tokens + sum(c for c, f in zip(pool.costs, pool.functions, strict=True) if f is None)
        return ListPlanner(
            pool,
            self.state,
            self._limit,
            base + (deferral.tokens if deferral else 0),
            self._search_tokens(),
            self._model,
            deferral is None,
            past_calls(context),
        )

    def _entries(self) -> dict[str, Entry]:
        """The list as it is sent."""
        pool, out = self._catalog, {}
        for name, text in self.state["forms"].items():
            i = pool.index_by_name[name]
            function = pool.functions[i]
            if text is None or function is None:
                out[name] = Entry(pool.tools[i], pool.costs[i])
            else:
                tool = function.replaced(*json.loads(text))
                out[name] = Entry(tool, pool.cost(tool))
        return out

    def _store_entries(self, entries: Mapping[str, Entry]) -> None:
        """Sends these from now on, and stores the schemas of what is not sent complete."""
        pool = self._catalog
        forms: dict[str, str | None] = {}
        for name, entry in entries.items():
            function = None if entry.tool is pool.tools[pool.index_by_name[name]] else read_function(entry.tool)
            parts = [function.description, function.schema, bool(function.examples)] if function else []
            forms[name] = json.dumps(parts) if parts else None
        self.state["forms"] = forms
        originals = [
            dump_tool(pool.tools[i]) for name, i in pool.index_by_name.items() if forms.get(name, "") is not None
        ]
        if originals:
            put_texts(self._compressor.store, {compute_ref(text): text for text in originals})

    def _rendered(self) -> list[Any]:
        """The tools to send: native tools, the one that searches, the functions in order, and those that wait."""
        pool = self._catalog
        entries = self._entries()
        out = [pool.tools[i] for i, function in enumerate(pool.functions) if function is None]
        if self._deferral:
            rest = [i for i in pool.function_indices if pool.function_name(i) not in entries]
            return [
                *out,
                self._deferral.search_tool,
                *(e.tool for e in entries.values()),
                *self._deferral.deferred(rest),
            ]
        out += [self._search_tool_schema()] if self.state.get("search") and self._search_tokens() else []
        return pool.join([*out, *(entry.tool for entry in entries.values())])

    def _search_tool_schema(self) -> dict[str, Any]:
        first = self._catalog.functions[self._catalog.function_indices[0]]
        return search_tool.schema(first.form if first is not None else "openai_chat")

    def _search_tokens(self) -> int:
        named = search_tool.NAME in self._catalog.index_by_name  # the caller has a tool of this name, or lists ours
        return self._catalog.cost(self._search_tool_schema()) if self._offers_search and not named else 0


def _request_id(context: Context) -> str:
    """Identifies the last user request."""
    users = [turn for turn in context.turns if turn.role == "user"]
    texts = [slot.text for slot in users[-1].slots] if users else []
    return compute_ref(json.dumps([len(users), texts]))


def _request_query(context: Context) -> Query:
    """What the last user request is about; without a request, what the conversation is about."""
    users = [turn for turn in context.turns if turn.role == "user"]
    texts = [slot.text[:MAX_PART_CHARS] for slot in users[-1].slots if slot.kind == "user"] if users else []
    if not any(text.strip() for text in texts):
        return build_query(context, None, ())
    return Query(tuple((text, 1.0) for text in texts), question="\n".join(texts))
