"""Implements a chat model that plays a script, records its requests and calls no provider.

A request is recorded as LangChain messages and as the JSON text of each OpenAI chat message (`wire`), which is what a
provider's prompt cache compares. Usage is counted as a provider bills it: the part of a request that repeats the start
of an earlier one, byte for byte, is read from the cache.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ToolCall,
    ToolCallChunk,
    UsageMetadata,
    convert_to_openai_messages,
)
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr

from compressor.context.formats import detect_format
from compressor.errors import CompressorError
from compressor.tokens import TokenCounter, get_counter

Reply = AIMessage | str | Exception
Script = Sequence[Reply] | Callable[[list[BaseMessage]], Reply]


def call(tool: str, /, **arguments: Any) -> AIMessage:
    """Returns an assistant message that calls one tool; the model gives the call a new id each time it plays it.

    Args:
        tool: The tool's name.
        **arguments: The arguments of the call.

    Example:
        >>> ScriptedChatModel(script=[call("search", query="pumps"), "Pump 4 leaks."])
    """
    return AIMessage("", tool_calls=[ToolCall(name=tool, args=arguments, id=None, type="tool_call")])


@dataclass(frozen=True)
class RecordedRequest:
    """One request as it reached the model.

    Attributes:
        messages: The messages.
        tools: The tool schemas in OpenAI's form.
        settings: Everything else that was bound to the model, such as `tool_choice`.
    """

    messages: list[BaseMessage]
    tools: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def wire(self) -> list[str]:
        """Returns each tool schema and then each message as the JSON text that a prompt cache compares."""
        parts: list[Any] = [*self.tools, *convert_to_openai_messages(self.messages)]
        return [json.dumps(part, ensure_ascii=False, sort_keys=True, default=str) for part in parts]

    def tokens(self, model: str | None = None) -> int:
        """Returns the tokens of the whole request.

        Args:
            model: The model whose tokens count; None means gpt-4o.
        """
        message_format = detect_format(self.messages, self.tools, lenient=True)
        context = message_format.parse(self.messages, self.tools, lenient=True)
        return get_counter(model).count_context(context)


def count_shared_parts(before: RecordedRequest, after: RecordedRequest) -> int:
    """Returns how many parts at the start of two requests are equal.

    Example:
        >>> before, after = model.requests[-2:]
        >>> assert count_shared_parts(before, after) == len(before.wire)  # the prompt cache reads all of it
    """
    count = 0
    for old, new in zip(before.wire, after.wire, strict=False):
        if old != new:
            break
        count += 1
    return count


class ScriptedChatModel(BaseChatModel):
    """Plays a script as a LangChain chat model.

    It works with `bind_tools`, structured output and streaming (texts word by word, arguments of calls in two chunks).

    Attributes:
        script: The replies, one per call: a message, a text (an answer without calls) or an exception (which is
            raised). Or a function that returns a reply for the messages that the model was sent.
        model_name: The model whose tokens the usage counts.
        requests: All requests so far.

    Raises:
        CompressorError: If a call comes after the last reply of the script.

    Example:
        >>> model = ScriptedChatModel(script=[call("search", query="pumps"), "Pump 4 leaks."])
        >>> create_agent(model, [search]).invoke({"messages": "Which pump leaks?"})["messages"][-1].text
        'Pump 4 leaks.'
        >>> len(model.requests)
        2
    """

    script: Any
    model_name: str = "gpt-4o"
    requests: list[RecordedRequest] = Field(default_factory=list)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)
    _cache: set[bytes] = PrivateAttr(default_factory=set)  # digests of all prefixes of all requests

    @property
    def _llm_type(self) -> str:
        return "scripted-chat"

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: str | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Returns the model bound to tools, as every LangChain chat model does."""
        schemas = [convert_to_openai_tool(tool) for tool in tools]
        return self.bind(tools=schemas, **({} if tool_choice is None else {"tool_choice": tool_choice}), **kwargs)

    def _reply(self, messages: list[BaseMessage], stop: list[str] | None, settings: dict[str, Any]) -> AIMessage:
        tools = settings.pop("tools", [])
        request = RecordedRequest(list(messages), tools, settings | ({"stop": stop} if stop else {}))
        prefixes = _prefixes(request.wire)
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
            cached = sum(prefix in self._cache for prefix in prefixes)
            self._cache.update(prefixes)
        if callable(self.script):
            reply = self.script(list(messages))
        elif number < len(self.script):
            reply = self.script[number]
        else:
            raise CompressorError(
                f"the script has {len(self.script)} replies, but this is request {number + 1}; add replies"
            )
        if isinstance(reply, Exception):
            raise reply
        answer = AIMessage(reply) if isinstance(reply, str) else reply.model_copy(deep=True)
        for index, tool_call in enumerate(answer.tool_calls):
            tool_call["id"] = tool_call["id"] or f"call_{prefixes[-1].hex()[:8]}_{number}_{index}"
        answer.usage_metadata = self._usage(cached, request, answer)
        answer.response_metadata = {"model_name": self.model_name, **answer.response_metadata}
        return answer

    def _usage(self, cached: int, request: RecordedRequest, answer: AIMessage) -> UsageMetadata:
        """Returns the usage of a request whose first `cached` parts an earlier request began with."""
        counter = get_counter(self.model_name)
        total = request.tokens(self.model_name)
        sizes = counter.count_many(request.wire)
        read = total * sum(sizes[:cached]) // max(1, sum(sizes))
        output = _count_answer(answer, counter)
        return UsageMetadata(
            input_tokens=total,
            output_tokens=output,
            total_tokens=total + output,
            input_token_details={"cache_read": read},
        )

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._reply(messages, stop, kwargs))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for message in _split_into_chunks(self._reply(messages, stop, kwargs)):
            chunk = ChatGenerationChunk(message=message)
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def _prefixes(wire: Sequence[str]) -> list[bytes]:
    """Returns a digest of each prefix, the shortest first."""
    digests = [b""]
    for part in wire:
        text = part.encode("utf-8", "surrogatepass")
        digests.append(hashlib.blake2b(digests[-1] + text, digest_size=16).digest())
    return digests[1:]


def _count_answer(answer: AIMessage, counter: TokenCounter) -> int:
    return counter.count(answer.text) + sum(counter.count(json.dumps(c["args"])) for c in answer.tool_calls)


def _split_into_chunks(answer: AIMessage) -> Iterator[AIMessageChunk]:
    """Yields the chunks of a message: words, then calls with their arguments in two halves, then usage."""
    if isinstance(answer.content, str):
        for word in re.findall(r"\S+\s*|\s+", answer.content):
            yield AIMessageChunk(content=word, id=answer.id)
    else:
        yield AIMessageChunk(content=answer.content, id=answer.id)
    for index, tool_call in enumerate(answer.tool_calls):
        text = json.dumps(tool_call["args"], ensure_ascii=False)
        half = len(text) // 2
        first = ToolCallChunk(
            name=tool_call["name"], args=text[:half], id=tool_call["id"], index=index, type="tool_call_chunk"
        )
        rest = ToolCallChunk(name=None, args=text[half:], id=None, index=index, type="tool_call_chunk")
        for part in (first, rest):
            yield AIMessageChunk(content="", tool_call_chunks=[part], id=answer.id)
    yield AIMessageChunk(
        content="",
        id=answer.id,
        usage_metadata=answer.usage_metadata,
        response_metadata=answer.response_metadata,
        additional_kwargs=answer.additional_kwargs,
        chunk_position="last",
    )
