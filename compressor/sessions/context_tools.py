"""The tools that a session offers to its agent: expand a ref, search what was removed, and ask for a compaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from compressor.scoring.runtime.executor import run_in_thread
from compressor.sessions.compact_tool import COMPACT_DESCRIPTION, COMPACT_PARAMETERS, COMPACT_TOOL_NAME, CompactTool
from compressor.sessions.expand_tool import DESCRIPTION, PARAMETERS, TOOL_NAME, ExpandTool
from compressor.sessions.recall_tool import RECALL_DESCRIPTION, RECALL_PARAMETERS, RECALL_TOOL_NAME, RecallTool


class ToolDefinition(NamedTuple):
    """What a model reads about a tool.

    Attributes:
        description: What the tool does.
        parameters: The JSON schema of its parameters.
    """

    description: str
    parameters: dict[str, Any]


#: A session's own tools by name.
CONTEXT_TOOL_DEFINITIONS: Mapping[str, ToolDefinition] = {
    TOOL_NAME: ToolDefinition(DESCRIPTION, PARAMETERS),
    RECALL_TOOL_NAME: ToolDefinition(RECALL_DESCRIPTION, RECALL_PARAMETERS),
    COMPACT_TOOL_NAME: ToolDefinition(COMPACT_DESCRIPTION, COMPACT_PARAMETERS),
}
#: The names of a session's own tools. Their results are not cut when they come in, and without compression nobody would
#: have called them.
CONTEXT_TOOL_NAMES = frozenset(CONTEXT_TOOL_DEFINITIONS)


@dataclass(frozen=True)
class ContextTools:
    """A session's tools for its agent: the schemas for the model, and the answers to its calls.

    Example:
        >>> tools = session.context_tools()
        >>> request = {"messages": session.view(), "tools": [*my_tools, *tools.schemas("openai_chat")]}
        >>> if call.name in tools.names:
        ...     result = tools.answer(call.name, call.arguments)

    Attributes:
        expand: Returns the text behind a ref.
        recall: Searches what was removed.
        compact: Asks for a compaction, or None if the agent does not plan them.
    """

    expand: ExpandTool
    recall: RecallTool
    compact: CompactTool | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Returns the names of the tools."""
        return tuple(tool.name for tool in self._tools)

    @property
    def _tools(self) -> tuple[ExpandTool | RecallTool | CompactTool, ...]:
        return (self.expand, self.recall, *([self.compact] if self.compact is not None else []))

    def schemas(self, dialect: str = "openai_chat") -> list[dict[str, Any]]:
        """Returns the schemas of the tools.

        Args:
            dialect: The provider's format: "openai_chat", "openai_responses" or "anthropic".

        Raises:
            CompressorError: The format is not one of these.
        """
        return [tool.schema(dialect) for tool in self._tools]

    def answer(self, name: str, arguments: Mapping[str, Any] | str | None = None) -> str:
        """Returns the tool result for a call of the model.

        It never raises for a wrong name, wrong arguments or unknown refs, because a model can only read an error.

        Args:
            name: The name of the tool that was called.
            arguments: The arguments of the call, as JSON text or parsed.
        """
        tool = next((tool for tool in self._tools if tool.name == name), None)
        if tool is None:
            return f"Not answered: there is no tool {name!r:.60} here. The tools are {', '.join(self.names)}."
        return tool.answer(arguments)

    async def aanswer(self, name: str, arguments: Mapping[str, Any] | str | None = None) -> str:
        """Does the same as `answer` in a worker thread, so that the event loop is not blocked."""
        return await run_in_thread(self.answer, name, arguments)
