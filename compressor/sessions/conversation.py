"""One long conversation whose view stays byte-stable between compactions. Keeps its state in memory, as data.

    append or follow -> birth of tool results -> view, with a compaction when budget or bill says so

Tool results are compressed once, when their round is complete; what the view said before, it says again byte for byte,
until a compaction rewrites it in one go. Knows no journal: `Session` adds it, frameworks have their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from compressor.context.formats import serialization
from compressor.context.refs import find_refs
from compressor.errors import BudgetTooSmall, CompressorError, InvalidContext
from compressor.sessions import archive, compaction_trigger
from compressor.sessions.archive import Gone, Granting, Index
from compressor.sessions.compaction import Compaction, Outcome
from compressor.sessions.cost_report import Balance
from compressor.sessions.expand_tool import ExpandTool, expand
from compressor.sessions.message_history import History, alike, is_system, listed
from compressor.sessions.policy import Policy
from compressor.sessions.recall import recall
from compressor.sessions.runtime import Kit, check_tools
from compressor.sessions.state import State
from compressor.tokens import counter_for
from compressor.tokens.billing import usage_of
from compressor.tokens.context_limit import limit_of
from compressor.tokens.model_families import DEFAULT_MODEL
from compressor.tokens.pricing import price_of

if TYPE_CHECKING:
    from compressor.compressor import Compressor

SUMMARY = 600  # tokens that a summariser is taken to write, at the prices of the session's model
LOW_SHARE = 0.5  # of the budget: a compaction aims no higher


class Conversation:
    """A conversation that the caller keeps.

    model: whose tokens, prices and window; None is gpt-4o. budget: the view's hard limit: tokens, a share of the window
        (a float below 1), money a call ("$0.02"), None: 0.8 of the window. tools: the schemas sent along, counted.
    scope: who may expand its refs; two conversations with one scope share them (`scoped`: the same, made by
        `archive.scope_of`). state: an earlier `.state`; the messages that go with it come with `follow` or `restore`.
    frozen: nobody ever writes to a message given: what is the same object as last time is not read again.

    Raises InvalidBudget, CompressorError for a state that is none. Not safe to share between threads.
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
        price = policy.prices or price_of(model or DEFAULT_MODEL)
        self._state = State() if state is None else State.from_json(state)
        scope = archive.scope_of("", scope) if scoped is None else scoped
        if scope not in self._state.scopes:
            self._state.scopes.insert(0, scope)
        self.compressor = compressor
        self.model = model
        self._kit = Kit(
            compressor.choice,
            counter_for(model),
            policy,
            price,
            limit_of(budget, price),
            lambda: Granting(compressor.store, self._state.scopes[0]),
            tools,
        )
        self._clock = clock
        self._frozen = frozen
        self._history = History(self._kit, self._state, system, frozen)
        self._dirty = False
        self._followed: tuple[list[Any], list[str]] = [], []  # the last history, and its digests

    # -- what the caller says

    def append(self, *messages: Any, pin: bool = False) -> None:
        """Adds messages, oldest first. `pin`: they stay in the view as they are. InvalidContext, and nothing is added,
        for what no provider would take."""
        history = self._history
        with self._all_or_nothing():
            for message in messages:
                if not history.live and is_system(message):
                    serialization.digest(message)
                    history.head.append(message)
                else:
                    history.add(message, serialization.digest(message, history.last), pin)
            history.give_births()
        self._dirty = self._dirty or bool(messages)

    def follow(self, messages: Sequence[Any], system: Any = None, tools: Sequence[Any] | None = None) -> None:
        """Takes the caller's whole history: adds what is new. Where it departs from what is known, it goes back to the
        common part; that nothing is new is fine. `system` (a separate system prompt) and `tools` replace those given
        before, if given. InvalidContext, and nothing has changed, as `append`."""
        check_tools(tools)
        if isinstance(messages, (str, bytes)) or not isinstance(messages, Sequence):
            raise InvalidContext(f"messages must be a list, not {type(messages).__name__}")
        with self._all_or_nothing():
            self._follow(messages, system, tools)

    def _follow(self, messages: Sequence[Any], system: Any, tools: Sequence[Any] | None) -> None:
        history, state = self._history, self._state
        if system is not None and not (self._frozen and listed(system) == history.system):
            history.system = listed(system)
        if tools is not None and not (self._frozen and list(tools) == self._kit.tools):
            self._kit.tools = list(tools) if self._frozen else tools
        lead = next((i for i, m in enumerate(messages) if not is_system(m)), len(messages))
        rest = list(messages[lead:])
        history.head = list(messages[:lead])
        chain = self._chain(rest)
        entries = state.entries
        known = len(entries)
        while known and not (
            entries[known - 1].at < len(rest) and chain[entries[known - 1].at] == entries[known - 1].digest
        ):
            known -= 1
        if 0 < known < len(entries) and entries[known - 1].at < state.gone_to:
            known = 0  # what has gone may not belong to this history: nothing of it may show
        history.live = [rest[entry.at] for entry in entries[:known]]
        if known < len(entries) and not history.is_bare(history.live, entries[:known]):
            known, history.live = 0, []  # a finished turn is the current one again, and its reasoning is wanted
        self._dirty = self._dirty or known < len(entries) or state.count < len(rest)
        if known < len(entries):
            history.go_back(known)
        history.forget()
        for at in range(state.count, len(rest)):
            history.add(rest[at], chain[at])
        history.give_births()

    def pin(self, at: int) -> None:
        """Message number `at` (from 0, system messages in front not counted) stays in the view from now on.
        CompressorError if it has left the view."""
        entry = next((e for e in self._state.entries if e.at == at), None)
        if entry is None:
            raise CompressorError(f"message {at} is not in the view: recall it, or pin it when it is appended")
        entry.pinned = self._dirty = True

    def usage(self, provider_usage: Any) -> None:
        """Notes what the provider says the last call used. CompressorError for something that is no usage."""
        bill = usage_of(provider_usage)
        tallies = self._state.tallies
        tallies.billed_tokens += bill.prompt
        tallies.billed_cached += bill.cached
        tallies.billed_output += bill.output
        self._dirty = True

    # -- what it gives

    def view(self) -> list[Any]:
        """What to send now, in the caller's dialect; messages of which nothing was cut are the caller's own objects.
        The same bytes as before, and what is new, unless a compaction is due.

        InvalidContext while a call has no result. BudgetTooSmall if what must stay is larger than the budget."""
        self._history.check_ready()
        tallies, price = self._state.tallies, self._kit.price
        tokens, after = self._history.tokens(), self._after()
        cold = tallies.at > 0 and self._clock() - tallies.at > price.ttl
        fresh = tallies.seen != self._state.count
        over = tokens > self._kit.limit
        extra = (
            price.money(fresh=max(0, tokens - after), output=SUMMARY)
            if self._kit.policy.summarizer is not None
            else 0.0
        )
        due = (
            fresh
            and self._kit.policy.compact
            and compaction_trigger.pays(price, tallies, tokens, after, self._history.fixed_tokens(), cold, extra)
        )
        bound = (over or due) and self._history.is_bound()
        if over and bound:
            self._kit.warn("the budget forced a compaction inside a turn with signed reasoning")
        if (over or (due and not bound)) and self._compact():
            tokens, after = self._history.tokens(), self._after()
            tallies.money += extra
        if fresh:
            raw, ours = self._history.raw_tokens(), self._history.ends_expanded()
            compaction_trigger.note_call(price, tallies, raw, tokens, after, cold, ours)
            tallies.seen, tallies.at = self._state.count, self._clock()
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
            (turn, entry) for turn, entry in zip(self._history.turns(), self._state.entries, strict=True) if entry.edits
        ]
        return recall(self.compressor, self._state, cut, query, budget, self.model)

    def expand(self, ref: str, query: str | None = None, budget: int | None = None) -> str:
        """The exact original behind a ref of this session, or with `query` or `budget` the part of it that matters.
        UnknownRef for any other ref, ExpiredRef if it is no longer stored. Noted as regret: what is like it is worth
        more from now on."""
        text = expand(self.compressor, self._state, ref, query, budget, self.model)
        self._dirty = True
        return text

    def adopt(self, text: str) -> int:
        """Lets this session expand the refs of the marks in a text, such as another agent's message; how many it found.
        Only for texts of which you know who wrote the marks: never for what a tool has said."""
        return archive.adopt(self.compressor.store, self._state.scopes[0], find_refs(text))

    def regrets(self) -> list[dict[str, Any]]:
        """What was expanded, oldest first: `ref`, and the `query` or None. Which cuts were wrong: data to train on."""
        return archive.regrets(self.compressor.store, self._state.scopes[0], self._state.tallies.expansions)

    @property
    def expand_tool(self) -> ExpandTool:
        """The tool with which the agent itself gets back what was cut."""
        return ExpandTool(self.expand)

    def balance(self) -> Balance:
        """What was sent, what it would have been without us, and the money for both."""
        return Balance.of(self._state.tallies, self._kit.price, self._history.tokens() if self._history.live else 0)

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
        return self._kit.warnings

    # -- for those who keep it

    @property
    def kit(self) -> Kit:
        """What it works with."""
        return self._kit

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
        if len(live) != len(self._state.entries):
            raise CompressorError(f"{len(live)} messages do not go with a state of {len(self._state.entries)}")
        self._history.head, self._history.live = head, live
        self._history.forget()

    def saved(self) -> None:
        """The state has been kept: from here on `changed` means since now."""
        self._dirty = False

    # -- inside

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """What fails leaves everything as it was."""
        history, state, tools, dirty = self._history, self._state, self._kit.tools, self._dirty
        was = {f.name: getattr(state, f.name) for f in fields(state)}
        was["entries"] = [entry if entry.born else replace(entry) for entry in state.entries]
        was["tallies"] = replace(state.tallies)
        system, head, live = history.system, list(history.head), list(history.live)
        try:
            yield
        except BaseException:
            for name, value in was.items():
                setattr(state, name, value)
            history.system, history.head, history.live = system, head, live
            self._kit.tools, self._dirty = tools, dirty
            history.forget()
            raise

    def _chain(self, messages: list[Any]) -> list[str]:
        """The digest of the history up to and with each message. Messages that are the same objects as last time are
        not read again, where nothing before them has changed: LangChain's, and those that nobody writes to."""
        known, digests = self._followed
        same = alike(known, messages)
        if not self._frozen:
            same = next((i for i, message in enumerate(messages[:same]) if isinstance(message, dict)), same)
        chain = digests[:same]
        for at in range(same, len(messages)):
            if self._frozen and at < len(known) and messages[at] is known[at] and chain[at - 1] == digests[at - 1]:
                chain.append(digests[at])
            else:
                chain.append(serialization.digest(messages[at], chain[-1] if chain else ""))
        self._followed = messages, chain
        return chain

    def _compact(self) -> bool:
        fits = self._history.tokens() <= self._kit.limit
        try:
            with self._all_or_nothing():
                return self._compacted()
        except BudgetTooSmall:
            if not fits:
                raise
            # What stands now fits, if only just; one more index would not.
            self._state.tallies.low, self._state.tallies.rent = self._history.tokens(), 0.0
            return False

    def _compacted(self) -> bool:
        state, history = self._state, self._history
        noted = history.without_notes()
        bodies = history.bare() if self._kit.policy.traces else history.bodies()
        outcome = self._outcome(bodies)
        live = dict(zip((entry.at for entry in state.entries), history.live, strict=True))
        if outcome and not history.is_bare([live[entry.at] for entry in outcome.entries], outcome.entries):
            bodies = history.live  # what ended a turn has gone, so its reasoning is wanted
            outcome = self._outcome(bodies)
        if outcome is None:
            for i, entry in noted.items():
                state.entries[i] = entry
            state.tallies.low, state.tallies.rent = self._history.tokens(), 0.0  # not again before it has grown
            return False
        new = {i for i, entry in enumerate(state.entries) if bodies[i] is not history.live[i] and not entry.bare}
        thoughts = [archive.thought(text) for text in history.reasoning(new)] if new else []
        self._commit(outcome, thoughts)
        return True

    def _outcome(self, bodies: list[Any]) -> Outcome | None:
        """What a compaction makes of these forms of the live messages, with or without their signed reasoning."""
        state, history, head = self._state, self._history, self._history.front
        entries = []
        for entry, body, message in zip(state.entries, bodies, history.live, strict=True):
            # Where reasoning comes or goes, edits no longer know their places.
            bare = body is not message
            entries.append(entry if bare == entry.bare else replace(entry, bare=bare, edits={}))
        lead = len(head)
        edits = {lead + i: e.edits for i, e in enumerate(entries) if e.edits}
        views = self._kit.render([*head, *bodies], edits)[lead:]
        index = Index(tuple(state.lines), state.older, state.rounds)
        return Compaction(self._kit, head, entries, bodies, views, index, state.regrets, state.summary).run(
            self._low(), self._kit.limit
        )

    def _commit(self, outcome: Outcome, thoughts: list[Gone]) -> None:
        state, tallies = self._state, self._state.tallies
        page = archive.put_away(self._kit.store(), [*outcome.gone, *thoughts], outcome.index, outcome.originals)
        if page is not None:
            state.pages = [*state.pages, page]
        state.lines, state.older, state.rounds = list(outcome.index.lines), outcome.index.older, outcome.index.rounds
        stay = {entry.at for entry in outcome.entries}
        state.gone_to = max([state.gone_to, *(entry.at for entry in state.entries if entry.at not in stay)])
        state.raw_gone += sum(entry.raw for entry in state.entries if entry.at not in stay)
        kept = self._history.head_tokens()
        for old, new in zip(state.entries, outcome.entries, strict=False):
            if (old.at, old.edits, old.bare) != (new.at, new.edits, new.bare):
                break
            kept += new.tokens
        live = dict(zip((entry.at for entry in state.entries), self._history.live, strict=True))
        state.entries = outcome.entries
        self._history.live = [live[entry.at] for entry in outcome.entries]
        self._history.forget()
        self._kit.warn(*outcome.warnings)
        state.summary = outcome.summary
        tallies.kept, tallies.rent, tallies.low = kept, 0.0, outcome.tokens
        tallies.compactions += 1
        self._dirty = True

    def _low(self) -> int:
        fixed = self._history.fixed_tokens()
        return max(1, min(self._kit.policy.low, int(LOW_SHARE * self._kit.limit), self._kit.limit - fixed))

    def _after(self) -> int:
        """What a compaction would leave, as far as can be told: not less than the last one did."""
        return max(self._history.fixed_tokens() + self._low(), self._state.tallies.low)
