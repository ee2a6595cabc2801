"""Finds the tracked conversation whose messages a history extends.

A history that differs from a tracked conversation at some message continues a copy of it, so that parallel calls do not
disturb each other. Only the most recently used conversations are kept. With `frozen`, messages that are the same
objects as in the last call are not read again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from compressor.context.formats.serialization import chain_digest
from compressor.context.refs import find_refs
from compressor.errors import RefError
from compressor.providers import HiddenRounds
from compressor.providers.context_overflow import halve_limit, in_memory
from compressor.providers.example_listing import ExampleListing
from compressor.providers.tool_listing import ToolListing
from compressor.sessions import archive
from compressor.sessions.context_tools import CONTEXT_TOOL_NAMES
from compressor.sessions.conversation import Conversation
from compressor.sessions.cost_report import CostReport
from compressor.sessions.message_history import common_prefix_length
from compressor.sessions.policy import Policy, ToolRule
from compressor.storage.text_values import put_texts
from compressor.storage.wrappers.scoped import ScopedStore

if TYPE_CHECKING:
    from compressor import Compressor

#: The link of each leading system message in the chain of digests: their texts may change from call to call.
SYSTEM = "system"
#: Conversations that are tracked at the same time.
MAX_CONVERSATIONS = 64
#: Tokens that an expanded or recalled text may have when it is ingested: what the model asked for is not cut at once.
EXPANDED_TEXT_MAX_TOKENS = 1_000_000


@dataclass
class TrackedConversation:
    """One conversation with what is known of its caller's history.

    Attributes:
        conversation: The `Conversation` or `Session`.
        key: The message format and the model; histories of different keys never belong together.
        chain: The chained digests of the caller's messages.
        messages: The caller's messages, if the tracker is `frozen`.
        hidden_rounds: What the caller did not see, by the index of the message it stands before.
        tool_offered: Whether the request lists the compressor's own tools.
        lists_context_tools: Whether the last request listed the compressor's own tools beside the caller's, so that
            the provider's cached prefix begins with them.
        tool_listing: Lists the tools within their budget, if they have one.
        example_listing: Keeps the examples within their budget, if they have one.
        rejected_by_provider: Whether the provider rejected a compressed request of this conversation.
        known_warnings: The conversation's warnings that were passed on.
        shared: What the tracker knows of the form in which other processes find it; None if they do not.
        lock: Guards the conversation.
    """

    conversation: Any
    key: str
    chain: list[str] = field(default_factory=list)
    messages: Sequence[Any] = ()
    hidden_rounds: dict[int, HiddenRounds] = field(default_factory=dict)
    tool_offered: bool = False
    lists_context_tools: bool = False
    tool_listing: ToolListing | None = None
    example_listing: ExampleListing | None = None
    rejected_by_provider: bool = False
    known_warnings: frozenset[str] = frozenset()
    shared: Any = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled: everything but the lock."""
        with self.lock:
            return {name: value for name, value in vars(self).items() if name != "lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, lock=threading.RLock())

    @property
    def view_tokens(self) -> int:
        """Returns the tokens of the view as it is now."""
        return in_memory(self.conversation).view_tokens

    @property
    def is_above_budget(self) -> bool:
        """Returns whether the smallest possible view is larger than the budget."""
        return self.view_tokens > in_memory(self.conversation).runtime.max_tokens

    def halve_limit(self) -> bool:
        """Halves the limit of views, see `context_overflow.halve_limit`."""
        with self.lock:
            return halve_limit(self.conversation)

    def receipts(self) -> list[dict[str, Any]]:
        """Returns what each compaction of this conversation kept and lost, oldest first."""
        with self.lock:
            return list(self.conversation.receipts())

    def take_warnings(self) -> list[str]:
        """Returns the warnings that this method has not returned before."""
        with self.lock:
            warnings = [text for text in self.conversation.warnings if text not in self.known_warnings]
            self.known_warnings |= frozenset(warnings)
            return warnings


class ConversationTracker:
    """Tracks the most recently used conversations. Safe to share between threads.

    Args:
        compressor: Compresses and stores; None makes one with the defaults.
        budget: The limit of each request (see `Compressor.session`).
        policy: What is compressed and when; None takes the defaults.
        session: A `Session` or its id, to which all calls belong; None tells conversations apart by their messages.
        max_conversations: How many conversations are tracked.
        frozen: Whether callers never change a message that they have passed.
    """

    def __init__(
        self,
        compressor: Compressor | None = None,
        budget: int | float | str | None = None,
        policy: Policy | None = None,
        session: Any = None,
        max_conversations: int = MAX_CONVERSATIONS,
        frozen: bool = False,
    ) -> None:
        if compressor is None:
            from compressor import Compressor

            compressor = Compressor()
        policy = policy or Policy()
        self.compressor, self.budget = compressor, budget
        own_rules = dict.fromkeys(sorted(CONTEXT_TOOL_NAMES), ToolRule(max_tokens=EXPANDED_TEXT_MAX_TOKENS))
        self.policy = replace(policy, tools={**own_rules, **policy.tools})
        self._session, self._max_conversations, self._frozen = session, max_conversations, frozen
        self._recent: list[TrackedConversation] = []  # the newest last
        self._evicted_reports: list[CostReport] = []
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled: the settings and the conversations."""
        with self._lock:
            state = {**vars(self), "_recent": list(self._recent), "_evicted_reports": list(self._evicted_reports)}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    def match(self, messages: Sequence[Any], model: str | None, kind: str = "") -> TrackedConversation:
        """Returns the conversation that the messages continue, or starts a new one.

        Args:
            messages: The caller's whole history.
            model: The model that is called.
            kind: The message format.
        """
        with self._lock:
            tracked, chain = self._find_or_create(messages, model, kind)
            self._take(tracked, chain, messages)
        return tracked

    def _find_or_create(
        self, messages: Sequence[Any], model: str | None, kind: str
    ) -> tuple[TrackedConversation, list[str]]:
        """Returns the conversation that the messages continue, or a new one, and their digests. Needs the lock."""
        key, chain = f"{kind}:{model}", self._digest_chain(messages)
        return self._find_extended(chain, key) or self._fork(chain, key) or self._create(model, key), chain

    def save(self, tracked: TrackedConversation) -> bool:
        """Saves a conversation where other processes find it.

        Returns:
            False if another process has continued it first, so that `match` has to be called again.
        """
        return True

    def save_answer(self, tracked: TrackedConversation, index: int | None = None) -> None:
        """Saves what an answer of the model has changed in a conversation, like `save`.

        Args:
            tracked: The conversation, locked by the caller.
            index: The key of the hidden rounds that are new.
        """

    def _take(self, tracked: TrackedConversation, chain: list[str], messages: Sequence[Any]) -> None:
        """Makes a conversation the one used last, and that of these messages. The caller holds the lock."""
        with tracked.lock:
            common = _equal_prefix_length(tracked.chain, chain)
            # Hidden rounds stay only up to where the two histories differ.
            tracked.hidden_rounds = {i: hidden for i, hidden in tracked.hidden_rounds.items() if i <= common}
            tracked.chain = chain
            tracked.messages = messages if self._frozen else ()
        self._recent = [one for one in self._recent if one is not tracked] + [tracked]
        for old in self._recent[: -self._max_conversations]:
            self._evicted_reports.append(old.conversation.cost_report())
        self._recent = self._recent[-self._max_conversations :]
        if len(self._evicted_reports) > MAX_CONVERSATIONS:
            self._evicted_reports = [sum_reports(self._evicted_reports)]

    def preview(self, messages: Sequence[Any], model: str | None, kind: str = "") -> TrackedConversation:
        """Returns a copy of the conversation that `match` would return. Nothing that is done with it changes anything.

        Args:
            messages: The caller's whole history.
            model: The model that is called.
            kind: The message format.
        """
        with self._lock:
            tracked, chain = self._find_or_create(messages, model, kind)
        return self._copy(tracked, chain)

    def _copy(self, tracked: TrackedConversation, chain: list[str]) -> TrackedConversation:
        """Returns a copy of a conversation for another history, which nobody else has and nothing saves."""
        with tracked.lock:
            common = _equal_prefix_length(tracked.chain, chain)
            own: dict[str, Any] = {"conversation": copy(in_memory(tracked.conversation)), "chain": chain}
            own["hidden_rounds"] = {i: hidden for i, hidden in tracked.hidden_rounds.items() if i <= common}
            own["tool_listing"] = tracked.tool_listing.copy(common) if tracked.tool_listing else None
            own["example_listing"] = tracked.example_listing.copy() if tracked.example_listing else None
            return replace(tracked, lock=threading.RLock(), messages=(), shared=None, **own)

    def view(
        self,
        messages: Sequence[Any],
        model: str | None,
        kind: str = "",
        system: Any = None,
        tools: Sequence[Any] | None = None,
        best_effort: bool = True,
    ) -> tuple[TrackedConversation, list[Any]]:
        """Returns the conversation of a whole history and the messages to send for it.

        Args:
            messages: The caller's whole history.
            model: The model that is called.
            kind: The message format.
            system: A system prompt that is sent apart from the messages.
            tools: The tool schemas that are sent along.
            best_effort: See `Conversation.view`.

        Raises:
            CompressorError: As `Conversation.view`.
        """
        tracked = self.match(messages, model, kind)
        with tracked.lock:
            tracked.conversation.sync(messages, system=system, tools=tools)
            return tracked, tracked.conversation.view(best_effort)

    def evict(self, tracked: TrackedConversation) -> bool:
        """Forgets a conversation and its costs; returns whether others are left."""
        with self._lock:
            self._recent = [one for one in self._recent if one is not tracked]
            return bool(self._recent)

    def cost_report(self) -> CostReport:
        """Returns the sum over all conversations. Before the first request all counts are 0."""
        with self._lock:
            reports = [*self._evicted_reports, *(one.conversation.cost_report() for one in self._recent)]
        return sum_reports(reports) if reports else CostReport.before_first_call()

    def receipts(self) -> list[dict[str, Any]]:
        """Returns the receipts of all tracked conversations, those of the conversation used last at the end."""
        with self._lock:
            recent = list(self._recent)
        return [receipt for one in recent for receipt in one.receipts()]

    def _digest_chain(self, messages: Sequence[Any]) -> list[str]:
        """Returns the digest of the history up to each message; all leading system messages have the same digest."""
        nearest = max(self._recent, key=lambda one: common_prefix_length(one.messages, messages), default=None)
        same = common_prefix_length(nearest.messages, messages) if nearest else 0
        chain = nearest.chain[:same] if nearest else []
        if not chain or chain[-1] == SYSTEM:
            for message in messages[same:]:
                if not _is_system(message):
                    break
                chain.append(SYSTEM)
        for message in messages[len(chain) :]:
            chain.append(chain_digest(message, chain[-1] if chain else ""))
        return chain

    def _find_extended(self, chain: list[str], key: str) -> TrackedConversation | None:
        if self._session is not None:
            return self._recent[-1] if self._recent else None
        candidates = [one for one in self._recent if one.key == key and 0 < len(one.chain) <= len(chain)]
        candidates = [one for one in candidates if chain[len(one.chain) - 1] == one.chain[-1]]
        return max(candidates, key=lambda one: len(one.chain), default=None)

    def _fork(self, chain: list[str], key: str) -> TrackedConversation | None:
        """Returns a copy of the nearest conversation, cut where the history departs from it."""
        candidates = [one for one in self._recent if one.key == key]
        nearest = max(candidates, key=lambda one: _equal_prefix_length(one.chain, chain), default=None)
        common = _equal_prefix_length(nearest.chain, chain) if nearest else 0
        if nearest is None or all(link == SYSTEM for link in chain[:common]):
            return None
        with nearest.lock:
            model, scope = nearest.conversation.model, uuid4().hex
            state = self._copy_state(nearest.conversation, common - chain.count(SYSTEM), scope)
            options: dict[str, Any] = {"scope": scope, "state": state, "frozen": self._frozen}
            fork = Conversation(self.compressor, model, self.budget, self.policy, **options)
            hidden, listing = dict(nearest.hidden_rounds), nearest.tool_listing
            own: dict[str, Any] = {"hidden_rounds": hidden, "tool_listing": listing.copy(common) if listing else None}
            own["example_listing"] = nearest.example_listing.copy() if nearest.example_listing else None
            return replace(nearest, conversation=fork, shared=None, lock=threading.RLock(), **own)

    def _copy_state(self, conversation: Conversation, count: int, scope: str) -> dict[str, Any] | None:
        """Returns the state of the first `count` messages, so that they stay as they were sent.

        Returns None if messages were evicted from the view: its index describes messages that the other history,
        which may belong to someone else, does not have. The copy gets only the refs of the shared messages.
        """
        state = conversation.state
        in_view = {record["index"] for record in state["records"]}
        if any(index not in in_view for index in range(state["count"])):
            return None
        entries = [record for record in state["records"] if record["index"] < count]
        store = self.compressor.store
        for _, text in [edit for entry in entries for edit in entry.get("edits", ())]:
            for ref in find_refs(text):
                with suppress(RefError):
                    original = archive.read_original(store, state["scopes"], ref)
                    put_texts(ScopedStore(store, archive.scope_id("", scope)), {ref: original})
        return {"version": state["version"], "count": count, "records": entries}

    def _create(self, model: str | None, key: str) -> TrackedConversation:
        if self._session is None:
            scope = uuid4().hex
            made: Any = Conversation(self.compressor, model, self.budget, self.policy, scope=scope, frozen=self._frozen)
        elif isinstance(self._session, str):
            made = self.compressor.session(self._session, model=model, budget=self.budget, policy=self.policy)
        else:
            made = self._session
        return TrackedConversation(made, key)


def sum_reports(reports: Sequence[CostReport]) -> CostReport:
    """Returns the sum of cost reports; `model` lists all models, and the last prompt is that of the last report."""
    names = [
        f.name
        for f in fields(CostReport)
        if f.type in ("int", "float") and f.name not in ("baseline_last", "actual_last", "max_input_tokens")
    ]
    sums = {name: sum(getattr(one, name) for one in reports) for name in names}
    models = sorted({one.model for one in reports})
    return replace(
        reports[-1], model=", ".join(models), price_is_known=all(one.price_is_known for one in reports), **sums
    )


def _equal_prefix_length(one: Sequence[str], other: Sequence[str]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _is_system(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") in ("system", "developer")
