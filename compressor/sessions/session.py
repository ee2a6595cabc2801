"""Keeps a conversation in the store, so that it survives restarts and several workers can serve it at once.

A worker that was second with a change takes over what the first one wrote, and then applies its own change again. What
was compressed is journaled as bytes, not as a recipe, so a session that is resumed anywhere gives the same view.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeVar

from compressor.context.formats import serialization
from compressor.errors import CompressorError, SessionConflictError, StoreError
from compressor.sessions import archive
from compressor.sessions.call_queue import CallQueue
from compressor.sessions.compact_tool import CompactTool
from compressor.sessions.context_tools import ContextTools
from compressor.sessions.conversation import Conversation
from compressor.sessions.cost_report import CostReport
from compressor.sessions.expand_tool import ExpandTool
from compressor.sessions.history_files import HistoryFiles
from compressor.sessions.policy import Policy
from compressor.sessions.recall_tool import RecallTool
from compressor.sessions.runtime import CompressorLike
from compressor.sessions.session_export import ExportedSession, collect_originals
from compressor.sessions.session_journal import SessionJournal
from compressor.sessions.state import VERSION, SessionCounters, SessionState
from compressor.storage.text_values import put_texts
from compressor.storage.wrappers.scoped import ScopedStore

T = TypeVar("T")
MAX_ATTEMPTS = 50  # times a change is applied again because another worker was first


class Session:
    """A long-running agent conversation under an id, kept in the store.

    `Compressor.session` makes sessions. A session may be shared between threads and, where the store may be (SQLite,
    Redis), between processes. It can be pickled and deep-copied: the copy is the same session. `AsyncSession` has the
    same methods for asyncio. Every method raises StoreError if the store cannot be read or written.

    Example:
        >>> session = Compressor().session("support-42", model="gpt-4o")
        >>> session.append({"role": "user", "content": "Where is the copper stored?"})
        >>> messages = session.view()  # what to send to the model now

    Attributes:
        id: The id of the session.
        model: The model whose tokens and prices count, or None for gpt-4o.
        tenant: The tenant that the session belongs to, or "".
        call_queue: Keeps the calls of `AsyncSession` in their order.
    """

    def __init__(
        self,
        compressor: CompressorLike,
        id: str,
        model: str | None = None,
        budget: int | float | str | None = None,
        policy: Policy | None = None,
        tools: Sequence[Any] | None = None,
        system: Any = None,
        tenant: str = "",
        frozen: bool = False,
    ) -> None:
        """Opens the session with this id, or starts it.

        Args:
            compressor: The compressor whose engine and store the session uses.
            id: The id, a string that is not empty.
            model: See `Conversation`.
            budget: See `Conversation`.
            policy: See `Conversation`.
            tools: See `Conversation`.
            system: A separate system prompt, as Anthropic has it.
            tenant: Sessions of different tenants are separate, whatever their ids.
            frozen: See `Conversation`.
        """
        if not isinstance(id, str) or not id:
            raise CompressorError(f"a session id must be a non-empty string, not {id!r:.80}")
        if not isinstance(tenant, str):
            raise CompressorError(f"tenant must be a string, not {tenant!r:.80}")
        self.id, self.model, self.tenant = id, model, tenant
        self._compressor = compressor
        self._scope = archive.scope_id(tenant, id)
        self._options: dict[str, Any] = {"budget": budget, "policy": policy, "tools": tools}
        self._system, self._frozen, self._removed_tokens = system, frozen, 0
        self._lock, self.call_queue = threading.RLock(), CallQueue()
        self._journal = SessionJournal(compressor, id, self._scope)
        self._conversation = self._load_conversation([])
        self._run(lambda: None)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.id!r} model={self.model!r} messages={self.count} "
            f"view_tokens={self._conversation.view_tokens}>"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled: the id and the options. A copy goes on from the journal in the store."""
        return {
            "compressor": self._compressor,
            "id": self.id,
            "model": self.model,
            **self._options,
            "system": self._system,
            "tenant": self.tenant,
            "frozen": self._frozen,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        Session.__init__(self, **state)

    def append(self, *messages: Any, pin: bool = False, index: int | None = None) -> None:
        """Adds messages, see `Conversation.append`.

        Args:
            messages: The messages, oldest first.
            pin: Keep them in the view unchanged.
            index: How many messages the session has, as far as the caller knows (see `count`). Messages that the
                session has already are not added again, so an append whose answer was lost can be sent again.

        Raises:
            ContextError: A provider would refuse the messages.
            SessionConflictError: The session has other messages from `index` on, or fewer than `index`.
        """
        self._run(
            lambda: self._conversation.append(*(messages if index is None else self._unsent(messages, index)), pin=pin)
        )

    @property
    def count(self) -> int:
        """Returns how many messages the session has been given, including those that have left the view."""
        with self._lock:
            return len(self._journal.front_json) + int(self._journal.header["count"])

    def sync(self, messages: Sequence[Any], system: Any = None, tools: Sequence[Any] | None = None) -> None:
        """Takes over the caller's whole history, see `Conversation.sync`."""
        with self._lock:
            self._run(lambda: self._conversation.sync(messages, system, tools))
            # The journal does not hold these, and they must survive taking over what other workers have written.
            self._system = self._system if system is None else system
            self._options["tools"] = self._options["tools"] if tools is None else tools

    def sync_sent(self, messages: Sequence[Any], sent_at: float) -> None:
        """Takes over a history that was sent as it is, see `Conversation.sync_sent`."""
        self._run(lambda: self._conversation.sync_sent(messages, sent_at))

    def set_tools(self, tools: Sequence[Any] | None, removed_tokens: int = 0) -> None:
        """Replaces the tool schemas, see `Conversation.set_tools`."""
        with self._lock:
            self._conversation.set_tools(tools, removed_tokens)
            # The journal does not hold these, as in `sync`.
            self._options["tools"] = self._options["tools"] if tools is None else tools
            self._removed_tokens = removed_tokens

    def pin(self, index: int) -> None:
        """Keeps a message in the view from now on, see `Conversation.pin`."""
        self._run(lambda: self._conversation.pin(index))

    def record_usage(self, provider_usage: Any) -> None:
        """Records what the provider billed for the last call, see `Conversation.record_usage`."""
        self._run(lambda: self._conversation.record_usage(provider_usage))

    def view(self, best_effort: bool = False) -> list[Any]:
        """Returns the messages to send now, see `Conversation.view`."""
        return self._run(lambda: self._conversation.view(best_effort))

    def record_unsent(self, before: SessionCounters | None, sent_raw: bool) -> None:
        """Records that the last view was not sent, see `Conversation.record_unsent`."""
        self._run(lambda: self._conversation.record_unsent(before, sent_raw))

    def compact(self) -> bool:
        """Compacts now, see `Conversation.compact`."""
        return self._run(lambda: self._conversation.compact())

    def receipts(self) -> list[dict[str, Any]]:
        """Returns what each compaction kept and lost, see `Conversation.receipts`."""
        return self._run(lambda: self._conversation.receipts())

    def request_compaction(self) -> None:
        """Has the next view compact the history, see `Conversation.request_compaction`."""
        self._run(lambda: self._conversation.request_compaction())

    def recall(self, query: str, budget: int = 1_000) -> str:
        """Finds what answers a query in the history that left the view, see `Conversation.recall`."""
        return self._run(lambda: self._conversation.recall(query, budget))

    def history_files(self) -> HistoryFiles:
        """Returns what left the view as files, see `Conversation.history_files`."""
        return self._run(lambda: self._conversation.history_files())

    def expand(self, ref: str, query: str | None = None, budget: int | None = None) -> str:
        """Returns the original text behind a ref, see `Conversation.expand`."""
        return self._run(lambda: self._conversation.expand(ref, query, budget))

    def share_refs(self, text: str) -> int:
        """Lets this session expand the refs in a text, see `Conversation.share_refs`."""
        return self._run(lambda: self._conversation.share_refs(text))

    def expansions(self) -> list[dict[str, Any]]:
        """Returns what was expanded, see `Conversation.expansions`."""
        return self._run(lambda: self._conversation.expansions())

    @property
    def expand_tool(self) -> ExpandTool:
        """Returns the tool with which the agent itself reads removed text."""
        return ExpandTool(self.expand)

    def context_tools(self, compact: bool = False) -> ContextTools:
        """Returns the agent's own tools, see `Conversation.context_tools`."""
        compact_tool = CompactTool(self.request_compaction) if compact else None
        return ContextTools(ExpandTool(self.expand), RecallTool(self.recall), compact_tool)

    def cost_report(self) -> CostReport:
        """Returns tokens and costs with and without compression, see `Conversation.cost_report`."""
        return self._run(lambda: self._conversation.cost_report())

    def last_cost_report(self) -> CostReport:
        """Returns the same as of the last call of this object, without a look at what other workers have written."""
        with self._lock:
            return self._conversation.cost_report()

    @property
    def warnings(self) -> list[str]:
        """Returns the warnings since this object was made, oldest first."""
        return list(self._conversation.warnings)

    def fork(self, id: str) -> Session:
        """Returns a session of another id that starts as a copy of this one and is independent from then on.

        Raises:
            CompressorError: There is a session of that id.
        """
        with self._lock:
            data = self.export(originals=False)
            options = {"model": self.model, "system": self._system, **self._options}
            return import_session(self._compressor, data, id, self.tenant, options)

    def export(self, originals: bool = True) -> dict[str, Any]:
        """Returns the session as JSON data, for `Compressor.import_session`.

        Args:
            originals: Include the texts behind its refs, so that it can expand them with another store, too.
        """
        with self._lock:
            self._run(lambda: None)
            state = self._conversation.state
            data = {"version": VERSION, "id": self.id, "model": self.model, "state": state}
            data |= {"front": self._journal.front_json, "messages": self._journal.messages_json}
            found = {}
            if originals:
                found = collect_originals(self._compressor.store, SessionState.from_json(state))
            return deepcopy(data) | {"originals": found}

    def close(self, forget: bool = False) -> None:
        """Ends the use of this object. The session stays in the store until its TTL ends.

        Args:
            forget: Delete the session now. If this object is used again it starts a new session. An object in another
                worker that is used again writes back what it knows, as after an eviction. Originals stay until their
                TTL ends.
        """
        if forget:
            with self._lock:
                self._journal.delete()
                self._conversation = self._load_conversation(self._conversation.warnings)

    def _unsent(self, messages: Sequence[Any], index: int) -> Sequence[Any]:
        """Returns those of `messages`, numbered from `index`, that the session does not have yet."""
        count, front = self.count, self._journal.front_json
        if not 0 <= index <= count:
            raise SessionConflictError(
                f"session {self.id!r} has {count} messages, so `index` cannot be {index}: append what follows "
                f"message {count}",
                count,
            )
        known = dict(enumerate(front))
        for record, message in zip(self._journal.records, self._journal.messages_json, strict=True):
            known[len(front) + record["index"]] = message
        sent = messages[: count - index]
        for number, message in enumerate(sent, index):
            # A message that has left the view cannot be compared, so it is not taken for the same.
            if number not in known or serialization.chain_digest(message) != serialization.chain_digest(
                serialization.deserialize_message(known[number])
            ):
                raise SessionConflictError(
                    f"session {self.id!r} has a different message {number}: it has {count} messages, "
                    "so another client has appended to it",
                    count,
                )
        return messages[len(sent) :]

    def _load_conversation(self, warnings: Sequence[str]) -> Conversation:
        """Makes the conversation that the journal's records describe."""
        conversation = Conversation(
            self._compressor,
            self.model,
            **self._options,
            state={**self._journal.header, "records": self._journal.records},
            system=self._system,
            scope_id=self._scope,
            frozen=self._frozen,
        )
        conversation.set_tools(None, self._removed_tokens)
        conversation.warnings.extend(warnings)
        self._journal.restore(conversation)
        return conversation

    def _run(self, change: Callable[[], T]) -> T:
        """Applies a change to the newest state and journals it; applies it again if another worker was first."""
        with self._lock:
            for _ in range(MAX_ATTEMPTS):
                caught_up = self._journal.catch_up()
                if caught_up.has_news:
                    self._conversation = self._load_conversation(self._conversation.warnings)
                try:
                    result = change()
                    conversation = self._conversation
                    must_write = (
                        conversation.has_changes or caught_up.is_lost or self._journal.has_new_front(conversation)
                    )
                    if not must_write:
                        return result
                    if self._journal.write(conversation, rewrite=caught_up.is_lost):
                        conversation.mark_saved()
                        return result
                except BaseException:
                    # Starts over from the journal, so that nothing is left half done.
                    self._conversation = self._load_conversation(self._conversation.warnings)
                    raise
                self._conversation = self._load_conversation(self._conversation.warnings)
        raise StoreError(
            f"session {self.id!r} is too busy: other workers were first {MAX_ATTEMPTS} times in a row. Try again later"
        )

    def _import(self, exported: ExportedSession) -> None:
        """Becomes the exported session. Raises CompressorError if this session has been started already."""
        exists = CompressorError(f"the session cannot be imported: there is a session {self.id!r} already")
        if not self._journal.is_empty:
            raise exists
        if exported.originals:
            put_texts(ScopedStore(self._compressor.store, self._scope), exported.originals)
        state = exported.state
        state.scopes = list(dict.fromkeys([self._scope, *state.scopes]))
        with self._lock:
            if not self._journal.create(state, exported.front, exported.messages):
                raise exists
            self._run(lambda: None)


def import_session(
    compressor: CompressorLike, data: Mapping[str, Any], id: str | None, tenant: str, options: Mapping[str, Any]
) -> Session:
    """Makes a session from what `Session.export` returned, see `Compressor.import_session`.

    Args:
        compressor: The compressor whose engine and store the session uses.
        data: The exported session.
        id: The new id; None keeps the old one.
        tenant: The tenant of the new session.
        options: Other options of `Session`, by name.

    Raises:
        CompressorError: The data is not an exported session, or there is a session of that id.
    """
    exported = ExportedSession.from_json(data)
    session = Session(
        compressor, exported.id if id is None else id, tenant=tenant, **{"model": exported.model, **options}
    )
    session._import(exported)
    return session
