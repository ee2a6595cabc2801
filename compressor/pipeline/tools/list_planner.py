"""Decides when the list of tools of a conversation stays, grows at its end, or is made anew.

Its memory is the `state` of a tool set. All of it is JSON:

    requests, chosen_at   the user requests so far, and those before the list was made
    called, found         names of tools that were called, the newest last, and that `find_tool` has found
    dropped               called and found tools that had to give way
    gain                  what a new list would have been better by, summed over the requests since it may be made
    likely                names of tools that earlier requests needed, with fading probabilities
    search, all           whether the list has a tool that searches, and whether it has all tools
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from compressor.errors import BudgetTooSmallError
from compressor.pipeline.tools.argument_use import PastCalls
from compressor.pipeline.tools.catalog import ToolCatalog
from compressor.pipeline.tools.list_chooser import Entry, ListChooser, blend, probabilities
from compressor.scoring.base import Query
from compressor.tokens.pricing import find_price

# Chosen by benchmarks/tools_conversation.py: benchmarks/LOG.md
FRACTIONS = (0.6, 0.9)  # of the budget for a new list, by the share of all tools that fit in their shortest variants:
FITTING = (0.7, 1.1)  # from the first share to the second, the fraction rises
#: Of the budget, up to which all tools are listed, the unlikely ones as names: in a first list, and after such a list.
MAX_NAMES_FRACTION, MAX_NAMES_FRACTION_AFTER = 0.75, 0.95
FOUND_FRACTION = 0.04  # of the budget, left for the parameters of tools that are searched for, if all are listed
TOLD_CALLS = 12  # of the tools that were called last, no one is listed as a name
MAX_CALLED_FRACTION = 0.3  # of the budget, for the shortest variants of called tools; in a new list the oldest give way
KEPT_ROOM_FRACTION = 0.05  # of the budget, which only tools that must be sent may use
REQUESTS_PER_LIST = 10  # user requests that a list serves before a better one may replace it
MIN_SERVED = 5  # of which the first may be replaced earlier: lists are one more than requests by ten
WIDENED = 0.8  # of what a request leaves of its part of the room, to widen the likeliest of the added tools
EXPECTED_MORE = 3  # requests that follow at first; the longer a conversation is, the more are still to come
MAX_ADDED = 6  # tools that a new request adds
MIN_ADDED_FRACTION = 0.05  # of the probability of the likeliest tool, for each of them
MIN_MISSING_PROBABILITY = 0.03  # of all that is missing together, below which the list stays as it is
MIN_GAIN = 0.25  # in the probability to have what is needed, over all requests since, for which a new list is made
MIN_RELEVANCE = 0.5  # of the best tool; below it, no term of the request occurs in a tool
FADING = 0.7  # of what an earlier request needed, for each request since
MAX_REMEMBERED = 60  # called tools, and tools that earlier requests needed


class ListPlanner:
    """Plans the list of one call.

    Args:
        pool: The tools.
        state: The state of the tool set, which is changed.
        limit: The budget.
        base_tokens: What is sent beside the functions.
        search_tokens: What the tool that searches costs; 0 without one.
        model: The model whose prices decide what a new list costs.
        follows_calls: Whether called and found tools join the list. A provider that searches itself keeps them.
        calls: The calls in the messages.
    """

    def __init__(
        self,
        pool: ToolCatalog,
        state: dict[str, Any],
        limit: int,
        base_tokens: int,
        search_tokens: int,
        model: str | None,
        follows_calls: bool,
        calls: PastCalls | None = None,
    ) -> None:
        self._calls = calls
        self._pool, self._state, self._limit, self._model = pool, state, limit, model
        self._base_tokens, self._search_tokens, self._follows_calls = base_tokens, search_tokens, follows_calls
        self.warnings: list[str] = []

    def choose(self, query: Query, unchanged: Collection[str]) -> dict[str, Entry]:
        """Makes a new list.

        Args:
            query: What the request is about.
            unchanged: Names of tools that are sent unchanged.

        Raises:
            BudgetTooSmallError: If nothing fits, or what is sent unchanged does not.
        """
        chooser = ListChooser(self._pool, query, unchanged, self._calls, self._names(bool(self._search_tokens)))
        chances, says = self._chances(query)
        chosen = self._choose(chooser, chances, unchanged)
        self._remember_likely(chances, says)
        return chosen

    def update(
        self, entries: Mapping[str, Entry], query: Query, unchanged: Collection[str], is_new: bool
    ) -> dict[str, Entry] | None:
        """Returns the list that follows this one, or None if it stays.

        Args:
            entries: The list.
            query: What the request is about.
            unchanged: Names of tools that are sent unchanged.
            is_new: Whether the request is a new one.

        Raises:
            BudgetTooSmallError: As `choose`.
        """
        pool = self._pool
        state = self._state
        names = self._names(bool(self._search_tokens and state.get("search")))
        chooser = ListChooser(pool, query, unchanged, self._calls, names)
        told = {n for n in state.get("found", ()) if n in entries and chooser.is_name_only(n, entries[n])}
        if self._follows_calls and told:  # a tool that was searched for is listed with its parameters from then on
            entries = {name: entry for name, entry in entries.items() if name not in told}
        required = set(unchanged) - entries.keys()
        if self._follows_calls:
            newest = state.get("called", [])[-1:]  # may have been called again
            state["dropped"] = [name for name in state.get("dropped", ()) if name not in newest]
            known = set(self._required()) - entries.keys() - set(state["dropped"])
            is_short = chooser.smallest(required | known) > self._room(entries)
            if is_short and self._served() > 0 and not self._may_choose():
                # The model called tools that it was not sent. It cannot call found ones without them, so those stay.
                state["dropped"] = [*state["dropped"], *sorted(known - set(state.get("found", ())))]
                known &= set(state.get("found", ()))
            required |= known
        is_new = is_new and self._follows_calls
        if not required and not is_new:
            return None
        chances, says = self._chances(query)
        wanted = self._wanted(entries, chances) if is_new and says else []
        added = self._additions(chooser, entries, chances, required, wanted) if required or wanted else {}
        is_better = added is not None and is_new and says and self._is_better(chooser, {**entries, **added}, chances)
        new = None
        if added is None or is_better:
            new = self._choose(chooser, chances, unchanged)
            same = {name: entry for name, entry in entries.items() if new.get(name) == entry}
            new = {**same, **new}  # what stays comes first, so that the prompt begins as before for as long as possible
        elif added:
            new = {**entries, **added}
        if is_new:
            self._remember_likely(chances, says)
        return new

    def _names(self, has_search: bool) -> Collection[int]:
        """The positions of the tools that may be listed as names, because the model can search for their parameters."""
        if not has_search:
            return ()
        told = {*self._state.get("found", ()), *self._state.get("called", [])[-TOLD_CALLS:]}
        return {i for i in self._pool.function_indices if self._pool.function_name(i) not in told}

    def _required(self) -> list[str]:
        """The tools that were called or found, the oldest first."""
        return list(dict.fromkeys([*self._state.get("found", ()), *self._state.get("called", ())]))

    def _chances(self, query: Query) -> tuple[list[float], bool]:
        """How likely each tool is needed, and whether the request says anything about it."""
        scores = self._pool.scores(query)
        says = max(scores, default=0.0) >= MIN_RELEVANCE
        return probabilities(self._pool, scores, self._state.get("called", [])), says

    def _wanted(self, entries: Mapping[str, Entry], chances: Sequence[float]) -> list[str]:
        """The tools that the request likely needs and that are not sent, if it is worth a change."""
        missing = [i for i in self._best(chances) if self._pool.function_name(i) not in entries]
        if sum(chances[i] for i in missing) < MIN_MISSING_PROBABILITY:
            return []
        least = MIN_ADDED_FRACTION * max(chances)
        return [self._pool.function_name(i) for i in missing if chances[i] >= least]

    def _best(self, chances: Sequence[float]) -> list[int]:
        return sorted(self._pool.function_indices, key=lambda i: -chances[i])[:MAX_ADDED]

    def _additions(
        self,
        chooser: ListChooser,
        entries: Mapping[str, Entry],
        chances: Sequence[float],
        required: Collection[str],
        wanted: Collection[str],
    ) -> dict[str, Entry] | None:
        """What is added at the end of the list. None if what is required does not fit."""
        pool, room = self._pool, self._room(entries)
        must = chooser.smallest(required)
        if must > room:
            return None
        served = self._served()
        left = max(1, min(self._next_list() - self._state["requests"], served + EXPECTED_MORE))
        kept = int(self._limit * KEPT_ROOM_FRACTION)
        allowance = must + max(0, min(room - must - kept, room // left))
        # A missing tool fails the request, and a short one costs a call of `find_tool`: so first all, then more.
        likeliest = pool.function_name(self._best(chances)[0])
        kept_names, spent = list(required), must
        for name in wanted:
            tokens = chooser.smallest([name])
            if name not in required and spent + tokens <= (room if name == likeliest else allowance):
                kept_names.append(name)
                spent += tokens
        places = [pool.index_by_name[name] for name in kept_names]
        found = set(required) & set(self._state.get("found", ()))  # the model has asked for these, so they are widened
        first = max(places, key=lambda i: chances[i], default=-1)
        alone = [chance if i == first else 0.0 for i, chance in enumerate(chances)]
        for name in found:
            alone[pool.index_by_name[name]] = 1.0
        more = WIDENED * max(0, (room if found else allowance) - spent)
        return chooser.choose(alone, spent + int(more), kept_names, places)

    def _room(self, entries: Mapping[str, Entry]) -> int:
        """The tokens that the list may still grow by."""
        fixed = self._base_tokens + (self._search_tokens if self._state.get("search") else 0)
        return self._limit - fixed - sum(entry.tokens for entry in entries.values())

    def _may_choose(self) -> bool:
        """Whether a new list may be made although the old one fits: whether the bill allows it."""
        rates = find_price(self._model).rates(0)
        # A model without a discount for cached tokens reads everything anew anyway.
        return self._state["requests"] >= self._next_list() or rates.cache_read >= rates.cache_write

    def _next_list(self) -> int:
        """The number of requests from which on a new list may be made."""
        lists = self._state.get("lists", 1)
        return int(max(REQUESTS_PER_LIST * (lists - 1) + MIN_SERVED + 1, self._state.get("chosen_at", 0) + MIN_SERVED))

    def _served(self) -> int:
        return int(self._state["requests"] - self._state.get("chosen_at", 0))

    def _initial_budget(self, smallest: int) -> int:
        """What a new list takes, so that it can grow: the more tools fit anyway, the less has to be left.

        Args:
            smallest: The tokens of all functions in their shortest variants.
        """
        fitting = self._limit / max(1, smallest)
        low, high = FRACTIONS
        share = min(1.0, max(0.0, (fitting - FITTING[0]) / (FITTING[1] - FITTING[0])))
        return int(self._limit * (low + (high - low) * share))

    def _is_better(self, chooser: ListChooser, entries: Mapping[str, Entry], chances: Sequence[float]) -> bool:
        """Whether a new list is clearly better for this request than this one, and worth what it costs."""
        if not self._may_choose():
            return False
        value = chooser.value(entries, chances)
        smallest = sum(chooser.smallest_costs(self._pool.function_indices))
        available = self._initial_budget(smallest) - self._base_tokens - self._search_tokens
        fresh = chooser.choose(chances, available, ())
        gain = max(0.0, chooser.value(fresh, chances) - value) if fresh else 0.0
        self._state["gain"] = round(self._state.get("gain", 0.0) + gain, 4)
        return bool(self._state["gain"] >= MIN_GAIN)

    def _choose(self, chooser: ListChooser, chances: Sequence[float], unchanged: Collection[str]) -> dict[str, Entry]:
        pool, state = self._pool, self._state
        likely = state.get("likely", {})
        mixed = blend(chances, [likely.get(pool.function_name(i), 0.0) for i in range(len(chances))])
        pinned = {*unchanged, *(pool.function_name(i) for i in pool.function_indices if pool.has_breakpoint(i))}
        known = [n for n in self._required() if n not in pinned] if self._follows_calls else []
        called, costs = list(known), chooser.smallest_costs([pool.index_by_name[name] for name in known])
        while sum(costs) > MAX_CALLED_FRACTION * self._limit:
            del called[0], costs[0]
        full = self._limit - self._base_tokens
        smallest = sum(chooser.smallest_costs(pool.function_indices))
        initial = self._initial_budget(smallest) - self._base_tokens
        every = [pool.function_name(i) for i in pool.function_indices]
        searched = self._limit - self._base_tokens - self._search_tokens
        plans: list[tuple[int, Collection[str]]] = []
        most = MAX_NAMES_FRACTION_AFTER if state.get("all") else MAX_NAMES_FRACTION
        if self._search_tokens and smallest <= most * searched:
            plans = [(searched - int(FOUND_FRACTION * self._limit), every)]  # all are listed: none is added later
        plans += [(initial - self._search_tokens, called), (searched, called)]
        with_search = len(plans)
        plans += [(full, called[start:]) for start in range(len(called) + 1)]
        plain = chooser.without_names()
        tried = (
            (chooser if n < with_search else plain).choose(mixed, available, {*pinned, *kept})
            for n, (available, kept) in enumerate(plans)
        )
        number, chosen = next(((n, found) for n, found in enumerate(tried) if found), (0, None))
        if chosen is None:
            needed = plain.smallest(pinned) or min(plain.smallest_costs(pool.function_indices))
            raise BudgetTooSmallError(self._limit, self._base_tokens + needed, "the tools that must be sent")
        state["all"] = len(chosen) == len(every)
        state["search"] = number < with_search and bool(self._search_tokens)
        state["dropped"] = [name for name in known if name not in chosen]
        state["lists"] = state.get("lists", 0) + 1
        state["chosen_at"], state["gain"] = state["requests"], 0.0
        if self._search_tokens and not state["search"]:
            self.warnings.append("find_tool is left out: the budget has no room for it")
        if number > with_search:
            self.warnings.append(f"called tools are left out: the budget has no room for {called[0]!r}")
        return chosen

    def _remember_likely(self, chances: Sequence[float], says: bool) -> None:
        if says:
            likely = {name: p * FADING for name, p in self._state.get("likely", {}).items()}
            likely |= {self._pool.function_name(i): chances[i] for i in self._best(chances)}
            best = sorted(likely.items(), key=lambda pair: -pair[1])[:MAX_REMEMBERED]
            self._state["likely"] = {name: round(p, 4) for name, p in best}
