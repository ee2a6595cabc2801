"""Calls any server that speaks OpenAI's /chat/completions, with httpx.

It does not use the openai package, which retries twice by itself and so misses deadlines, and whose types do not know
what half of the servers answer that call themselves compatible. httpx comes with that package anyway.
"""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from compressor.errors import CompressorError, MissingDependencyError
from compressor.sessions.summaries.llm import DEFAULT_PROMPT_TOKENS, Completion, SummaryLLMError, content_text
from compressor.sessions.summaries.prompt import SummaryPrompt

MAX_RESPONSE_BYTES = 2 << 20
#: What newer models want instead of a parameter. Each is tried once, when the server complains about the name.
_PARAMETER_FALLBACKS = (("max_tokens", "max_completion_tokens"), ("temperature", None))


class OpenAICompatibleLLM:
    """A model behind an OpenAI-compatible server.

    The API key is sent to the server's host only (redirects are not followed), and is never part of a name, warning or
    error.
    """

    def __init__(self, url: str, api_key: str | None = None) -> None:
        """Takes the server and its model.

        Args:
            url: "http://host/v1#model-name".
            api_key: The key. None takes OPENAI_API_KEY.

        Raises:
            CompressorError: The URL has no host or no model, or the key cannot be a key.
            MissingDependencyError: httpx is not installed.
        """
        parts = urlsplit(url)
        if not parts.hostname or not parts.fragment:
            raise CompressorError("an OpenAI-compatible URL needs a host and a model: 'http://host/v1#model-name'")
        if parts.username or parts.password:
            raise CompressorError("pass the API key as api_key= or in OPENAI_API_KEY, not in the URL")
        try:
            self._httpx: Any = importlib.import_module("httpx")
        except ImportError as e:
            raise MissingDependencyError("httpx", "openai") from e
        self._model = parts.fragment
        self._url = parts._replace(fragment="", path=f"{parts.path.rstrip('/')}/chat/completions").geturl()
        self._key = (api_key if api_key is not None else os.environ.get("OPENAI_API_KEY", "")).strip()
        if not self._key.isascii() or any(c.isspace() or not c.isprintable() for c in self._key):
            raise CompressorError("the API key has characters that a key cannot have: check api_key= or OPENAI_API_KEY")
        self.name = f"{self._model} at {parts.hostname}"

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled. The API key is not: the copy takes OPENAI_API_KEY."""
        return {name: value for name, value in vars(self).items() if name not in ("_httpx", "_key")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._httpx = importlib.import_module("httpx")
        self._key = os.environ.get("OPENAI_API_KEY", "").strip()
        vars(self).update(state)

    def __repr__(self) -> str:
        return f"<OpenAICompatibleLLM {self.name}>"

    def prompt_budget(self, count: Callable[[str], int], answer_tokens: int) -> tuple[int, Callable[[str], int]]:
        """Says how long a prompt may be, see `SummaryLLM.prompt_budget`."""
        return DEFAULT_PROMPT_TOKENS, count

    def write(self, prompt: SummaryPrompt, max_tokens: int, seconds: float) -> Completion:
        """Returns the answer, see `SummaryLLM.write`."""
        end = time.monotonic() + seconds
        messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
        body: dict[str, Any] = {"model": self._model, "messages": messages, "max_tokens": max_tokens, "temperature": 0}
        for _ in range(len(_PARAMETER_FALLBACKS) + 1):
            status, data = self._post(body, end)
            if status != 400 or not _adapt_parameters(body, data):
                break
        if status != 200:
            raise SummaryLLMError(f"{self.name} answered {status}: {self._redacted(data)}")
        return _parse_completion(data)

    def _post(self, body: dict[str, Any], end: float) -> tuple[int, str]:
        headers = {"authorization": f"Bearer {self._key}"} if self._key else {}
        left = end - time.monotonic()
        if left <= 0:
            raise SummaryLLMError(f"{self.name} was not called because no time is left")
        data = b""
        try:
            with (
                self._httpx.Client(timeout=left, follow_redirects=False) as client,
                client.stream("POST", self._url, json=body, headers=headers) as response,
            ):
                for chunk in response.iter_bytes():
                    data += chunk
                    if len(data) > MAX_RESPONSE_BYTES:
                        raise SummaryLLMError(f"{self.name} answered with more than {MAX_RESPONSE_BYTES:,} bytes")
                    if time.monotonic() > end:
                        raise SummaryLLMError(f"{self.name} did not finish its answer in time")
                return int(response.status_code), data.decode("utf-8", "replace")
        except self._httpx.HTTPError as e:
            raise SummaryLLMError(f"{self.name}: {self._redacted(f'{type(e).__name__}: {e}')}") from None

    def _redacted(self, text: str) -> str:
        """Returns the beginning of what the server answered, without the API key, which some servers repeat."""
        if self._key:
            text = text.replace(self._key, "***")
        return " ".join(text.split())[:200]


def _adapt_parameters(body: dict[str, Any], complaint: str) -> bool:
    """Changes the parameter that a server complains about. Returns whether there was one."""
    for name, other in _PARAMETER_FALLBACKS:
        if name in body and name in complaint:
            value = body.pop(name)
            if other is not None:
                body[other] = value
            return True
    return False


def _parse_completion(data: str) -> Completion:
    try:
        choice = json.loads(data)["choices"][0]
        message = choice["message"]
        refusal, why, content = message.get("refusal"), choice.get("finish_reason"), message.get("content")
    except (ValueError, LookupError, TypeError, AttributeError) as e:
        raise SummaryLLMError(f"the server's answer is not a chat completion: {data[:80]!r}") from e
    if refusal or why == "content_filter":
        raise SummaryLLMError("the model refused" if refusal else "the server's content filter removed the answer")
    return Completion("" if content is None else content_text(content), why == "length")
