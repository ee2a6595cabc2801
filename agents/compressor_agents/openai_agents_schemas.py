"""Collects the schemas that the OpenAI Agents SDK sends with a request: tools, MCP tools, handoffs and the output type.

Hosted tools, such as the web search, are left out: their schemas are the provider's own.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from agents.agent_output import AgentOutputSchema, AgentOutputSchemaBase

from agents import Agent, CustomTool, FunctionTool, Handoff, RunContextWrapper

#: How long an MCP server's list of tools is used again, because most servers answer over a network.
MCP_LIST_SECONDS = 60.0

Schema = dict[str, Any]


class SchemaReader:
    """Collects the schemas of agents, and remembers for a while what MCP servers listed.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: Server -> agent's name -> when the tools were listed, and their schemas.
        self._listed: WeakKeyDictionary[Any, dict[str, tuple[float, list[Schema]]]] = WeakKeyDictionary()

    def __reduce__(self) -> tuple[type[SchemaReader], tuple[()]]:
        return type(self), ()

    async def read(self, agent: Any, context: Any) -> list[Schema]:
        """Returns the schemas that are sent for an agent, see `read_parts`."""
        functions, others = await self.read_parts(agent, context)
        return [*functions, *others]

    async def read_parts(self, agent: Any, context: Any) -> tuple[list[Schema], list[Schema]]:
        """Returns the schemas that are sent for an agent: those of function tools, and all others.

        Args:
            agent: The agent.
            context: The run's context object.
        """
        others: list[Schema] = []
        wrapper: RunContextWrapper[Any] = RunContextWrapper(context=context)
        schemas = [schema for server in agent.mcp_servers for schema in await self._list(server, agent, wrapper)]
        for tool in agent.tools:
            if isinstance(tool, CustomTool):
                others.append(dict(tool.tool_config))
            elif isinstance(tool, FunctionTool) and await _is_enabled(tool, agent, wrapper):
                schema = _function(tool.name, tool.description, tool.params_json_schema)
                strict = {"strict": True} if tool.strict_json_schema else {}
                (others if tool.defer_loading or tool._tool_namespace else schemas).append(schema | strict)
        for handoff in getattr(agent, "handoffs", ()):
            if isinstance(handoff, Agent):
                name, about = Handoff.default_tool_name(handoff), Handoff.default_tool_description(handoff)
                others.append(_function(name, about, {}))
            elif isinstance(handoff, Handoff) and await _is_enabled(handoff, agent, wrapper):
                others.append(_function(handoff.tool_name, handoff.tool_description, handoff.input_json_schema))
        return schemas, others + _output_schema(getattr(agent, "output_type", None))

    async def _list(self, server: Any, agent: Any, wrapper: RunContextWrapper[Any]) -> list[Schema]:
        by_agent = self._listed.setdefault(server, {})
        listed = by_agent.get(agent.name)
        if listed is not None and self._clock() - listed[0] < MCP_LIST_SECONDS:
            return listed[1]
        try:
            tools = await server.list_tools(wrapper, agent)
        except Exception:  # the SDK lists them, too, and reports the error
            return listed[1] if listed else []
        schemas = [_function(tool.name, tool.description or "", _input_schema(tool)) for tool in tools]
        by_agent[agent.name] = self._clock(), schemas
        return schemas


def _function(name: str, description: str, parameters: Schema) -> Schema:
    return {"type": "function", "name": name, "description": description, "parameters": parameters}


def _input_schema(tool: Any) -> Schema:
    """Returns the schema of an MCP tool, whose field has two names, depending on the version of `mcp`."""
    schema = getattr(tool, "input_schema", None) or getattr(tool, "inputSchema", None)
    return schema if isinstance(schema, dict) else {}


async def _is_enabled(tool: Any, agent: Any, wrapper: RunContextWrapper[Any]) -> bool:
    enabled = tool.is_enabled
    if callable(enabled):
        enabled = enabled(wrapper, agent)
    return bool(await enabled if inspect.isawaitable(enabled) else enabled)


def _output_schema(output_type: Any) -> list[Schema]:
    if output_type is None or output_type is str:
        return []
    schema = output_type if isinstance(output_type, AgentOutputSchemaBase) else AgentOutputSchema(output_type)
    return [] if schema.is_plain_text() else [{"type": "json_schema", "schema": schema.json_schema()}]
