"""Lets all workers and machines that use one store continue each other's unnamed conversations.

A *turn* is a request's whole history, known by the chained digest of its messages. The store has for each turn that was
served a pointer (a value, never changed) to a log, and each log has the states of one conversation, a record for each
turn. To serve a history:

1. The longest beginning of the history that is a known turn is looked up: all digests in one call. What this process
   has in memory counts as known, so in the usual case only the newest few are asked for.
2. The state of that turn is taken from memory, or read from its log. If the log has gone on from there with other
   messages (a parallel call, an edited message, another user with the same first words), a new log begins with a copy.
   The copy has a scope of its own, with the refs of the shared beginning only.
3. The view is made, and what changed is appended together with the new turn's pointer, before the provider is asked.
   It is a compare-and-append: who is second reads what the first one wrote and makes the view again. So a repeated
   request, wherever it arrives, gets the bytes of the first one, and a worker that is killed in between leaves nothing.
4. What the model expanded meanwhile is appended before the client gets the end of the answer.

That is two round trips for a call, a third one after a move to another worker or after an expansion. Messages are not
stored, only digests, edits and counters; hidden rounds are, up to `MAX_HIDDEN_BYTES`. A record with a secret is not
stored unless the store encrypts: that conversation then stays in this process. If the store cannot be used, the
conversations in memory go on, and are saved with their next request.

A named session is in the store anyway; `shared_sessions.py` adds what its calls have hidden.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from typing import Any
from uuid import uuid4

from compressor.context.refs import find_refs
from compressor.errors import CompressorError, RefError, StoreError
from compressor.providers import tracked_state
from compressor.providers.context_overflow import in_memory
from compressor.providers.conversation_tracker import SYSTEM, TrackedConversation
from compressor.providers.example_listing import ExampleListing
from compressor.providers.prompt_budgets import PromptBudgets
from compressor.providers.tracked_state import HIDDEN, MAX_HIDDEN_BYTES
from compressor.service.model_names import sanitize_model_name
from compressor.service.service_tracker import ServiceTracker
from compressor.service.sharing.shared_store import MAX_ATTEMPTS, SharedState, SharedStore
from compressor.service.sharing.state_log import StateLog
from compressor.sessions import archive
from compressor.sessions.conversation import Conversation
from compressor.sessions.state import VERSION
from compressor.storage.base import BlobStore

_MAX_CANDIDATES = 3  # turns whose log is read, if logs have been lost or do not go back that far
#: Counters that a copy begins anew. The others say what the provider's cache holds.
_OWN_COUNTERS = (
    "calls",
    "baseline_tokens",
    "actual_tokens",
    "cached_tokens",
    "baseline_cost",
    "actual_cost",
    "expansions",
)
_SCOPE = "\0conversation"  # the "tenant" of their scopes, which no session can have


class SharedTracker(ServiceTracker):
    """A tracker whose conversations other processes can continue. Safe to share between threads.

    Args:
        shared: Where they are shared.
        family: What conversations must have in common, besides message format and model, as JSON text.
        budgets: The budgets of tools and examples.
        find: Whether `find_tool` may be listed.
        given: The arguments of `ServiceTracker`.
    """

    def __init__(
        self,
        shared: SharedStore,
        family: str,
        budgets: PromptBudgets,
        find: bool,
        *given: Any,
    ) -> None:
        super().__init__(*given)
        self._shared, self._family = shared, family
        self._budgets, self._lists_find_tool = budgets, find

    def _find(self, messages: Sequence[Any], model: str | None, kind: str) -> TrackedConversation:
        try:
            for _ in range(MAX_ATTEMPTS):
                found = self._match(messages, model, f"{kind}:{model}")
                if found is not None:
                    return found
        except StoreError as error:
            self._shared.warn(error)
        return super()._find(messages, model, kind)

    def preview(self, messages: Sequence[Any], model: str | None, kind: str = "") -> TrackedConversation:
        """See `ConversationTracker.preview`. What other processes have sent counts, too."""
        name = sanitize_model_name(model, self._models)
        key = f"{kind}:{name}"
        with self._lock:
            chain = self._digest_chain(messages)
            known = self._find_extended(chain, key)
        start = len(known.chain) if known is not None else chain.count(SYSTEM)
        keys = [self._turn_key(key, link) for link in chain]
        try:
            turns = {start + i: id for i, id in self._shared.find_turns(keys[start:]).items()}
            found = self._read_longest(turns, chain, keys, name, key, set(), known)
        except StoreError:
            found = None  # what this process knows has to do
        return super().preview(messages, model, kind) if found is None else self._copy(found, chain)

    def save(self, tracked: TrackedConversation) -> bool:
        """See `ConversationTracker.save`."""
        with tracked.lock:
            if tracked.shared is None:  # it was begun while the store could not be used
                tracked.shared = self._make_shared(self._turn_key(tracked.key, tracked.chain[-1]))
            return self._save(tracked)

    def save_answer(self, tracked: TrackedConversation, index: int | None = None) -> None:
        """See `ConversationTracker.save_answer`."""
        if index is not None:
            _limit_hidden(tracked)
        if tracked.shared is not None and not self._save(tracked) and index is not None:
            self._add_hidden(tracked, index)

    # -- unnamed conversations

    def _find_extended(self, chain: list[str], key: str) -> TrackedConversation | None:
        self._recent = [one for one in self._recent if one.shared is None or not one.shared.is_stale]
        return super()._find_extended(chain, key)

    def _match(self, messages: Sequence[Any], model: str | None, key: str) -> TrackedConversation | None:
        """Returns the conversation of these messages; None if another thread has just taken it further."""
        with self._lock:
            chain = self._digest_chain(messages)
            known = self._find_extended(chain, key)
        start = len(known.chain) if known is not None else chain.count(SYSTEM)  # system messages alone are no turn
        keys = [self._turn_key(key, link) for link in chain]
        turns = {start + i: id for i, id in self._shared.find_turns(keys[start:]).items()}
        lost: set[str] = set()
        tracked = self._read_longest(turns, chain, keys, model, key, lost, known) or known
        own = turns.get(len(chain) - 1)  # the log that knew this very turn
        if tracked is None:
            scope = archive.scope_id(_SCOPE, uuid4().hex)
            made = Conversation(self.compressor, model, self.budget, self.policy, scope_id=scope, frozen=self._frozen)
            tracked = TrackedConversation(made, key, shared=self._make_shared(own if own in lost else keys[-1]))
        if (
            own is not None
            and tracked.shared is not None
            and len(tracked.chain) < len(chain)
            and own != tracked.shared.id
        ):
            tracked.shared.skipped_turn = chain[-1]
        with self._lock:
            if tracked is known and (known not in self._recent or chain[: len(known.chain)] != known.chain):
                return None
            if known is not None and tracked is not known and _same_log(known, tracked):
                known.shared.is_stale = True
            self._take(tracked, chain, messages)
        return tracked

    def _read_longest(
        self,
        turns: Mapping[int, str],
        chain: list[str],
        keys: list[str],
        model: str | None,
        key: str,
        lost: set[str],
        known: TrackedConversation | None,
    ) -> TrackedConversation | None:
        """Reads the state of the longest turn whose log is still there; adds the ids of other logs to `lost`."""
        for position in sorted(turns, reverse=True)[:_MAX_CANDIDATES]:
            log = self._shared.open_log(f"conversation:{turns[position]}")
            try:
                earlier = known.shared.log if known is not None and known.shared is not None else None
                with self._shared.use(), known.lock if known is not None else nullcontext():
                    is_newest = log.read_turn(chain[position], earlier)
                if is_newest is None:
                    continue
                return self._load(log, turns[position], is_newest, chain[: position + 1], keys[-1], model, key)
            except RefError:
                lost.add(turns[position])
            except StoreError:
                raise
            except (CompressorError, KeyError, TypeError, ValueError, AttributeError):
                self._shared.warn("unreadable")  # of a newer version, or damaged
        return None

    def _load(
        self, log: StateLog, id: str, is_newest: bool, chain: list[str], turn_key: str, model: str | None, key: str
    ) -> TrackedConversation:
        """Makes the conversation that a log describes; a copy under another id if the log has gone on without it."""
        parts = log.parts
        shared, state = SharedState(id, log), tracked_state.state_from_parts(parts)
        if not is_newest:
            shared = self._make_shared(turn_key)
            if turn_key == self._turn_key(key, log.turn):
                shared.skipped_turn = log.turn
            scope = archive.scope_id(_SCOPE, uuid4().hex)
            _grant_refs(self._shared.store, state, scope)
            state["scopes"] = [scope]
            state["counters"] |= dict.fromkeys(_OWN_COUNTERS, 0)
        made = Conversation(
            self.compressor,
            model,
            self.budget,
            self.policy,
            state=state,
            scope_id=state["scopes"][0],
            frozen=self._frozen,
        )
        made.runtime.max_tokens = parts["max_tokens"]
        counters = made._state.counters
        counters.billed_tokens, counters.billed_cached = self._shared.billed.get(shared.id) or (0, 0)
        shared.saved_cost = made.cost_report().saved_cost
        hidden = tracked_state.hidden_from_parts(parts)
        tracked = TrackedConversation(made, key, chain=chain, hidden_rounds=hidden, shared=shared)
        tracked.tool_offered, tracked.rejected_by_provider = parts["tool_offered"], parts["rejected"]
        if "tools" in parts and self._budgets.tools is not None:
            tracked.tool_listing = self._budgets.make_tool_listing(self.compressor, made, self._lists_find_tool)
            tracked.tool_listing.state = deepcopy(parts["tools"])
        if "examples" in parts:
            tracked.example_listing = ExampleListing()
            tracked.example_listing.state = deepcopy(parts["examples"])
        return tracked

    def _save(self, tracked: TrackedConversation) -> bool:
        shared: SharedState = tracked.shared
        turn = tracked.chain[-1]
        counters = in_memory(tracked.conversation)._state.counters
        self._shared.billed.put(shared.id, (counters.billed_tokens, counters.billed_cached))
        if turn in (shared.skipped_turn, SYSTEM):
            return True
        if shared.skipped_turn:
            shared.id, shared.skipped_turn = self._turn_key(tracked.key, turn), ""
            shared.log = self._make_shared(shared.id).log
        pointer = {f"turn:{self._turn_key(tracked.key, turn)}": shared.id.encode()}
        values = {} if turn == shared.log.turn else pointer
        try:
            done = self._shared.append(shared.log, tracked_state.to_parts(tracked), turn, values)
        except (CompressorError, TypeError, ValueError) as error:
            self._shared.warn(error)
            return True
        shared.is_stale = done is False
        return done is not False

    def _add_hidden(self, tracked: TrackedConversation, index: int) -> None:
        """Adds hidden rounds to a conversation that other processes have continued meanwhile."""
        log = self._shared.open_log(tracked.shared.log.name)
        part = {f"{HIDDEN}{index}": tracked_state.hidden_to_json(tracked.hidden_rounds[index])}
        try:
            for _ in range(MAX_ATTEMPTS):
                log.catch_up()
                if not log.number or self._shared.append(log, {**log.parts, **part}, log.turn, {}) is not False:
                    return
        except StoreError as error:
            self._shared.warn(error)

    def _make_shared(self, id: str) -> SharedState:
        return SharedState(id, self._shared.open_log(f"conversation:{id}"))

    def _turn_key(self, key: str, link: str) -> str:
        text = json.dumps([VERSION, self._family, key, link])
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _limit_hidden(tracked: TrackedConversation) -> None:
    """Forgets the oldest hidden rounds beyond the limit, in every process alike."""
    sizes = {
        index: len(json.dumps(tracked_state.hidden_to_json(hidden))) for index, hidden in tracked.hidden_rounds.items()
    }
    for index in sorted(sizes)[:-1]:
        if sum(sizes.values()) > MAX_HIDDEN_BYTES:
            del tracked.hidden_rounds[index], sizes[index]


def _same_log(one: TrackedConversation, other: TrackedConversation) -> bool:
    return one.shared is not None and one.shared.id == other.shared.id


def _grant_refs(store: BlobStore, state: Mapping[str, Any], scope: str) -> None:
    """Lets a scope read what the refs of a state stand for, and the refs in these texts."""
    refs = [ref for record in state["records"] for _, text in record.get("edits", ()) for ref in find_refs(text)]
    refs += [*state["page_refs"], *([state["older_ref"]] if state["older_ref"] else [])]
    for ref, _, exact in archive.list_pages(store, state["page_refs"]):
        refs += [ref, exact]
    seen: set[str] = set()
    while refs := [ref for ref in dict.fromkeys(refs) if ref not in seen]:
        seen.update(refs)
        found = archive.readable_texts(store, state["scopes"], refs)
        archive.share_refs(store, scope, list(found))
        refs = [ref for text in found.values() for ref in find_refs(text)]
