"""The break-even gate: is compressing worth what it costs? Pure arithmetic; knows no engine, message or model.

Scoring takes time, and only inside a window of context length, cut and hardware does it take less than it saves
("Prompt Compression in the Wild", arXiv 2604.02985: at most 18 % end to end, a loss outside the window). A `RequestHandler` is
told what a token is worth, `Pace` knows how long a tier takes here, and `pick` applies the rule:

* tiers are tried from the dearest to the cheapest, and the first that pays for itself scores;
* if none does, a wish stays a wish: a budget given as a share goes unused, the context goes out as it is, with a note;
* a budget in tokens stays hard: the cheapest tier scores, with a note. The gate never sends more than the budget.

Time differs between machines and runs, so with a gate the same input need not give the same bytes.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from compressor.errors import CompressorError

#: tokens a second that a tier scores until this process has measured its own; 2 CPU cores, benchmarks/results. A tier
#: that is not here is tried first and known then.
PRIORS: Mapping[str, float] = {"fast": 400_000.0}
MEMORY = 20_000.0  # scored tokens after which a measurement counts half; a prior counts like one of this size
FORGET = 600.0  # seconds after which a pace is forgotten: a tier that was slow once, and skipped since, is tried again


@dataclass(frozen=True, slots=True)
class Verdict:
    """saves_*: what sending less spares, negative where it costs more (a provider's cache lost); costs_*: what scoring
    takes; all in the gate's money and in seconds. `why` is a line for the user."""

    go: bool
    saves_money: float
    saves_seconds: float
    costs_money: float
    costs_seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Gate:
    """What a token that is not sent is worth. Give `price`, `prefill` or both; each one given must pay for itself.

    price: money for an input token, as the provider bills it where nothing is cached.
    prefill: seconds the called model takes for an input token before it answers.
    second_price: money for a second of scoring; 0 where the machine is there anyway.
    cached: the share of the context, from its start, that the provider would find in its prompt cache if it went out
        as it is; cached_price: what a cached token costs, as a share of `price`. Cached tokens need no prefill. What is
        rewritten is not found in the cache any more, so compressing a cached context can cost more than it saves.
    margin: how many times its costs compression must save.
    Raises CompressorError for values that make no sense.
    """

    price: float | None = None
    prefill: float | None = None
    second_price: float = 0.0
    cached: float = 0.0
    cached_price: float = 0.1
    margin: float = 1.0

    def __post_init__(self) -> None:
        if self.price is None and self.prefill is None:
            raise CompressorError(
                "a gate needs a price or a prefill time of a token, or it has nothing to compare with"
            )
        for name in ("price", "prefill", "second_price", "margin"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise CompressorError(f"{name} must be a finite number, not negative, not {value!r}")
        for name in ("cached", "cached_price"):
            if not 0 <= getattr(self, name) <= 1:
                raise CompressorError(f"{name} is a share in [0, 1], not {getattr(self, name)!r}")

    def decide(self, before: int, after: int, seconds: float, kept: int = 0) -> Verdict:
        """Whether to compress.

        before: tokens of the context; after: at most so many will be sent (the budget); seconds: how long scoring will
        take; kept: tokens at the start that go out byte for byte as they are, so that a cache still finds them (in
        `ingest` mode everything before the newest results).
        """
        after = min(before, after)
        hit = self.cached * before
        still = min(hit, kept, after)
        saves_seconds = (self.prefill or 0.0) * ((before - hit) - (after - still))
        off = 1 - self.cached_price
        saves_money = (self.price or 0.0) * ((before - off * hit) - (after - off * still))
        costs_money = self.second_price * seconds
        verdicts = []
        if self.price is not None:
            verdicts.append((_worth(saves_money, costs_money, self.margin), saves_money, costs_money, "in money"))
        if self.prefill is not None:
            verdicts.append((_worth(saves_seconds, seconds, self.margin), saves_seconds, seconds, "s"))
        go, saves, costs, unit = min(verdicts, key=lambda verdict: verdict[0])  # the first that fails, else the first
        word = "worth it" if go else "not worth it"
        why = f"{word}: {before:,} to {after:,} tokens saves {saves:.3g} {unit} and scoring costs {costs:.3g} {unit}"
        return Verdict(go, saves_money, saves_seconds, costs_money, seconds, why)


def _worth(saves: float, costs: float, margin: float) -> bool:
    return saves > 0 and saves >= margin * costs


class Pace:
    """How fast each tier scores in this process: a mean over its own calls, weighted by their tokens, the newest most.

    Scoring time grows linearly with the tokens (the paper above measured it), so one number a tier is enough. Tiers
    are names of the caller's choice; one model on two devices needs two. Safe to share between threads.
    """

    def __init__(self, priors: Mapping[str, float] = PRIORS, clock: Callable[[], float] = time.monotonic) -> None:
        self._priors, self._clock = dict(priors), clock
        self._seen: dict[str, tuple[float, float, float]] = {}  # tokens, seconds, when
        self._lock = threading.Lock()

    def note(self, tier: str, tokens: float, seconds: float) -> None:
        """A call of `tier` scored so many tokens in so many seconds, the loading of its model not counted."""
        if tokens <= 0 or not 0 < seconds < math.inf:
            return
        with self._lock:
            old_tokens, old_seconds = self._sums(tier)
            keep = 0.5 ** (tokens / MEMORY)
            self._seen[tier] = (old_tokens * keep + tokens, old_seconds * keep + seconds, self._clock())

    def seconds(self, tier: str, tokens: float) -> float:
        """How long `tier` will take for so many tokens; 0 where nothing is known yet, so that it is tried."""
        with self._lock:
            seen_tokens, seen_seconds = self._sums(tier)
        return max(0.0, tokens) * seen_seconds / seen_tokens if seen_tokens else 0.0

    def _sums(self, tier: str) -> tuple[float, float]:
        tokens, seconds, when = self._seen.get(tier, (0.0, 0.0, -math.inf))
        if self._clock() - when < FORGET:
            return tokens, seconds
        prior = self._priors.get(tier)
        return (MEMORY, MEMORY / prior) if prior else (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Pick:
    """`tier`: who scores, None = nobody, the context goes out as it is. `note`: what to tell the user, "" = nothing."""

    tier: str | None
    note: str


def pick(gate: Gate, tiers: Sequence[tuple[str, float]], before: int, after: int, hard: bool, kept: int = 0) -> Pick:
    """Who scores, by the rule at the top of this file.

    tiers: name and predicted seconds, the one asked for first, the cheapest last; hard: the budget is a number of
    tokens, not a share; before, after and kept: see `RequestHandler.decide`.
    """
    verdicts = [(tier, gate.decide(before, after, seconds, kept)) for tier, seconds in tiers]
    asked, first = verdicts[0]
    for tier, verdict in verdicts:
        if verdict.go:
            return Pick(tier, "" if tier == asked else f"gate: {asked} {first.why}; scored by {tier} instead")
    if hard and after < before:
        cheapest = verdicts[-1][0]
        instead = "" if cheapest == asked else f" by {cheapest} instead of {asked}"
        return Pick(cheapest, f"gate: {first.why}; compressed{instead}, because the budget is hard")
    return Pick(None, f"gate: {first.why}; sent as it was" if after < before else "")
