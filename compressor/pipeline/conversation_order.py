"""Orders the units of messages that may leave in runs, by what keeping each really costs.

Dropping a message beside dropped ones is free. Keeping one inside a run splits the run, which costs another
placeholder; keeping a part of one costs a placeholder, too. What is kept for its own sake brings the question that it
answers, or the answer that it asks for.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from compressor.native import load_kernel
from compressor.pipeline.block_edit import BlockEdit
from compressor.pipeline.working_context import WorkingContext

RUN_TOKENS = 24.0  # the placeholder of a run, besides its message
EXCERPT_TOKENS = 11.0  # the placeholder of a message's excerpt, and a gap
ANSWER_VALUE = 0.6  # the fraction of a kept message's worth that its question, or the answer to it, has
NEIGHBOUR_VALUE = (0.5, 0.3)  # the fraction that other messages one, two, ... places beside it have
MAX_NEIGHBOUR_TOKENS = 64  # a longer neighbour is worth only what it says itself

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.floating]

_kernel = load_kernel("conversation")


@dataclass
class RemovableMessage:
    """A message that may leave in a run, while units are ordered.

    Attributes:
        index: Its index in the context.
        role: Who speaks.
        overhead: The tokens of the message besides its text.
        asks: Whether it ends with a question.
        units: Its units, numbered over all blocks.
        kept_count: How many of them are in the order already.
        boost: The least value that its units have because of a neighbour.
    """

    index: int
    role: str
    overhead: float
    asks: bool
    units: list[int] = field(default_factory=list)
    kept_count: int = 0
    boost: float = 0.0

    def is_long(self, costs: Floats) -> bool:
        """Returns whether it is too long to be worth more beside a kept message."""
        return float(costs[self.units].sum()) > MAX_NEIGHBOUR_TOKENS


class ConversationOrder:
    """Reorders a ranking.

    Args:
        messages: The messages that may leave in a run, by index.
        edits: The edits of their blocks, each with the index of its message.
    """

    def __init__(self, messages: dict[int, RemovableMessage], edits: dict[int, int]) -> None:
        self.messages = messages
        self._message_of = edits

    @classmethod
    def of(cls, working: WorkingContext) -> ConversationOrder | None:
        """Returns the order for a context, or None if no message of it may leave in a run."""
        if not working.removable:
            return None
        messages = {}
        for index in working.removable:
            turn = working.context.turns[index]
            text = turn.slots[0].text
            overhead = working.turn_tokens(index) - working.counter.count(text)
            messages[index] = RemovableMessage(index, turn.role, overhead, text.rstrip()[-1:] in ("?", "？", "؟"))
        edits = {
            id(edit): edit.block.slot.message for edit in working.block_edits if edit.block.slot.message in messages
        }
        return cls(messages, edits)

    def reorder(
        self, block_edits: list[BlockEdit], starts: Ints, order: Ints, values: Floats, costs: Floats, parents: Ints
    ) -> tuple[Ints, Floats]:
        """Returns a new order, and the tokens that each unit adds when it is kept after those before it.

        Args:
            block_edits: The edits of all blocks.
            starts: The first unit of each, shape [blocks + 1].
            order: All items, best first, shape [items]; the units come before other items in number.
            values: The worth of a token of each item, shape [items].
            costs: The tokens of each item, shape [items].
            parents: The item that must be kept before each, or -1, shape [items].
        """
        own = np.zeros(len(order), np.bool_)
        for i, edit in enumerate(block_edits):
            message = self.messages.get(self._message_of.get(id(edit), -1))
            if message is not None:
                units = range(int(starts[i]), int(starts[i + 1]))
                message.units.extend(units)
                own[units.start : units.stop] = True
        values = values - min(float(values.min(initial=0.0)), 0.0)  # a scorer of the user's own may give any numbers
        # The worth at which each item stands in the given order: that of the best item behind it.
        standing = np.zeros(len(order))
        standing[order] = np.maximum.accumulate(values[order][::-1])[::-1]
        taken, keys, added = self.take_units(standing, costs, parents)
        new_costs = costs.astype(np.float64)
        new_costs[taken] = added
        others = order[~own[order]]
        keys = np.minimum.accumulate(keys)
        merged = np.concatenate([others, taken])
        rank = np.lexsort((np.arange(len(merged)), -np.concatenate([standing[others], keys])))
        return merged[rank].astype(np.int32), new_costs

    def take_units(self, standing: Floats, costs: Floats, parents: Ints) -> tuple[Ints, Floats, Floats]:
        """Takes the units of all messages one by one, the one with the most worth per added token first.

        Returns:
            The units in order, the worth of each per added token, and its added tokens.
        """
        if _kernel is None:
            return self.take_units_in_python(standing, costs, parents)
        messages = list(self.messages.values())
        taken, keys, added = _kernel.take_units(
            [(m.index, m.role, m.overhead, m.asks, m.units) for m in messages],
            standing,
            costs.astype(np.float64),
            parents,
            lambda place: messages[place].is_long(costs),
            (RUN_TOKENS, EXCERPT_TOKENS, ANSWER_VALUE, NEIGHBOUR_VALUE),
        )
        return np.array(taken, np.int32), np.array(keys, np.float64), np.array(added, np.float64)

    def take_units_in_python(self, standing: Floats, costs: Floats, parents: Ints) -> tuple[Ints, Floats, Floats]:
        """Does what `take_units` does without the native kernel, and changes the messages."""
        owner = {unit: message for message in self.messages.values() for unit in message.units}
        heap: list[tuple[float, int]] = []
        done: set[int] = set()
        taken: list[int] = []
        keys: list[float] = []
        added: list[float] = []

        def push(message: RemovableMessage | None) -> None:
            if message is None:
                return
            for unit in message.units:
                if unit not in done:
                    heapq.heappush(heap, (-self._key(message, unit, standing, costs), unit))

        for message in self.messages.values():
            push(message)
        while heap:
            key, unit = heapq.heappop(heap)
            if unit in done:
                continue
            message = owner[unit]
            now = self._key(message, unit, standing, costs)
            if now < -key - 1e-9 * abs(key):
                heapq.heappush(heap, (-now, unit))
                continue
            chain = [unit]
            while (parent := int(parents[chain[-1]])) >= 0 and parent not in done:
                chain.append(parent)
            for one in reversed(chain):
                taken.append(one)
                keys.append(now)
                added.append(self._added_tokens(message, one, costs))
                done.add(one)
                message.kept_count += 1
            if message.kept_count == len(chain):
                self._raise_neighbours(message, float(standing[unit]), costs)
                for step in _steps():
                    push(self.messages.get(message.index + step))
            # The first unit pays for the message, the last one saves a placeholder; between them nothing changes.
            if message.kept_count in (len(chain), len(message.units) - 1):
                push(message if len(message.units) > 1 else None)
        return np.array(taken, np.int32), np.array(keys, np.float64), np.array(added, np.float64)

    def _neighbours(self, message: RemovableMessage) -> list[RemovableMessage]:
        beside = (self.messages.get(message.index + step) for step in (-1, 1))
        return [other for other in beside if other is not None and not other.kept_count]

    def _raise_neighbours(self, message: RemovableMessage, worth: float, costs: Floats) -> None:
        """Raises the worth of what stands beside a message that is kept for its own sake."""
        if worth <= message.boost:
            return
        for step in _steps():
            other = self.messages.get(message.index + step)
            if other is None or other.kept_count or other.is_long(costs):
                continue
            asked = other if step < 0 else message
            is_pair = abs(step) == 1 and asked.asks and other.role != message.role
            other.boost = max(other.boost, worth * (ANSWER_VALUE if is_pair else NEIGHBOUR_VALUE[abs(step) - 1]))

    def _key(self, message: RemovableMessage, unit: int, standing: Floats, costs: Floats) -> float:
        """Returns the worth of a unit per token that it adds."""
        cost = max(float(costs[unit]), 0.25)
        worth = max(float(standing[unit]), message.boost)
        return worth * cost / max(self._added_tokens(message, unit, costs), 0.25 * cost)

    def _added_tokens(self, message: RemovableMessage, unit: int, costs: Floats) -> float:
        """Returns the tokens that a unit adds to the request in the present state; they may be negative."""
        tokens = float(costs[unit])
        size = len(message.units)
        if not message.kept_count:
            runs = len(self._neighbours(message)) - 1  # it splits a run, shortens one, or is one of its own
            tokens += message.overhead + runs * (RUN_TOKENS + message.overhead)
            if size > 1:
                tokens += EXCERPT_TOKENS
        elif message.kept_count == size - 1:
            tokens -= EXCERPT_TOKENS
        return tokens


def _steps() -> list[int]:
    """Returns the distances at which a kept message raises others."""
    return [step for step in range(-len(NEIGHBOUR_VALUE), len(NEIGHBOUR_VALUE) + 1) if step]
