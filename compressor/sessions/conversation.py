"""One long conversation whose view stays byte-stable between compactions. Keeps its state in memory, as data.

    append or follow -> birth of tool results -> view, with a compaction when budget or bill says so

Tool results are compressed once, when their round is complete; what the view said before, it says again byte for byte,
until a compaction rewrites it in one go. Knows no journal: `OnnxSession` adds it, frameworks have their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from compressor.context.formats import serialization
from compressor.context.refs import find_refs
from compressor.errors import BudgetTooSmallError, CompressorError, ContextError
from compressor.sessions import archive, compaction_trigger
from compressor.sessions.archive import EvictedRound, EvictionIndex, ScopedStore
from compressor.sessions.compaction import Compaction, CompactionResult
from compressor.sessions.cost_report import CostReport
from compressor.sessions.expand_tool import ExpandTool, expand
from compressor.sessions.message_history import MessageHistory, common_prefix_length, is_system, system_as_messages
from compressor.sessions.policy import Policy
from compressor.sessions.recall import recall
from compressor.sessions.runtime import SessionRuntime, check_tools
from compressor.sessions.state import SessionState
from compressor.tokens import get_counter
from compressor.tokens.billing import parse_provider_usage
from compressor.tokens.context_limit import resolve_context_limit
from compressor.tokens.model_families import DEFAULT_MODEL
from compressor.tokens.pricing import find_price

if TYPE_CHECKING:
    from compressor.compressor import Compressor

SUMMARY = 600  # tokens that a summariser is taken to write, at the prices of the session's model
MAX_TARGET_FRACTION = 0.5  # of the budget: a compaction aims no higher


class Conversation:
    """A conversation that the caller keeps.

    model: whose tokens, prices and window; None is gpt-4o. budget: the view's hard limit: tokens, a share of the window
        (a float below 1), money a call ("$0.02"), None: 0.8 of the window. tools: the schemas sent along, counted.
    scope: who may expand its refs; two conversations with one scope share them (`scoped`: the same, made by
        `archive.scope_of`). state: an earlier `.state`; the messages that go with it come with `follow` or `restore`.
    frozen: nobody ever writes to a message given: what is the same object as last time is not read again.

    Raises BudgetError, CompressorError for a state that is none. Not safe to share between threads.
    """

    def __init__(
        self,
        compressor: Compressor,
        model: str | None = None,
        budget: int | float | str | None = None,
        policy: Policy | None = None,
        tools: Sequence[Any] | None = None,
        scope: str = "",
        state: Mapping[str, Any] | None = None,
        system: Any = None,
        scoped: str | None = None,
        clock: Callable[[], float] = time.time,
        frozen: bool = False,
    ) -> None:
        if model is not None and not isinstance(model, str):
            raise CompressorError(f"a model is named by a string, not {model!r:.80}")
        if policy is not None and not isinstance(policy, Policy):
            raise CompressorError(f"a policy is a Policy(...), not {policy!r:.80}")
        check_tools(tools)
        policy = policy or Policy()
        price = policy.pricing or find_price(model or DEFAULT_MODEL)
        self._state = SessionState() if state is None else SessionState.from_json(state)
        scope = archive.scope_id("", scope) if scoped is None else scoped
        if scope not in self._state.scopes:
            self._state.scopes.insert(0, scope)
        self.compressor = compressor
        self.model = model
        self._runtime = SessionRuntime(
            compressor.engine,
            get_counter(model),
            policy,
            price,
            resolve_context_limit(budget, price),
            lambda: ScopedStore(compressor.store, self._state.scopes[0]),
            tools,
        )
        self._clock = clock
        self._frozen = frozen
        self._history = MessageHistory(self._runtime, self._state, system, frozen)
        self._dirty = False
        self._synced: tuple[list[Any], list[str]] = [], []  # the last history, and its digests

    # -- what the caller says

    def append(self, *messages: Any, pin: bool = False) -> None:
        """Adds messages, oldest first. `pin`: they stay in the view as they are. ContextError, and nothing is added,
        for what no provider would take."""
        history = self._history
        with self._all_or_nothing():
            for message in messages:
                if not history.live and is_system(message):
                    serialization.chain_digest(message)
                    history.head.append(message)
                else:
                    history.add(message, serialization.chain_digest(message, history.last), pin)
            history.ingest_new_results()
        self._dirty = self._dirty or bool(messages)

    def sync(self, messages: Sequence[Any], system: Any = None, tools: Sequence[Any] | None = None) -> None:
        """Takes the caller's whole history: adds what is new. Where it departs from what is known, it goes back to the
        common part; that nothing is new is fine. `system` (a separate system prompt) and `tools` replace those given
        before, if given. ContextError, and nothing has changed, as `append`."""
        check_tools(tools)
        if isinstance(messages, (str, bytes)) or not isinstance(messages, Sequence):
            raise ContextError(f"messages must be a list, not {type(messages).__name__}")
        with self._all_or_nothing():
            self._sync(messages, system, tools)

    def _sync(self, messages: Sequence[Any], system: Any, tools: Sequence[Any] | None) -> None:
        history, state = self._history, self._state
        if system is not None and not (self._frozen and system_as_messages(system) == history.system):
            history.system = system_as_messages(system)
        if tools is not None and not (self._frozen and list(tools) == self._runtime.tools):
            self._runtime.tools = list(tools) if self._frozen else tools
        lead = next((i for i, m in enumerate(messages) if not is_system(m)), len(messages))
        rest = list(messages[lead:])
        history.head = list(messages[:lead])
        chain = self._chain(rest)
        entries = state.records
        known = len(entries)
        while known and not (
            entries[known - 1].index < len(rest) and chain[entries[known - 1].index] == entries[known - 1].digest
        ):
            known -= 1
        if 0 < known < len(entries) and entries[known - 1].index < state.last_evicted:
            known = 0  # what has gone may not belong to this history: nothing of it may show
        history.live = [rest[entry.index] for entry in entries[:known]]
        if known < len(entries) and not history.is_reasoning_stripped(history.live, entries[:known]):
            known, history.live = 0, []  # a finished turn is the current one again, and its reasoning is wanted
        self._dirty = self._dirty or known < len(entries) or state.count < len(rest)
        if known < len(entries):
            history.truncate(known)
        history.invalidate_cache()
        for at in range(state.count, len(rest)):
            history.add(rest[at], chain[at])
        history.ingest_new_results()

    def pin(self, at: int) -> None:
        """Message number `at` (from 0, system messages in front not counted) stays in the view from now on.
        CompressorError if it has left the view."""
        entry = next((e for e in self._state.records if e.index == at), None)
        if entry is None:
            raise CompressorError(f"message {at} is not in the view: recall it, or pin it when it is appended")
        entry.pinned = self._dirty = True

    def record_usage(self, provider_usage: Any) -> None:
        """Notes what the provider says the last call used. CompressorError for something that is no usage."""
        bill = parse_provider_usage(provider_usage)
        counters = self._state.counters
        counters.billed_tokens += bill.prompt
        counters.billed_cached += bill.cached
        counters.billed_output += bill.output
        self._dirty = True

    # -- what it gives

    def view(self) -> list[Any]:
        """What to send now, in the caller's dialect; messages of which nothing was cut are the caller's own objects.
        The same bytes as before, and what is new, unless a compaction is due.

        ContextError while a call has no result. BudgetTooSmallError if what must stay is larger than the budget."""
        self._history.check_ready()
        counters, price = self._state.counters, self._runtime.price
        tokens, after = self._history.tokens(), self._after()
        cold = counters.at > 0 and self._clock() - counters.at > price.cache_ttl_seconds
        fresh = counters.seen != self._state.count
        over = tokens > self._runtime.limit
        extra = (
            price.cost(uncached=max(0, tokens - after), output=SUMMARY)
            if self._runtime.policy.summarizer is not None
            else 0.0
        )
        due = (
            fresh
            and self._runtime.policy.compact
            and compaction_trigger.should_compact(
                price, counters, tokens, after, self._history.fixed_tokens(), cold, extra
            )
        )
        bound = (over or due) and self._history.has_signed_current_turn()
        if over and bound:
            self._runtime.warn("the budget forced a compaction inside a turn with signed reasoning")
        if (over or (due and not bound)) and self._compact():
            tokens, after = self._history.tokens(), self._after()
            counters.actual_cost += extra
        if fresh:
            raw, ours = self._history.raw_tokens(), self._history.ends_expanded()
            compaction_trigger.record_call(price, counters, raw, tokens, after, cold, ours)
            counters.seen, counters.at = self._state.count, self._clock()
            self._dirty = True
        return self._history.rendered()

    def compact(self) -> bool:
        """Compacts now; whether that made the view smaller."""
        self._history.check_ready()
        return self._compact()

    def recall(self, query: str, budget: int = 1_000) -> str:
        """What of the history that is not in the view any more answers the query, in at most `budget` tokens; "" if
        nothing is. Each stretch carries its ref."""
        cut = [
            (turn, entry) for turn, entry in zip(self._history.turns(), self._state.records, strict=True) if entry.edits
        ]
        return recall(self.compressor, self._state, cut, query, budget, self.model)

    def expand(self, ref: str, query: str | None = None, budget: int | None = None) -> str:
        """The exact original behind a ref of this session, or with `query` or `budget` the part of it that matters.
        UnknownRefError for any other ref, ExpiredRefError if it is no longer stored. Noted as regret: what is like it is worth
        more from now on."""
        text = expand(self.compressor, self._state, ref, query, budget, self.model)
        self._dirty = True
        return text

    def share_refs(self, text: str) -> int:
        """Lets this session expand the refs of the marks in a text, such as another agent's message; how many it found.
        Only for texts of which you know who wrote the marks: never for what a tool has said."""
        return archive.share_refs(self.compressor.store, self._state.scopes[0], find_refs(text))

    def expansions(self) -> list[dict[str, Any]]:
        """What was expanded, oldest first: `ref`, and the `query` or None. Which cuts were wrong: data to train on."""
        return archive.list_expansions(self.compressor.store, self._state.scopes[0], self._state.counters.expansions)

    @property
    def expand_tool(self) -> ExpandTool:
        """The tool with which the agent itself gets back what was cut."""
        return ExpandTool(self.expand)

    def cost_report(self) -> CostReport:
        """What was sent, what it would have been without us, and the money for both."""
        return CostReport.from_counters(
            self._state.counters, self._runtime.price, self._history.tokens() if self._history.live else 0
        )

    @property
    def state(self) -> dict[str, Any]:
        """All that has to be kept, as JSON data."""
        return self._state.to_json()

    @property
    def changed(self) -> bool:
        """Whether the state differs from the one given at the start."""
        return self._dirty

    @property
    def warnings(self) -> list[str]:
        """What happened that the user should know, oldest first."""
        return self._runtime.warnings

    # -- for those who keep it

    @property
    def runtime(self) -> SessionRuntime:
        """What it works with."""
        return self._runtime

    @property
    def head(self) -> list[Any]:
        """The system messages in front."""
        return self._history.head

    @property
    def live(self) -> list[Any]:
        """The original messages of the state's entries."""
        return self._history.live

    def restore(self, head: list[Any], live: list[Any]) -> None:
        """Takes the messages that go with the state it was made from. CompressorError if they do not."""
        if len(live) != len(self._state.records):
            raise CompressorError(f"{len(live)} messages do not go with a state of {len(self._state.records)}")
        self._history.head, self._history.live = head, live
        self._history.invalidate_cache()

    def saved(self) -> None:
        """The state has been kept: from here on `changed` means since now."""
        self._dirty = False

    # -- inside

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """What fails leaves everything as it was."""
        history, state, tools, dirty = self._history, self._state, self._runtime.tools, self._dirty
        was = {f.name: getattr(state, f.name) for f in fields(state)}
        was["records"] = [entry if entry.ingested else replace(entry) for entry in state.records]
        was["counters"] = replace(state.counters)
        system, head, live = history.system, list(history.head), list(history.live)
        try:
            yield
        except BaseException:
            for name, value in was.items():
                setattr(state, name, value)
            history.system, history.head, history.live = system, head, live
            self._runtime.tools, self._dirty = tools, dirty
            history.invalidate_cache()
            raise

    def _chain(self, messages: list[Any]) -> list[str]:
        """The digest of the history up to and with each message. Messages that are the same objects as last time are
        not read again, where nothing before them has changed: LangChain's, and those that nobody writes to."""
        known, digests = self._synced
        same = common_prefix_length(known, messages)
        if not self._frozen:
            same = next((i for i, message in enumerate(messages[:same]) if isinstance(message, dict)), same)
        chain = digests[:same]
        for at in range(same, len(messages)):
            if self._frozen and at < len(known) and messages[at] is known[at] and chain[at - 1] == digests[at - 1]:
                chain.append(digests[at])
            else:
                chain.append(serialization.chain_digest(messages[at], chain[-1] if chain else ""))
        self._synced = messages, chain
        return chain

    def _compact(self) -> bool:
        fits = self._history.tokens() <= self._runtime.limit
        try:
            with self._all_or_nothing():
                return self._compacted()
        except BudgetTooSmallError:
            if not fits:
                raise
            # What stands now fits, if only just; one more index would not.
            self._state.counters.last_compaction_tokens, self._state.counters.missed_savings = (
                self._history.tokens(),
                0.0,
            )
            return False

    def _compacted(self) -> bool:
        state, history = self._state, self._history
        noted = history.expand_duplicate_notes()
        bodies = history.strip_reasoning() if self._runtime.policy.strip_reasoning else history.current_messages()
        outcome = self._outcome(bodies)
        live = dict(zip((entry.index for entry in state.records), history.live, strict=True))
        if outcome and not history.is_reasoning_stripped(
            [live[entry.index] for entry in outcome.entries], outcome.entries
        ):
            bodies = history.live  # what ended a turn has gone, so its reasoning is wanted
            outcome = self._outcome(bodies)
        if outcome is None:
            for i, entry in noted.items():
                state.records[i] = entry
            state.counters.last_compaction_tokens, state.counters.missed_savings = (
                self._history.tokens(),
                0.0,
            )  # not again before it has grown
            return False
        new = {
            i
            for i, entry in enumerate(state.records)
            if bodies[i] is not history.live[i] and not entry.reasoning_stripped
        }
        thoughts = [archive.reasoning_text(text) for text in history.reasoning(new)] if new else []
        self._commit(outcome, thoughts)
        return True

    def _outcome(self, bodies: list[Any]) -> CompactionResult | None:
        """What a compaction makes of these forms of the live messages, with or without their signed reasoning."""
        state, history, head = self._state, self._history, self._history.front
        entries = []
        for entry, body, message in zip(state.records, bodies, history.live, strict=True):
            # Where reasoning comes or goes, edits no longer know their places.
            bare = body is not message
            entries.append(
                entry if bare == entry.reasoning_stripped else replace(entry, reasoning_stripped=bare, edits={})
            )
        lead = len(head)
        edits = {lead + i: e.edits for i, e in enumerate(entries) if e.edits}
        views = self._runtime.render([*head, *bodies], edits)[lead:]
        index = EvictionIndex(tuple(state.lines), state.older, state.rounds)
        return Compaction(self._runtime, head, entries, bodies, views, index, state.expansions, state.summary).run(
            self._compaction_target(), self._runtime.limit
        )

    def _commit(self, outcome: CompactionResult, thoughts: list[EvictedRound]) -> None:
        state, counters = self._state, self._state.counters
        page = archive.archive_rounds(
            self._runtime.store(), [*outcome.gone, *thoughts], outcome.index, outcome.originals
        )
        if page is not None:
            state.pages = [*state.pages, page]
        state.lines, state.older, state.rounds = list(outcome.index.lines), outcome.index.older, outcome.index.rounds
        stay = {entry.index for entry in outcome.entries}
        state.last_evicted = max(
            [state.last_evicted, *(entry.index for entry in state.records if entry.index not in stay)]
        )
        state.evicted_tokens += sum(entry.raw_tokens for entry in state.records if entry.index not in stay)
        kept = self._history.head_tokens()
        for old, new in zip(state.records, outcome.entries, strict=False):
            if (old.index, old.edits, old.reasoning_stripped) != (new.index, new.edits, new.reasoning_stripped):
                break
            kept += new.tokens
        live = dict(zip((entry.index for entry in state.records), self._history.live, strict=True))
        state.records = outcome.entries
        self._history.live = [live[entry.index] for entry in outcome.entries]
        self._history.invalidate_cache()
        self._runtime.warn(*outcome.warnings)
        state.summary = outcome.summary
        counters.kept, counters.missed_savings, counters.last_compaction_tokens = kept, 0.0, outcome.tokens
        counters.compactions += 1
        self._dirty = True

    def _compaction_target(self) -> int:
        fixed = self._history.fixed_tokens()
        return max(
            1,
            min(
                self._runtime.policy.compaction_target_tokens,
                int(MAX_TARGET_FRACTION * self._runtime.limit),
                self._runtime.limit - fixed,
            ),
        )

    def _after(self) -> int:
        """What a compaction would leave, as far as can be told: not less than the last one did."""
        return max(
            self._history.fixed_tokens() + self._compaction_target(), self._state.counters.last_compaction_tokens
        )
