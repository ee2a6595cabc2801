"""Selects the tools of one agent over many calls, and keeps their bytes stable until they must change.

Providers put the tools before everything else, so one changed byte invalidates the prompt cache of the whole
conversation. A selection therefore stays, in its variants and its order, and grows only at its end: by tools that the
agent has found with `find_tool` or called, or that a new user request clearly needs. A new selection is made when the
additions no longer fit, when the tools themselves change, and after `compact`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from compressor.context.budget import Budget, resolve_budget
from compressor.context.formats import detect_format
from compressor.context.model import Context
from compressor.context.refs import compute_ref
from compressor.errors import BudgetTooSmallError, CompressorError
from compressor.pipeline.tools import search_tool
from compressor.pipeline.tools.catalog import ToolCatalog
from compressor.pipeline.tools.select import as_tool_list, called_names, pinned_names
from compressor.pipeline.tools.tool import dump_tool, forced_tool_names
from compressor.scoring.base import Query, Scorer
from compressor.scoring.query import build_query
from compressor.storage.base import BlobStore
from compressor.storage.text_values import put_texts
from compressor.tokens import get_counter

STATE_VERSION = 1
INITIAL_BUDGET_FRACTION = 0.85  # of the budget, used by a new selection, so that it can grow
MIN_NEED_PROBABILITY = 0.3  # from which a new user request adds a tool that is not sent yet


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
        find: Whether `find_tool` is sent if something is missing. Calls of it are answered by `answer`.
        state: The `state` of an earlier tool set, to continue with its selection.

    Raises:
        ContextError: If the tools are invalid, or no tool has a pinned name.
        BudgetError: If the budget is invalid.
        TokenizerError: If the model is a tokenizer file that cannot be read.
        CompressorError: If the state is from an unknown version.
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
    ) -> None:
        self._compressor = compressor
        self._catalog = ToolCatalog(as_tool_list(tools), get_counter(model), compressor.scorer)
        self._limit = resolve_budget(budget, self._catalog.total_tokens)
        self._pinned = pinned_names(self._catalog, pinned)
        self._digest = compute_ref(dump_tool([self._catalog.tools, sorted(self._pinned), self._limit, find]))
        self._offers_search = find and bool(self._catalog.function_indices)
        if state and state.get("version") != STATE_VERSION:
            raise CompressorError(
                f"the state of a tool set has the unknown version {state.get('version')!r}: it must be {STATE_VERSION}"
            )
        # "forms": by name, in the order sent, the JSON of a shortened tool, or None for one that is sent unchanged.
        self.state: dict[str, Any] = {"version": STATE_VERSION, **(json.loads(json.dumps(state)) if state else {})}

    @property
    def warnings(self) -> list[str]:
        """What the user should know: schemas that cannot be shortened, fallbacks."""
        return list(dict.fromkeys(self._catalog.warnings))

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
            BudgetTooSmallError: If what must be sent does not fit.
            StoreError: If the store cannot be written.
        """
        pool = self._catalog
        if pool.total_tokens <= self._limit:
            return list(pool.tools)
        context = detect_format(messages, pool.tools).parse(messages) if messages else Context([], [], "")
        unchanged = self._pinned | (forced_tool_names(tool_choice) & pool.index_by_name.keys())
        required = called_names(context) & pool.index_by_name.keys()
        found = [name for name in self.state.get("found", []) if name in pool.index_by_name]
        self.state["found"] = list(dict.fromkeys([*found, *self._found_in(context)]))
        required = required.union(self.state["found"])
        request = _request_id(context)
        query = build_query(context, None, ())
        if self.state.get("digest") != self._digest or "forms" not in self.state:
            self._allocate(query, unchanged, required)
        else:
            needed = self._newly_needed(query) if request != self.state.get("turn") else set()
            missing = (unchanged | required | needed) - self.state["forms"].keys()
            if missing and not self._grow(query, unchanged, missing):
                self._allocate(query, unchanged, required | needed)
        self.state["turn"], self.state["digest"] = request, self._digest
        return self._rendered()

    def answer(self, arguments: Mapping[str, Any] | str | None) -> str:
        """Answers a call of `find_tool` with the complete schemas of the tools that match.

        It never raises, and the same call always has the same answer. The tools in the answer are sent from the next
        `view` on.

        Args:
            arguments: The arguments of the call, as JSON or as a mapping.
        """
        return search_tool.answer_search(self._catalog, arguments)

    def _found_in(self, context: Context) -> list[str]:
        """The names of the tools that were found by answered calls of `find_tool`."""
        answered = {call for turn in context.turns for call in turn.result_call_ids}
        out: list[str] = []
        for turn in context.turns:
            for slot in turn.slots:
                if slot.kind == "tool_call" and slot.name == search_tool.NAME and slot.call_id in answered:
                    question = search_tool.parse_question(slot.text)
                    out += (
                        [self._catalog.function_name(i) for i in search_tool.find_tools(self._catalog, question)]
                        if question
                        else []
                    )
        return out

    def _newly_needed(self, query: Query) -> set[str]:
        """The names of the tools that a new user request clearly needs."""
        pool = self._catalog
        probabilities = (
            pool.need_probabilities(pool.scores(query)) if any(text.strip() for text, _ in query.parts) else []
        )
        return {
            pool.function_name(i)
            for i in pool.function_indices
            if probabilities and probabilities[i] >= MIN_NEED_PROBABILITY
        }

    def _allocate(self, query: Query, pinned: Collection[str], required: Collection[str]) -> None:
        """Makes a new selection."""
        search_cost = self._search_tool_cost()
        for fraction in (INITIAL_BUDGET_FRACTION, 1.0):
            try:
                chosen = self._catalog.allocate(query, int(self._limit * fraction) - search_cost, pinned, required)
                break
            except BudgetTooSmallError as error:
                if fraction == 1.0:
                    raise BudgetTooSmallError(
                        self._limit, error.needed + search_cost, "the tools that must be sent"
                    ) from None
        self._store_variants(
            {
                self._catalog.function_name(i): i
                for i in self._catalog.function_indices
                if chosen.variants[i] is not None
            },
            chosen.variants,
            {},
        )

    def _grow(self, query: Query, pinned: Collection[str], missing: Collection[str]) -> bool:
        """Adds tools at the end. Returns False if they do not fit."""
        pool = self._catalog
        positions = [pool.index_by_name[name] for name in missing]
        try:
            spent = pool.count_tokens(self._rendered())
            chosen = pool.allocate(query, self._limit, pinned, missing, candidates=positions, spent_tokens=spent)
        except BudgetTooSmallError:
            return False
        self._store_variants(
            {pool.function_name(i): i for i in sorted(positions)}, chosen.variants, self.state["forms"]
        )
        return True

    def _store_variants(
        self, positions: Mapping[str, int], variants: Sequence[Any | None], kept: Mapping[str, Any]
    ) -> None:
        """Sends these from now on, after those in `kept`, and stores the schemas of what is not sent complete."""
        pool = self._catalog
        new = {name: None if variants[i] is pool.tools[i] else json.dumps(variants[i]) for name, i in positions.items()}
        self.state["forms"] = {**kept, **new}
        sent = self.state["forms"]
        originals = [
            dump_tool(pool.tools[i]) for name, i in pool.index_by_name.items() if sent.get(name, "") is not None
        ]
        if originals:
            put_texts(self._compressor.store, {compute_ref(text): text for text in originals})

    def _rendered(self) -> list[Any]:
        """The tools to send: native tools, `find_tool`, then the functions in the order in which they were selected."""
        pool, variants = self._catalog, self.state["forms"]
        out = [pool.tools[i] for i, function in enumerate(pool.functions) if function is None]
        out += [self._search_tool_schema()] if self._search_tool_cost() else []
        return out + [
            pool.tools[pool.index_by_name[n]] if text is None else json.loads(text) for n, text in variants.items()
        ]

    def _search_tool_schema(self) -> dict[str, Any]:
        first = self._catalog.functions[self._catalog.function_indices[0]]
        if first is not None and first.schema_key == "input_schema":
            return search_tool.schema("anthropic")
        return search_tool.schema("openai_chat" if first is not None and first.wrapper_key else "openai_responses")

    def _search_tool_cost(self) -> int:
        named = search_tool.NAME in self._catalog.index_by_name  # the caller has a tool of this name, or lists ours
        return self._catalog.cost(self._search_tool_schema()) if self._offers_search and not named else 0


def _request_id(context: Context) -> str:
    """Identifies the last user request."""
    users = [turn for turn in context.turns if turn.role == "user"]
    texts = [slot.text for slot in users[-1].slots] if users else []
    return compute_ref(json.dumps([len(users), texts]))
