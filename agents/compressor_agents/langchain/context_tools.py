"""Makes the compressor's own tools for LangChain: expand a ref, search what was removed, ask for a compaction.

The tools read the state of the agent that called them, so each thread, fork and sub-agent can expand and search only
what was cut from its own conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import dropwhile
from typing import Any

from langchain.tools import ToolRuntime
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool

from compressor import CompressorError, UnknownRefError
from compressor.scoring.runtime.executor import run_in_thread
from compressor.sessions import Conversation
from compressor.sessions.compact_tool import COMPACT_ANSWER, COMPACT_TOOL_NAME
from compressor.sessions.context_tools import CONTEXT_TOOL_DEFINITIONS
from compressor.sessions.expand_tool import TOOL_NAME
from compressor.sessions.recall_tool import RECALL_TOOL_NAME

#: Returns the conversation that belongs to a tool's runtime.
ConversationOpener = Callable[[Any], Conversation]

#: Marks the compressor's own tools in their metadata.
TOOL_METADATA_KEY = "compressor"


def make_context_tools(open_conversation: ConversationOpener, expand: bool, compact: bool) -> list[BaseTool]:
    """Returns the tools.

    Args:
        open_conversation: Returns the conversation that belongs to a tool's runtime.
        expand: Include `expand_context` and `recall_context`.
        compact: Include `compact_now`.
    """
    tools: list[BaseTool] = []
    if expand:
        tools += [_reading_tool(open_conversation, name) for name in (TOOL_NAME, RECALL_TOOL_NAME)]
    if compact:
        tools.append(_compact_tool())
    return tools


def _reading_tool(open_conversation: ConversationOpener, name: str) -> BaseTool:
    def read(runtime: ToolRuntime, **arguments: Any) -> str:
        return answer(open_conversation(runtime), name, arguments)

    async def aread(runtime: ToolRuntime, **arguments: Any) -> str:
        return await run_in_thread(read, runtime, **arguments)

    return _make_tool(read, aread, name)


def _compact_tool() -> BaseTool:
    # `record_calls` asks for the compaction, because a tool cannot change the middleware's field in the state.
    def compact(**_: Any) -> str:
        return COMPACT_ANSWER

    async def acompact(**_: Any) -> str:
        return COMPACT_ANSWER

    return _make_tool(compact, acompact, COMPACT_TOOL_NAME)


def _make_tool(function: Callable[..., str], coroutine: Callable[..., Any], name: str) -> BaseTool:
    """Returns a tool with the session's own schema. Wrong arguments reach the function, which says what is wrong."""
    description, parameters = CONTEXT_TOOL_DEFINITIONS[name]
    return StructuredTool.from_function(
        function,
        coroutine,
        name=name,
        description=description,
        args_schema=dict(parameters),
        metadata={TOOL_METADATA_KEY: True},
    )


def find_taken_names(tools: Sequence[Any], names: Collection[str]) -> list[str]:
    """Returns those of the names that a tool of the user has, which then receives their calls."""
    same_name = [tool for tool in tools if isinstance(tool, BaseTool) and tool.name in names]
    return [tool.name for tool in same_name if not (tool.metadata or {}).get(TOOL_METADATA_KEY)]


def answer(conversation: Conversation, name: str, arguments: Mapping[str, Any]) -> str:
    """Returns a tool's answer for the model; never raises."""
    return conversation.context_tools().answer(name, arguments)


def has_answer(conversation: Conversation, name: str, arguments: Mapping[str, Any]) -> bool:
    """Returns whether a ref was ever cut from this conversation, or whether there is something to search in it."""
    try:
        if name == RECALL_TOOL_NAME:
            return bool(conversation.recall(str(arguments.get("query") or "")))
        conversation.expand(str(arguments.get("ref")))
    except UnknownRefError:
        return False
    except CompressorError:
        return name == TOOL_NAME
    return True


def record_calls(
    conversation: Conversation, messages: Sequence[AnyMessage], seen_count: int, names: Collection[str]
) -> None:
    """Records the calls of the compressor's own tools among the new messages.

    Expansions are feedback for later compressions; `compact_now` asks for a compaction. The tools themselves cannot do
    this: they run in parallel, and each would overwrite the state of the others.

    Args:
        conversation: The conversation of the messages.
        messages: All messages of the agent.
        seen_count: How many of them are old, without the leading system messages.
        names: The names of the tools that the agent got from the middleware.
    """
    new = list(dropwhile(lambda message: message.type == "system", messages))[seen_count:]
    answered = {message.tool_call_id for message in new if isinstance(message, ToolMessage)}
    for message in new:
        for call in message.tool_calls if isinstance(message, AIMessage) else ():
            if call["id"] not in answered or call["name"] not in names:
                continue
            if call["name"] == TOOL_NAME:
                answer(conversation, TOOL_NAME, call["args"])
            elif call["name"] == COMPACT_TOOL_NAME:
                conversation.request_compaction()
