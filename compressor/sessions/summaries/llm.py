"""Defines what a summarizer asks for text: one small interface, for functions and for LangChain chat models.

An LLM is asked once per call and waited for. Deadlines, verification and what to do on failure are the summarizer's
part. `llm_factory.py` makes an LLM from what a user passes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from compressor.errors import CompressorError
from compressor.sessions.summaries.prompt import SummaryPrompt

DEFAULT_PROMPT_TOKENS = 24_000  # tokens of a prompt where the model's window is not known
#: The tag `nostream` keeps the model's tokens out of LangGraph's stream of the agent's answer.
INVOKE_CONFIG: Mapping[str, Any] = {
    "tags": ["nostream"],
    "run_name": "compressor_summary",
    "metadata": {"purpose": "summary"},
}
_TRUNCATED = frozenset(("length", "max_tokens", "MAX_TOKENS", "max_output_tokens"))
_REFUSED = frozenset(("content_filter", "refusal", "SAFETY", "safety"))


class SummaryLLMError(CompressorError):
    """The model could not be called, or did not answer."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered.

    Attributes:
        text: The answer.
        is_truncated: The model was stopped before the end of its answer.
    """

    text: str
    is_truncated: bool = False


class SummaryLLM(Protocol):
    """A model that writes summaries.

    Attributes:
        name: The name in warnings. It never holds a key.
    """

    name: str

    def prompt_budget(self, count: Callable[[str], int], answer_tokens: int) -> tuple[int, Callable[[str], int]]:
        """Says how long a prompt may be.

        Args:
            count: The caller's own token counter.
            answer_tokens: Tokens to leave for the answer.

        Returns:
            The most tokens of a prompt, and the function that counts them.
        """
        ...

    def write(self, prompt: SummaryPrompt, max_tokens: int, seconds: float) -> Completion:
        """Returns the answer. Any exception counts as a failure.

        Args:
            prompt: What to write.
            max_tokens: About the most tokens of the answer.
            seconds: The time within which the answer should be complete.
        """
        ...


class FunctionLLM:
    """A function from prompt to answer."""

    def __init__(self, function: Callable[[str], str]) -> None:
        """Takes the function. Raises CompressorError for a coroutine function."""
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004
            raise CompressorError("the function of a summarizer must be a plain function, not a coroutine function")
        self._function = function
        self.name = getattr(function, "__name__", type(function).__name__)

    def prompt_budget(self, count: Callable[[str], int], answer_tokens: int) -> tuple[int, Callable[[str], int]]:
        """Says how long a prompt may be, see `SummaryLLM.prompt_budget`."""
        return DEFAULT_PROMPT_TOKENS, count

    def write(self, prompt: SummaryPrompt, max_tokens: int, seconds: float) -> Completion:
        """Returns the answer, see `SummaryLLM.write`."""
        text = self._function(prompt.as_text)
        if not isinstance(text, str):
            raise SummaryLLMError(f"{self.name} returned {type(text).__name__} instead of str")
        return Completion(text)


class ChatModelLLM:
    """A LangChain chat model, or a runnable made of one (`model.with_retry()`, a chain that takes messages).

    The length of the answer is requested in words only, because no parameter for it is known to all models.
    """

    def __init__(self, model: Any) -> None:
        """Takes the model."""
        self._model = model
        self.name = type(model).__name__

    def prompt_budget(self, count: Callable[[str], int], answer_tokens: int) -> tuple[int, Callable[[str], int]]:
        """Says how long a prompt may be, see `SummaryLLM.prompt_budget`. The model's profile says its window."""
        profile = getattr(self._model, "profile", None)
        window = profile.get("max_input_tokens") if isinstance(profile, Mapping) else None
        if not isinstance(window, int) or window <= 0:
            return DEFAULT_PROMPT_TOKENS, count
        return min(DEFAULT_PROMPT_TOKENS, window - answer_tokens), count

    def write(self, prompt: SummaryPrompt, max_tokens: int, seconds: float) -> Completion:
        """Returns the answer, see `SummaryLLM.write`."""
        messages = [("system", prompt.system), ("human", prompt.user)]
        return _parse_message(self._model.invoke(messages, config=dict(INVOKE_CONFIG)))


def _parse_message(message: Any) -> Completion:
    """Returns the text of an AIMessage, without its reasoning."""
    if isinstance(message, str):
        return Completion(message)
    meta = getattr(message, "response_metadata", None) or {}
    why = next((str(meta[k]) for k in ("finish_reason", "stop_reason", "done_reason") if meta.get(k)), "")
    refusal = (getattr(message, "additional_kwargs", None) or {}).get("refusal")
    if refusal or why in _REFUSED:
        raise SummaryLLMError(f"the model refused: {refusal or why}")
    return Completion(content_text(getattr(message, "content", None)), why in _TRUNCATED)


def content_text(content: Any) -> str:
    """Returns the text of a message's content.

    Args:
        content: A string, or a list of blocks, of which only text blocks count.

    Raises:
        SummaryLLMError: The content is something else.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise SummaryLLMError(f"the content of the model's answer is {type(content).__name__}, not text")
    parts = []
    for block in content:
        if isinstance(block, str):
            parts.append(block)
        elif isinstance(block, Mapping) and block.get("type") in ("text", "output_text", None):
            parts.append(str(block.get("text") or ""))
    return "".join(parts)
