"""Makes the expand tool for LangChain.

The tool reads the state of the agent that called it, so each thread, fork and sub-agent can expand only what was cut
from its own conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import dropwhile
from typing import Annotated, Any

from langchain.tools import ToolRuntime
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool

from compressor import CompressorError, UnknownRefError
from compressor.scoring.runtime.executor import run_in_thread
from compressor.sessions import Conversation
from compressor.sessions.expand_tool import DESCRIPTION, PARAMETERS, TOOL_NAME

#: Returns the conversation that belongs to a tool's runtime.
ConversationOpener = Callable[[Any], Conversation]

#: Marks the compressor's own tools in their metadata.
TOOL_METADATA_KEY = "compressor"
_DESCRIPTIONS = {name: schema["description"] for name, schema in PARAMETERS["properties"].items()}


def make_expand_tool(open_conversation: ConversationOpener) -> BaseTool:
    """Returns the tool `expand_context`.

    Args:
        open_conversation: Returns the conversation that belongs to a tool's runtime.
    """

    def expand(
        ref: Annotated[str, _DESCRIPTIONS["ref"]],
        runtime: ToolRuntime,
        query: Annotated[str | None, _DESCRIPTIONS["query"]] = None,
        max_tokens: Annotated[int | None, _DESCRIPTIONS["max_tokens"]] = None,
    ) -> str:
        return answer_expand(open_conversation(runtime), {"ref": ref, "query": query, "max_tokens": max_tokens})

    async def aexpand(
        ref: Annotated[str, _DESCRIPTIONS["ref"]],
        runtime: ToolRuntime,
        query: Annotated[str | None, _DESCRIPTIONS["query"]] = None,
        max_tokens: Annotated[int | None, _DESCRIPTIONS["max_tokens"]] = None,
    ) -> str:
        return await run_in_thread(expand, ref, runtime, query, max_tokens)

    metadata = {TOOL_METADATA_KEY: True}
    return StructuredTool.from_function(expand, aexpand, name=TOOL_NAME, description=DESCRIPTION, metadata=metadata)


def is_name_taken(tools: Sequence[Any]) -> bool:
    """Returns whether a tool of the user has the expand tool's name and so receives its calls."""
    same_name = [tool for tool in tools if isinstance(tool, BaseTool) and tool.name == TOOL_NAME]
    return any(not (tool.metadata or {}).get(TOOL_METADATA_KEY) for tool in same_name)


def answer_expand(conversation: Conversation, arguments: Mapping[str, Any]) -> str:
    """Returns the tool's answer for the model; never raises."""
    return conversation.expand_tool.answer(arguments)


def has_ref(conversation: Conversation, arguments: Mapping[str, Any]) -> bool:
    """Returns whether the ref was ever cut from this conversation."""
    try:
        conversation.expand(str(arguments.get("ref")))
    except UnknownRefError:
        return False
    except CompressorError:
        return True
    return True


def record_expansions(conversation: Conversation, messages: Sequence[AnyMessage], seen_count: int) -> None:
    """Records the expand calls among the new messages as feedback for later compressions.

    The tool itself cannot do this: tools run in parallel, and each would overwrite the state of the others.

    Args:
        conversation: The conversation of the messages.
        messages: All messages of the agent.
        seen_count: How many of them are old, without the leading system messages.
    """
    new = list(dropwhile(lambda message: message.type == "system", messages))[seen_count:]
    answered = {message.tool_call_id for message in new if isinstance(message, ToolMessage)}
    for message in new:
        for call in message.tool_calls if isinstance(message, AIMessage) else ():
            if call["name"] == TOOL_NAME and call["id"] in answered:
                answer_expand(conversation, call["args"])
