"""Cuts the worked examples in an agent's prompt to a budget of their own, once per thread.

The choice is `PromptExamples`'; it stays the same, byte for byte. Here it is applied to LangChain's model requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain.agents.middleware.types import ModelRequest

from compressor import Compressor
from compressor.pipeline.prompt_examples import PromptExamples
from compressor.storage.wrappers.scoped import ScopedStore
from compressor.tokens import get_counter


class PromptExampleTrimmer:
    """Cuts worked examples to a budget.

    Args:
        compressor: Scores and stores.
        budget: Tokens of all worked examples in the system prompt and the first messages, or a fraction of them.
    """

    def __init__(self, compressor: Compressor, budget: int | float) -> None:
        self._compressor, self._budget = compressor, budget

    def cut(
        self, request: ModelRequest[Any], model: str | None, scope: str, state: Mapping[str, Any]
    ) -> tuple[ModelRequest[Any], dict[str, Any]]:
        """Returns the request with the chosen examples, and the state to keep, with `warnings` of what was left out.

        Args:
            request: The model request.
            model: The model whose tokens count.
            scope: The scope that may expand the cut examples.
            state: The state of the last call, or {}.

        Raises:
            CompressorError: As `PromptExamples.choose`.
        """
        compressor = self._compressor
        examples = PromptExamples(
            compressor.engine, get_counter(model), self._budget, lambda: ScopedStore(compressor.store, scope)
        )
        prompt = request.system_message
        made = examples.choose([] if prompt is None else [prompt], request.messages, state)
        if prompt is not None and made["contents"][0] is not None:
            prompt = prompt.model_copy(update={"content": made["contents"][0]})
        dropped = set(made["dropped"])
        kept = [message for i, message in enumerate(request.messages) if i not in dropped]
        return request.override(system_message=prompt, messages=kept), made
