"""Works out what the calls of a recorded session would have cost through a session with any policy, and as recorded.

Every answer of the agent was a call. Before each of them the view is taken and billed with a simulated prompt cache
(`PromptCacheSimulator`), and so is the unchanged history. The recorded answers are taken as they are: an agent that had
seen less might have continued in another way.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from compressor.context.formats import serialization
from compressor.errors import ContextError
from compressor.sessions.conversation import Conversation
from compressor.sessions.policy import Policy
from compressor.sessions.runtime import CompressorLike, SessionRuntime
from compressor.tokens.billing import CallUsage, PromptCacheSimulator
from compressor.tokens.model_families import DEFAULT_MODEL
from compressor.tokens.pricing import Price, find_price


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """The cost of a recorded session, as recorded and through a session. Answers are billed in both.

    Attributes:
        baseline: The bill as recorded.
        actual: The bill through a session.
        compactions: Number of compactions.
        longest_request: Tokens of the longest prompt that the session sent.
        price: The model's prices.
        warnings: Warnings of the session.
    """

    baseline: CallUsage
    actual: CallUsage
    compactions: int
    longest_request: int
    price: Price
    warnings: tuple[str, ...] = ()

    @property
    def saved_fraction(self) -> float:
        """Returns the fraction of the cost that was saved. It is negative where the session cost more."""
        return 1 - self.actual.cost_usd / self.baseline.cost_usd if self.baseline.cost_usd else 0.0

    def report(self) -> str:
        """Returns the report as a few lines of plain text."""
        guess = "" if self.price.is_known else " (a guess: the model is not in the price table)"
        lines = [f"{self.baseline.calls} calls at the prices of {self.price.name}{guess}"]
        for name, bill in (("as recorded", self.baseline), ("with a session", self.actual)):
            cached = f"{bill.cached_fraction:4.0%} from the cache"
            lines.append(f"{name:>14}: {bill.prompt:>11,} prompt tokens, {cached}, ${bill.cost_usd:.4f}")
        lines.append(
            f"{self.saved_fraction:+.1%} saved, {self.compactions} compactions, "
            f"longest request {self.longest_request:,}"
        )
        return "\n".join([*lines, *(f"warning: {w}" for w in self.warnings)])


def replay(
    compressor: CompressorLike,
    messages: Sequence[Any],
    model: str | None = None,
    budget: int | float | str | None = None,
    policy: Policy | None = None,
    tools: Sequence[Any] | None = None,
    system: Any = None,
) -> ReplayReport:
    """Works out the cost of a recorded session.

    Args:
        compressor: The compressor whose engine and store are used.
        messages: The whole recorded history.
        model: See `Compressor.session`.
        budget: See `Compressor.session`.
        policy: See `Compressor.session`.
        tools: See `Compressor.session`.
        system: See `Compressor.session`.

    Raises:
        ContextError: The messages are not a history, or the agent never answered in it.
        BudgetTooSmallError: What must stay in a view is larger than the budget.
    """
    conversation = Conversation(compressor, model, budget, policy, tools, "replay", None, system)
    runtime, price = conversation.runtime, (policy or Policy()).pricing or find_price(model or DEFAULT_MODEL)
    baseline_cache, actual_cache = PromptCacheSimulator(price), PromptCacheSimulator(price)
    baseline, actual, longest = CallUsage(), CallUsage(), 0
    front = [{"role": "system", "content": system}] if isinstance(system, (str, list)) and system else []
    context = runtime.parse([*front, *messages])[1]
    turns = context.turns[len(front) :]
    head = [("head", runtime.head_tokens(front))]
    sizes = [runtime.tokens(turn, context) for turn in turns]
    digests = [serialization.chain_digest(message) for message in messages]
    for i, turn in enumerate(turns):
        if turn.role == "assistant" and i and turns[i - 1].role != "assistant":
            end = next((k for k in range(i, len(turns)) if turns[k].role != "assistant"), len(turns))
            view = _prompt_parts(runtime, conversation.view(), front)
            longest = max(longest, sum(size for _, size in [*head, *view]))
            output = sum(sizes[i:end])
            baseline += baseline_cache.call([*head, *zip(digests[:i], sizes[:i], strict=True)], output)
            actual += actual_cache.call([*head, *view], output)
        conversation.append(messages[i])
    if not baseline.calls:
        raise ContextError("there is nothing to replay: no answer of an agent follows the first message")
    compactions = conversation.cost_report().compactions
    return ReplayReport(baseline, actual, compactions, longest, price, tuple(conversation.warnings))


def _prompt_parts(runtime: SessionRuntime, view: list[Any], front: list[Any]) -> list[tuple[Hashable, int]]:
    """Returns digest and tokens of each message of a view."""
    context = runtime.parse([*front, *view])[1]
    sizes = [runtime.tokens(turn, context) for turn in context.turns[len(front) :]]
    return [(serialization.chain_digest(message), size) for message, size in zip(view, sizes, strict=True)]
