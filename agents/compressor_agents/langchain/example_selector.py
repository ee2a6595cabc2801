"""Few-shot examples within a token budget, as a LangChain example selector. Formats no prompt.

selector = BudgetExampleSelector(examples, budget=600)
FewShotPromptTemplate(example_selector=selector, example_prompt=..., suffix="Q: {question}", ...)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.example_selectors import BaseExampleSelector
from langchain_core.prompts import BasePromptTemplate

from compressor import Compressor, ExampleStore
from compressor.context.budget import resolve_budget
from compressor.pipeline.examples.results import ExamplesResult
from compressor.scoring.runtime.executor import run_in_thread


class BudgetExampleSelector(BaseExampleSelector):
    """Chooses the examples that teach most for a prompt's variables.

    examples: to begin with. budget: tokens of all chosen ones as they are written, or a share of what all take.
    bank: where examples are kept; None makes one in memory, with the scorer of `compressor`.
    example_prompt: how an example is written, for counting; give the prompt template that the few-shot template has.
        None counts the selector's own form (`Compressor.select_examples`). A bank has a template of its own already.
    input_keys: the variables that are the query; None: all of them.
    model, method, prune, order: as for `Compressor.select_examples`.

    Examples keep their fields; where reasoning was shortened they are copies. `last` is the newest choice, with its
    tokens, what was dropped, and warnings. Raises BudgetError, ContextError, BudgetTooSmallError.
    """

    def __init__(
        self,
        examples: Sequence[Mapping[str, Any]] = (),
        budget: int | float = 1_000,
        *,
        bank: ExampleStore | None = None,
        compressor: Compressor | None = None,
        example_prompt: BasePromptTemplate[Any] | None = None,
        input_keys: Sequence[str] | None = None,
        model: str | None = None,
        method: str = "auto",
        prune: bool = True,
        order: str = "best last",
    ) -> None:
        resolve_budget(budget, 1_000)  # what is wrong with it shows now
        if bank is None:
            bank = ExampleStore(
                Compressor(compressor.scorer if compressor is not None else "fast", store="memory"),
                template=_writer(example_prompt) if example_prompt is not None else None,
            )
        self.bank, self.budget, self.model = bank, budget, model
        self.input_keys = None if input_keys is None else list(input_keys)
        self._options: dict[str, Any] = {"method": method, "prune": prune, "order": order}
        self.last: ExamplesResult | None = None
        if examples:
            self.bank.add([dict(example) for example in examples])

    def add_example(self, example: dict[str, str]) -> str:
        """Adds an example; gives its id. The same one is there once."""
        return self.bank.add([example])[0]

    async def aadd_example(self, example: dict[str, str]) -> str:
        """`add_example` in a worker thread."""
        return await run_in_thread(self.add_example, example)

    def select_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        """The chosen examples, in the order in which to send them."""
        keys = sorted(input_variables) if self.input_keys is None else self.input_keys
        query = "\n".join(str(input_variables[key]) for key in keys if key in input_variables)
        self.last = self.bank.select(query, self.budget, self.model, **self._options)
        return [dict(example) for example in self.last.examples]

    async def aselect_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        """`select_examples` in a worker thread."""
        return await run_in_thread(self.select_examples, input_variables)


def _writer(prompt: BasePromptTemplate[Any]) -> Callable[[Any], str]:
    def write(example: Any) -> str:
        return str(prompt.format(**{name: example[name] for name in prompt.input_variables}))

    return write
