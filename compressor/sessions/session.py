"""A conversation kept in the store: it survives restarts, and several workers can serve it at once.

Every change is one record in the store's journal, written only if nobody else has written since (compare-and-set); who
comes second takes over what the first wrote and does its own change again. What is compressed is journaled as bytes,
not as a recipe, so a session resumed anywhere gives the same view. Knows no compression.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeVar, cast

from compressor.context.formats import serialization
from compressor.context.refs import compute_ref, find_refs
from compressor.errors import CompressorError, RefError, SessionConflictError, StoreError
from compressor.scoring.runtime.executor import run_in_thread
from compressor.sessions import archive
from compressor.sessions.conversation import Conversation
from compressor.sessions.cost_report import CostReport
from compressor.sessions.expand_tool import ExpandTool
from compressor.sessions.policy import Policy
from compressor.sessions.state import VERSION, SessionState
from compressor.storage.base import require_log
from compressor.storage.text_values import put_texts

if TYPE_CHECKING:
    from compressor.compressor import Compressor

T = TypeVar("T")
MAX_ATTEMPTS = 50  # times a change is done again because other workers were first


class Session:
    """A long-running agent conversation under an id. Made by `Compressor.session`.

    Safe to share between threads and, where the store is (SQLite), between processes. Every method has an async twin
    (`aappend`, `aview`, ...) that runs it in a worker thread. See `Conversation` for what the methods do, and `frozen`
    is; all methods raise StoreError where the store cannot be read or written.
    """

    def __init__(
        self,
        compressor: Compressor,
        id: str,
        model: str | None = None,
        budget: int | float | str | None = None,
        policy: Policy | None = None,
        tools: Sequence[Any] | None = None,
        system: Any = None,
        tenant: str = "",
        frozen: bool = False,
    ) -> None:
        if not isinstance(id, str) or not id:
            raise CompressorError(f"a session needs an id, a string that is not empty, not {id!r:.80}")
        if not isinstance(tenant, str):
            raise CompressorError(f"a tenant is named by a string, not {tenant!r:.80}")
        self.id, self.model, self.tenant = id, model, tenant
        self._compressor = compressor
        self._scope = archive.scope_id(tenant, id)
        self._options: dict[str, Any] = {"model": model, "budget": budget, "policy": policy, "tools": tools}
        self._system, self._frozen = system, frozen
        self._lock = threading.RLock()
        self._number = 0  # of the last record that is in here
        self._tail = b""  # that record's hash
        self._data: dict[str, Any] = SessionState(scopes=[self._scope]).to_header_json()
        self._entries: list[Any] = []  # as JSON
        self._messages: list[Any] = []  # as JSON, beside them
        self._objects: list[Any] = []  # as the caller gave them, or made from the JSON
        self._front: list[Any] = []  # system messages in front, as JSON
        self._known_front: list[Any] = self._front  # the list that holds them as messages
        self._conversation: Conversation = None  # type: ignore[assignment]  # made from the journal in a moment
        self._conversation = self._made()
        self._run(lambda: None)

    def append(self, *messages: Any, pin: bool = False, index: int | None = None) -> None:
        """See `Conversation.append`. `at`: how many messages the session has, as far as the caller knows (`count`).
        What is there already is not added again, so an append that nobody answered can be sent again. Conflict if
        others are there, or fewer."""
        self._run(
            lambda: self._conversation.append(*(messages if index is None else self._unsent(messages, index)), pin=pin)
        )

    @property
    def count(self) -> int:
        """Messages it has been given, those that have left the view included."""
        with self._lock:
            return len(self._front) + int(self._data["count"])

    def sync(self, messages: Sequence[Any], system: Any = None, tools: Sequence[Any] | None = None) -> None:
        """See `Conversation.sync`."""
        with self._lock:
            self._run(lambda: self._conversation.sync(messages, system, tools))
            # They are no part of the journal, and must outlast the taking over of what others have written.
            self._system = self._system if system is None else system
            self._options["tools"] = self._options["tools"] if tools is None else tools

    def pin(self, index: int) -> None:
        """See `Conversation.pin`."""
        self._run(lambda: self._conversation.pin(index))

    def record_usage(self, provider_usage: Any) -> None:
        """See `Conversation.record_usage`."""
        self._run(lambda: self._conversation.record_usage(provider_usage))

    def view(self) -> list[Any]:
        """See `Conversation.view`."""
        return self._run(lambda: self._conversation.view())

    def compact(self) -> bool:
        """See `Conversation.compact`."""
        return self._run(lambda: self._conversation.compact())

    def recall(self, query: str, budget: int = 1_000) -> str:
        """See `Conversation.recall`."""
        return self._run(lambda: self._conversation.recall(query, budget))

    def expand(self, ref: str, query: str | None = None, budget: int | None = None) -> str:
        """See `Conversation.expand`."""
        return self._run(lambda: self._conversation.expand(ref, query, budget))

    def share_refs(self, text: str) -> int:
        """See `Conversation.share_refs`."""
        return self._run(lambda: self._conversation.share_refs(text))

    def expansions(self) -> list[dict[str, Any]]:
        """See `Conversation.expansions`."""
        return self._run(lambda: self._conversation.expansions())

    @property
    def expand_tool(self) -> ExpandTool:
        """See `Conversation.expand_tool`."""
        return ExpandTool(self.expand)

    def cost_report(self) -> CostReport:
        """See `Conversation.cost_report`."""
        return self._run(lambda: self._conversation.cost_report())

    @property
    def warnings(self) -> list[str]:
        """What this object has seen happen that the user should know."""
        return list(self._conversation.warnings)

    def fork(self, id: str) -> Session:
        """A session of another id that begins with all of this one and goes its own way from here. CompressorError if
        there is a session of that id."""
        with self._lock:
            return self._compressor.import_session(
                self.export(originals=False), id, tenant=self.tenant, **self._given()
            )

    def export(self, originals: bool = True) -> dict[str, Any]:
        """The session as JSON data, for `Compressor.import_session`. `originals`: with the texts behind its refs, so
        that another store can give them back too."""
        with self._lock:
            self._run(lambda: None)
            data = {"version": VERSION, "id": self.id, "model": self.model, "state": self._conversation.state}
            data |= {"front": self._front, "messages": self._messages}
            return deepcopy(data) | {"originals": self._originals() if originals else {}}

    def close(self, forget: bool = False) -> None:
        """Ends the use of this object; the session stays in the store until its time is over. `forget`: it goes now,
        and this object, used again, begins anew. Another worker's that is used again writes back what it knows, as it
        does after an eviction; originals stay until their time is over."""
        if forget:
            with self._lock:
                require_log(self._compressor.store).drop_log(self._name)
                self._begin()
                self._conversation = self._made()

    async def aappend(self, *messages: Any, pin: bool = False, at: int | None = None) -> None:
        """`append` in a worker thread."""
        await run_in_thread(self.append, *messages, pin=pin, at=at)

    async def async_sync(self, messages: Sequence[Any], system: Any = None, tools: Sequence[Any] | None = None) -> None:
        """`follow` in a worker thread."""
        await run_in_thread(self.sync, messages, system, tools)

    async def apin(self, at: int) -> None:
        """`pin` in a worker thread."""
        await run_in_thread(self.pin, at)

    async def arecord_usage(self, provider_usage: Any) -> None:
        """`usage` in a worker thread."""
        await run_in_thread(self.record_usage, provider_usage)

    async def aview(self) -> list[Any]:
        """`view` in a worker thread."""
        return await run_in_thread(self.view)

    async def acompact(self) -> bool:
        """`compact` in a worker thread."""
        return await run_in_thread(self.compact)

    async def arecall(self, query: str, budget: int = 1_000) -> str:
        """`recall` in a worker thread."""
        return await run_in_thread(self.recall, query, budget)

    async def aexpand(self, ref: str, query: str | None = None, budget: int | None = None) -> str:
        """`expand` in a worker thread."""
        return await run_in_thread(self.expand, ref, query, budget)

    async def ashare_refs(self, text: str) -> int:
        """`adopt` in a worker thread."""
        return await run_in_thread(self.share_refs, text)

    async def aexpansions(self) -> list[dict[str, Any]]:
        """`regrets` in a worker thread."""
        return await run_in_thread(self.expansions)

    async def acost_report(self) -> CostReport:
        """`balance` in a worker thread."""
        return await run_in_thread(self.cost_report)

    async def afork(self, id: str) -> Session:
        """`fork` in a worker thread."""
        return await run_in_thread(self.fork, id)

    async def aexport(self, originals: bool = True) -> dict[str, Any]:
        """`export` in a worker thread."""
        return await run_in_thread(self.export, originals)

    async def aclose(self, forget: bool = False) -> None:
        """`close` in a worker thread."""
        await run_in_thread(self.close, forget)

    # -- the journal

    def _unsent(self, messages: Sequence[Any], at: int) -> Sequence[Any]:
        """Those of `messages`, numbered from `at`, that the session does not have yet."""
        count = self.count
        if not 0 <= at <= count:
            raise SessionConflictError(f"session {self.id!r} has {count} messages, not {at}", count)
        known = dict(enumerate(self._front))
        for entry, message in zip(self._entries, self._messages, strict=True):
            known[len(self._front) + entry["index"]] = message
        sent = messages[: count - at]
        for number, message in enumerate(sent, at):
            # What has left the view cannot be compared, and is not taken for the same.
            if number not in known or serialization.chain_digest(message) != serialization.chain_digest(
                serialization.deserialize_message(known[number])
            ):
                raise SessionConflictError(
                    f"message {number} of session {self.id!r} is another one: it has {count}", count
                )
        return messages[len(sent) :]

    @property
    def _name(self) -> str:
        return f"session:{self._scope}"

    def _given(self) -> dict[str, Any]:
        return {**{k: v for k, v in self._options.items() if k != "model"}, "model": self.model, "system": self._system}

    def _made(self) -> Conversation:
        """The conversation as the records have it."""
        state = {**self._data, "records": self._entries}
        more: dict[str, Any] = {"system": self._system, "scoped": self._scope, "frozen": self._frozen}
        talk = Conversation(self._compressor, **self._options, state=state, **more)
        if self._conversation is not None:
            talk.warnings.extend(self._conversation.warnings)
        talk.restore([serialization.deserialize_message(m) for m in self._front], list(self._objects))
        self._known_front = talk.head
        return talk

    def _run(self, change: Callable[[], T]) -> T:
        """Does a change on the newest state and journals it; again, where another worker was first."""
        with self._lock:
            for _ in range(MAX_ATTEMPTS):
                gone = self._catch_up()
                try:
                    result = change()
                    if not self._conversation.has_changes and not gone and not self._has_new_front():
                        return result
                    record, fresh = self._record(gone)
                    packed = json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")
                    if require_log(self._compressor.store).append_log(
                        self._name, self._number, [packed], truncate_before=fresh
                    ):
                        self._number, self._tail = self._number + 1, _hash(packed)
                        self._apply(record, self._conversation.messages)
                        self._conversation.mark_saved()
                        return result
                except BaseException:
                    self._conversation = self._made()  # without what was half done
                    raise
                self._conversation = self._made()
        raise StoreError(f"session {self.id!r} is too busy: {MAX_ATTEMPTS} times another worker was first")

    def _catch_up(self) -> bool:
        """Takes over what others have written. True if the journal is gone and has to be written anew."""
        try:
            # With the record that is known: another log may have been begun in the place of one that is gone.
            records = require_log(self._compressor.store).read_log(self._name, after=max(0, self._number - 1))
            if self._number and not (records and (records[0][0] > self._number or _hash(records[0][1]) == self._tail)):
                self._begin()
                records = require_log(self._compressor.store).read_log(self._name)
        except RefError:
            self._number = 0
            return bool(self._entries or self._front)
        if records and records[0][0] == self._number:
            del records[0]
        for number, packed in records:
            self._apply(json.loads(packed), None)
            self._number, self._tail = number, _hash(packed)
        if records:
            self._conversation = self._made()
        return False

    def _begin(self) -> None:
        """Holds nothing, as before the first record."""
        self._number, self._tail = 0, b""
        self._data = SessionState(scopes=[self._scope]).to_header_json()
        self._entries, self._messages, self._objects, self._front = [], [], [], []

    def _has_new_front(self) -> bool:
        """Whether the system messages in front are others than those journaled."""
        if self._conversation.head is self._known_front:
            return False
        return [serialization.serialize_message(m) for m in self._conversation.head] != self._front

    def _record(self, whole: bool) -> tuple[dict[str, Any], bool]:
        """What has changed since the last record, and whether nothing before it is needed any more."""
        state = self._conversation.state
        entries = state.pop("records")
        live = self._conversation.messages
        whole = whole or not self._number
        known = {entry["index"]: i for i, entry in enumerate(self._entries)}
        moved = [e["index"] for e in entries[: len(self._entries)]] != [e["index"] for e in self._entries]
        whole = whole or moved
        changes = []
        for i, (entry, message) in enumerate(zip(entries, live, strict=True)):
            before = known.get(entry["index"])
            same = before is not None and self._entries[before]["digest"] == entry["digest"]
            if whole or not same or self._entries[cast(int, before)] != entry:
                data = self._messages[cast(int, before)] if same else serialization.serialize_message(message)
                changes.append([i, entry, data])
        record = {"state": state, "count": len(entries), "changes": changes}
        front = [serialization.serialize_message(m) for m in self._conversation.head]
        if whole or front != self._front:  # long system prompts would be most of the journal
            record["front"] = front
        return record, whole

    def _apply(self, record: Mapping[str, Any], live: Sequence[Any] | None) -> None:
        """Takes a record over. `live`: the messages as the caller gave them, if it is our own record."""
        count = record["count"]
        self._data, self._front = record["state"], record.get("front", self._front)
        for items in (self._entries, self._messages, self._objects):
            del items[count:]
        for i, entry, data in record["changes"]:
            made = None if live is not None else serialization.deserialize_message(data)
            if i < len(self._entries):
                self._entries[i], self._messages[i], self._objects[i] = entry, data, made
            elif i > len(self._entries):
                raise StoreError(f"the journal of session {self.id!r} is damaged: a record is missing")
            else:
                self._entries.append(entry)
                self._messages.append(data)
                self._objects.append(made)
        if live is not None:
            self._objects, self._known_front = list(live), self._conversation.head

    def _take(self, state: SessionState, front: list[Any], messages: list[Any], originals: Mapping[str, str]) -> None:
        """Becomes a session that was exported."""
        if self._number or len(messages) != len(state.records):
            why = f"there is a session {self.id!r} already" if self._number else "its messages do not go with its state"
            raise CompressorError(f"the session cannot be imported: {why}")
        if originals:
            put_texts(archive.ScopedStore(self._compressor.store, self._scope), originals)
        state.scopes = list(dict.fromkeys([self._scope, *state.scopes]))
        with self._lock:
            data = state.to_json()
            record = {"state": state.to_header_json(), "front": front, "count": len(messages)}
            record["changes"] = [[i, e, m] for i, (e, m) in enumerate(zip(data["records"], messages, strict=True))]
            packed = json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")
            if not require_log(self._compressor.store).append_log(self._name, 0, [packed], truncate_before=True):
                raise CompressorError(f"the session cannot be imported: there is a session {self.id!r} already")
            self._catch_up()

    def _originals(self) -> dict[str, str]:
        store, state = self._compressor.store, SessionState.from_json(self._conversation.state)
        refs = [r for e in state.records for text in e.edits.values() for r in find_refs(text)]
        refs += [*state.page_refs, *([state.older_ref] if state.older_ref else [])]
        for ref, _, exact in archive.list_pages(store, state.page_refs):
            refs += [ref, exact]
        found: dict[str, str] = {}
        while refs := [ref for ref in dict.fromkeys(refs) if ref not in found]:
            more = archive.readable_texts(store, state.scopes, refs)
            refs = [ref for text in more.values() for ref in find_refs(text)]
            found |= more
        # A store that takes secrets out gives back another text than its ref says: no other store would take it.
        return {ref: text for ref, text in found.items() if compute_ref(text) == ref}


def _hash(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=16).digest()


def import_session(
    compressor: Compressor, data: Mapping[str, Any], id: str | None, tenant: str, options: Mapping[str, Any]
) -> Session:
    """See `Compressor.import_session`."""
    try:
        state = SessionState.from_json(data["state"])
        front, messages, originals = list(data["front"]), list(data["messages"]), dict(data["originals"])
        name = data["id"] if id is None else id
        given = {"model": data["model"], **options}
        for message in (*front, *messages):
            serialization.deserialize_message(message)
        if wrong := [ref for ref, text in originals.items() if not isinstance(text, str) or compute_ref(text) != ref]:
            raise ValueError(f"the original of {wrong[0]!r:.40} is another text")
    except (KeyError, TypeError, ValueError) as error:
        raise CompressorError(f"this is no session: give what `OnnxSession.export` gave ({error!r})") from None
    session = Session(compressor, name, tenant=tenant, **given)
    session._take(state, front, messages, originals)
    return session
