"""Chooses few-shot examples within a token budget, as a LangChain example selector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from langchain_core.example_selectors import BaseExampleSelector
from langchain_core.prompts import BasePromptTemplate

from compressor import Compressor, CompressorError, ExampleStore
from compressor.pipeline.examples.results import ExamplesResult
from compressor.pipeline.examples.selector import ExampleOrder
from compressor.scoring.runtime.executor import run_in_thread
from compressor_agents.options import check_token_budget


class MissingInputError(CompressorError, KeyError):
    """The variables of a prompt lack a key of `input_keys`.

    Args:
        missing: The keys that are missing.
        given: The keys that were given.
    """

    code = "missing_input"

    def __init__(self, missing: Sequence[str], given: Sequence[str]) -> None:
        named = ", ".join(map(repr, missing))
        super().__init__(
            f"the input variables lack {named}: given are {', '.join(map(repr, given)) or 'none'}; name the variables "
            "that form the query in input_keys"
        )

    def __str__(self) -> str:
        return str(self.args[0])  # a KeyError would quote it


class BudgetExampleSelector(BaseExampleSelector):
    """Chooses the examples that teach most for a prompt's variables.

    Examples keep their fields; an example whose reasoning was shortened is a copy.

    Args:
        examples: The first examples.
        budget: Tokens of all chosen examples as they are written, or a fraction of the tokens of all examples.
        example_store: Keeps the examples; None makes one in memory, with the scorer of `compressor`.
        compressor: The compressor whose scorer is used; None takes the fast scorer.
        example_prompt: How an example is written, for counting: the `example_prompt` of the few-shot template. None
            counts the form of `Compressor.select_examples`. A given `example_store` has its own template.
        input_keys: The variables that form the query; None takes all.
        model: As for `Compressor.select_examples`.
        method: As for `Compressor.select_examples`.
        prune: As for `Compressor.select_examples`.
        order: As for `Compressor.select_examples`.
        cached_budget: As for `Compressor.select_examples`: the prompt then begins with the same examples in all calls.

    Attributes:
        last_result: The newest choice with its tokens, dropped examples and warnings; None before the first.

    Raises:
        BudgetError: If the budget cannot be read.

    Example:
        >>> selector = BudgetExampleSelector(examples, budget=600)
        >>> FewShotPromptTemplate(example_selector=selector, example_prompt=prompt, suffix="Q: {question}", ...)
    """

    def __init__(
        self,
        examples: Sequence[Mapping[str, Any]] = (),
        budget: int | float = 1_000,
        *,
        example_store: ExampleStore | None = None,
        compressor: Compressor | None = None,
        example_prompt: BasePromptTemplate[Any] | None = None,
        input_keys: Sequence[str] | None = None,
        model: str | None = None,
        method: str = "auto",
        prune: bool = True,
        order: ExampleOrder = "most_relevant_last",
        cached_budget: int | float | None = None,
    ) -> None:
        check_token_budget("budget", budget)
        if cached_budget is not None:
            check_token_budget("cached_budget", cached_budget)
        if example_store is None:
            example_store = ExampleStore(
                Compressor(compressor.scorer if compressor is not None else "fast", store="memory"),
                template=_make_template(example_prompt) if example_prompt is not None else None,
            )
        self.example_store, self.budget, self.model = example_store, budget, model
        self.input_keys = None if input_keys is None else list(input_keys)
        self._options: dict[str, Any] = {
            "method": method,
            "prune": prune,
            "order": order,
            "cached_budget": cached_budget,
        }
        self.last_result: ExamplesResult | None = None
        if examples:
            self.example_store.add([dict(example) for example in examples])

    def add_example(self, example: dict[str, str]) -> str:
        """Adds an example and returns its id; the same example is stored once."""
        return self.example_store.add([example])[0]

    async def aadd_example(self, example: dict[str, str]) -> str:
        """Runs `add_example` in a worker thread."""
        return await run_in_thread(self.add_example, example)

    def select_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        """Returns the chosen examples, in the order in which to send them.

        Raises:
            MissingInputError: If a variable of `input_keys` is missing; it is a `KeyError`, too.
            BudgetTooSmallError: If no example fits the budget.
        """
        keys = sorted(input_variables) if self.input_keys is None else self.input_keys
        if missing := [key for key in keys if key not in input_variables]:
            raise MissingInputError(missing, list(input_variables))
        query = "\n".join(str(input_variables[key]) for key in keys)
        self.last_result = self.example_store.select(query, self.budget, self.model, **self._options)
        return [dict(example) for example in self.last_result.examples]

    async def aselect_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        """Runs `select_examples` in a worker thread."""
        return await run_in_thread(self.select_examples, input_variables)


def _make_template(prompt: BasePromptTemplate[Any]) -> Callable[[Any], str]:
    return partial(_write_example, prompt)  # can be pickled


def _write_example(prompt: BasePromptTemplate[Any], example: Any) -> str:
    return str(prompt.format(**{name: example[name] for name in prompt.input_variables}))
