"""Who writes: one small interface over chat models of LangChain, OpenAI-compatible servers, GGUF files and functions.

A writer asks once and waits; deadlines, verification and what to do on failure are the summarizer's.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from compressor.errors import CompressorError
from compressor.sessions.summaries.prompt import SummaryPrompt

ROOM = 24_000  # tokens of a prompt where the model's window is not known
#: `nostream`: LangGraph keeps the model's tokens out of the stream of the agent's answer
CONFIG: Mapping[str, Any] = {"tags": ["nostream"], "run_name": "compressor_summary", "metadata": {"purpose": "summary"}}
_CUT = frozenset(("length", "max_tokens", "MAX_TOKENS", "max_output_tokens"))
_REFUSED = frozenset(("content_filter", "refusal", "SAFETY", "safety"))


class SummaryLLMError(CompressorError):
    """The model could not be asked, or did not answer."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model said. cut: it was stopped before its end."""

    text: str
    is_truncated: bool = False


class SummaryLLM(Protocol):
    """name: for warnings; holds no key."""

    name: str

    def room(self, count: Callable[[str], int], answer: int) -> tuple[int, Callable[[str], int]]:
        """How many tokens a prompt may have beside an answer of so many, and how to count them; `count` is the
        caller's own counter."""
        ...

    def write(self, prompt: SummaryPrompt, tokens: int, seconds: float) -> Completion:
        """The answer, of about `tokens` tokens at most; tries to be over within `seconds`. Any exception is a
        failure."""
        ...


class AsyncSummaryLLM(SummaryLLM, Protocol):
    """A writer that can wait without a thread."""

    async def awrite(self, prompt: SummaryPrompt, tokens: int, seconds: float) -> Completion:
        """`write` for asyncio."""
        ...


class FunctionLLM:
    """A function from prompt to answer."""

    def __init__(self, function: Callable[[str], str]) -> None:
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
            raise CompressorError("a summarizer's function must return a str, not a coroutine: pass a plain function")
        self._function = function
        self.name = getattr(function, "__name__", type(function).__name__)

    def room(self, count: Callable[[str], int], answer: int) -> tuple[int, Callable[[str], int]]:
        """See `SummaryLLM.room`."""
        return ROOM, count

    def write(self, prompt: SummaryPrompt, tokens: int, seconds: float) -> Completion:
        """See `SummaryLLM.write`."""
        text = self._function(prompt.whole)
        if not isinstance(text, str):
            raise SummaryLLMError(f"{self.name} gave {type(text).__name__} instead of str")
        return Completion(text)


class ChatModelLLM:
    """A chat model of LangChain, or what is made of one (`model.with_retry()`, `prompt | model`-like runnables that
    take messages). The answer's length is asked for in words only: no parameter for it is known to all models."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.name = type(model).__name__

    @property
    def is_async(self) -> bool:
        """Whether `ainvoke` really is; where it is not, LangChain's own thread would outlive a deadline as one that
        asyncio waits for, so ours is used."""
        from langchain_core.language_models import BaseChatModel, SimpleChatModel

        model = self._model
        while not isinstance(model, BaseChatModel) and hasattr(model, "bound"):
            model = model.bound
        if not isinstance(model, BaseChatModel):
            return False
        return type(model)._agenerate not in (BaseChatModel._agenerate, SimpleChatModel._agenerate)

    def room(self, count: Callable[[str], int], answer: int) -> tuple[int, Callable[[str], int]]:
        """See `SummaryLLM.room`. A model's profile tells its window."""
        profile = getattr(self._model, "profile", None)
        window = profile.get("max_input_tokens") if isinstance(profile, Mapping) else None
        return (min(ROOM, window - answer) if isinstance(window, int) and window > 0 else ROOM), count

    def write(self, prompt: SummaryPrompt, tokens: int, seconds: float) -> Completion:
        """See `SummaryLLM.write`."""
        return _answer_of(self._model.invoke(_messages(prompt), config=dict(CONFIG)))

    async def awrite(self, prompt: SummaryPrompt, tokens: int, seconds: float) -> Completion:
        """See `AsyncSummaryLLM.awrite`."""
        return _answer_of(await self._model.ainvoke(_messages(prompt), config=dict(CONFIG)))


def _messages(prompt: SummaryPrompt) -> list[tuple[str, str]]:
    return [("system", prompt.system), ("human", prompt.user)]


def _answer_of(message: Any) -> Completion:
    """The text of an AIMessage: of blocks those of type text, no reasoning."""
    if isinstance(message, str):
        return Completion(message)
    meta = getattr(message, "response_metadata", None) or {}
    why = next((str(meta[k]) for k in ("finish_reason", "stop_reason", "done_reason") if meta.get(k)), "")
    refusal = (getattr(message, "additional_kwargs", None) or {}).get("refusal")
    if refusal or why in _REFUSED:
        raise SummaryLLMError(f"the model refused: {refusal or why}")
    return Completion(text_of(getattr(message, "content", None)), why in _CUT)


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or a list of blocks. SummaryLLMError for anything else."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise SummaryLLMError(f"the model's answer is no text but {type(content).__name__}")
    parts = []
    for block in content:
        if isinstance(block, str):
            parts.append(block)
        elif isinstance(block, Mapping) and block.get("type") in ("text", "output_text", None):
            parts.append(str(block.get("text") or ""))
    return "".join(parts)


def make_llm(writer: Any, key: str | None = None) -> SummaryLLM | None:
    """The writer for what a user may give, see `summarizer`. CompressorError for what is none."""
    if writer is None:
        return None
    if isinstance(writer, str):
        if writer.startswith("gguf:"):
            from compressor.sessions.summaries.llm_llama_cpp import LlamaCppLLM

            return LlamaCppLLM(Path(writer[5:]))
        if writer.startswith(("http://", "https://")):
            from compressor.sessions.summaries.llm_openai_compatible import OpenAICompatibleLLM

            return OpenAICompatibleLLM(writer, key)
        raise CompressorError(
            f"{writer[:60]!r} names no writer: use 'http://host/v1#model-name' or 'gguf:path/to/model.gguf', or pass a "
            "LangChain chat model, a llama_cpp.Llama, a function or None"
        )
    # What is not imported yet cannot have made the object: nothing heavy is loaded to look at it.
    runnables = sys.modules.get("langchain_core.runnables.base")
    if runnables is not None and isinstance(writer, runnables.Runnable):
        return ChatModelLLM(writer)
    llama = sys.modules.get("llama_cpp")
    if llama is not None and isinstance(writer, llama.Llama):
        from compressor.sessions.summaries.llm_llama_cpp import LlamaCppLLM

        return LlamaCppLLM(writer)
    if callable(writer):
        return FunctionLLM(writer)
    raise CompressorError(
        f"{type(writer).__name__} is no writer: pass a LangChain chat model, a URL, 'gguf:path', a llama_cpp.Llama, a "
        "function from str to str, or None"
    )


async def awrite(writer: AsyncSummaryLLM, prompt: SummaryPrompt, tokens: int, seconds: float) -> Completion:
    """`writer.awrite`, given up after `seconds` (TimeoutError) even if it does not listen to its cancellation."""
    task = asyncio.ensure_future(writer.awrite(prompt, tokens, seconds))
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_forget)
    if not done:
        raise SummaryLLMError(f"no answer within {seconds:g} s")
    if task.cancelled():
        raise SummaryLLMError("the model's call was cancelled")
    return task.result()


def _forget(task: asyncio.Future[Completion]) -> None:
    """Takes the exception of an abandoned call, which asyncio would complain about."""
    if not task.cancelled():
        task.exception()
