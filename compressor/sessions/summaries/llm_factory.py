"""Makes a summary LLM from what a user passes: a chat model, a URL, a GGUF file, a function, or None."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from compressor.errors import CompressorError
from compressor.sessions.summaries.llm import ChatModelLLM, FunctionLLM, SummaryLLM


def make_llm(llm: Any, api_key: str | None = None) -> SummaryLLM | None:
    """Returns the LLM for what a user passed to `summarizer`, or None for None.

    Args:
        llm: See `summarizer`.
        api_key: The key for an OpenAI-compatible server.

    Raises:
        CompressorError: The argument is nothing that can write summaries.
    """
    if llm is None:
        return None
    if isinstance(llm, str):
        if llm.startswith("gguf:"):
            from compressor.sessions.summaries.llm_llama_cpp import LlamaCppLLM

            return LlamaCppLLM(Path(llm[5:]))
        if llm.startswith(("http://", "https://")):
            from compressor.sessions.summaries.llm_openai_compatible import OpenAICompatibleLLM

            return OpenAICompatibleLLM(llm, api_key)
        raise CompressorError(
            f"{llm[:60]!r} does not name a model for summaries: pass 'http://host/v1#model-name', "
            "'gguf:path/to/model.gguf', a LangChain chat model, a llama_cpp.Llama, a function or None"
        )
    # A module that is not imported yet cannot have made the object, so nothing heavy is imported to check it.
    runnables = sys.modules.get("langchain_core.runnables.base")
    if runnables is not None and isinstance(llm, runnables.Runnable):
        return ChatModelLLM(llm)
    llama = sys.modules.get("llama_cpp")
    if llama is not None and isinstance(llm, llama.Llama):
        from compressor.sessions.summaries.llm_llama_cpp import LlamaCppLLM

        return LlamaCppLLM(llm)
    if callable(llm):
        return FunctionLLM(llm)
    raise CompressorError(
        f"{type(llm).__name__} cannot write summaries: pass a LangChain chat model, a URL, 'gguf:path', a "
        "llama_cpp.Llama, a function from str to str, or None"
    )
