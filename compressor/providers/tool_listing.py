"""Lists the tools of each request of a conversation within a budget of their own, and answers calls of `find_tool`.

The list changes as little as possible (see `ToolSet`), because providers place tools before everything else in the
prompt. The caller has all of its tools, so a tool that the model calls without having seen it runs as usual.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compressor.context.budget import Budget
from compressor.context.refs import compute_ref
from compressor.errors import RefError, StoreError
from compressor.pipeline.tools import ToolSet, search_tool
from compressor.pipeline.tools.tool import forced_tool_names
from compressor.providers.base import tool_name
from compressor.storage.base import BlobStore, require_log
from compressor.tokens import get_counter

if TYPE_CHECKING:
    from compressor import Compressor

MAX_ATTEMPTS = 20  # times a list is made again because another worker was first

MAX_PAST_STATES = 8  # that are kept, so that a branch of the conversation can continue from one of them


@dataclass(frozen=True)
class ListedTools:
    """The tools of one request.

    Attributes:
        tools: The tools to send. Unchanged ones are the caller's own objects.
        offers_search: Whether `find_tool` is among them and its calls are to be answered by `ToolListing.answer`.
        removed_tokens: How many tokens fewer these are than all tools. Negative only if nothing was removed.
    """

    tools: list[Any]
    offers_search: bool = False
    removed_tokens: int = 0


class ToolListing:
    """The tools that one conversation lists. Safe to share between threads.

    Args:
        compressor: Its scorer ranks the tools, and its store keeps the schemas of what is shortened or dropped.
        budget: Tokens of the listed tools, or a fraction of the tokens of all tools.
        pinned: Names of tools that are listed unchanged. Names that no tool has are ignored.
        journal: Where the state is kept for other workers; None keeps it in this object only.
        find: Whether `find_tool` is listed if something is missing.

    Attributes:
        warnings: What the user should know about the tools.
    """

    def __init__(
        self,
        compressor: Compressor,
        budget: Budget,
        pinned: Collection[str] = (),
        journal: StateJournal | None = None,
        find: bool = True,
    ) -> None:
        self._compressor, self._budget, self._pinned = compressor, budget, frozenset(pinned)
        self._journal, self._find = journal, find
        self._lock = threading.RLock()
        # "tool_set": the state of the tool set; "search_listed": whether `find_tool` was sent.
        self._state: dict[str, Any] = {}
        # The states as JSON after which the list changed, each with the number of messages and the ref of the list.
        self._past: list[tuple[int, str, str]] = []
        self._tools: list[Any] = []  # that `_tool_set` was made of
        self._model: str | None = None
        self._tool_set: ToolSet | None = None
        self.warnings: list[str] = []

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled: the state, from which the tool set is made anew."""
        with self._lock:
            state = {**vars(self), "_tool_set": None, "_tools": []}
        del state["_lock"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.RLock())

    @property
    def state(self) -> dict[str, Any]:
        """What another listing needs to continue this one, as JSON data."""
        with self._lock:
            return {"state": self._state, "past": [list(past) for past in self._past]}

    @state.setter
    def state(self, value: Mapping[str, Any]) -> None:
        with self._lock:
            self._state = value["state"]
            self._past = [(count, state, ref) for count, state, ref in value["past"]]

    def copy(self, message_count: int) -> ToolListing:
        """Returns a listing that continues on its own from the state after the first `message_count` messages."""
        made = ToolListing(self._compressor, self._budget, self._pinned, find=self._find)
        with self._lock:
            made._past = [past for past in self._past if past[0] <= message_count]
        made._state = json.loads(made._past[-1][1]) if made._past else {}
        return made

    def select(
        self,
        tools: Sequence[Any],
        messages: Sequence[Any],
        model: str | None = None,
        tool_choice: Any = None,
        message_count: int = 0,
    ) -> ListedTools:
        """Returns the tools to send with these messages.

        Args:
            tools: All tools of the caller.
            messages: The messages of the request, with the calls of `find_tool` that were answered.
            model: The model whose tokens are counted.
            tool_choice: The `tool_choice` of the request. Tools that it forces are listed unchanged. If it forbids
                calls, `find_tool` is not added.
            message_count: The number of messages that the caller knows of, for `copy`.

        Raises:
            BudgetTooSmallError: If what must be sent does not fit.
            CompressorError: If the tools or the messages cannot be read.
            StoreError: If the store cannot be read or written.
        """
        with self._lock:
            for _ in range(MAX_ATTEMPTS):
                if self._journal is not None:
                    self._state = self._journal.read() or self._state
                before = json.dumps(self._state)
                listed = self._select(list(tools), messages, model, tool_choice)
                after = json.dumps(self._state)
                if after == before:
                    return listed
                if self._journal is None or self._journal.write(self._state):
                    self._remember(listed, message_count, after)
                    return listed
        raise StoreError("too many workers list tools for the same session at the same time")

    def answer(
        self, arguments: Mapping[str, Any] | str | None, tools: Sequence[Any] = (), model: str | None = None
    ) -> str:
        """Returns the answer to a call of `find_tool`; never raises for wrong arguments.

        Args:
            arguments: The arguments of the call, as JSON or as a mapping.
            tools: All tools of the caller, if another object than this one has listed them.
            model: The model whose tokens are counted.
        """
        with self._lock:
            if self._tool_set is None and tools:
                self._make_tool_set(list(tools), model)
            tool_set = self._tool_set
        return "There are no other tools." if tool_set is None else tool_set.answer(arguments)

    def _select(self, tools: list[Any], messages: Sequence[Any], model: str | None, tool_choice: Any) -> ListedTools:
        tool_set = self._make_tool_set(tools, model)
        whole = {id(tool): i for i, tool in enumerate(self._tools)}
        forced = forced_tool_names(tool_choice) & {tool_name(tool) for tool in tools}
        view = tool_set.view(messages, tool_choice)
        if forced - {tool_name(tool) for tool in view if id(tool) in whole}:  # listed already, but shortened
            tool_set.compact()
            view = tool_set.view(messages, tool_choice)
        is_cut = len(view) != len(tools) or any(id(tool) not in whole for tool in view)
        has_own = search_tool.NAME in map(tool_name, tools)
        offers_search = is_cut and not has_own and search_tool.NAME in map(tool_name, view)
        if offers_search and _forbids_tools(tool_choice) and not self._state.get("search_listed"):
            view, offers_search = [tool for tool in view if tool_name(tool) != search_tool.NAME], False
        self._state = {"tool_set": tool_set.state, "search_listed": offers_search or self._state.get("search_listed")}
        self.warnings = list(tool_set.warnings)
        counter = get_counter(model)
        listed = [tools[whole[id(tool)]] if id(tool) in whole else tool for tool in view]
        removed = counter.count_tools(tools) - counter.count_tools(listed) if is_cut else 0
        return ListedTools(listed if is_cut else tools, offers_search, removed)

    def _remember(self, listed: ListedTools, message_count: int, state: str) -> None:
        """Keeps the state of a list that differs from the one before."""
        ref = compute_ref(json.dumps(listed.tools, default=str))
        if not self._past or self._past[-1][2] != ref:
            self._past = [*self._past, (message_count, state, ref)][-MAX_PAST_STATES:]

    def _make_tool_set(self, tools: list[Any], model: str | None) -> ToolSet:
        """Returns the tool set of these tools, with the state as it is now."""
        state = self._state.get("tool_set")
        known = self._tool_set
        if known is None or self._model != model or self._tools != tools or (state and known.state != state):
            pinned = [name for name in map(tool_name, tools) if name in self._pinned]
            known = ToolSet(self._compressor, tools, self._budget, model, pinned, self._find, state)
            self._tool_set, self._tools, self._model = known, tools, model
        return known


class StateJournal:
    """Keeps the state of a `ToolListing` in the store, so that several workers list the same tools.

    Args:
        store: The store.
        name: The name of the log.
    """

    def __init__(self, store: BlobStore, name: str) -> None:
        self._store, self._name, self._number = store, name, 0

    def read(self) -> dict[str, Any] | None:
        """Returns the newest state, or None before the first one.

        Raises:
            StoreError: If the store cannot be read, or has no logs.
        """
        try:
            self._number, packed = require_log(self._store).read_log(self._name)[-1]
        except (RefError, IndexError):
            self._number = 0
            return None
        state: dict[str, Any] = json.loads(packed)
        return state

    def write(self, state: Mapping[str, Any]) -> bool:
        """Writes a state; returns False if another worker has written since `read`.

        Raises:
            StoreError: If the store cannot be written.
        """
        record = json.dumps(state).encode()
        return require_log(self._store).append_log(self._name, self._number, [record], truncate_before=True)


def _forbids_tools(tool_choice: Any) -> bool:
    kind = tool_choice.get("type") if isinstance(tool_choice, Mapping) else tool_choice
    return kind == "none"
