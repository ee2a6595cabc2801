"""Decides which tools of the wrapped servers are listed, within a token budget.

An MCP client never says what its user wants. So the need is learned from a task that is given at the start, from the
questions to `find_tool`, and from the calls that are made.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

from compressor.compressor import Compressor
from compressor.context.budget import Budget, resolve_budget
from compressor.errors import BudgetTooSmallError
from compressor.mcp_proxy.exposed_tools import ExposedTool, matches
from compressor.pipeline.tools import ToolSet, search_tool
from compressor.tokens import get_counter

FIND_TOOL = search_tool.NAME
RUN_TOOL = "run_tool"
MAX_EVENTS = 40  # newest searches and calls that a new selection goes by
MAX_ARGUMENT_CHARS = 400  # of each call; they only say what the work is about
RECENT_EVENTS = 3  # after which a question to `find_tool` no longer says what a result is needed for
MAX_NAMES_FRACTION = 0.1  # of the budget that `run_tool` may take to name the servers
MAX_NAMES_IN_ANSWER = 12  # of tools that an answer names or shows; more find no more of what is needed
MAX_RANKED_TOOLS = 3_000  # for which an answer names more tools than it shows: ranking more takes seconds
MAX_NAMED_SERVERS = 20  # in the description of `run_tool`
RUN_DESCRIPTION = (
    "Calls a tool that is not in your list. find_tool says which tools there are and shows their parameters."
)
_RUN_HINT = 'Call a tool that is not in your list with run_tool: {"name": …, "arguments": {…}}.'
RUN_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "The name of the tool."},
        "arguments": {"type": "object", "description": "Its arguments.", "additionalProperties": True},
    },
    "required": ["name"],
    "additionalProperties": False,
}


class ToolList:
    """The tools that are listed at the moment. Not safe for several threads at once.

    Args:
        compressor: Ranks the tools, and keeps the schemas of what is shortened or left out.
        budget: Tokens of all listed tools together, or a fraction of the tokens of all tools.
        model: The model whose tokens are counted.
        pinned: Patterns of names of tools that are always listed whole, such as "read_file" or "github/*".
        task: What the agent is to do, "" if that is not known.
        own_tools: Tools of this server that are always listed, in MCP's JSON form.

    Raises:
        BudgetError: The budget is invalid.
        BudgetTooSmallError: Not even `find_tool`, `run_tool` and the server's own tools fit. A budget that is a
            fraction is raised to what they need.
    """

    def __init__(
        self,
        compressor: Compressor,
        budget: Budget,
        model: str | None = None,
        pinned: Sequence[str] = (),
        task: str = "",
        own_tools: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._compressor = compressor
        self._budget = budget
        self._model = model
        self._pinned = pinned
        self._task = task.strip()
        self._own_tools = [dict(tool) for tool in own_tools]
        self._counter = get_counter(model)
        self._tools: list[ExposedTool] = []
        self._tool_set: ToolSet | None = None
        self._events: deque[tuple[str, str]] = deque(maxlen=MAX_EVENTS)  # name of the tool, arguments as JSON
        self._limit = 0
        self._warnings: list[str] = []
        resolve_budget(budget, 1)
        if isinstance(budget, int) and budget < (needed := self._count(self._smallest_list())):
            names = [schema["function"]["name"] for schema in self._smallest_list()]
            raise BudgetTooSmallError(budget, needed, f"the tools {', '.join(names)}")
        self.set_tools([])

    @property
    def request(self) -> str:
        """What the agent wants, as far as it is known: the task, and a question to `find_tool` that is still new."""
        newest = list(self._events)[-RECENT_EVENTS:]
        questions = [search_tool.parse_question(text) for name, text in newest if name == FIND_TOOL]
        return "\n".join(filter(None, [self._task, *questions[-1:]]))

    @property
    def warnings(self) -> list[str]:
        """What the user should know: schemas that cannot be shortened, fallbacks."""
        return self._warnings + (self._tool_set.warnings if self._tool_set is not None else [])

    def set_tools(self, tools: Sequence[ExposedTool]) -> None:
        """Replaces the tools to choose from; what was found and called before stays known."""
        state = self._tool_set.state if self._tool_set is not None else None
        self._tools = list(tools)
        self._schemas = [_function(tool.schema()) for tool in self._tools]
        total = self._count(self._schemas) if self._schemas else 0
        self._limit = max(resolve_budget(self._budget, max(total, 1)), self._count(self._smallest_list()))
        self._tool_set = self._make_tool_set(state) if not self._fits() else None

    def listed(self) -> list[dict[str, Any]]:
        """Returns the tools to list, in MCP's JSON form, the server's own ones at the end."""
        if self._tool_set is None:
            return [{**tool.tool, "name": tool.name} for tool in self._tools] + self._own_tools
        by_name = {tool.name: tool for tool in self._tools}
        sent = self._view()
        out = []
        for schema in sent:
            function = schema["function"]
            tool = by_name.get(function["name"])
            out.append(_listing(tool, function))
        return out + self._doors()

    def count_tokens(self, listing: Sequence[Mapping[str, Any]]) -> int:
        """Returns the tokens of listed tools, as a provider counts name, description and parameters."""
        return self._count([_function(tool) for tool in listing]) if listing else 0

    def note_call(self, name: str, arguments: Any) -> None:
        """Records a call. A tool that was called stays listed."""
        try:
            text = json.dumps(arguments or {}, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):
            text = "{}"
        if len(text) > MAX_ARGUMENT_CHARS:
            text = json.dumps({"arguments": text[:MAX_ARGUMENT_CHARS]}, ensure_ascii=False)
        self._events.append((name, text))

    def search(self, arguments: Mapping[str, Any] | None) -> str:
        """Answers a call of `find_tool`, and lists what it finds, and what else fits the question, from then on.

        An agent that searches does not have what it needs, and a longer list costs the provider's cache as much as
        another one. So the list is chosen anew, with what was found and called before.
        """
        question = search_tool.parse_question(arguments)
        if self._tool_set is None:
            every = self._make_tool_set(None)
            return every.answer(arguments) if every is not None else "There are no tools."
        answer = self._tool_set.answer(arguments)
        others = [name for name in self._most_relevant(question) if json.dumps(name) not in answer] if question else []
        if question:
            self._events.append((FIND_TOOL, json.dumps({"query": question}, ensure_ascii=False)))
            self._tool_set.compact()
        told = f"Other tools that may fit: {', '.join(others)}." if others else ""
        return "\n\n".join(filter(None, [answer, told, _RUN_HINT]))

    def _most_relevant(self, question: str) -> list[str]:
        """Returns the names of the tools that fit a question best, the best first."""
        if len(self._schemas) > MAX_RANKED_TOOLS:
            return []
        try:
            reports = self._compressor.select_tools(self._schemas, 0.5, query=question, model=self._model).reports
        except BudgetTooSmallError:
            return []
        best = sorted(reports, key=lambda report: -report.relevance)[:MAX_NAMES_IN_ANSWER]
        return [report.name for report in best if report.relevance > 0]

    def _fits(self) -> bool:
        own = [_function(tool) for tool in self._own_tools]
        return not self._schemas or self._count([*self._schemas, *own]) <= self._limit

    def _count(self, schemas: Sequence[Any]) -> int:
        return self._counter.count_tools(list(schemas))

    def _smallest_list(self) -> list[dict[str, Any]]:
        run_tool = {"name": RUN_TOOL, "description": RUN_DESCRIPTION, "inputSchema": RUN_SCHEMA}
        return [search_tool.schema("openai_chat"), *map(_function, [run_tool, *self._own_tools])]

    def _doors(self) -> list[dict[str, Any]]:
        """Returns `run_tool` and the server's own tools. The servers are named if that takes little of the budget."""
        servers = Counter(tool.server for tool in self._tools)
        names = ", ".join(f"{name} ({count})" for name, count in list(servers.items())[:MAX_NAMED_SERVERS])
        more = ", …" if len(servers) > MAX_NAMED_SERVERS else ""
        told = f" Servers and their number of tools: {names}{more}." if names else ""
        if self._counter.count(told) > MAX_NAMES_FRACTION * (self._limit - self._count(self._smallest_list())):
            told = ""
        return [{"name": RUN_TOOL, "description": RUN_DESCRIPTION + told, "inputSchema": RUN_SCHEMA}, *self._own_tools]

    def _make_tool_set(self, state: Mapping[str, Any] | None) -> ToolSet | None:
        if not self._schemas:
            return None
        pinned = [
            tool.name for tool in self._tools if matches(tool.server, (tool.name, tool.original_name), self._pinned)
        ]
        budget = max(1, self._limit - self._count([_function(tool) for tool in self._doors()]))
        return ToolSet(self._compressor, self._schemas, budget, self._model, pinned, state=state)

    def _view(self) -> list[Any]:
        """Returns the selection of the tool set, or `find_tool` alone if nothing else fits.

        If all that was found and called does not fit, the oldest half of it is forgotten.
        """
        sent, problem = self._try_to_view()
        while problem is not None and (self._events or self._pinned):
            if not self._events:
                self._warnings.append(f"--pin is ignored, because the pinned tools do not fit: {problem}")
                self._pinned = ()
            for _ in range((len(self._events) + 1) // 2):
                self._events.popleft()
            self._tool_set = self._make_tool_set(None)
            sent, problem = self._try_to_view()
        if not any(schema["function"]["name"] == FIND_TOOL for schema in sent):
            return [search_tool.schema("openai_chat")]  # without it, an agent could not learn what there is
        return sent

    def _try_to_view(self) -> tuple[list[Any], BudgetTooSmallError | None]:
        try:
            return (self._tool_set.view(self._messages()) if self._tool_set is not None else []), None
        except BudgetTooSmallError as error:
            return [], error

    def _messages(self) -> list[dict[str, Any]]:
        """Returns the task, the searches and the calls as a conversation. It is never sent to anyone."""
        out: list[dict[str, Any]] = [{"role": "user", "content": self._task}] if self._task else []
        for number, (name, arguments) in enumerate(self._events):
            if name == FIND_TOOL:
                out.append({"role": "user", "content": search_tool.parse_question(arguments)})
            call = {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
            out.append({"role": "assistant", "content": None, "tool_calls": [call]})
            out.append({"role": "tool", "tool_call_id": f"c{number}", "content": "ok"})
        return out


def _function(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a tool in the form in which it is counted and selected."""
    function = {
        "name": tool["name"],
        "description": tool.get("description") or "",
        "parameters": tool["inputSchema"] if "inputSchema" in tool else tool["input_schema"],
    }
    return {"type": "function", "function": function}


def _listing(tool: ExposedTool | None, function: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a selected tool in MCP's form, with the fields that only its server gives."""
    chosen = {"name": function["name"], "inputSchema": function["parameters"]}
    if function.get("description"):
        chosen["description"] = function["description"]
    if tool is None:
        return chosen
    kept = {key: value for key, value in tool.tool.items() if key not in ("description", "inputSchema")}
    return {**kept, **chosen}
