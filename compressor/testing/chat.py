"""A chat model that plays a script and remembers what it was sent. Calls nobody.

What it was sent is kept twice: as LangChain messages, and as the JSON text of each OpenAI chat message (`wire`), which
is what a provider's prompt cache compares. Usage is counted as a provider would bill it: the prefix that an earlier
request had, byte for byte, is read from the cache.
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
    """An assistant message that calls one tool. The model that plays it gives the call an id that is new each time."""
    return AIMessage("", tool_calls=[ToolCall(name=tool, args=arguments, id=None, type="tool_call")])


@dataclass(frozen=True)
class RecordedRequest:
    """One request as it reached the model. `tools`: schemas in OpenAI's form; `settings`: what else was bound."""

    messages: list[BaseMessage]
    tools: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def wire(self) -> list[str]:
        """Each tool schema, then each message, as the JSON text that goes over the wire: a cache compares these."""
        parts: list[Any] = [*self.tools, *convert_to_openai_messages(self.messages)]
        return [json.dumps(part, ensure_ascii=False, sort_keys=True, default=str) for part in parts]

    def tokens(self, model: str | None = None) -> int:
        """Tokens of the whole request, by the package's own counter."""
        context = detect_format(self.messages, self.tools).parse(self.messages, self.tools)
        return get_counter(model).count_context(context)


def shared_prefix_tokens(before: RecordedRequest, after: RecordedRequest) -> int:
    """How many parts of `after.wire` stand at its start just as they stood in `before.wire`."""
    equal = 0
    for old, new in zip(before.wire, after.wire, strict=False):
        if old != new:
            break
        equal += 1
    return equal


class ScriptedChatModel(BaseChatModel):
    """A LangChain chat model that plays a script.

    script: what it answers, call by call: messages, texts (an answer without calls), exceptions (raised). Or a function
        of the messages it was sent. A list that is used up: CompressorError.
    model_name: whose tokens usage is counted in.

    Works with bind_tools, structured output and streaming (texts word by word, arguments of calls in two chunks).
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
            raise CompressorError(f"the script has {len(self.script)} replies, and this is request {number + 1}")
        if isinstance(reply, Exception):
            raise reply
        said = AIMessage(reply) if isinstance(reply, str) else reply.model_copy(deep=True)
        for index, made in enumerate(said.tool_calls):
            made["id"] = made["id"] or f"call_{prefixes[-1].hex()[:8]}_{number}_{index}"
        said.usage_metadata = self._usage(cached, request, said)
        said.response_metadata = {"model_name": self.model_name, **said.response_metadata}
        return said

    def _usage(self, cached: int, request: RecordedRequest, said: AIMessage) -> UsageMetadata:
        """`cached`: how many parts of the request an earlier one began with."""
        counter = get_counter(self.model_name)
        total = request.tokens(self.model_name)
        sizes = counter.count_many(request.wire)
        read = total * sum(sizes[:cached]) // max(1, sum(sizes))
        output = _size(said, counter)
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
        for message in _pieces(self._reply(messages, stop, kwargs)):
            chunk = ChatGenerationChunk(message=message)
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk


def _prefixes(wire: Sequence[str]) -> list[bytes]:
    """A digest of each prefix, the shortest first."""
    digests = [b""]
    for part in wire:
        text = part.encode("utf-8", "surrogatepass")
        digests.append(hashlib.blake2b(digests[-1] + text, digest_size=16).digest())
    return digests[1:]


def _size(said: AIMessage, counter: TokenCounter) -> int:
    return counter.count(said.text) + sum(counter.count(json.dumps(c["args"])) for c in said.tool_calls)


def _pieces(said: AIMessage) -> Iterator[AIMessageChunk]:
    """A message as the chunks that add up to it: words, then calls with their arguments in two halves, then usage."""
    if isinstance(said.content, str):
        for word in re.findall(r"\S+\s*|\s+", said.content):
            yield AIMessageChunk(content=word, id=said.id)
    else:
        yield AIMessageChunk(content=said.content, id=said.id)
    for index, made in enumerate(said.tool_calls):
        text = json.dumps(made["args"], ensure_ascii=False)
        half = len(text) // 2
        first = ToolCallChunk(name=made["name"], args=text[:half], id=made["id"], index=index, type="tool_call_chunk")
        rest = ToolCallChunk(name=None, args=text[half:], id=None, index=index, type="tool_call_chunk")
        for part in (first, rest):
            yield AIMessageChunk(content="", tool_call_chunks=[part], id=said.id)
    yield AIMessageChunk(
        content="",
        id=said.id,
        usage_metadata=said.usage_metadata,
        response_metadata=said.response_metadata,
        additional_kwargs=said.additional_kwargs,
        chunk_position="last",
    )
