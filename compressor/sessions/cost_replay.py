"""Bills a recorded session under any policy: what its calls would have cost through a session, and as they were.

Every answer of the agent was a call; before each the view is taken and billed with a simulated prompt cache
(`billing.Meter`), and so is the untouched history. The recorded answers are taken as they are: an agent that had seen
less might have gone another way. Compresses nothing itself.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compressor.context.formats import serialization
from compressor.errors import ContextError
from compressor.sessions.conversation import Conversation
from compressor.sessions.policy import Policy
from compressor.tokens.billing import CallUsage, PromptCacheSimulator
from compressor.tokens.model_families import DEFAULT_MODEL
from compressor.tokens.pricing import Price, find_price

if TYPE_CHECKING:
    from compressor.compressor import Compressor
    from compressor.sessions.runtime import SessionRuntime


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """raw, sent: the bills as recorded, and through a session. longest: tokens of the longest request. Answers are
    billed in both."""

    baseline: CallUsage
    actual: CallUsage
    compactions: int
    longest_request: int
    price: Price
    warnings: tuple[str, ...] = ()

    @property
    def saved_fraction(self) -> float:
        """Share of the money saved; negative where the session cost more."""
        return 1 - self.actual.cost_usd / self.baseline.cost_usd if self.baseline.cost_usd else 0.0

    def report(self) -> str:
        """A few lines of plain text."""
        guess = "" if self.price.is_known else " (a guess: the model is not in the price table)"
        lines = [f"{self.baseline.calls} calls at the prices of {self.price.name}{guess}"]
        for name, bill in (("as recorded", self.baseline), ("with a session", self.actual)):
            share = f"{bill.cache_share:4.0%} from the cache"
            lines.append(f"{name:>14}: {bill.prompt:>11,} prompt tokens, {share}, ${bill.cost_usd:.4f}")
        lines.append(
            f"{self.saved_fraction:+.1%} saved, {self.compactions} compactions, longest request {self.longest_request:,}"
        )
        return "\n".join([*lines, *(f"warning: {w}" for w in self.warnings)])


def replay(
    compressor: Compressor,
    messages: Sequence[Any],
    model: str | None = None,
    budget: int | float | str | None = None,
    policy: Policy | None = None,
    tools: Sequence[Any] | None = None,
    system: Any = None,
) -> ReplayReport:
    """Bills a recorded session; the arguments are those of `Compressor.session`. ContextError for what is no history,
    or has no answer in it; BudgetTooSmallError as `OnnxSession.view`."""
    conversation = Conversation(compressor, model, budget, policy, tools, "replay", None, system)
    runtime, price = conversation.runtime, (policy or Policy()).pricing or find_price(model or DEFAULT_MODEL)
    before, after = PromptCacheSimulator(price), PromptCacheSimulator(price)
    raw, sent, longest = CallUsage(), CallUsage(), 0
    front = [{"role": "system", "content": system}] if isinstance(system, (str, list)) and system else []
    context = runtime.parse([*front, *messages])[1]
    turns = context.turns[len(front) :]
    head = [("head", runtime.head_tokens(front))]
    sizes = [runtime.tokens(turn, context) for turn in turns]
    keys = [serialization.chain_digest(message) for message in messages]
    for at, turn in enumerate(turns):
        if turn.role == "assistant" and at and turns[at - 1].role != "assistant":
            answer = next((i for i in range(at, len(turns)) if turns[i].role != "assistant"), len(turns))
            view = _parts(runtime, conversation.view(), front)
            longest = max(longest, sum(size for _, size in [*head, *view]))
            output = sum(sizes[at:answer])
            raw += before.call([*head, *zip(keys[:at], sizes[:at], strict=True)], output)
            sent += after.call([*head, *view], output)
        conversation.append(messages[at])
    if not raw.calls:
        raise ContextError("nothing to replay: there is no answer of an agent after a first message")
    return ReplayReport(raw, sent, conversation.cost_report().compactions, longest, price, tuple(conversation.warnings))


def _parts(runtime: SessionRuntime, view: list[Any], front: list[Any]) -> list[tuple[Hashable, int]]:
    context = runtime.parse([*front, *view])[1]
    sizes = [runtime.tokens(turn, context) for turn in context.turns[len(front) :]]
    return [(serialization.chain_digest(message), size) for message, size in zip(view, sizes, strict=True)]
