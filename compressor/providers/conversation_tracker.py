"""Finds the conversation a history belongs to: the one whose messages it extends.

A history that departs from a known conversation goes on from a copy of it, so that calls side by side do not disturb
each other. Keeps the conversations seen last, so many at most, and nothing else. Messages that nobody writes to
(`frozen`) and that are the same objects as last time are not read again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from compressor.context.formats.serialization import chain_digest
from compressor.context.refs import find_refs
from compressor.errors import CompressorError, RefError
from compressor.providers import HiddenRounds
from compressor.sessions import archive
from compressor.sessions.conversation import Conversation
from compressor.sessions.cost_report import CostReport
from compressor.sessions.expand_tool import TOOL_NAME
from compressor.sessions.message_history import common_prefix_length
from compressor.sessions.policy import Policy, ToolRule
from compressor.storage.text_values import put_texts

if TYPE_CHECKING:
    from compressor import Compressor

RECENT = 64  # conversations that are known at a time
WHOLE = 1_000_000  # tokens that an expanded text may have at its birth: what was asked for is not cut again


@dataclass
class TrackedConversation:
    """One conversation as the caller has it. chain: digests of its messages; messages: themselves, if frozen; inner:
    what the caller did not see, by the number of the message it stands before; offered: our tool is among the tools;
    refused: the provider did not take what we made of it."""

    conversation: Any
    key: str
    chain: list[str] = field(default_factory=list)
    messages: Sequence[Any] = ()
    inner: dict[int, HiddenRounds] = field(default_factory=dict)
    tool_offered: bool = False
    rejected_by_provider: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)


class ConversationTracker:
    """The conversations seen lately, `most` at a time. session: the one all calls belong to: a `OnnxSession`, or an id;
    else they are told apart by their messages. frozen: nobody ever writes to the messages given. Safe to share
    between threads."""

    def __init__(
        self,
        compressor: Compressor | None = None,
        budget: int | float | str | None = None,
        policy: Policy | None = None,
        session: Any = None,
        most: int = RECENT,
        frozen: bool = False,
    ) -> None:
        if compressor is None:
            from compressor import Compressor

            compressor = Compressor()
        policy = policy or Policy()
        self.compressor, self.budget = compressor, budget
        self.policy = replace(policy, tools={TOOL_NAME: ToolRule(max_tokens=WHOLE), **policy.tools})
        self._session, self._most, self._frozen = session, most, frozen
        self._recent: list[TrackedConversation] = []  # the newest last
        self._gone: list[CostReport] = []
        self._lock = threading.Lock()

    def match(self, messages: Sequence[Any], model: str | None, kind: str = "") -> TrackedConversation:
        """The thread these messages go on; what its caller did not see is kept up to where they depart."""
        key = f"{kind}:{model}"
        with self._lock:
            chain = self._chain(messages)
            thread = self._known(chain, key) or self._forked(chain, key) or self._new(model, key)
            with thread.lock:
                common = _common(thread.chain, chain)
                thread.inner = {at: inner for at, inner in thread.inner.items() if at <= common}
                thread.chain = chain
                thread.messages = messages if self._frozen else ()
            self._recent = [one for one in self._recent if one is not thread] + [thread]
            for old in self._recent[: -self._most]:
                self._gone.append(old.conversation.cost_report())
            self._recent = self._recent[-self._most :]
            if len(self._gone) > RECENT:
                self._gone = [sum_reports(self._gone)]
        return thread

    def view(
        self,
        messages: Sequence[Any],
        model: str | None,
        kind: str = "",
        system: Any = None,
        tools: Sequence[Any] | None = None,
    ) -> tuple[TrackedConversation, list[Any]]:
        """The thread of a whole history, and what to send of it. Raises what `Conversation.view` raises."""
        thread = self.match(messages, model, kind)
        with thread.lock:
            thread.conversation.sync(messages, system=system, tools=tools)
            return thread, thread.conversation.view()

    def evict(self, thread: TrackedConversation) -> bool:
        """Keeps nothing of a thread, not even what it cost; whether others are left."""
        with self._lock:
            self._recent = [one for one in self._recent if one is not thread]
            return bool(self._recent)

    def cost_report(self) -> CostReport:
        """The sum over all conversations. CompressorError before the first."""
        with self._lock:
            found = [*self._gone, *(thread.conversation.cost_report() for thread in self._recent)]
        if not found:
            raise CompressorError("nothing has been sent yet, so there is no balance")
        return sum_reports(found)

    def _chain(self, messages: Sequence[Any]) -> list[str]:
        """The digest of the history up to and with each message; the same for all system messages in front."""
        known = max(self._recent, key=lambda thread: common_prefix_length(thread.messages, messages), default=None)
        same = common_prefix_length(known.messages, messages) if known else 0
        chain = known.chain[:same] if known else []
        if not chain or chain[-1] == "system":
            for message in messages[same:]:
                if not _is_system(message):
                    break
                chain.append("system")
        for message in messages[len(chain) :]:
            chain.append(chain_digest(message, chain[-1] if chain else ""))
        return chain

    def _known(self, chain: list[str], key: str) -> TrackedConversation | None:
        if self._session is not None:
            return self._recent[-1] if self._recent else None
        fitting = [t for t in self._recent if t.key == key and 0 < len(t.chain) <= len(chain)]
        fitting = [t for t in fitting if chain[len(t.chain) - 1] == t.chain[-1]]
        return max(fitting, key=lambda thread: len(thread.chain), default=None)

    def _forked(self, chain: list[str], key: str) -> TrackedConversation | None:
        """A thread that goes its own way from where the history departs from the nearest known one."""
        ours = [thread for thread in self._recent if thread.key == key]
        near = max(ours, key=lambda thread: _common(thread.chain, chain), default=None)
        common = _common(near.chain, chain) if near else 0
        if near is None or all(link == "system" for link in chain[:common]):
            return None
        with near.lock:
            model, scope = near.conversation.model, uuid4().hex
            state = self._shared(near.conversation, common - chain.count("system"), scope)
            options: dict[str, Any] = {"scope": scope, "state": state, "frozen": self._frozen}
            made = Conversation(self.compressor, model, self.budget, self.policy, **options)
            return replace(near, conversation=made, inner=dict(near.inner), lock=threading.RLock())

    def _shared(self, conversation: Conversation, count: int, scope: str) -> dict[str, Any] | None:
        """What of a conversation's state its first `count` messages account for, so that they stay as they were sent.

        None where more than that has left its view: its index tells of messages that the other history, which may be
        someone else's, does not have. The other gets the refs of these messages, and no others."""
        state = conversation.state
        stay = {record["index"] for record in state["records"]}
        if any(at not in stay for at in range(state["count"])):
            return None
        entries = [record for record in state["records"] if record["index"] < count]
        store = self.compressor.store
        for _, text in [edit for entry in entries for edit in entry.get("edits", ())]:
            for ref in find_refs(text):
                with suppress(RefError):
                    original = archive.read_original(store, state["scopes"], ref)
                    put_texts(archive.ScopedStore(store, archive.scope_id("", scope)), {ref: original})
        return {"version": state["version"], "count": count, "records": entries}

    def _new(self, model: str | None, key: str) -> TrackedConversation:
        if self._session is None:
            scope = uuid4().hex
            made: Any = Conversation(self.compressor, model, self.budget, self.policy, scope=scope, frozen=self._frozen)
        elif isinstance(self._session, str):
            made = self.compressor.session(self._session, model=model, budget=self.budget, policy=self.policy)
        else:
            made = self._session
        return TrackedConversation(made, key)


def sum_reports(reports: Sequence[CostReport]) -> CostReport:
    """The sum of balances; of several models the name says so. The last prompt is that of the last one."""
    names = [
        f.name
        for f in fields(CostReport)
        if f.type in ("int", "float") and f.name not in ("baseline_last", "actual_last")
    ]
    sums = {name: sum(getattr(one, name) for one in reports) for name in names}
    models = sorted({one.model for one in reports})
    return replace(
        reports[-1], model=", ".join(models), price_is_known=all(one.price_is_known for one in reports), **sums
    )


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _is_system(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") in ("system", "developer")
