"""The expand tool as LangChain runs it. Knows no budget and cuts nothing.

What a tool is given is the state of the agent that called it, so each thread, fork and sub-agent opens only what was
cut from its own conversation.
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

Open = Callable[[Any], Conversation]

OURS = "compressor"  # in the tool's metadata
_ABOUT = {name: about["description"] for name, about in PARAMETERS["properties"].items()}


def make_tool(open_: Open) -> BaseTool:
    """The tool. `open_` gives the conversation that belongs to a tool's runtime."""

    def expand(
        ref: Annotated[str, _ABOUT["ref"]],
        runtime: ToolRuntime,
        query: Annotated[str | None, _ABOUT["query"]] = None,
        max_tokens: Annotated[int | None, _ABOUT["max_tokens"]] = None,
    ) -> str:
        return answer_expand(open_(runtime), {"ref": ref, "query": query, "max_tokens": max_tokens})

    async def aexpand(
        ref: Annotated[str, _ABOUT["ref"]],
        runtime: ToolRuntime,
        query: Annotated[str | None, _ABOUT["query"]] = None,
        max_tokens: Annotated[int | None, _ABOUT["max_tokens"]] = None,
    ) -> str:
        return await run_in_thread(expand, ref, runtime, query, max_tokens)

    return StructuredTool.from_function(expand, aexpand, name=TOOL_NAME, description=DESCRIPTION, metadata={OURS: True})


def shadowed(tools: Sequence[Any]) -> bool:
    """Whether a tool of the user's has our tool's name, and with it its calls."""
    named = [tool for tool in tools if isinstance(tool, BaseTool) and tool.name == TOOL_NAME]
    return any(not (tool.metadata or {}).get(OURS) for tool in named)


def answer_expand(conversation: Conversation, arguments: Mapping[str, Any]) -> str:
    """What the model is told. Never raises."""
    return conversation.expand_tool.answer(arguments)


def has_ref(conversation: Conversation, arguments: Mapping[str, Any]) -> bool:
    """Whether a ref was ever cut here."""
    try:
        conversation.expand(str(arguments.get("ref")))
    except UnknownRefError:
        return False
    except CompressorError:
        return True
    return True


def record_expansions(conversation: Conversation, messages: Sequence[AnyMessage], seen: int) -> None:
    """Notes the expansions among messages from number `seen` on (system messages in front not counted) as regret.

    A tool cannot: tools run side by side, and each would write its own state over the others'."""
    rest = list(dropwhile(lambda message: message.type == "system", messages))[seen:]
    answered = {message.tool_call_id for message in rest if isinstance(message, ToolMessage)}
    for message in rest:
        for call in message.tool_calls if isinstance(message, AIMessage) else ():
            if call["name"] == TOOL_NAME and call["id"] in answered:
                answer_expand(conversation, call["args"])
