"""The tools of one agent over many calls: a choice that keeps its bytes until it must change. Calls no model.

Providers put the tools before everything else, so one byte changed there makes a whole conversation be read anew. What
is chosen therefore stays, in its forms and its order, and grows only at its end: by what the agent has looked for with
`find_tool`, called, or what a new request of the user's plainly needs. It is chosen afresh when what has to come no
longer fits, when the tools themselves change, and at `compact`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from compressor.context.budget import Budget, resolve_budget
from compressor.context.formats import detect_format
from compressor.context.model import Context
from compressor.context.refs import compute_ref
from compressor.errors import BudgetTooSmallError, CompressorError
from compressor.pipeline.engine import Engine, HasEngine, resolve_engine
from compressor.pipeline.tools import search_tool
from compressor.pipeline.tools.catalog import ToolCatalog
from compressor.pipeline.tools.select import called_in, listed, pinned_names
from compressor.pipeline.tools.tool import dump_tool, forced_tool_names
from compressor.scoring.base import Query
from compressor.scoring.query import build_query
from compressor.storage.text_values import put_texts
from compressor.tokens import get_counter

VERSION = 1
LOW = 0.85  # share of the budget that a fresh choice takes, so that it has room to grow
NEED = 0.3  # how likely a tool that is not sent must be needed, for a new request to add it


class ToolSet:
    """The tools sent along with an agent's calls, within `budget` tokens (or a share of theirs).

    tools: all the agent has, as for `Compressor.select_tools`. pinned: names of tools that stay word for word.
    find: whether `find_tool` is sent along where something is missing; its `answer` is for whoever runs the tools.
    state: what `state` gave in an earlier call or process: JSON.

    Raises ContextError, BudgetError, TokenizerError, and CompressorError for a state that is none of ours.
    """

    def __init__(
        self,
        compressor: HasEngine | Engine,
        tools: Sequence[Any],
        budget: Budget,
        model: str | None = None,
        pinned: Collection[str] = (),
        find: bool = True,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self._engine = resolve_engine(compressor)
        self._pool = ToolCatalog(listed(tools), get_counter(model), self._engine.scorer)
        self._limit = resolve_budget(budget, self._pool.before)
        self._pinned = pinned_names(self._pool, pinned)
        self._digest = compute_ref(dump_tool([self._pool.tools, sorted(self._pinned), self._limit, find]))
        self._finder = find and bool(self._pool.ours)
        if state and state.get("version") != VERSION:
            raise CompressorError(f"a tool set's state of version {state.get('version')!r} cannot be read here")
        # forms: by name, in the order sent: the JSON of what is sent, or None for a tool as it is.
        self.state: dict[str, Any] = {"version": VERSION, **(json.loads(json.dumps(state)) if state else {})}

    @property
    def warnings(self) -> list[str]:
        """What the user should know: schemas that cannot be slimmed, fallbacks taken."""
        return list(dict.fromkeys(self._pool.warnings))

    @property
    def sent(self) -> list[str]:
        """Names of the functions sent, in order; of all before the first `view`."""
        return list(self.state.get("forms", self._pool.names))

    def compact(self) -> None:
        """Lets the next view choose afresh: for the moment at which the provider's cache is lost anyway."""
        self.state.pop("forms", None)

    def view(self, messages: Sequence[Any], tool_choice: Any = None) -> list[Any]:
        """The tools to send along with these messages: the same objects and bytes as before wherever that can be.

        Raises ContextError for messages that cannot be read, BudgetTooSmallError, StoreError."""
        pool = self._pool
        if pool.before <= self._limit:
            return list(pool.tools)
        context = detect_format(messages, pool.tools).parse(messages) if messages else Context([], [], "")
        whole = self._pinned | (forced_tool_names(tool_choice) & pool.names.keys())
        must = called_in(context) & pool.names.keys()
        found = [name for name in self.state.get("found", []) if name in pool.names]
        self.state["found"] = list(dict.fromkeys([*found, *self._found_in(context)]))
        must = must.union(self.state["found"])
        turn = _turn(context)
        query = build_query(context, None, ())
        if self.state.get("digest") != self._digest or "forms" not in self.state:
            self._choose(query, whole, must)
        else:
            asked = self._asked(query) if turn != self.state.get("turn") else set()
            missing = (whole | must | asked) - self.state["forms"].keys()
            if missing and not self._grow(query, whole, missing):
                self._choose(query, whole, must | asked)
        self.state["turn"], self.state["digest"] = turn, self._digest
        return self._rendered()

    def answer(self, arguments: Mapping[str, Any] | str | None) -> str:
        """What the model is told for a call of `find_tool`: the full schemas of the tools that fit. Never raises; the
        same call gives the same answer. What it names is sent along from the next `view` on."""
        return search_tool.answer(self._pool, arguments)

    def _found_in(self, context: Context) -> list[str]:
        """Names of the tools that answered calls of `find_tool` have named."""
        answered = {call for turn in context.turns for call in turn.result_call_ids}
        out: list[str] = []
        for turn in context.turns:
            for slot in turn.slots:
                if slot.kind == "tool_call" and slot.name == search_tool.NAME and slot.call_id in answered:
                    question = search_tool.question_of(slot.text)
                    out += [self._pool.named(i) for i in search_tool.found(self._pool, question)] if question else []
        return out

    def _asked(self, query: Query) -> set[str]:
        """Names of the tools that a new request plainly needs."""
        pool = self._pool
        likely = pool.need_probabilities(pool.scores(query)) if any(text.strip() for text, _ in query.parts) else []
        return {pool.named(i) for i in pool.ours if likely and likely[i] >= NEED}

    def _choose(self, query: Query, whole: Collection[str], must: Collection[str]) -> None:
        finder = self._finder_cost()
        for share in (LOW, 1.0):
            try:
                chosen = self._pool.choose(query, int(self._limit * share) - finder, whole, must)
                break
            except BudgetTooSmallError as error:
                if share == 1.0:
                    raise BudgetTooSmallError(
                        self._limit, error.needed + finder, "what must stay of the tools"
                    ) from None
        self._take({self._pool.named(i): i for i in self._pool.ours if chosen.forms[i] is not None}, chosen.forms, {})

    def _grow(self, query: Query, whole: Collection[str], missing: Collection[str]) -> bool:
        """Adds tools at the end; False where there is no room."""
        pool = self._pool
        places = [pool.names[name] for name in missing]
        try:
            spent = pool.total(self._rendered())
            chosen = pool.choose(query, self._limit, whole, missing, among=places, taken=spent)
        except BudgetTooSmallError:
            return False
        self._take({pool.named(i): i for i in sorted(places)}, chosen.forms, self.state["forms"])
        return True

    def _take(self, places: Mapping[str, int], forms: Sequence[Any | None], kept: Mapping[str, Any]) -> None:
        """Sends these from now on, after those in `kept`, and remembers what is not sent whole."""
        pool = self._pool
        fresh = {name: None if forms[i] is pool.tools[i] else json.dumps(forms[i]) for name, i in places.items()}
        self.state["forms"] = {**kept, **fresh}
        sent = self.state["forms"]
        gone = [dump_tool(pool.tools[i]) for name, i in pool.names.items() if sent.get(name, "") is not None]
        if gone:
            put_texts(self._engine.store, {compute_ref(text): text for text in gone})

    def _rendered(self) -> list[Any]:
        """What is sent: native tools first where they stood, functions in the order chosen, `find_tool` before what was
        added later."""
        pool, forms = self._pool, self.state["forms"]
        out = [pool.tools[i] for i, function in enumerate(pool.functions) if function is None]
        out += [self._finder_schema()] if self._finder_cost() else []
        return out + [pool.tools[pool.names[n]] if form is None else json.loads(form) for n, form in forms.items()]

    def _finder_schema(self) -> dict[str, Any]:
        first = self._pool.functions[self._pool.ours[0]]
        if first is not None and first.key == "input_schema":
            return search_tool.schema("anthropic")
        return search_tool.schema("openai_chat" if first is not None and first.outer else "openai_responses")

    def _finder_cost(self) -> int:
        named = search_tool.NAME in self._pool.names  # the caller's own, or ours that they have listed themselves
        return self._pool.cost(self._finder_schema()) if self._finder and not named else 0


def _turn(context: Context) -> str:
    """Which request of the user's this is."""
    users = [turn for turn in context.turns if turn.role == "user"]
    said = [slot.text for slot in users[-1].slots] if users else []
    return compute_ref(json.dumps([len(users), said]))
