"""Which conversation a proxied request belongs to: the session it names, or the one whose messages it extends.

Builds on what the wrapped clients do (`compressor_agents`): a `ExpandResolver` for each session, and for each first message.
Keeps the conversations used last, as many as the settings say by number and by bytes. Knows no HTTP.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from compressor.context.formats.serialization import chain_digest
from compressor.providers import Json, ProviderApi
from compressor.providers.conversation_tracker import ConversationTracker, TrackedConversation
from compressor.providers.expand_resolver import ExpandResolver, FailOpen, ResolvedCall
from compressor.service.model_names import sanitize_model_name
from compressor.service.proxy.request_body import RequestBody, read
from compressor.sessions.cost_report import CostReport
from compressor.sessions.state import SessionCounters

if TYPE_CHECKING:
    from compressor.compressor import Compressor
    from compressor.service.session_registry import SessionRegistry
    from compressor.service.settings import Settings

log = logging.getLogger("compressor.service")
#: What went wrong with the request at hand, for its answer's header: names only, no content.
WARNINGS: ContextVar[list[str]] = ContextVar("WARNINGS")
CHARACTERS = 4  # of a token: what a history takes up that is not known as a body
_SHOWN = {"refused": "refused by the provider", "raw response": "raw response", "usage": "usage not noted"}


class _LoggedFailures(FailOpen):
    """Fails open, and says so where the request can see it. Messages may quote content: they are not logged."""

    def handle(self, error: BaseException) -> None:
        self._say(type(error).__name__)

    def warn_once(self, text: str, kind: str, error: BaseException | None = None) -> None:
        self._say(_SHOWN.get(kind, "not one whole history"))

    def _say(self, what: str) -> None:
        warnings = WARNINGS.get([])
        if what not in warnings:
            warnings.append(what)
        if what not in self._logged_kinds:
            self._logged_kinds.add(what)
            log.warning("sent as it was: %s", what)


class _Threads(ConversationTracker):
    """Threads that count by harmless names of models."""

    def __init__(self, models: Mapping[str, str], *given: Any) -> None:
        super().__init__(*given)
        self._models = models

    def match(self, messages: Sequence[Any], model: str | None, kind: str = "") -> TrackedConversation:
        return super().match(messages, sanitize_model_name(model, self._models), kind)


class _Resolver(ExpandResolver):
    """A resolver that shares the names of responses with the tenant's others."""

    def __init__(self, threads: ConversationTracker, failing: FailOpen, names: dict[str, str]) -> None:
        super().__init__(threads)
        self.fail_open, self._latest_ids = failing, names


@dataclass(eq=False)
class _Kept:
    """A conversation that is known, with the body it was last sent in and that body's size in bytes."""

    thread: TrackedConversation
    threads: ConversationTracker
    body: RequestBody | None
    size: int


class ConversationRegistry:
    """One tenant's conversations. Safe to share between threads."""

    def __init__(self, compressor: Compressor, sessions: SessionRegistry, config: Settings) -> None:
        self._compressor, self._sessions, self._config = compressor, sessions, config
        self._policy = config.session_policy()
        self.failing = _LoggedFailures()
        self._names: dict[str, str] = {}
        self._known: OrderedDict[Any, _Resolver] = OrderedDict()
        self._kept: OrderedDict[int, _Kept] = OrderedDict()  # by the thread's id, the newest last
        self._bytes = 0  # of the bodies in there
        self._first: dict[str, list[_Kept]] = {}  # by the text of their first message
        self._told: WeakKeyDictionary[Any, tuple[str, CostReport, Any]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def read(self, raw: bytes) -> RequestBody:
        """A request's body. Refused for what is none, or is not taken."""
        return read(raw, self._config.max_json_depth, self._alike)

    def prepare(
        self, api: ProviderApi, body: RequestBody, session: str = "", budget: int | float | str | None = None
    ) -> ResolvedCall | None:
        """What to send instead of a body; None if it has to go out as it is. Raises what is wrong with the session."""
        resolver = self._resolver(api, body.data, session, budget)
        call = resolver.resolve(api, body.data)
        if call is not None:
            self._keep(_Kept(call.tracked, resolver.tracker, body, body.size))
        return call

    def _alike(self, first: str) -> list[RequestBody]:
        with self._lock:
            return [kept.body for kept in self._first.get(first, ()) if kept.body is not None]

    def _keep(self, kept: _Kept) -> None:
        """Notes what was used last, and lets go of what is too much."""
        gone = []
        with self._lock:
            self._let_go(id(kept.thread))
            self._kept[id(kept.thread)] = kept
            self._bytes += kept.size
            if kept.body is not None and kept.body.first:
                self._first.setdefault(kept.body.first, []).append(kept)
            most, memory = self._config.max_conversations, self._config.max_conversation_bytes
            while len(self._kept) > 1 and (len(self._kept) > most or self._bytes > memory):
                gone.append(self._let_go(next(iter(self._kept))))
        for old in gone:  # not under the lock: theirs may be held by one that asks the store
            if old is not None:
                old.threads.evict(old.thread)

    def _let_go(self, id: int) -> _Kept | None:
        kept = self._kept.pop(id, None)
        if kept is not None:
            self._bytes -= kept.size
            if kept.body is not None and kept.body.first:
                alike = [one for one in self._first[kept.body.first] if one is not kept]
                self._first[kept.body.first] = alike
                if not alike:
                    del self._first[kept.body.first]
        return kept

    def map_response_id(self, body: Json) -> Json:
        """A body that goes out as it is, but for the id of the response it continues; the same object if it has none of
        ours."""
        last = self._names.get(str(body.get("previous_response_id") or ""))
        return {**body, "previous_response_id": last} if last else body

    def view(
        self, messages: Sequence[Any], model: Any, system: Any, tools: Sequence[Any] | None
    ) -> tuple[TrackedConversation, list[Any]]:
        """What to send of a whole history whose conversation is found by its messages. Raises what
        `Conversation.view` raises."""
        threads = self._by_message(messages, "view", None).tracker
        thread, view = threads.view(messages, model, "", system, tools)
        self._keep(_Kept(thread, threads, None, CHARACTERS * thread.conversation.cost_report().baseline_last))
        return thread, view

    def conversation_cost(self, thread: TrackedConversation) -> tuple[str, CostReport, float]:
        """A conversation's id, its balance, and dollars saved since this was last asked."""
        conversation = thread.conversation
        balance: CostReport = conversation.cost_report()
        with self._lock:
            known = self._told.get(conversation)
            id = known[0] if known else getattr(conversation, "id", "") or f"auto-{uuid4().hex[:16]}"
            self._told[conversation] = id, balance, thread.lock
        if known is None:  # what a session saved before this process knew it is not this process's news
            return id, balance, balance.saved_cost if balance.calls <= 1 else 0.0
        return id, balance, balance.saved_cost - known[1].saved_cost

    def cost_reports(self) -> dict[str, CostReport]:
        """The balances of all conversations that are known here, as they were last asked for, by their ids."""
        with self._lock:
            return {id: balance for id, balance, _ in self._told.values()}

    def find(self, id: str) -> tuple[Any, Any] | None:
        """The conversation of that id and its lock, if it is known here."""
        with self._lock:
            return next(((talk, told[2]) for talk, told in self._told.items() if told[0] == id), None)

    def _resolver(self, api: ProviderApi, body: Json, session: str, budget: int | float | str | None) -> _Resolver:
        budget = self._config.budget if budget is None else budget
        if not session:
            return self._by_message(api.read_messages(body) if api.supports(body) else [], api.dialect, budget)
        model = sanitize_model_name(body.get("model"), self._config.models)
        key = "session", session, api.dialect, model, budget
        return self._resolver_of(key, lambda: self._of_session(session, model, budget))

    def _of_session(self, id: str, model: str | None, budget: int | float | str | None) -> _Resolver:
        found = self._sessions.of(id, {"model": model, "budget": budget}, begin=True)
        return self._made(budget, found)

    def _by_message(self, messages: Sequence[Any], kind: str, budget: int | float | str | None) -> _Resolver:
        """Histories that begin alike are looked for among each other only."""
        first: Any = next(
            (m for m in messages if not (isinstance(m, dict) and m.get("role") in ("system", "developer"))), {}
        )
        return self._resolver_of((kind, budget, chain_digest(first)), lambda: self._made(budget, None))

    def _resolver_of(self, key: Any, make: Callable[[], _Resolver]) -> _Resolver:
        with self._lock:
            found = self._known.get(key)
        made = found or make()  # may read the store: not under the lock
        with self._lock:
            made = self._known.setdefault(key, made)
            self._known.move_to_end(key)
            while len(self._known) > self._config.max_conversations:
                self._known.popitem(last=False)
            return made

    def _made(self, budget: int | float | str | None, session: Any) -> _Resolver:
        most = self._config.max_conversations
        threads = _Threads(self._config.models, self._compressor, budget, self._policy, session, most, True)
        return _Resolver(threads, self.failing, self._names)


def counters_of(conversation: Any) -> SessionCounters:
    """Of a conversation or session, as this process knows it: nothing is read."""
    tallies: SessionCounters = getattr(conversation, "_conversation", conversation)._state.tallies
    return tallies
