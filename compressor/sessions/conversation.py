"""Keeps one long conversation whose view stays byte-stable between compactions. The state is in memory, as data.

    append or sync -> ingest of tool results -> view, with a compaction when the budget or the cost requires one

Tool results are compressed once, when their tool round is complete. What the view showed before, it shows again byte
for byte, until a compaction rewrites it in one go. `Session` adds a journal in the store; frameworks keep the state in
their own checkpoints.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from compressor.context.formats import serialization
from compressor.context.refs import find_refs
from compressor.errors import CompressorError, ContextError
from compressor.sessions import archive, compaction_trigger, unsent_views
from compressor.sessions.compact_tool import CompactTool
from compressor.sessions.compactor import Compactor
from compressor.sessions.context_tools import ContextTools
from compressor.sessions.cost_report import CostReport
from compressor.sessions.expand_tool import ExpandTool, expand, normalize_ref
from compressor.sessions.history_digests import HistoryDigests
from compressor.sessions.history_files import HistoryFiles, read_history_files
from compressor.sessions.message_history import MessageHistory, is_system, system_as_messages
from compressor.sessions.policy import Policy, check_policy
from compressor.sessions.policy_sizes import resolve_trigger
from compressor.sessions.recall import recall
from compressor.sessions.recall_tool import RecallTool
from compressor.sessions.receipt import load_receipts
from compressor.sessions.rollback import rollback_on_error
from compressor.sessions.runtime import CompressorLike, SessionRuntime, check_tools
from compressor.sessions.state import MessageRecord, SessionCounters, SessionState
from compressor.sessions.usage_notes import ToolUse
from compressor.storage.wrappers.scoped import ScopedStore
from compressor.tokens import get_counter
from compressor.tokens.billing import parse_provider_usage
from compressor.tokens.context_limit import resolve_context_limit
from compressor.tokens.model_families import DEFAULT_MODEL, binds_thinking_to_prefix
from compressor.tokens.price import DEFAULT_PRICE
from compressor.tokens.pricing import find_price

MIN_GROWTH = 1.1  # times its size after the last compaction: what a view must have grown to before the next one
SUMMARY_OUTPUT_TOKENS = 600  # what a summary is assumed to cost in output, at the prices of the session's model


class Conversation:
    """A conversation whose state the caller keeps. Not safe to share between threads.

    It can be pickled and deep-copied, with its messages. A copy goes its own way from then on, with the same store.

    Attributes:
        compressor: The compressor whose engine and store it uses.
        model: The model whose tokens and prices count, or None for gpt-4o.
    """

    def __init__(
        self,
        compressor: CompressorLike,
        model: str | None = None,
        budget: int | float | str | None = None,
        policy: Policy | None = None,
        tools: Sequence[Any] | None = None,
        scope: str = "",
        state: Mapping[str, Any] | None = None,
        system: Any = None,
        scope_id: str | None = None,
        clock: Callable[[], float] = time.time,
        frozen: bool = False,
    ) -> None:
        """Starts a conversation, or resumes one from its state.

        Args:
            compressor: The compressor whose engine and store are used.
            model: The model whose tokens, prices and window count. None counts as gpt-4o.
            budget: The hard limit of the view: a number of tokens, a fraction of the model's window (a float below 1),
                or dollars a call ("$0.02"). None takes 0.8 of the window.
            policy: What is cut, and when. None takes the defaults.
            tools: The tool schemas sent along. They count, and are never changed.
            scope: Who may expand the refs of this conversation. Conversations with the same scope share their refs.
            state: An earlier `state`. The messages that belong to it are given by `sync` or `restore`.
            system: A separate system prompt, as Anthropic has it.
            scope_id: The scope as `archive.scope_id` made it, instead of `scope`.
            clock: Returns the time in seconds.
            frozen: The caller promises that nobody writes to a message after it was given. Then a message that is the
                same object as last time is not read again.

        Raises:
            BudgetError: The budget makes no sense.
            CompressorError: Another argument makes no sense, such as a damaged state.
        """
        if model is not None and not isinstance(model, str):
            raise CompressorError(f"model must be the name of a model, a string or None, not {model!r:.80}")
        policy = check_policy(policy)
        check_tools(tools)
        price = policy.pricing or find_price(model or DEFAULT_MODEL)
        self._state = SessionState() if state is None else SessionState.from_json(state)
        scope_id = archive.scope_id("", scope) if scope_id is None else scope_id
        if scope_id not in self._state.scopes:
            self._state.scopes.insert(0, scope_id)
        self.compressor = compressor
        self.model = model
        self._runtime = SessionRuntime(
            compressor.engine,
            get_counter(model),
            policy,
            price,
            policy.pricing or DEFAULT_PRICE,
            policy.sizes(budget is not None),
            resolve_context_limit(budget, price),
            lambda: ScopedStore(compressor.store, self._state.scopes[0]),
            binds_thinking_to_prefix(model or DEFAULT_MODEL),
            tools,
        )
        self._clock = clock
        self._frozen = frozen
        self._history = MessageHistory(self._runtime, self._state, system, frozen)
        self._compactor = Compactor(self._history)
        self._dirty = False
        self._before_view: SessionCounters | None = None  # the counters without the last view
        self._digests = HistoryDigests(frozen)

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled: the options, the state and the messages. What follows from them is made anew."""
        return {
            "compressor": self.compressor,
            "model": self.model,
            "limits": (self._runtime.max_tokens, self._runtime.price, self._runtime.sizes),
            "options": {
                "policy": self._runtime.policy,
                "tools": self._runtime.tools,
                "state": self.state,
                "clock": self._clock,
                "frozen": self._frozen,
            },
            "system": self._history.system,
            "messages": (self.head, self.messages),
            "warnings": self.warnings,
            "dirty": self._dirty,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        options = state["options"]
        scope_id = options["state"]["scopes"][0]
        Conversation.__init__(self, state["compressor"], state["model"], scope_id=scope_id, **options)
        self._runtime.max_tokens, self._runtime.price, self._runtime.sizes = state["limits"]
        self._history.system = state["system"]
        self._history.head, self._history.messages = (list(messages) for messages in state["messages"])
        self.warnings.extend(state["warnings"])
        self._dirty = state["dirty"]

    def append(self, *messages: Any, pin: bool = False) -> None:
        """Adds messages, oldest first.

        Args:
            messages: The messages, in any supported format.
            pin: Keep them in the view unchanged.

        Raises:
            ContextError: A provider would refuse the messages. None of them is added.
        """
        history = self._history
        malformed = history.malformed_indices()
        with rollback_on_error(history):
            for message in messages:
                if not history.messages and is_system(message):
                    serialization.chain_digest(message)  # raises for a message that is not JSON data
                    history.head.append(message)
                else:
                    history.add(message, serialization.chain_digest(message, history.last_digest), pin)
            history.check_well_formed(malformed)
            history.ingest_new_results()
        self._dirty = self._dirty or bool(messages)

    def sync(self, messages: Sequence[Any], system: Any = None, tools: Sequence[Any] | None = None) -> None:
        """Takes over the caller's whole history and adds what is new in it.

        Where the history differs from what is known, the conversation goes back to the common part first. A history
        without anything new is fine.

        Args:
            messages: The whole history, oldest first.
            system: Replaces the separate system prompt. None keeps it.
            tools: Replaces the tool schemas. None keeps them.

        Raises:
            ContextError: A provider would refuse the messages. Nothing has changed then.
        """
        check_tools(tools)
        if isinstance(messages, (str, bytes)) or not isinstance(messages, Sequence):
            raise ContextError(f"messages must be a list, not {type(messages).__name__}")
        with rollback_on_error(self._history):
            changed = self._sync(messages, system, tools)
        self._dirty = self._dirty or changed

    def sync_sent(self, messages: Sequence[Any], sent_at: float) -> None:
        """Takes over a history that the provider has seen as it is, so that the next view begins with the same bytes.

        Only what is new after it is cut, until a compaction.

        Args:
            messages: The whole history, oldest first.
            sent_at: When it was sent, in seconds since the epoch.

        Raises:
            ContextError: A provider would refuse the messages. Nothing has changed then.
        """
        with rollback_on_error(self._history):
            self._sync(messages, None, None, edit=False)
            unsent_views.note_raw_prompt(self._history, sent_at)
        self._dirty = True

    def set_tools(self, tools: Sequence[Any] | None, removed_tokens: int = 0) -> None:
        """Replaces the tool schemas that are sent along.

        Args:
            tools: The schemas. None keeps them.
            removed_tokens: Tokens of schemas and examples that were removed from the request to make room. They count
                as sent in the costs without compression.
        """
        check_tools(tools)
        self._runtime.removed_tokens = removed_tokens
        if tools is not None and not (self._frozen and list(tools) == self._runtime.tools):
            self._runtime.tools = list(tools) if self._frozen else tools

    def _sync(self, messages: Sequence[Any], system: Any, tools: Sequence[Any] | None, edit: bool = True) -> bool:
        history, state = self._history, self._state
        if system is not None and not (self._frozen and system_as_messages(system) == history.system):
            history.system = system_as_messages(system)
        self.set_tools(tools, self._runtime.removed_tokens)
        lead = next((i for i, m in enumerate(messages) if not is_system(m)), len(messages))
        rest = list(messages[lead:])
        history.head = list(messages[:lead])
        digests = self._digests.compute(rest)
        records = state.records
        common = len(records)  # how many records still describe this history
        while common and not (
            records[common - 1].index < len(rest) and digests[records[common - 1].index] == records[common - 1].digest
        ):
            common -= 1
        if 0 < common < len(records) and records[common - 1].index < state.last_evicted:
            common = 0  # the evicted messages may not belong to this history, so nothing of them may show
        history.messages = [rest[record.index] for record in records[:common]]
        if common < len(records) and not history.is_reasoning_stripped(history.messages, records[:common]):
            common, history.messages = 0, []  # a finished turn is the current one again and needs its reasoning
        changed = common < len(records) or state.count < len(rest)
        if common < len(records):
            history.truncate(common)
        history.invalidate_cache()
        for i in range(state.count, len(rest)):
            history.add(rest[i], digests[i])
        history.ingest_new_results(edit=edit)
        return changed

    def pin(self, index: int) -> None:
        """Keeps a message in the view from now on.

        Args:
            index: The number of the message, from 0. System messages in front do not count.

        Raises:
            CompressorError: The message has left the view, or never was there.
        """
        record = next((r for r in self._state.records if r.index == index), None)
        if record is None:
            raise CompressorError(
                f"message {index} cannot be pinned because it is not in the view: use `recall` to read it, or pin "
                "messages when you append them"
            )
        record.pinned = self._dirty = True

    def record_usage(self, provider_usage: Any) -> None:
        """Records what the provider reported for the last call.

        Args:
            provider_usage: The `usage` of the provider's response.

        Raises:
            CompressorError: It is not a usage report.
        """
        bill = parse_provider_usage(provider_usage)
        counters = self._state.counters
        counters.billed_tokens += bill.prompt
        counters.billed_cached += bill.cached
        self._runtime.usage_notes.add_bill(bill.prompt, bill.cached)
        self._dirty = True

    def view(self, best_effort: bool = False) -> list[Any]:
        """Returns the messages to send now, in the caller's format.

        These are the same bytes as last time and what is new, unless a compaction is due. Messages of which nothing was
        cut are the caller's own objects.

        Args:
            best_effort: If what must stay in the view is larger than the budget, return the smallest view that a
                provider accepts, with a warning.

        Raises:
            ContextError: A tool call has no result yet.
            BudgetTooSmallError: What must stay in the view is larger than the budget, and `best_effort` is not set.
        """
        self._history.check_ready()
        counters, price, reference = self._state.counters, self._runtime.price, self._runtime.reference_price
        tokens, after = self._history.tokens(), self._compactor.estimate_tokens()
        cache_expired = (
            counters.last_call_time > 0 and self._clock() - counters.last_call_time > reference.cache_ttl_seconds
        )
        fresh = counters.message_count != self._state.count
        over = tokens > self._runtime.max_tokens
        summary_cost = (
            {"uncached": max(0, tokens - after), "output": SUMMARY_OUTPUT_TOKENS}
            if self._runtime.policy.summarizer is not None
            else {}
        )
        due = fresh and self._runtime.policy.compact and self._is_due(tokens, after, cache_expired, summary_cost)
        if (over or due or self._state.compact_requested) and self._compact(best_effort):
            tokens, after = self._history.tokens(), self._compactor.estimate_tokens()
            counters.actual_cost += price.cost(**summary_cost)
            counters.reference_actual += reference.cost(**summary_cost)
        if fresh:
            self._compactor.warn_about_pinned()
            baseline, is_expansion = self._history.raw_tokens(), self._history.ends_with_expansion()
            self._before_view = replace(counters)
            saved = compaction_trigger.record_call(
                price, counters, baseline, tokens, after, cache_expired, is_expansion, reference
            )
            self._runtime.usage_notes.add_call(saved)
            counters.message_count, counters.last_call_time = self._state.count, self._clock()
            self._dirty = True
        return self._history.render()

    @property
    def counters_before_view(self) -> SessionCounters | None:
        """Returns the counters without the last view, which identify it for `record_unsent`; None before the first."""
        return self._before_view

    def record_unsent(self, before: SessionCounters | None, sent_raw: bool) -> None:
        """Records that the last view was not sent. The view itself stays as it is, for the next call.

        Args:
            before: `counters_before_view` of that view. If there was another view since, nothing is recorded.
            sent_raw: Whether the caller's own history was sent instead, or nothing.
        """
        if before is None or before is not self._before_view:
            return
        self._before_view, self._dirty = None, True
        if sent_raw:
            price, reference = self._runtime.price, self._runtime.reference_price
            after, now = self._compactor.estimate_tokens(), self._clock()
            unsent_views.replace_last_call(self._history, before, price, reference, after, now)
        else:
            self._state.counters = replace(before)

    def _is_due(self, tokens: int, after: int, cache_expired: bool, summary_cost: Mapping[str, float]) -> bool:
        """Returns whether a view within the budget should be compacted: it reached its trigger, or that pays."""
        counters, reference, trigger = self._state.counters, self._runtime.reference_price, self._runtime.sizes.trigger
        if not isinstance(trigger, str):
            size = resolve_trigger(trigger, self._runtime.max_tokens, self._history.head_tokens())
            return tokens > max(size, MIN_GROWTH * counters.last_compaction_tokens)
        return compaction_trigger.should_compact(
            reference,
            counters,
            tokens,
            after,
            self._history.fixed_tokens(),
            cache_expired,
            reference.cost(**summary_cost),
        )

    def compact(self) -> bool:
        """Compacts now, whether or not that is due: to the target, or a view that is smaller to a fraction of itself.

        Returns:
            Whether the view has changed.

        Raises:
            ContextError: A tool call has no result yet.
            BudgetTooSmallError: What must stay in the view is larger than the budget.
        """
        self._history.check_ready()
        return self._compact(is_asked=True)

    def _compact(self, best_effort: bool = False, is_asked: bool = False) -> bool:
        is_asked = is_asked or self._state.compact_requested
        has_compacted = self._compactor.compact(best_effort, is_asked)
        self._dirty = self._dirty or has_compacted or self._state.compact_requested
        self._state.compact_requested = False
        return has_compacted

    def request_compaction(self) -> None:
        """Has the next view compact the history, as the tool `compact_now` does."""
        self._state.compact_requested = self._dirty = True

    def receipts(self) -> list[dict[str, Any]]:
        """Returns what each compaction kept and lost, oldest first, see `Receipt`."""
        return load_receipts(self.compressor.store, self._state.receipt_refs)

    def recall(self, query: str, budget: int = 1_000) -> str:
        """Finds what answers a query in the part of the history that the view no longer shows, or else in the view.

        Args:
            query: What to look for.
            budget: The most tokens to return.

        Returns:
            Paragraphs word for word, in the order of the conversation, with refs to what is not shown. "" if nothing
            was found.
        """
        return recall(self.compressor, self._state, self._history.live_turns(), query, budget, self.model)

    def history_files(self) -> HistoryFiles:
        """Returns the exact texts that have left the view or are shown cut in it, as files for an agent that greps.

        Returns:
            A read-only mapping of paths such as `/history/0012-search.json` to texts, with `/history/INDEX.md`.
        """
        edited = self._history.edited_turns()
        return read_history_files(self.compressor.store, self._state, self._runtime, edited)

    def expand(self, ref: str, query: str | None = None, budget: int | None = None) -> str:
        """Returns the exact original behind a ref of this conversation, or the part of it that matters.

        The expansion is recorded as feedback: similar texts score higher from now on.

        Args:
            ref: The 12 digits, or a whole placeholder that holds them.
            query: What you are looking for. Only the part that matters for it is returned.
            budget: The most tokens to return. None returns everything, or with a query at most 4,000 tokens.

        Raises:
            UnknownRefError: The ref does not belong to this conversation.
            ExpiredRefError: The text behind the ref is no longer stored.
        """
        text = expand(self.compressor, self._state, ref, query, budget, self.model)
        self._dirty = True
        name = self._history.find_tool(normalize_ref(ref))
        self._runtime.usage_notes.add_tool_use(ToolUse(name, expansions=1))
        return text

    def share_refs(self, text: str) -> int:
        """Lets this conversation expand the refs in a text, such as another agent's message.

        Only pass a text whose author you trust. Never pass the output of a tool, which can forge placeholders.

        Returns:
            How many refs of the text are stored.
        """
        return archive.share_refs(self.compressor.store, self._state.scopes[0], find_refs(text))

    def expansions(self) -> list[dict[str, Any]]:
        """Returns what was expanded, oldest first: `ref`, and `query` or None. It is training data for a scorer."""
        return archive.list_expansions(self.compressor.store, self._state.scopes[0], self._state.counters.expansions)

    @property
    def expand_tool(self) -> ExpandTool:
        """Returns the tool with which the agent itself reads removed text."""
        return ExpandTool(self.expand)

    def context_tools(self, compact: bool = False) -> ContextTools:
        """Returns the tools with which the agent itself reads and searches removed text.

        Args:
            compact: Include the tool with which the agent asks for a compaction.
        """
        compact_tool = CompactTool(self.request_compaction) if compact else None
        return ContextTools(ExpandTool(self.expand), RecallTool(self.recall), compact_tool)

    def cost_report(self) -> CostReport:
        """Returns the tokens and costs of all calls, as sent and as they would have been without compression."""
        return CostReport.from_counters(
            self._state.counters, self._runtime.price, self._history.tokens() if self._history.messages else 0
        )

    @property
    def has_begun(self) -> bool:
        """Returns whether its state describes any messages, also before the caller has given them again."""
        return bool(self._state.count)

    @property
    def view_tokens(self) -> int:
        """Returns the tokens of the view as it is now, with the tool schemas."""
        return self._history.tokens()

    @property
    def state(self) -> dict[str, Any]:
        """Returns everything that has to be kept, as JSON data."""
        return self._state.to_json()

    @property
    def records(self) -> list[MessageRecord]:
        """Returns the records of the live messages. They are the conversation's own, and must not be changed."""
        return self._state.records

    @property
    def state_header(self) -> dict[str, Any]:
        """Returns the state without the records of its messages, as JSON data."""
        return self._state.to_header_json()

    @property
    def has_changes(self) -> bool:
        """Returns whether the state has changed since the start or the last `mark_saved`."""
        return self._dirty

    @property
    def warnings(self) -> list[str]:
        """Returns the warnings so far, oldest first."""
        return self._runtime.warnings

    @property
    def runtime(self) -> SessionRuntime:
        """Returns the engine, counter, policy and prices of this conversation."""
        return self._runtime

    @property
    def head(self) -> list[Any]:
        """Returns the system messages in front."""
        return self._history.head

    @property
    def messages(self) -> list[Any]:
        """Returns the original messages that the state's records describe."""
        return self._history.messages

    def restore(self, head: list[Any], messages: list[Any]) -> None:
        """Takes the messages that belong to the state this conversation was made from.

        Raises:
            CompressorError: Their number does not match the state.
        """
        if len(messages) != len(self._state.records):
            raise CompressorError(
                f"{len(messages)} messages were given for a state that describes {len(self._state.records)}"
            )
        self._history.head, self._history.messages = head, messages
        self._history.invalidate_cache()

    def mark_saved(self) -> None:
        """Declares that the caller has saved the state, so that `has_changes` starts from now."""
        self._dirty = False
