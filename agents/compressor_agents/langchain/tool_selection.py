"""Selects the tools that a request lists, and makes the tool that finds the others.

All tools stay registered with the agent; only the list in the request gets shorter. So a tool runs even if the model
has found it with `find_tool` or remembers it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any

from langchain.agents.middleware.types import ModelRequest
from langchain.agents.structured_output import ToolStrategy
from langchain.tools import ToolRuntime
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from compressor import BudgetTooSmallError, Compressor
from compressor.caches import LruCache
from compressor.context.budget import resolve_budget
from compressor.pipeline.tools import ToolSet
from compressor.pipeline.tools.search_tool import DESCRIPTION, NAME, PARAMETERS
from compressor.scoring.runtime.executor import run_in_thread
from compressor.tokens import get_counter
from compressor_agents.langchain import model_request
from compressor_agents.langchain.context_tools import TOOL_METADATA_KEY
from compressor_agents.langchain.fail_open import FailOpenGuard

_QUERY_DESCRIPTION = PARAMETERS["properties"]["query"]["description"]
_MAX_SCHEMAS = 2_000  # tool schemas that are kept


class ToolSelection:
    """Selects the tools that each request lists.

    Args:
        compressor: Scores the tools.
        budget: Tokens of all schemas that a request lists, or a fraction of them.
        pinned: The names of tools that are always listed, verbatim.
        model: The model whose tokens count; None takes the model of the request.
        guard: Receives the warnings.

    Attributes:
        tool: The tool `find_tool`.
    """

    def __init__(
        self,
        compressor: Compressor,
        budget: int | float,
        pinned: Collection[str],
        model: str | None,
        guard: FailOpenGuard,
    ) -> None:
        self._compressor, self._budget, self._model, self._guard = compressor, budget, model, guard
        self._pinned = {pinned} if isinstance(pinned, str) else set(pinned)
        self._schemas: LruCache[tuple[int, bool], tuple[Any, Any]] = LruCache(_MAX_SCHEMAS)
        self.tool = self._find_tool()

    def select(self, request: ModelRequest[Any], state: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Returns the tools that a request lists, and the state to keep.

        Tools that are listed whole, and tools of the provider, are the agent's own objects. Slimmed tools are schemas
        in OpenAI's form, which every integration accepts.

        Raises:
            BudgetTooSmallError: If the compressor's own tools alone exceed the budget.
        """
        strict = _binds_strict(request)
        model = self._model or model_request.model_name(request.model)
        counter = get_counter(model)
        finder = next((tool for tool in request.tools if _is_ours(tool) and tool.name == NAME), None)  # type: ignore[union-attr]
        request_tools = [tool for tool in request.tools if tool is not finder]
        user_tools = [tool for tool in request_tools if not _is_ours(tool)]
        own_tools = [tool for tool in request_tools if _is_ours(tool)]
        schemas = [self._schema(tool, strict) for tool in user_tools]
        own_schemas = [self._schema(tool, False) for tool in own_tools]
        total = counter.count_tools([*own_schemas, *schemas])
        limit = resolve_budget(self._budget, total)
        if not user_tools or counter.count_tools([self._schema(tool, strict) for tool in request_tools]) <= limit:
            return request_tools, dict(state)
        available_tokens = limit - (total - counter.count_tools(schemas))
        if available_tokens < 1:
            raise BudgetTooSmallError(limit, total - counter.count_tools(schemas), "the compressor's own tools")
        pinned = self._find_pinned(user_tools, schemas)
        finds = finder is not None and NAME not in map(_name, schemas)
        tool_set = ToolSet(self._compressor, schemas, available_tokens, model, pinned, finds, state)
        view = tool_set.view(request.messages, request.tool_choice)
        for text in tool_set.warnings:
            self._guard.warn(text, None)
        tools_by_schema = {id(schema): tool for schema, tool in zip(schemas, user_tools, strict=True)}
        selected = []
        for slimmed in view:
            if finds and _name(slimmed) == NAME:
                selected.append(finder)
            else:
                selected.append(tools_by_schema.get(id(slimmed)) or _without_strict(slimmed, strict))
        return [*own_tools, *selected], tool_set.state

    def answer_search(self, tools: Sequence[Any], query: str) -> str:
        """Returns the answer to a call of `find_tool` in an agent with these tools."""
        user_tools = [tool for tool in tools if not _is_ours(tool)]
        if not user_tools:
            return "There are no other tools."
        return ToolSet(self._compressor, [self._schema(t, False) for t in user_tools], 0.5, self._model).answer(
            {"query": query}
        )

    def _find_pinned(self, tools: Sequence[Any], schemas: Sequence[Any]) -> set[str]:
        names = {name: tool for tool, schema in zip(tools, schemas, strict=True) if (name := _name(schema))}
        for name in sorted(self._pinned - names.keys()):
            self._guard.warn(
                f"pinned_tools names {name!r}, but the agent has no tool of that name; correct or remove it", None
            )
        # Integrations read `extras` from the tool itself, so a schema would lose them.
        verbatim = {name for name, tool in names.items() if getattr(tool, "extras", None)}
        return verbatim | (self._pinned & names.keys())

    def _schema(self, tool: Any, strict: bool) -> Any:
        """Returns a tool's schema as it is sent; always the same object, because its identity identifies the tool."""
        key = (id(tool), strict)
        cached = self._schemas.get(key)
        if cached is not None and cached[0] is tool:
            return cached[1]
        schema = dict(tool) if isinstance(tool, dict) else convert_to_openai_tool(tool)
        if strict and isinstance(schema.get("function"), dict):
            schema = {**schema, "function": {**schema["function"], "strict": True}}
        self._schemas.put(key, (tool, schema))
        return schema

    def _find_tool(self) -> BaseTool:
        def find_tool(query: Annotated[str, _QUERY_DESCRIPTION], runtime: ToolRuntime) -> str:
            return self.answer_search(runtime.tools, query)

        async def afind_tool(query: Annotated[str, _QUERY_DESCRIPTION], runtime: ToolRuntime) -> str:
            return await run_in_thread(find_tool, query, runtime)

        return StructuredTool.from_function(
            find_tool, afind_tool, name=NAME, description=DESCRIPTION, metadata={TOOL_METADATA_KEY: True}
        )


def _binds_strict(request: ModelRequest[Any]) -> bool:
    """Returns whether LangChain may bind all tools as strict, which requires all parameters in the schemas."""
    slimmed = request.response_format
    return (slimmed is not None and not isinstance(slimmed, ToolStrategy)) or bool(request.model_settings.get("strict"))


def _without_strict(slimmed: dict[str, Any], strict: bool) -> dict[str, Any]:
    """Returns a slimmed schema without the `strict` that was set to keep its parameters."""
    if not strict:
        return slimmed
    return {**slimmed, "function": {key: value for key, value in slimmed["function"].items() if key != "strict"}}


def _is_ours(tool: Any) -> bool:
    return isinstance(tool, BaseTool) and bool((tool.metadata or {}).get(TOOL_METADATA_KEY))


def _name(schema: Mapping[str, Any]) -> str:
    """Returns the name of a function, or "" for a tool of the provider."""
    inner = schema.get("function", schema)
    name = inner.get("name") if isinstance(inner, Mapping) else None
    return name if isinstance(name, str) and schema.get("type", "function") in ("function", "custom") else ""
