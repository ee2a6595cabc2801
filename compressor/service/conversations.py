"""Finds the conversation of a proxied request: the session that it names, or the one whose messages it extends.

It works like the wrapped clients of `compressor_agents`: there is an `ExpandResolver` for each session, and for each
first message. The conversations used last are kept, limited by number and by bytes.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4
from weakref import WeakKeyDictionary

from compressor.caches import LruCache
from compressor.context.formats.serialization import chain_digest
from compressor.providers import Json, ProviderApi
from compressor.providers.conversation_tracker import ConversationTracker, TrackedConversation
from compressor.providers.expand_resolver import ExpandResolver, ResolvedCall
from compressor.providers.fail_open import FailOpen
from compressor.providers.prompt_budgets import PromptBudgets
from compressor.service import budget_options, policy_options
from compressor.service.failure_notices import LoggedFailures
from compressor.service.http_errors import HttpError
from compressor.service.model_names import sanitize_model_name
from compressor.service.modes import conversation_key
from compressor.service.service_tracker import ServiceTracker
from compressor.service.sharing.response_ids import ResponseIds
from compressor.service.sharing.shared_conversations import SharedTracker
from compressor.service.sharing.shared_sessions import SharedSessionTracker
from compressor.service.sharing.shared_store import MAX_ATTEMPTS, SharedStore
from compressor.service.telemetry.session_usage import usage_notes
from compressor.sessions.cost_report import CostReport
from compressor.sessions.state import SessionCounters

if TYPE_CHECKING:
    from compressor.compressor import Compressor
    from compressor.service.raw_histories import RawHistories
    from compressor.service.session_registry import SessionRegistry
    from compressor.service.settings import Settings
    from compressor.sessions.policy import Policy

BYTES_PER_TOKEN = 4  # to estimate the size of a history whose body is not known


class ParsedBody(Protocol):
    """What the registry needs of a parsed request body (`proxy.request_body.RequestBody`).

    Attributes:
        data: The JSON data.
        first: The text of the first message that is not the system's.
        size: The size of the body in bytes.
    """

    data: Any
    first: str
    size: int


class SharedResolver(ExpandResolver):
    """A resolver that shares the ids of responses with the tenant's other resolvers."""

    def __init__(
        self, tracker: ConversationTracker, failing: FailOpen, names: ResponseIds, budgets: PromptBudgets
    ) -> None:
        super().__init__(tracker, budgets=budgets)
        self.fail_open, self._names = failing, names

    def remember_response_id(self, visible_id: str, latest_id: str) -> None:
        """See `ExpandResolver.remember_response_id`."""
        self._names.put(visible_id, latest_id)


@dataclass(eq=False)
class _CachedConversation:
    """A conversation, the body it was last sent in, and that body's size in bytes."""

    conversation: TrackedConversation
    tracker: ConversationTracker
    body: ParsedBody | None
    size: int


class ConversationRegistry:
    """The conversations of one tenant. Safe to share between threads.

    Args:
        compressor: The tenant's compressor.
        sessions: The tenant's named sessions.
        config: The settings of the service.
        tenant: The tenant's name.
        raw_histories: What was sent as it is, which conversations that begin go on with.

    Attributes:
        fail_open: Takes errors that make a request go out uncompressed.
    """

    def __init__(
        self,
        compressor: Compressor,
        sessions: SessionRegistry | None,
        config: Settings,
        tenant: str = "",
        raw_histories: RawHistories | None = None,
    ) -> None:
        self._compressor, self._sessions, self._config = compressor, sessions, config
        self._tenant, self._raw_histories = tenant, raw_histories
        self._policy = config.session_policy()
        self.fail_open = LoggedFailures()
        shared = compressor.store if config.shares_conversations and sessions is not None else None
        level = "off" if config.encryption_keys else config.redact
        self._shared = None if shared is None else SharedStore(shared, level)
        self._response_ids = ResponseIds(shared)
        self._resolvers: LruCache[Any, SharedResolver] = LruCache(config.max_conversations)
        # Not an `LruCache`: an evicted conversation has to be forgotten by its tracker as well.
        # By object id of the conversation, the newest last.
        self._cached: OrderedDict[int, _CachedConversation] = OrderedDict()
        self._cached_bytes = 0
        self._by_shared_id: dict[str, int] = {}  # the object ids of those that other processes can continue
        self._by_first_message: dict[str, list[_CachedConversation]] = {}
        self._reports: WeakKeyDictionary[Any, tuple[str, CostReport, Any]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def reconfigure(self, config: Settings) -> None:
        """Uses other settings from the next request on.

        If they change what is sent, conversations in memory begin anew: they are recognised by their messages.
        """
        old, self._config = self._config, config
        if (old.session_policy(), old.budget, old.prompt_budgets()) == (
            config.session_policy(),
            config.budget,
            config.prompt_budgets(),
        ):
            return
        self._policy = config.session_policy()
        self._resolvers.clear()

    def prepare(
        self,
        api: ProviderApi,
        body: ParsedBody,
        session: str = "",
        budget: int | float | str | None = None,
        options: Mapping[str, Any] | None = None,
        model: str = "",
    ) -> ResolvedCall | None:
        """Returns what to send instead of a body, or None if it has to be sent as it is.

        Args:
            api: The provider's API.
            body: The body of the request.
            session: The id of the session that the request names.
            budget: The budget that the request names.
            options: When to compact, and down to what size (`policy_options.FIELDS`), and the budgets of tools and
                examples (`budget_options.FIELDS`).
            model: The model to count by if the body names none, such as the deployment in a path of Azure.

        Raises:
            CompressorError: The session or its options are not valid.
        """
        model = model if not body.data.get("model") else ""
        for _ in range(MAX_ATTEMPTS):
            resolver = self._find_resolver(api, body.data, session, budget, options or {}, model)
            call = resolver.resolve(api, body.data, model)
            if call is None or resolver.tracker.save(call.tracked):
                break
        if call is not None:
            self._cache(_CachedConversation(call.tracked, resolver.tracker, body, body.size))
        return call

    def preview(
        self,
        api: ProviderApi,
        body: Json,
        session: str = "",
        budget: int | float | str | None = None,
        options: Mapping[str, Any] | None = None,
        model: str = "",
    ) -> ResolvedCall | None:
        """Returns what `prepare` would return, to look at its body. No conversation changes, and no session begins.

        Args:
            api: The provider's API.
            body: The body of the request.
            session: The id of the session that the request names.
            budget: As for `prepare`.
            options: As for `prepare`.
            model: As for `prepare`.

        Raises:
            CompressorError: The request cannot be compressed.
        """
        known = None
        if session and self._sessions is not None:
            with suppress(HttpError):
                known = self._sessions.open(session, {})
        if known is not None:
            limit = known.options.get("budget", self._config.budget if budget is None else budget)
            resolver = self._make_resolver(limit, self._policy, known.session, known.budgets)
        else:
            resolver = self._find_resolver(api, body, "", budget, options or {})
        return resolver.preview(api, body, model if not body.get("model") else "")

    def similar_bodies(self, first: str) -> list[Any]:
        """Returns the cached bodies that begin with this message (its JSON text)."""
        with self._lock:
            return [one.body for one in self._by_first_message.get(first, ()) if one.body is not None]

    def largest_body(self) -> int:
        """Returns the size of the largest cached body: no body can begin with more that is known."""
        with self._lock:
            return max((one.size for one in self._cached.values() if one.body is not None), default=0)

    def _cache(self, new: _CachedConversation) -> None:
        """Caches a conversation as the newest, and evicts the oldest ones beyond the limits."""
        evicted = []
        shared = new.conversation.shared
        with self._lock:
            self._remove(id(new.conversation))
            if shared is not None:  # what this process knew before another one continued it is of no use
                self._remove(self._by_shared_id.get(shared.id, 0))
                self._by_shared_id[shared.id] = id(new.conversation)
            self._cached[id(new.conversation)] = new
            self._cached_bytes += new.size
            if new.body is not None and new.body.first:
                self._by_first_message.setdefault(new.body.first, []).append(new)
            max_count, max_bytes = self._config.max_conversations, self._config.max_conversation_bytes
            while len(self._cached) > 1 and (len(self._cached) > max_count or self._cached_bytes > max_bytes):
                evicted.append(self._remove(next(iter(self._cached))))
        for old in evicted:  # outside the lock, because the tracker's may be held by a thread that waits for the store
            if old is not None:
                old.tracker.evict(old.conversation)

    def _remove(self, id: int) -> _CachedConversation | None:
        removed = self._cached.pop(id, None)
        if removed is not None:
            self._cached_bytes -= removed.size
            if removed.conversation.shared is not None:
                self._by_shared_id.pop(removed.conversation.shared.id, None)
            if removed.body is not None and removed.body.first:
                others = [one for one in self._by_first_message[removed.body.first] if one is not removed]
                self._by_first_message[removed.body.first] = others
                if not others:
                    del self._by_first_message[removed.body.first]
        return removed

    def map_response_id(self, body: Json) -> Json:
        """Returns a body that continues the response which the client knows under another id.

        It is the same object if it names no such response. May read the store.
        """
        last = self._response_ids.get(str(body.get("previous_response_id") or ""))
        return {**body, "previous_response_id": last} if last else body

    def view(
        self,
        messages: Sequence[Any],
        model: Any,
        system: Any,
        tools: Sequence[Any] | None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[TrackedConversation, list[Any], dict[str, Any]]:
        """Finds the conversation of a whole history by its messages.

        Args:
            messages: The history.
            model: The model.
            system: A separate system prompt.
            tools: The tools that are sent along.
            options: The budgets of tools and examples (`budget_options.BUDGET_FIELDS`). `find_tool` is not listed,
                because nobody would answer it.

        Returns:
            The conversation, the messages to send, and the fields "tools" and "system" of the response if they have
            a budget.

        Raises:
            CompressorError: The messages cannot be read, or messages, tools or examples do not fit their budget.
        """
        for _ in range(MAX_ATTEMPTS):
            resolver = self._find_resolver_by_message(messages, "view", None, options or {})
            conversation, view, more = self._view(resolver, messages, model, system, tools, options or {})
            if resolver.tracker.save(conversation):
                break
        size = BYTES_PER_TOKEN * conversation.conversation.cost_report().baseline_last
        self._cache(_CachedConversation(conversation, resolver.tracker, None, size))
        return conversation, view, more

    def _view(
        self,
        resolver: SharedResolver,
        messages: Sequence[Any],
        model: Any,
        system: Any,
        tools: Sequence[Any] | None,
        options: Mapping[str, Any],
    ) -> tuple[TrackedConversation, list[Any], dict[str, Any]]:
        tracker, more = resolver.tracker, {}
        if not options:
            conversation, view = tracker.view(messages, model, "", system, tools)
        else:
            conversation, budgets = tracker.match(messages, model), resolver.budgets
            with conversation.lock:
                own, count = conversation.conversation, len(messages)
                front = [{"role": "system", "content": system}] if system else []
                prompt = budgets.cut_examples(self._compressor, conversation, front, messages)
                listed = budgets.list_tools(
                    self._compressor, conversation, tools or (), messages, message_count=count, find=False
                )
                own.set_tools(listed.tools, listed.removed_tokens + prompt.removed_tokens)
                own.sync(prompt.messages, system=prompt.system[0]["content"] if front else None)
                view = own.view(best_effort=True)
            if tools and "tools_budget" in options:
                more["tools"] = listed.tools
            if front and "examples_budget" in options:
                more["system"] = prompt.system[0]["content"]
        return conversation, view, more

    def conversation_cost(
        self, tracked: TrackedConversation, report: CostReport | None = None
    ) -> tuple[str, CostReport, float]:
        """Returns a conversation's id, its cost report, and the dollars saved since the last call of this method.

        Calls of a session in other processes are left out: those processes report them.

        Args:
            tracked: The conversation.
            report: Its cost report, if that is known already.
        """
        conversation = tracked.conversation
        report = report or conversation.cost_report()
        with self._lock:
            known = self._reports.get(conversation)
            id = known[0] if known else getattr(conversation, "id", "") or f"auto-{uuid4().hex[:16]}"
            shared = tracked.shared if not getattr(conversation, "id", "") else None
            if shared is not None:
                id = f"auto-{shared.id[:16]}"
            self._reports[conversation] = id, report, tracked.lock
        return id, report, usage_notes(conversation).take_saved()

    def cost_reports(self) -> dict[str, CostReport]:
        """Returns the last cost report of each conversation, by id."""
        with self._lock:
            return {id: report for id, report, _ in self._reports.values()}

    def live_messages(self) -> dict[str, list[Any]]:
        """Returns the messages of each conversation in memory, without those evicted, by id. Waits for no call."""
        with self._lock:
            known = {
                one[0]: getattr(conversation, "_conversation", conversation)
                for conversation, one in self._reports.items()
            }
        return {id: conversation.messages for id, conversation in known.items()}

    def find(self, id: str) -> tuple[Any, Any] | None:
        """Returns the conversation of an id and its lock, or None if this process does not know it."""
        with self._lock:
            known = [*self._reports.items()][::-1]  # the newest first, which other processes have not continued
            return next(((conversation, one[2]) for conversation, one in known if one[0] == id), None)

    def forget(self, id: str) -> None:
        """Drops a conversation from memory, because it was deleted from the store."""
        with self._lock:
            gone = [conversation for conversation, one in self._reports.items() if one[0] == id]
            for conversation in gone:
                del self._reports[conversation]
            known = [key for key, one in self._cached.items() if any(one.conversation.conversation is c for c in gone)]
            evicted = [self._remove(key) for key in known]
        for old in evicted:
            if old is not None:
                old.tracker.evict(old.conversation)
        for key in self._resolvers.list_keys():
            if key[:2] == ("session", id):
                self._resolvers.pop(key)

    def _find_resolver(
        self,
        api: ProviderApi,
        body: Json,
        session: str,
        budget: int | float | str | None,
        options: Mapping[str, Any],
        model: str = "",
    ) -> SharedResolver:
        budget = self._config.budget if budget is None else budget
        if not session:
            return self._find_resolver_by_message(
                api.read_messages(body) if api.supports(body) else [], api.dialect, budget, options
            )
        name = sanitize_model_name(model or body.get("model"), self._config.models)
        key = "session", session, api.dialect, name, budget, json.dumps(options, sort_keys=True)
        given = {"model": name, "budget": budget, **options}

        def create() -> SharedResolver:
            assert self._sessions is not None
            known = self._sessions.open(session, given, begin=True)
            return self._make_resolver(budget, self._policy, known.session, known.budgets)

        return self._get_or_create(key, create)

    def _find_resolver_by_message(
        self, messages: Sequence[Any], kind: str, budget: int | float | str | None, options: Mapping[str, Any]
    ) -> SharedResolver:
        """Conversations are told apart by their first message, so only those with the same one share a resolver."""
        first: Any = next(
            (m for m in messages if not (isinstance(m, dict) and m.get("role") in ("system", "developer"))), {}
        )
        given_policy = {name: value for name, value in options.items() if name not in budget_options.FIELDS}
        policy = policy_options.change_policy(self._policy, given_policy)
        budgets = budget_options.make_budgets(self._config.prompt_budgets(), options)
        given = json.dumps(options, sort_keys=True)
        key = kind, budget, chain_digest(first), given
        return self._get_or_create(key, lambda: self._make_resolver(budget, policy, None, budgets, kind, given))

    def _resume(self, session: str, conversation: Any, messages: Sequence[Any]) -> None:
        if self._raw_histories:
            self._raw_histories.resume(conversation_key(self._tenant, session, messages), conversation, messages)

    def _get_or_create(self, key: Any, create: Callable[[], SharedResolver]) -> SharedResolver:
        created = self._resolvers.get(key) or create()  # outside the lock, because it may read the store
        return self._resolvers.get_or_create(key, lambda: created)

    def _make_resolver(
        self,
        budget: int | float | str | None,
        policy: Policy,
        session: Any,
        budgets: PromptBudgets,
        kind: str = "",
        options: str = "",
    ) -> SharedResolver:
        resume = partial(self._resume, "" if session is None else str(session.id))
        max_count = self._config.max_conversations
        given = self._config.models, resume, self._compressor, budget, policy, session, max_count, True
        if self._shared is None:
            tracker = ServiceTracker(*given)
        elif session is not None:
            tracker = SharedSessionTracker(self._shared, *given)
        else:
            # Conversations that are sent with other settings are others, in the processes of an upgrade too.
            own = self._config.budget, self._config.policy, self._config.prompt_budgets()
            family = json.dumps([kind, budget, options, *own], sort_keys=True, default=repr)
            tracker = SharedTracker(self._shared, family, budgets, kind != "view", *given)
        return SharedResolver(tracker, self.fail_open, self._response_ids, budgets)


def get_counters(conversation: Any) -> SessionCounters:
    """Returns the counters of a conversation or session, as this process knows them. Does no I/O."""
    counters: SessionCounters = getattr(conversation, "_conversation", conversation)._state.counters
    return counters
