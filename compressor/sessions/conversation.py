"""One long conversation whose view stays byte-stable between compactions. Keeps its state in memory, as data.

    append or follow -> birth of tool results -> view, with a compaction when budget or bill says so

Tool results are compressed once, when their round is complete; what the view said before, it says again byte for byte,
until a compaction rewrites it in one go. Knows no journal: `Session` adds it, frameworks have their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from compressor.billing import usage_of
from compressor.dialects.signed import first_signed, without_finished_reasoning
from compressor.errors import CompressorError, InvalidContext
from compressor.prices import price_of
from compressor.rounds import rounds_of
from compressor.sessions import archive, economy, wire
from compressor.sessions.archive import Granting, Index
from compressor.sessions.balance import Balance
from compressor.sessions.birth import give_birth, names_another
from compressor.sessions.compaction import Compaction, Outcome
from compressor.sessions.expand import ExpandTool, expand
from compressor.sessions.kit import Kit
from compressor.sessions.limits import limit_of
from compressor.sessions.policy import Policy
from compressor.sessions.recall import recall
from compressor.sessions.state import Entry, State
from compressor.tokens import counter_for

if TYPE_CHECKING:
    from compressor.context import Context
    from compressor.engine import Compressor

SUMMARY = 600  # tokens that a summariser is taken to write, at the prices of the session's model
LOW_SHARE = 0.5  # of the budget: a compaction aims no higher


class Conversation:
    """A conversation that the caller keeps.

    model: whose tokens, prices and window; None is gpt-4o. budget: the view's hard limit: tokens, a share of the window
        (a float below 1), money a call ("$0.02"), None: 0.8 of the window. tools: the schemas sent along, counted.
    scope: who may expand its refs; two conversations with one scope share them (`scoped`: the same, made by
        `archive.scope_of`). state: an earlier `.state`; the messages that go with it come with `follow` or `restore`.

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
    ) -> None:
        policy = policy or Policy()
        price = policy.prices or price_of(model)
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
        self._head: list[Any] = []  # system messages in front: the caller's, never compressed
        self._live: list[Any] = []  # the originals of the state's entries
        self._system = _system(system)
        self._dirty = False
        self._memo: Context | None = None  # of what is live now

    # -- what the caller says

    def append(self, *messages: Any, pin: bool = False) -> None:
        """Adds messages, oldest first. `pin`: they stay in the view as they are. InvalidContext, and nothing is added,
        for what no provider would take."""
        kept = len(self._live), len(self._head), self._state.count
        try:
            for message in messages:
                if not self._state.count and not self._live and _is_system(message):
                    wire.digest(message)
                    self._head.append(message)
                else:
                    self._add(message, wire.digest(message, self._last()), pin)
            self._born()
        except CompressorError:
            del self._live[kept[0] :], self._state.entries[kept[0] :], self._head[kept[1] :]
            self._state.count, self._memo = kept[2], None
            raise
        self._dirty = self._dirty or bool(messages)

    def follow(self, messages: Sequence[Any], system: Any = None, tools: Sequence[Any] | None = None) -> None:
        """Takes the caller's whole history: adds what is new. Where it departs from what is known, it goes back to the
        common part; that nothing is new is fine. `system` (a separate system prompt) and `tools` replace those given
        before, if given. InvalidContext as `append`."""
        if isinstance(messages, (str, bytes)) or not isinstance(messages, Sequence):
            raise InvalidContext(f"messages must be a list, not {type(messages).__name__}")
        if system is not None:
            self._system = _system(system)
        if tools is not None:
            self._kit.tools = tools
        lead = next((i for i, m in enumerate(messages) if not _is_system(m)), len(messages))
        rest = list(messages[lead:])
        self._head = list(messages[:lead])
        chain, last = [], ""
        for message in rest:
            chain.append(last := wire.digest(message, last))
        entries = self._state.entries
        known = len(entries)
        while known and not (
            entries[known - 1].at < len(chain) and chain[entries[known - 1].at] == entries[known - 1].digest
        ):
            known -= 1
        if known < len(entries):
            self._go_back(known)
        self._live = [rest[entry.at] for entry in entries[:known]]
        self._memo = None
        for at in range(self._state.count, len(rest)):
            self._add(rest[at], chain[at], False)
        self._dirty = self._dirty or len(entries) > known
        self._born()

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
        self._ready()
        tallies, price = self._state.tallies, self._kit.price
        tokens, after = self._tokens(), self._after()
        cold = tallies.at > 0 and self._clock() - tallies.at > price.ttl
        fresh = tallies.seen != self._state.count
        over = tokens > self._kit.limit
        extra = price.money(fresh=tokens - after, output=SUMMARY) if self._kit.policy.summarizer is not None else 0.0
        due = (
            fresh
            and self._kit.policy.compact
            and economy.pays(price, tallies, tokens, after, self._fixed(), cold, extra)
        )
        if over and self._bound():
            self._kit.warnings.append("the budget forced a compaction inside a turn with signed reasoning")
        if (over or (due and not self._bound())) and self._compact():
            tokens, after = self._tokens(), self._after()
            tallies.money += extra
        if fresh:
            economy.note_call(price, tallies, self._raw(), tokens, after, cold)
            tallies.seen, tallies.at = self._state.count, self._clock()
            self._dirty = True
        return self._rendered()

    def compact(self) -> bool:
        """Compacts now; whether that made the view smaller."""
        self._ready()
        return self._compact()

    def recall(self, query: str, budget: int = 1_000) -> str:
        """What of the history that is not in the view any more answers the query, in at most `budget` tokens; "" if
        nothing is. Each stretch carries its ref."""
        cut = [(turn, entry) for turn, entry in zip(self._raw_turns(), self._state.entries, strict=True) if entry.edits]
        return recall(self.compressor, self._state, cut, query, budget, self.model)

    def expand(self, ref: str, query: str | None = None, budget: int | None = None) -> str:
        """The exact original behind a ref of this session, or with `query` or `budget` the part of it that matters.
        UnknownRef for any other ref, ExpiredRef if it is no longer stored. Noted as regret: what is like it is worth
        more from now on."""
        text = expand(self.compressor, self._state, ref, query, budget, self.model)
        self._dirty = True
        return text

    @property
    def expand_tool(self) -> ExpandTool:
        """The tool with which the agent itself gets back what was cut."""
        return ExpandTool(self.expand)

    def balance(self) -> Balance:
        """What was sent, what it would have been without us, and the money for both."""
        return Balance.of(self._state.tallies, self._kit.price, self._tokens() if self._live else 0)

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
    def head(self) -> list[Any]:
        """The system messages in front."""
        return self._head

    @property
    def live(self) -> list[Any]:
        """The original messages of the state's entries."""
        return self._live

    def restore(self, head: list[Any], live: list[Any]) -> None:
        """Takes the messages that go with the state it was made from. CompressorError if they do not."""
        if len(live) != len(self._state.entries):
            raise CompressorError(f"{len(live)} messages do not go with a state of {len(self._state.entries)}")
        self._head, self._live, self._memo = head, live, None

    def saved(self) -> None:
        """The state has been kept: from here on `changed` means since now."""
        self._dirty = False

    # -- inside

    def _last(self) -> str:
        return self._state.entries[-1].digest if self._state.entries else ""

    def _add(self, message: Any, digest: str, pin: bool) -> None:
        self._state.entries.append(Entry(self._state.count, digest, pinned=pin))
        self._state.count += 1
        self._live.append(message)
        self._memo = None

    def _go_back(self, known: int) -> None:
        """Forgets the entries from `known` on. If that is all of them, what has gone belongs to another history."""
        state = self._state
        del state.entries[known:]
        state.count = state.entries[-1].at + 1 if known else 0
        state.tallies.kept = min(self._tokens(), state.tallies.last)
        state.tallies.seen = -1
        if not known:
            state.pages, state.lines, state.older, state.rounds, state.raw_gone = [], [], "", 0, 0
        self._dirty = True

    def _parsed(self) -> Context:
        messages = [*self._system, *self._head, *self._bodies()]
        if self._memo is None or len(self._memo.messages) != len(messages):
            self._memo = self._kit.read(messages)
        return self._memo

    def _raw_turns(self) -> list[Any]:
        lead = len(self._system) + len(self._head)
        return self._parsed().turns[lead:]

    def _born(self) -> None:
        """Counts new messages, and compresses the tool results of rounds that are complete."""
        entries = self._state.entries
        if all(entry.born for entry in entries) or not entries:
            return
        lead = len(self._system) + len(self._head)
        context = self._parsed()
        turns = context.turns[lead:]
        for turn, entry in zip(turns, entries, strict=True):
            if not entry.raw:
                entry.raw = entry.tokens = self._kit.tokens(turn, context)
        users = [i for i, turn in enumerate(turns) if turn.role == "user"]
        earlier: dict[str, str] = {}
        for group in rounds_of(turns):
            members = [i - lead for i in group if i >= lead]
            calls = {call for i in members for call in turns[i].calls}
            answers = {answer for i in members for answer in turns[i].answers}
            results = [i for i in members if turns[i].answers and not entries[i].born]
            if results and calls <= answers and self._kit.policy.ingest:
                before = [i for i in users if i < members[0]]
                shown = sorted({*before[:1], *before[-1:], *members})
                edits = give_birth(
                    self._kit,
                    [self._live[i] for i in shown],
                    [shown.index(i) for i in results],
                    self._state.regrets,
                    earlier,
                )
                for k, own in edits.items():
                    self._edit(shown[k], turns[shown[k]], own)
            if calls <= answers:
                for i in members:
                    entries[i].born = True
            for i in members:
                if not entries[i].edits:
                    earlier.update((s.text, s.call_id or "") for s in turns[i].slots if s.kind == "tool_result")

    def _edit(self, i: int, turn: Any, edits: dict[Any, str]) -> None:
        entry, count = self._state.entries[i], self._kit.counter.count
        entry.edits = edits
        entry.tokens = entry.raw + sum(count(edits[s.path]) - count(s.text) for s in turn.slots if s.path in edits)

    def _ready(self) -> None:
        """InvalidContext if this is nothing that can be sent."""
        if not self._live:
            raise InvalidContext("the session is empty: append a message first")
        if len(self._live) != len(self._state.entries):
            raise CompressorError("this conversation was made from a state: follow the messages first")
        turns = self._raw_turns()
        calls = {call for turn in turns for call in turn.calls}
        if missing := calls - {answer for turn in turns for answer in turn.answers}:
            raise InvalidContext(f"tool call {min(missing)!r} has no result yet: append it before the view")

    def _head_tokens(self) -> int:
        context = self._kit.read([*self._system, *self._head])
        return self._kit.overhead() + sum(self._kit.tokens(turn, context) for turn in context.turns)

    def _tokens(self) -> int:
        return self._head_tokens() + sum(entry.tokens for entry in self._state.entries)

    def _raw(self) -> int:
        return self._head_tokens() + self._state.raw_gone + sum(entry.raw for entry in self._state.entries)

    def _fixed(self) -> int:
        """Tokens at the start that a compaction leaves as they are: system prompt and task."""
        turns = self._raw_turns()
        first = next((i for i, turn in enumerate(turns) if turn.role == "user"), -1)
        return self._head_tokens() + sum(entry.tokens for entry in self._state.entries[: first + 1])

    def _low(self) -> int:
        fixed = self._fixed()
        return max(1, min(self._kit.policy.low, int(LOW_SHARE * self._kit.limit), self._kit.limit - fixed))

    def _after(self) -> int:
        """What a compaction would leave, as far as can be told."""
        return self._fixed() + self._low()

    def _rendered(self) -> list[Any]:
        lead = len(self._system)
        edits = {lead + len(self._head) + i: e.edits for i, e in enumerate(self._state.entries) if e.edits}
        return self._kit.render([*self._system, *self._head, *self._bodies()], edits)[lead:]

    def _bodies(self) -> list[Any]:
        """The live messages, without the signed reasoning that a compaction has left out."""
        if not any(entry.bare for entry in self._state.entries):
            return self._live
        bare = self._bare()
        return [bare[i] if e.bare else self._live[i] for i, e in enumerate(self._state.entries)]

    def _bare(self) -> list[Any]:
        """The live messages without the reasoning of finished turns that their provider does not want back."""
        dialect, _ = self._kit.parse(self._live)
        left, _ = without_finished_reasoning(self._live, dialect)
        # Where reasoning is an item of its own (Responses), it goes with its round.
        return left if len(left) == len(self._live) else self._live

    def _bound(self) -> bool:
        """Whether the current turn holds signed reasoning: it vouches for all before it, so nothing there is rewritten
        unless the budget leaves no choice."""
        dialect, _ = self._kit.parse(self._live)
        return first_signed(self._bare() if self._kit.policy.traces else self._live, dialect) is not None

    def _compact(self) -> bool:
        state = self._state
        index = Index(tuple(state.lines), state.older, state.rounds)
        head = [*self._system, *self._head]
        bodies = self._bare() if self._kit.policy.traces else self._bodies()
        bare = [a is not b for a, b in zip(bodies, self._live, strict=True)]
        entries = [replace(entry, bare=bare[i]) for i, entry in enumerate(state.entries)]
        lead = len(head)
        edits = {lead + i: e.edits for i, e in enumerate(entries) if e.edits}
        views = self._kit.render([*head, *bodies], edits)[lead:]
        outcome = Compaction(self._kit, head, entries, bodies, views, index, state.regrets, state.summary).run(
            self._low(), self._kit.limit
        )
        if outcome is None:
            return False
        self._commit(outcome)
        return True

    def _commit(self, outcome: Outcome) -> None:
        state, tallies = self._state, self._state.tallies
        page = archive.put_away(self._kit.store(), outcome.gone, outcome.index)
        if page is not None:
            state.pages.append(page)
        state.lines, state.older, state.rounds = list(outcome.index.lines), outcome.index.older, outcome.index.rounds
        stay = {entry.at for entry in outcome.entries}
        state.raw_gone += sum(entry.raw for entry in state.entries if entry.at not in stay)
        kept = self._head_tokens()
        for old, new in zip(state.entries, outcome.entries, strict=False):
            if (old.at, old.edits, old.bare) != (new.at, new.edits, new.bare):
                break
            kept += new.tokens
        live = dict(zip((entry.at for entry in state.entries), self._live, strict=True))
        state.entries = outcome.entries
        self._live = [live[entry.at] for entry in outcome.entries]
        self._memo = None
        self._kit.warnings += outcome.warnings
        state.summary = outcome.summary
        tallies.kept, tallies.rent, tallies.low = kept, 0.0, outcome.tokens
        tallies.compactions += 1
        self._dirty = True
        for entry in state.entries:
            if any(map(names_another, entry.edits.values())):  # the result it names may have gone
                entry.edits, entry.born, entry.tokens = {}, False, entry.raw
        self._born()


def _system(system: Any) -> list[Any]:
    if isinstance(system, (str, list, tuple)) and system:
        return [{"role": "system", "content": system}]
    return [system] if system else []


def _is_system(message: Any) -> bool:
    role = message.get("role") if isinstance(message, Mapping) else getattr(message, "role", None)
    return role in ("system", "developer") or getattr(message, "type", None) == "system"
