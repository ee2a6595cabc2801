"""Resolves expand calls inside a call: the model asks for a text that was cut, gets it and goes on, and the caller
sees nothing of it.

Knows APIs only through `apis` and conversations through `histories.py`, no SDK and no HTTP: `clients.py` drives it.
"""

from __future__ import annotations

import logging
from typing import Any

from compressor.context.refs import PLACEHOLDER_RE
from compressor.errors import CompressorError
from compressor.providers import HiddenRounds, Json, ModelTurn, ProviderApi, StreamFilter
from compressor.providers.conversation_tracker import ConversationTracker, TrackedConversation
from compressor.sessions.expand_tool import TOOL_NAME

log = logging.getLogger("compressor_agents")
ROUNDS = 4  # expand rounds inside one call of the caller's
NAMES = 1024  # responses known under another id
_LAST = "\n\n[This was the last expansion for now. Answer with what you have.]"


class FailOpen:
    """Fail open: an error of ours is logged once of its kind, and the caller's own goes through."""

    def __init__(self, open: bool = True) -> None:
        self.open = open
        self._told: set[str] = set()

    def note(self, error: BaseException) -> None:
        """Logs it, or raises it again if errors are wanted."""
        if not self.open:
            raise error
        self.tell(f"not compressed, sent as it was: {type(error).__name__}: {error}", type(error).__name__, error)

    def tell(self, text: str, kind: str, error: BaseException | None = None) -> None:
        """Logs a warning, once of its kind."""
        if kind not in self._told:
            self._told.add(kind)
            log.warning(text, exc_info=error)


class ExpandResolver:
    """Makes a `Call` of each request."""

    def __init__(
        self, threads: ConversationTracker, expand: bool = True, fail_open: bool = True, rounds: int = ROUNDS
    ) -> None:
        self.tracker, self.expand, self.rounds = threads, expand, rounds
        self.failing = FailOpen(fail_open)
        self._names: dict[str, str] = {}

    def name(self, shown: str, last: str) -> None:
        """The caller knows by the id `shown` a response that goes on as `last` with the provider."""
        self._names[shown] = last
        if len(self._names) > NAMES:
            self._names.pop(next(iter(self._names)), None)

    def renamed(self, body: Any) -> Any:
        """A body that goes out as it is, but for the id of the response it continues."""
        last = self._names.get(body.get("previous_response_id") or "") if isinstance(body, dict) else None
        return {**body, "previous_response_id": last} if last else body

    def call(self, api: ProviderApi, body: Json) -> ResolvedCall | None:
        """What to send instead of `body`; None if it has to go out as it is."""
        try:
            if not api.supports(body):
                self.failing.tell("not compressed: the request does not hold one whole history", f"{api.dialect} body")
                return None
            thread = self.tracker.match(api.history(body), body.get("model"), api.dialect)
            return None if thread.rejected_by_provider else ResolvedCall(self, api, body, thread)
        except Exception as error:
            self.failing.note(error)
            return None


class ResolvedCall:
    """One call of the caller's and the calls inside it. `body` is what to send next, `first` what was sent first."""

    def __init__(self, resolver: ExpandResolver, api: ProviderApi, given: Json, thread: TrackedConversation) -> None:
        self.api, self.conversation = api, thread
        self._resolver, self._given = resolver, given
        self._messages = api.history(given)
        self._inner = HiddenRounds()
        self._history = self._restored()
        theirs = [_name(tool) for tool in given.get("tools") or ()]
        ours = resolver.expand and TOOL_NAME not in theirs and not given.get("functions")  # which go with no tools
        self.tool = TOOL_NAME if ours else ""
        self.first = self.body = self._written()

    @property
    def inner(self) -> HiddenRounds:
        """What happened so far."""
        return self._inner

    def on_rejection(self, error: BaseException) -> None:
        """The provider does not take it: this conversation goes out untouched from now on."""
        self.conversation.rejected_by_provider = True
        self._resolver.failing.tell(f"the provider refused a compressed request, sent as it was: {error}", "refused")

    def filter(self) -> StreamFilter:
        """A filter for the streams of this call."""
        return self.api.filter(self.tool)

    def on_response(self, response: Json) -> bool:
        """Takes a whole response; whether `body` has to be sent now to go on."""
        return self.on_turn(self.api.turn(response, self.tool))

    def on_turn(self, turn: ModelTurn) -> bool:
        """Takes what the model said; whether `body` has to be sent now to go on."""
        inner = self._inner
        inner.turns.append(turn)
        with self.conversation.lock:
            if turn.usage is not None:  # each response's is its own
                self._note(turn.usage)
            if not turn.asked or not self.tool:
                return self._over()
            rounds = len(inner.turns)
            if not turn.own and rounds > self._resolver.rounds:
                return self._over()
            answer = self.conversation.conversation.expand_tool.answer
            texts = [answer(arguments) for _, arguments in turn.asked]
            if turn.own:
                inner.answers = texts
                return self._over()
            last = rounds == self._resolver.rounds
            if last:
                texts = [text + _LAST for text in texts]
            more = [*self.api.build_original_request(self._given, turn), *self.api.results(turn.asked, texts)]
            inner.rounds += more
            try:
                self.body = self._written()
            except Exception as error:  # such as an expansion larger than the budget: the model has asked for it
                self._resolver.failing.note(error)
                self.body = self.api.build_request(self.body, [*self.api.history(self.body), *more], None)
            if last:
                self.body = self.api.without_forced_tool(self.body)
            return True

    def visible_turn(self, response: Json) -> Json:
        """The last response as the caller gets it; the same object if the caller may see everything."""
        return self.api.visible_turn(response, self._inner, self.tool) if self._inner.hidden else response

    def _note(self, usage: Json) -> None:
        """Notes what one call used: no answer is lost for that, be it an unknown form or a store that is away."""
        failing = self._resolver.failing
        try:
            self.conversation.conversation.record_usage(usage)
        except CompressorError as error:
            if not failing.open:
                raise
            failing.tell(f"what a call used was not noted: {error}", "usage")

    def _over(self) -> bool:
        at = len(self._messages)
        self.conversation.inner.pop(at, None)
        first, last = self._inner.turns[0].id, self._inner.last.id
        if first and last and first != last:
            self._resolver.name(first, last)
        if self._inner.rounds or self._inner.answers:
            self.conversation.inner[at] = self._inner
        return False

    def _restored(self) -> list[Json]:
        """The caller's history with what it did not see, from the end so that places stay."""
        whole = self._messages
        inner = self.conversation.inner.copy()  # another call of the same history may end meanwhile
        for at in sorted(inner, reverse=True):
            if at < len(whole):
                whole = [*whole[:at], *self.api.with_hidden_rounds(whole[at:], inner[at])]
        return whole

    def _written(self) -> Json:
        thread, api, given = self.conversation, self.api, self._given
        history = [*self._history, *self._inner.rounds]
        with thread.lock:
            conversation = thread.conversation
            schema = conversation.expand_tool.schema(api.dialect) if self.tool else None
            theirs = list(given.get("tools") or ())
            tools = [schema, *theirs] if schema and (thread.tool_offered or theirs) else theirs
            system = api.system(given)
            conversation.sync(history, system=system[0]["content"] if system else None, tools=tools)
            view = conversation.view()
            # With tools of the caller's the tool is there from the first call on, or a cached prefix would break when
            # it came; without, it comes with the first mark, and stays.
            thread.tool_offered = thread.tool_offered or bool(theirs) or any(map(_marked, view))
        if not thread.tool_offered:
            self.tool, schema = "", None
            if view == self._messages:
                return given
        return api.build_request(given, view, schema)


def _name(tool: Any) -> Any:
    return (tool.get("function") or tool).get("name") if isinstance(tool, dict) else None


def _marked(message: Any) -> bool:
    if isinstance(message, str):
        return PLACEHOLDER_RE.search(message) is not None
    if isinstance(message, dict):
        return any(map(_marked, message.values()))
    return isinstance(message, (list, tuple)) and any(map(_marked, message))
