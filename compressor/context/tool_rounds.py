"""Groups turns that must stay together, which tells where a history may be cut."""

from __future__ import annotations

from collections.abc import Sequence

from compressor.context.model import Turn

MAX_LOOKED_BACK = 64  # turns in which the start of the newest round is looked for


def group_tool_rounds(turns: Sequence[Turn]) -> list[list[int]]:
    """Groups turns that must stay or go together.

    A group is what an agent said and called in one step, with the results of the calls, even if a user spoke in
    between. Some message formats write the thinking, words and calls of one step as separate items. Malformed turns of
    the agent and its tools that follow each other are one group. Any other turn is a group of its own.

    Args:
        turns: The turns of a context.

    Returns:
        Groups of turn indices, in order.
    """
    groups: list[list[int]] = []
    members: dict[str, list[int]] = {}  # id of a call -> the group of its newest turn
    group: list[int] = []
    previous: Turn | None = None
    for turn in turns:
        ids = (*turn.result_call_ids, *turn.linked_ids)
        tied = [members[one] for one in ids if one in members] if ids else []
        if previous is not None and _continues(turn, previous, bool(tied)):
            tied.append(group)
        group = _merge(groups, members, tied) if tied else []
        if not tied:
            groups.append(group)
        group.append(turn.index)
        for one in (*turn.call_ids, *turn.linked_ids):
            members[one] = group
        previous = turn
    return groups


def find_round_start(turns: Sequence[Turn], position: int) -> int:
    """Returns the newest position at which the turns can be divided without dividing a group.

    Args:
        turns: The turns of a context.
        position: The newest position to return.

    Returns:
        The position, or 0 if there is none nearby. The groups of the turns before it, and then those of the turns from
        it on, are the groups that `group_tool_rounds` makes of all turns.
    """
    for start in range(position, max(0, position - MAX_LOOKED_BACK), -1):
        is_first = start == len(turns) or not _continues(turns[start], turns[start - 1], False)
        if is_first and _holds_all_calls(turns[start:]):
            return start
    return 0


def _holds_all_calls(turns: Sequence[Turn]) -> bool:
    """Returns whether no turn belongs to a call before the first of them."""
    known: set[str] = set()
    for turn in turns:
        if not known.issuperset(turn.result_call_ids) or not known.issuperset(turn.linked_ids):
            return False
        known.update(turn.call_ids)
    return True


def _continues(turn: Turn, previous: Turn, is_tied: bool) -> bool:
    """Returns whether a turn belongs to the one before it, whatever its calls and results."""
    if (turn.is_summary and not turn.linked_ids) or (previous.is_summary and not previous.linked_ids):
        return False  # a reference may stand for the reasoning of what follows; other summaries stand alone
    is_step = turn.role == previous.role == "assistant"
    if turn.is_malformed != previous.is_malformed:  # what is well-formed is not tied to what is not, except reasoning
        return is_step and turn.is_malformed and _is_reasoning(previous)
    if turn.is_malformed:
        return {turn.role, previous.role} <= {"assistant", "tool"}
    return is_step or (turn.role == "tool" and not is_tied)  # the result of a call without an id


def _is_reasoning(turn: Turn) -> bool:
    return not turn.extras and all(slot.kind == "thinking" for slot in turn.slots)


def _merge(groups: list[list[int]], members: dict[str, list[int]], tied: list[list[int]]) -> list[int]:
    """Makes one group of several, which are in `groups`, and returns it."""
    first = min(tied, key=lambda group: group[0])
    for other in tied:
        if other is not first and other in groups:
            groups.remove(other)
            first.extend(other)
            first.sort()
            for one, group in members.items():
                if group is other:
                    members[one] = first
    return first


def open_tool_round(turns: Sequence[Turn]) -> set[int]:
    """Finds the tool round that neither the assistant nor the user has spoken after yet.

    Args:
        turns: The turns of a context.

    Returns:
        The indices of its assistant turns; empty if no round is open.
    """
    indices: set[int] = set()
    for turn in reversed(turns):
        if turn.role == "assistant":
            if not turn.call_ids and indices:
                # Some message formats write thinking, words and calls of one step as separate items.
                indices.add(turn.index)
                continue
            if not turn.call_ids:
                break
            indices.add(turn.index)
        elif turn.role == "tool" and not indices:
            continue
        else:
            break
    return indices
