"""Which of an agent's tools a model is shown, and the tool by which it finds the others. Cuts no message.

All tools stay registered with the agent: only what a request lists is less. So whatever a model has found, or calls
from memory, runs.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

from langchain.agents.middleware.types import ModelRequest
from langchain.agents.structured_output import ToolStrategy
from langchain.tools import ToolRuntime
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from compressor import BudgetTooSmallError, Compressor
from compressor.context.budget import resolve_budget
from compressor.pipeline.tools import ToolSet
from compressor.pipeline.tools.search_tool import DESCRIPTION, NAME, PARAMETERS
from compressor.scoring.runtime.executor import run_in_thread
from compressor.tokens import get_counter
from compressor_agents.langchain import model_request
from compressor_agents.langchain.expand_tool import OURS
from compressor_agents.langchain.fail_open import FailOpenGuard

_ABOUT = PARAMETERS["properties"]["query"]["description"]
_KNOWN = 2_000  # schemas of tools remembered, the newest


class ToolSelection:
    """budget: tokens of all schemas a request lists, or a share of them. pinned: names always listed, word for word."""

    def __init__(
        self,
        compressor: Compressor,
        budget: int | float,
        pinned: Collection[str],
        model: str | None,
        guard: FailOpenGuard,
    ) -> None:
        resolve_budget(budget, 1_000)  # an BudgetError now, not at the first call
        self._compressor, self._budget, self._model, self._guard = compressor, budget, model, guard
        self._pinned = {pinned} if isinstance(pinned, str) else set(pinned)
        self._lock = threading.Lock()
        self._wires: OrderedDict[tuple[int, bool], tuple[Any, Any]] = OrderedDict()
        self.tool = self._find_tool()

    def listed(self, request: ModelRequest[Any], state: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The tools that a request lists, and the state to keep. What is listed whole is the agent's own object, and a
        provider's own tools are; what is slimmed is a schema in OpenAI's form, which every integration takes."""
        strict = _strict(request)
        model = self._model or model_request.model_name(request.model)
        counter = get_counter(model)
        rest = [tool for tool in request.tools if not (_is_ours(tool) and tool.name == NAME)]  # type: ignore[union-attr]
        others = [tool for tool in rest if not _is_ours(tool)]
        ours = [tool for tool in request.tools if _is_ours(tool)]
        wires = [self._wire(tool, strict) for tool in others]
        extra = [self._wire(tool, False) for tool in ours]
        total = counter.count_tools([*extra, *wires])
        limit = resolve_budget(self._budget, total)
        if not others or counter.count_tools([self._wire(tool, strict) for tool in rest]) <= limit:
            return rest, dict(state)
        room = limit - (total - counter.count_tools(wires))
        if room < 1:
            raise BudgetTooSmallError(limit, total - counter.count_tools(wires), "the compressor's own tools")
        pinned = self._pinned_among(others, wires)
        box = ToolSet(self._compressor, wires, room, model, pinned, find=False, state=state)
        sent = box.view(request.messages, request.tool_choice)
        for text in box.warnings:
            self._guard.warn(text, None)
        own = {id(wire): tool for wire, tool in zip(wires, others, strict=True)}
        listed = [own[id(form)] if id(form) in own else _loose(form, strict) for form in sent]
        return [*ours, *listed], box.state

    def answer(self, tools: Sequence[Any], query: str) -> str:
        """What the model is told for a call of `find_tool` in an agent of these tools."""
        others = [tool for tool in tools if not _is_ours(tool)]
        if not others:
            return "There are no other tools."
        return ToolSet(self._compressor, [self._wire(t, False) for t in others], 0.5, self._model).answer(
            {"query": query}
        )

    def _pinned_among(self, tools: Sequence[Any], wires: Sequence[Any]) -> set[str]:
        names = {name: tool for tool, wire in zip(tools, wires, strict=True) if (name := _name(wire))}
        for name in sorted(self._pinned - names.keys()):
            self._guard.warn(f"pinned_tools: there is no tool called {name!r}", None)
        # An integration reads `extras` from the tool itself: as a mere schema it would lose them.
        whole = {name for name, tool in names.items() if getattr(tool, "extras", None)}
        return whole | (self._pinned & names.keys())

    def _wire(self, tool: Any, strict: bool) -> Any:
        """A tool's schema as it is sent, made once. The same object each time: by it the tool is known again."""
        key = (id(tool), strict)
        with self._lock:
            held = self._wires.get(key)
            if held is not None and held[0] is tool:
                self._wires.move_to_end(key)
                return held[1]
        wire = dict(tool) if isinstance(tool, dict) else convert_to_openai_tool(tool)
        if strict and isinstance(wire.get("function"), dict):
            wire = {**wire, "function": {**wire["function"], "strict": True}}
        with self._lock:
            self._wires[key] = (tool, wire)
            if len(self._wires) > _KNOWN:
                self._wires.popitem(last=False)
        return wire

    def _find_tool(self) -> BaseTool:
        def find_tool(query: Annotated[str, _ABOUT], runtime: ToolRuntime) -> str:
            return self.answer(runtime.tools, query)

        async def afind_tool(query: Annotated[str, _ABOUT], runtime: ToolRuntime) -> str:
            return await run_in_thread(find_tool, query, runtime)

        return StructuredTool.from_function(
            find_tool, afind_tool, name=NAME, description=DESCRIPTION, metadata={OURS: True}
        )


def _strict(request: ModelRequest[Any]) -> bool:
    """Whether a structured output may make LangChain bind all tools as strict: then all parameters must be listed."""
    form = request.response_format
    return (form is not None and not isinstance(form, ToolStrategy)) or bool(request.model_settings.get("strict"))


def _loose(form: dict[str, Any], strict: bool) -> dict[str, Any]:
    """A slimmed schema without the `strict` that was set to keep its parameters."""
    if not strict:
        return form
    return {**form, "function": {key: value for key, value in form["function"].items() if key != "strict"}}


def _is_ours(tool: Any) -> bool:
    return isinstance(tool, BaseTool) and bool((tool.metadata or {}).get(OURS))


def _name(wire: Mapping[str, Any]) -> str:
    """The name of a function, "" of a provider's own tool."""
    inner = wire.get("function", wire)
    name = inner.get("name") if isinstance(inner, Mapping) else None
    return name if isinstance(name, str) and wire.get("type", "function") in ("function", "custom") else ""
