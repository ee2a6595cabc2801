"""Pairs tool calls with their results while messages are read in order.

`ToolCallPairing` rejects what a provider would reject: a result without its call, a call without a result, and an id
that two open calls share. Message formats differ in when all results must be there; they call `require_results` then.
`LenientPairing` notes the messages that take part in such a fault instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compressor.context.model import Turn
from compressor.errors import ContextError


class ToolCallPairing:
    """Pairs tool calls with their results.

    Attributes:
        open_calls: Calls without a result so far: their ids, each with the index of the message and the tool's name.
        has_hidden_calls: Whether a call may be outside of the messages, because one of them refers to a stored item.
        last_input: Index of the newest message of a user or the system, for formats in which results may follow it.
        depends_on_later: Whether messages that follow may change how one of the messages is read.
    """

    def __init__(self) -> None:
        self.open_calls: dict[str, tuple[int, str | None]] = {}
        self.has_hidden_calls = False
        self.last_input = -1
        self.depends_on_later = False
        self._functions: dict[str, int] = {}  # legacy calls without ids: name -> how many are open
        self._optional: dict[str, tuple[int, str]] = {}  # any id of an optional call -> (message, the id that counts)
        self._abandoned: set[tuple[int, str]] = set()  # optional calls whose id a later call took

    @property
    def is_settled(self) -> bool:
        """Returns whether the messages so far say all about their calls: what follows is read as if it came first."""
        return not (
            self.open_calls
            or self.has_hidden_calls
            or self.depends_on_later
            or self._optional
            or self._abandoned
            or any(self._functions.values())
        )

    def open_call(self, call_id: Any, name: str | None, index: int) -> str:
        """Notes a call and returns its id.

        Args:
            call_id: The id as given.
            name: The tool's name.
            index: Index of the message.

        Raises:
            ContextError: The id is missing, or an open call has it.
        """
        key = self._id(call_id, "tool call", index)
        if key in self.open_calls:
            raise ContextError(f"tool call id {key!r} is used twice: give each call its own id", index)
        self.open_calls[key] = (index, name)
        return key

    def close_call(self, call_id: Any, index: int) -> tuple[str, str | None]:
        """Notes the result of a call and returns the call's id and the tool's name.

        Args:
            call_id: The id as given.
            index: Index of the message.

        Raises:
            ContextError: The id is missing, or there is no open call with it.
        """
        key = self._id(call_id, "tool result", index)
        if key not in self.open_calls:
            raise ContextError(
                f"the tool result for {key!r} has no call before it: add the call or remove the result",
                index,
            )
        return key, self.open_calls.pop(key)[1]

    def open_function_call(self, name: str) -> None:
        """Notes a legacy call, which is known only by its function's name."""
        self._functions[name] = self._functions.get(name, 0) + 1

    def close_function_call(self, name: str, index: int) -> None:
        """Notes the result of a legacy call.

        Args:
            name: The function's name.
            index: Index of the message.

        Raises:
            ContextError: There is no open call of that function.
        """
        if not self._functions.get(name):
            raise ContextError(
                f"the result of function {name!r} has no function_call before it: add the call or remove the result",
                index,
            )
        self._functions[name] -= 1

    def open_optional_call(self, ids: Sequence[str], index: int) -> str:
        """Notes a call that may stay without a result, and returns its id.

        Args:
            ids: The ids that a result may name; the first is the call's id.
            index: Index of the message.
        """
        for one in ids:
            if one in self._optional:
                self._abandoned.add(self._optional[one])
            self._optional[one] = (index, ids[0])
        return ids[0]

    def close_optional_call(self, ids: Sequence[str]) -> str | None:
        """Notes the result of an optional call, and returns the call's id; None if there is no such open call.

        Args:
            ids: The ids that may name the call.
        """
        call = next((self._optional[one] for one in ids if one in self._optional), None)
        if call is None:
            return None
        for one in [known for known, other in self._optional.items() if other == call]:
            del self._optional[one]
        return call[1]

    def forget_optional_calls(self, turns: Sequence[Turn], before: int) -> None:
        """Removes the ids of optional calls that will get no result.

        Args:
            turns: All turns.
            before: Nobody waits for the results of calls before the message with this index.
        """
        open_calls = {call for call in self._optional.values() if call[0] <= before} | self._abandoned
        for index, call_id in open_calls:
            turns[index].call_ids = tuple(one for one in turns[index].call_ids if one != call_id)

    def require_results(self, before: int | None = None) -> None:
        """Checks that calls have their results by now.

        Args:
            before: Check only calls up to the message with this index; by default all calls so far.

        Raises:
            ContextError: A call has no result. The error has the index of its message.
        """
        for call_id, (index, _) in self.open_calls.items():
            if before is not None and index > before:
                continue
            raise ContextError(f"tool call {call_id!r} has no result: add its result or remove the call", index)

    @staticmethod
    def _id(call_id: Any, what: str, index: int) -> str:
        if isinstance(call_id, str) and call_id:
            return call_id
        raise ContextError(f"the {what} has no id: give it one, because ids pair calls with their results", index)


class LenientPairing(ToolCallPairing):
    """Pairs tool calls with their results, and notes what does not pair. None of its methods raises."""

    def __init__(self) -> None:
        super().__init__()
        self._malformed: set[int] = set()
        self._calls: dict[int, dict[str, None]] = {}  # message -> ids of its calls that have, or may get, a result
        self._results: dict[int, dict[str, None]] = {}  # message -> ids of the calls that it holds the result of
        self._links: dict[int, dict[str, None]] = {}  # message -> ids of calls that tie it to other messages
        self._names: dict[str, str | None] = {}  # id -> the tool of its newest call
        self._ambiguous: set[str] = set()  # ids that two open calls shared

    def open_call(self, call_id: Any, name: str | None, index: int) -> str:
        """Notes a call and returns its id; "" if it has none."""
        if not (isinstance(call_id, str) and call_id):
            self._malformed.add(index)
            return ""
        first = self.open_calls.get(call_id, (index, None))[0]
        if first < self.last_input:  # nobody waits for its result anymore
            self._give_up(call_id)
        if call_id in self.open_calls:
            self._malformed |= {first, index}
            self._ambiguous.add(call_id)
            if first != index:
                self._links.setdefault(index, {})[call_id] = None
            return call_id
        self._ambiguous.discard(call_id)
        self._names[call_id] = name
        self.open_calls[call_id] = (index, name)
        self._calls.setdefault(index, {})[call_id] = None
        return call_id

    def close_call(self, call_id: Any, index: int) -> tuple[str, str | None]:
        """Notes the result of a call and returns the call's id and the tool's name, as far as they are known."""
        if not (isinstance(call_id, str) and call_id):
            self._malformed.add(index)
            return "", None
        if call_id not in self.open_calls:
            self._malformed.add(index)
            if call_id in self._names:
                self._links.setdefault(index, {})[call_id] = None
            return call_id, self._names.get(call_id)
        if call_id in self._ambiguous:
            self._malformed.add(index)
        self._results.setdefault(index, {})[call_id] = None
        return call_id, self.open_calls.pop(call_id)[1]

    def close_function_call(self, name: str, index: int) -> None:
        """Notes the result of a legacy call."""
        if self._functions.get(name):
            self._functions[name] -= 1
        else:
            self._malformed.add(index)

    def require_results(self, before: int | None = None) -> None:
        """Gives up on calls without a result.

        Args:
            before: Only calls up to the message with this index; by default all calls so far.
        """
        for call_id, (index, _) in list(self.open_calls.items()):
            if before is None or index <= before:
                self._give_up(call_id)

    def _give_up(self, call_id: str) -> None:
        index, _ = self.open_calls.pop(call_id)
        del self._calls[index][call_id]
        self._links.setdefault(index, {})[call_id] = None  # a result may still follow
        self._malformed.add(index)

    def mark_malformed(self, turns: Sequence[Turn]) -> None:
        """Marks the turns that take part in a fault, and leaves them the ids that do pair."""
        for turn in turns:
            if turn.index in self._malformed:
                turn.is_malformed = True
                turn.call_ids = tuple(self._calls.get(turn.index, ()))
                turn.result_call_ids = tuple(self._results.get(turn.index, ()))
                turn.linked_ids = tuple(dict.fromkeys((*turn.linked_ids, *self._links.get(turn.index, ()))))
                for slot in turn.slots:
                    slot.editable = False


class AnyPairing(ToolCallPairing):
    """Accepts any calls and results, which tells whether a message can be read on its own."""

    def open_call(self, call_id: Any, name: str | None, index: int) -> str:
        """Returns the id."""
        return call_id if isinstance(call_id, str) else ""

    def close_call(self, call_id: Any, index: int) -> tuple[str, str | None]:
        """Returns the id, and no name."""
        return (call_id if isinstance(call_id, str) else ""), None

    def close_function_call(self, name: str, index: int) -> None:
        """Accepts the result."""

    def require_results(self, before: int | None = None) -> None:
        """Requires nothing."""
