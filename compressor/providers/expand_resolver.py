"""Answers the model's calls of the compressor's own tools inside one call of the caller.

The model asks for text or tools that were removed, receives them and continues. Only its final answer reaches the
caller, who does not see those calls. This module sends nothing itself: an SDK client or the proxy sends each
`ResolvedCall.body` and reports the response.
"""

from __future__ import annotations

from typing import Any

from compressor.context.refs import PLACEHOLDER_RE
from compressor.errors import CompressorError
from compressor.pipeline.tools import search_tool
from compressor.providers import ContextCall, HiddenRounds, Json, ModelTurn, ProviderApi, StreamFilter, tool_name
from compressor.providers.base import forbids_tools, wants_json
from compressor.providers.context_overflow import MAX_HALVINGS, in_memory
from compressor.providers.conversation_tracker import ConversationTracker, TrackedConversation
from compressor.providers.example_listing import CutPrompt
from compressor.providers.fail_open import FailOpen
from compressor.providers.prompt_budgets import NO_BUDGETS, PromptBudgets
from compressor.providers.tool_listing import ListedTools
from compressor.sessions.context_tools import ContextTools

#: Rounds inside one call of the caller in which the model may use the compressor's own tools.
MAX_ROUNDS = 4
#: Response ids that are remembered because the caller knows the response by another id.
MAX_RESPONSE_IDS = 1024
_LAST = "\n\n[This was the last look-up for now. Answer with what you have.]"


class ExpandResolver:
    """Makes a `ResolvedCall` of each request.

    Args:
        tracker: Finds the conversation of each request.
        expand: Whether the model is offered the tools `expand_context` and `recall_context`.
        fail_open: Whether an error of the compressor is logged and the caller's own request sent.
        max_rounds: Rounds inside one call in which the model may use these tools.
        budgets: The budgets of tools and examples.
    """

    def __init__(
        self,
        tracker: ConversationTracker,
        expand: bool = True,
        fail_open: bool = True,
        max_rounds: int = MAX_ROUNDS,
        budgets: PromptBudgets = NO_BUDGETS,
    ) -> None:
        self.tracker, self.expand, self.max_rounds, self.budgets = tracker, expand, max_rounds, budgets
        tracker.policy = budgets.extend_policy(tracker.policy)
        self.fail_open = FailOpen(fail_open)
        self._latest_ids: dict[str, str] = {}

    def remember_response_id(self, visible_id: str, latest_id: str) -> None:
        """Remembers that the response which the caller knows as `visible_id` ends as `latest_id` at the provider."""
        self._latest_ids[visible_id] = latest_id
        if len(self._latest_ids) > MAX_RESPONSE_IDS:
            self._latest_ids.pop(next(iter(self._latest_ids)), None)

    def with_latest_response_id(self, body: Any) -> Any:
        """Returns a body that is sent unchanged except for the id of the response that it continues."""
        latest_id = self._latest_ids.get(body.get("previous_response_id") or "") if isinstance(body, dict) else None
        return {**body, "previous_response_id": latest_id} if latest_id else body

    def resolve(self, api: ProviderApi, body: Json, model: str = "") -> ResolvedCall | None:
        """Returns the call to make instead of sending `body`, or None if `body` must be sent unchanged.

        Args:
            api: The provider API.
            body: The body that the caller wants to send.
            model: The model to count by, if the body does not name it.

        Raises:
            CompressorError: If the request cannot be compressed and failing open is off.
        """
        try:
            if not api.supports(body):
                text = "the request was not compressed, because it does not contain one whole history"
                self.fail_open.warn_once(text, f"{api.dialect} body")
                return None
            tracked = self.tracker.match(api.read_messages(body), model or body.get("model"), api.dialect)
            if tracked.rejected_by_provider and self.fail_open.enabled:
                return None
            return ResolvedCall(self, api, body, tracked)
        except Exception as error:
            self.fail_open.handle(error)
            return None

    def preview(self, api: ProviderApi, body: Json, model: str = "") -> ResolvedCall | None:
        """Returns the call that `resolve` would return, to look at its body. No conversation changes.

        Args:
            api: The provider API.
            body: The body that the caller would send.
            model: The model to count by, if the body does not name it.

        Raises:
            CompressorError: The request cannot be compressed.
        """
        if not api.supports(body):
            return None
        tracked = self.tracker.preview(api.read_messages(body), model or body.get("model"), api.dialect)
        return None if tracked.rejected_by_provider else ResolvedCall(self, api, body, tracked)


class ResolvedCall:
    """One call of the caller and the requests that it leads to.

    Attributes:
        api: The provider API.
        tracked: The conversation of the call.
        body: The body to send next.
        first_body: The body that is sent first.
        tool_names: The names of the compressor's own tools that this call offers.
    """

    def __init__(self, resolver: ExpandResolver, api: ProviderApi, body: Json, tracked: TrackedConversation) -> None:
        self.api, self.tracked = api, tracked
        self._resolver, self._original = resolver, body
        self._messages = api.read_messages(body)
        self._hidden = HiddenRounds()
        self._halvings = 0
        self._history = self._restore_history()
        self.tool_names: tuple[str, ...] = ()
        self._listed = ListedTools([])
        self._system: list[Json] = []
        # The old parameter `functions` cannot be combined with tools.
        if resolver.expand and not body.get("functions"):
            caller_names = [tool_name(tool) for tool in body.get("tools") or ()]
            self.tool_names = tuple(name for name in self._context_tools.names if name not in caller_names)
        self.first_body = self.body = self._build_body()
        self._before_view = in_memory(tracked.conversation).counters_before_view

    def record_unsent(self, sent_raw: bool) -> None:
        """Records that the first body was not sent.

        Args:
            sent_raw: Whether the caller's own request was sent instead, or nothing.
        """
        with self.tracked.lock:
            self.tracked.conversation.record_unsent(self._before_view, sent_raw)
            self._resolver.tracker.save_answer(self.tracked)

    @property
    def _context_tools(self) -> ContextTools:
        tools: ContextTools = self.tracked.conversation.context_tools()
        return tools

    @property
    def hidden_rounds(self) -> HiddenRounds:
        """Returns what has happened in this call so far."""
        return self._hidden

    def on_rejection(self, error: BaseException) -> None:
        """Takes note that the provider rejected the request: this conversation is sent unchanged from now on."""
        with self.tracked.lock:
            self.tracked.rejected_by_provider = True
            self._resolver.tracker.save_answer(self.tracked)
        text = f"the provider rejected a compressed request, so the original was sent: {error}"
        self._resolver.fail_open.warn_once(text, "refused")

    def shrink(self) -> bool:
        """Makes `body` smaller, because it was too long for the provider; returns whether it is to be sent again."""
        if self._halvings == MAX_HALVINGS:
            return False
        self._halvings += 1
        try:
            if not self.tracked.halve_limit():
                return False
            self.body = self._build_body()
            with self.tracked.lock:
                self._resolver.tracker.save_answer(self.tracked)
            return True
        except Exception as error:
            self._resolver.fail_open.handle(error)
            return False

    def make_stream_filter(self) -> StreamFilter:
        """Returns a filter for the streams of this call."""
        return self.api.make_stream_filter(self.tool_names)

    def on_response(self, response: Json) -> bool:
        """Takes a whole response; returns whether `body` must be sent now to continue."""
        return self.on_turn(self.api.parse_turn(response, self.tool_names))

    def on_turn(self, turn: ModelTurn) -> bool:
        """Takes what the model answered; returns whether `body` must be sent now to continue."""
        hidden = self._hidden
        hidden.turns.append(turn)
        with self.tracked.lock:
            if turn.usage is not None:  # each request reports its own usage
                self._record_usage(turn.usage)
            if not turn.context_calls or not self.tool_names:
                return self._finish()
            rounds = len(hidden.turns)
            if not turn.caller_call_ids and rounds > self._resolver.max_rounds:
                return self._finish()
            texts = [self._answer(call) for call in turn.context_calls]
            if turn.caller_call_ids:
                hidden.context_answers = texts
                return self._finish()
            is_last = rounds == self._resolver.max_rounds
            if is_last:
                texts = [text + _LAST for text in texts]
            results = self.api.build_context_results(turn.context_calls, texts)
            new_items = [*self.api.items_to_resend(self._original, turn), *results]
            hidden.items += new_items
            try:
                self.body = self._build_body()
            except Exception as error:  # such as a text above the budget: the model asked for it, so send it
                self._resolver.fail_open.handle(error)
                messages = [*self.api.read_messages(self.body), *new_items]
                self.body = self.api.build_request(self.body, messages, ())
            if is_last:
                self.body = self.api.without_forced_tool(self.body, self.tool_names)
            return True

    def visible_turn(self, response: Json) -> Json:
        """Returns the last response as the caller sees it; the same object if nothing in it is hidden."""
        if not self._hidden.has_hidden_parts:
            return response
        return self.api.visible_turn(response, self._hidden, self.tool_names)

    def _answer(self, call: ContextCall) -> str:
        """Returns the answer to a call of one of the compressor's own tools."""
        listing = self.tracked.tool_listing
        if call.name == search_tool.NAME and listing is not None:
            return listing.answer(call.arguments)
        return self._context_tools.answer(call.name, call.arguments)

    def _list_tools(self) -> ListedTools:
        """Returns the caller's tools, cut to their budget if they have one. If that fails, all of them are sent."""
        body, budgets, tracked = self._original, self._resolver.budgets, self.tracked
        tools = list(body.get("tools") or ())
        if not tools or budgets.tools is None or body.get("functions"):
            return ListedTools(tools)
        try:
            history, choice = [*self._history, *self._hidden.items], body.get("tool_choice")
            compressor, count = self._resolver.tracker.compressor, len(self._messages)
            return budgets.list_tools(compressor, tracked, tools, history, choice, count)
        except Exception as error:
            self._resolver.fail_open.handle_part(error, "tools")
            return ListedTools(tools)

    def _record_usage(self, usage: Json) -> None:
        """Records the usage of one request. An unknown form or an unavailable store must not cost the answer."""
        try:
            self.tracked.conversation.record_usage(usage)
        except CompressorError as error:
            self._resolver.fail_open.note_usage(error)

    def _finish(self) -> bool:
        index = len(self._messages)
        self.tracked.hidden_rounds.pop(index, None)
        first_id, latest_id = self._hidden.turns[0].id, self._hidden.last.id
        if first_id and latest_id and first_id != latest_id:
            self._resolver.remember_response_id(first_id, latest_id)
        if self._hidden.items or self._hidden.context_answers:
            self.tracked.hidden_rounds[index] = self._hidden
            self._resolver.tracker.save_answer(self.tracked, index)
        return False

    def _restore_history(self) -> list[Json]:
        """Returns the caller's history with its hidden rounds, inserted from the end so that indexes stay valid."""
        messages = self._messages
        hidden = self.tracked.hidden_rounds.copy()  # another call of the same history may finish meanwhile
        for index in sorted(hidden, reverse=True):
            if index < len(messages):
                rest = messages[index:]
                restored = self.api.with_hidden_rounds(rest, hidden[index])
                if restored == rest:  # the caller writes its history in its own form, such as calls as text
                    answers = hidden[index].context_answers
                    rounds = self.api.context_round(hidden[index]) if answers else hidden[index].items
                    restored = [*rounds, *rest]
                messages = [*messages[:index], *restored]
        return messages

    def _build_body(self) -> Json:
        tracked, api, original = self.tracked, self.api, self._original
        with tracked.lock:
            schemas = [one for one in self._context_tools.schemas(api.dialect) if tool_name(one) in self.tool_names]
            self._listed = self._list_tools()
            if self._listed.offers_search and search_tool.NAME not in self.tool_names:
                self.tool_names = (*self.tool_names, search_tool.NAME)
            caller_tools = self._listed.tools
            has_answers = bool(tracked.hidden_rounds or self._hidden.items)
            if schemas and self._excludes_context_tools(caller_tools, has_answers):
                self.tool_names, schemas = tuple(name for name in self.tool_names if name == search_tool.NAME), []
            # If the caller has tools, ours are offered from the first call on, because adding them later would
            # invalidate the cached prefix. Otherwise they are offered as long as the view has placeholders or answers.
            is_offered = bool(caller_tools) or tracked.tool_offered
            view = self._view(schemas, caller_tools, is_offered)
            tracked.tool_offered = has_answers or any(map(_has_placeholder, view))
            if schemas and tracked.tool_offered and not is_offered:
                view = self._view(schemas, caller_tools, True)  # so that the tokens of the schemas count
            tracked.lists_context_tools = bool(schemas and caller_tools)
        self._resolver.fail_open.report(tracked)
        if self._system and self._system != api.read_system(original):
            original = api.with_system(original, self._system[0]["content"])
        if not caller_tools and not tracked.tool_offered:
            self.tool_names, schemas = (), []
            if view == self._messages:
                return original
        if caller_tools != list(original.get("tools") or ()):
            original = {**original, "tools": caller_tools}
        return api.build_request(original, view, schemas)

    def _excludes_context_tools(self, caller_tools: list[Any], has_answers: bool) -> bool:
        """Returns whether the compressor's own tools must not be listed: the model could not call them.

        They stay if the last request listed them beside the caller's, because the cached prefix begins with them; and
        if the history has calls of them, because providers refuse calls in a request without tools.
        """
        if not caller_tools:
            return not has_answers and (wants_json(self._original) or forbids_tools(self._original, self.tool_names))
        return not self.tracked.lists_context_tools and forbids_tools(self._original, self.tool_names)

    def _view(self, schemas: list[Json], caller_tools: list[Any], is_offered: bool) -> list[Any]:
        """Returns the view of the whole history with its hidden rounds."""
        conversation, tracker = self.tracked.conversation, self._resolver.tracker
        tools = [*schemas, *caller_tools] if is_offered else caller_tools
        prompt = CutPrompt(self.api.read_system(self._original), [*self._history, *self._hidden.items], 0)
        try:
            prompt = self._resolver.budgets.cut_examples(tracker.compressor, self.tracked, *prompt[:2])
        except Exception as error:
            self._resolver.fail_open.handle_part(error, "examples")
        system, history, removed_tokens = prompt
        self._system = system
        conversation.set_tools(tools, self._listed.removed_tokens + removed_tokens)
        conversation.sync(history, system=system[0]["content"] if system else None)
        view: list[Any] = conversation.view(self._resolver.fail_open.enabled)
        return view


def _has_placeholder(message: Any) -> bool:
    if isinstance(message, str):
        return PLACEHOLDER_RE.search(message) is not None
    if isinstance(message, dict):
        return any(map(_has_placeholder, message.values()))
    return isinstance(message, (list, tuple)) and any(map(_has_placeholder, message))
