"""Measures which facts an agent still has at each call of a long run, and what the run costs, without a model.

Recorded runs prove themselves what matters: what users said, which strings later calls use again, the newest state of
files and lists, failures that are not resolved, decisions that are used again. Generated runs add rules that are set,
changed and lifted in eight languages.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.facts_kept_case import KINDS, WHOLE_RUN, Case
from benchmarks.facts_kept_generated import GENERATED, generated_cases
from benchmarks.facts_kept_methods import methods as kept_methods
from benchmarks.facts_kept_places import PLACES, Key, Places
from benchmarks.facts_kept_recorded import CONVERTERS, recorded_cases, sources
from benchmarks.report import Report
from benchmarks.runs import summary
from benchmarks.runs_methods import RAW, Method, Run
from benchmarks.runs_replay import PRICES, Outcome, replay
from benchmarks.tokens import Message, total

METHODS = [RAW, *kept_methods()]
PRICE = "cached"
KEPT_PREFIX = 0.999  # a request that begins with less of the one before rewrote it
#: Parts for `--tasks`, besides the names of files in `sessions`.
PARTS = ("recorded", GENERATED, *CONVERTERS)


@dataclass(frozen=True)
class Options:
    """What `--tasks`, `--seed` and `--look` say.

    Attributes:
        parts: `recorded`, `generated`, or domains; everything if empty.
        seed: Of the generated runs.
        look: Facts that are not in view to print, of each case and method.
    """

    parts: tuple[str, ...] = ()
    seed: int = 1
    look: int = 0

    def unknown(self, root: Path) -> list[str]:
        """Returns the parts that do not exist."""
        return [part for part in self.parts if part not in (*PARTS, *sources(root))]

    def flags(self) -> str:
        """Returns the flags that a command needs for the same numbers."""
        flags = f" --tasks {','.join(self.parts)}" if self.parts else ""
        return flags + (f" --seed {self.seed}" if self.seed != Options.seed else "")


@dataclass
class Kept:
    """What one method came to over some cases."""

    outcomes: list[Outcome] = field(default_factory=list)
    raw: list[Outcome] = field(default_factory=list)
    places: defaultdict[Key, float] = field(default_factory=lambda: defaultdict(float))
    owners: Counter[str] = field(default_factory=Counter)
    shown: int = 0
    failed: int = 0

    def add(self, other: Kept) -> None:
        """Adds what another set of cases came to."""
        self.outcomes += other.outcomes
        self.raw += other.raw
        self.add_places(other.places)
        self.owners.update(other.owners)
        self.shown += other.shown
        self.failed += other.failed

    def add_places(self, places: Mapping[Key, float]) -> None:
        """Adds the facts of one call."""
        for key, number in places.items():
            self.places[key] += number

    def row(self) -> dict[str, Any]:
        """Returns the numbers for the JSON file."""
        steps = sum(o.steps for o in self.outcomes)
        breaks = sum(r < KEPT_PREFIX for o in self.outcomes for r in o.reuse)
        bill = summary(self.outcomes, self.raw, PRICE)
        own = {
            key: bill[key] for key in ("runs", "steps", "money", "worst", "above", "reuse", "reuse_least", "longest")
        }
        facts: dict[str, dict[str, dict[str, float]]] = {}
        for (kind, current, place), number in sorted(self.places.items()):
            scope = "task" if current else "earlier"
            facts.setdefault(kind, {}).setdefault(scope, dict.fromkeys(PLACES, 0.0))[place] += round(number, 3)
        return {
            **own,
            "rewrites": 100 * breaks / max(1, steps),
            "view": self.shown / max(1, steps),
            "failed": self.failed,
            "owners": dict(sorted(self.owners.items())),
            "facts": facts,
        }


def measure(case: Case, method: Method, raw: Outcome, look: int = 0) -> Kept:
    """Replays one case with one method, and looks for the facts at its calls."""
    kept = Kept(raw=[raw])
    asked = frozenset(case.calls)

    def watch(at: int, run: Run, sent: list[Message]) -> None:
        kept.shown += total(sent)
        kept.failed = getattr(run, "failed", 0)
        if at in asked:
            places = Places(run, sent)
            places.judge(case.facts_at(at))
            kept.add_places(places.counts)
            kept.owners.update(places.owners)
            if look:
                _show(case, method, at, places, look)

    kept.outcomes = replay([case.recording], method, PRICES[PRICE], {PRICE: PRICES[PRICE]}, watch)
    return kept


def _show(case: Case, method: Method, at: int, places: Places, look: int) -> None:
    for fact, place in places.missing[:: max(1, len(places.missing) // look)][:look]:
        print(f"{case.domain} {case.recording.name} {method.name} at {at}: {fact.kind} {place}: {fact.text[:200]}")


def cases(root: Path, limit: int | None, options: Options) -> Iterator[Case]:
    """Yields the chosen cases."""
    domains = [part for part in options.parts if part not in ("recorded", GENERATED)]
    if not options.parts or domains or "recorded" in options.parts:
        yield from recorded_cases(root, limit, domains if "recorded" not in options.parts else ())
    if not options.parts or GENERATED in options.parts:
        yield from generated_cases(limit, options.seed)


def run(root: Path, limit: int | None, methods: list[str], options: Options | None = None) -> Report:
    """Measures the chosen methods.

    `limit` caps the runs of a domain and size; there are three generated runs for each.
    """
    options = options or Options()
    chosen = [m for m in METHODS if m.name in methods and not m.unavailable]
    found: dict[tuple[str, str], dict[str, Kept]] = {}
    for case in cases(root, limit, options):
        raw = replay([case.recording], RAW, PRICES[PRICE], {PRICE: PRICES[PRICE]})[0]
        for method in chosen:
            kept = measure(case, method, raw, options.look)
            for domain in ("all", case.domain):
                found.setdefault((case.group, domain), {}).setdefault(method.name, Kept()).add(kept)
        print(f"{case.group} {case.domain} {case.recording.name}: {len(case.calls)} calls", flush=True)
    rows = [
        {"set": group, "domain": domain, "method": name, **kept.row()}
        for (group, domain), by_method in found.items()
        for name, kept in by_method.items()
    ]
    lacking = [{"method": m.name, "lacks": m.unavailable} for m in METHODS if m.name in methods and m.unavailable]
    return Report("facts_kept", "Facts kept", notes(options, lacking), table(rows), [*rows, *lacking])


def table(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Builds the table of all domains together; the JSON has each domain, and the facts of earlier tasks."""
    together = [row for row in rows if row["domain"] == "all"]
    kinds = [kind for kind in KINDS if any(kind in row["facts"] for row in together)]
    head = ["runs", "method", "cost", "above raw", "mean view", "rewrites / 100", "reuse", "raw sent", "outdated shown"]
    return [[*head, *(KINDS[kind] for kind in kinds)], *(_cells(row, kinds) for row in together)]


def _cells(row: dict[str, Any], kinds: Iterable[str]) -> list[str]:
    owners = row["owners"]
    outdated = sum(n for name, n in owners.items() if name.startswith("outdated "))
    return [
        f"{row['set']} ({row['runs']})",
        row["method"],
        f"{100 * (row['money'] - 1):+.0f} %",
        str(row["above"]),
        f"{row['view']:,.0f}",
        f"{row['rewrites']:.1f}",
        f"{row['reuse']:.3f}",
        str(row["failed"]),
        f"{outdated} of {sum(owners.values()) - outdated}",
        *(_places(row["facts"].get(kind, {}), kind in WHOLE_RUN) for kind in kinds),
    ]


def _places(scopes: dict[str, dict[str, float]], whole_run: bool) -> str:
    """Formats the fraction in view, that with one expand, and that with two expands or recall, and the number."""
    counted = [places for scope, places in scopes.items() if whole_run or scope == "task"]
    number = sum(sum(places.values()) for places in counted)
    if not number:
        return "–"
    view, expand, far = (sum(p[name] for p in counted) for name in ("view", "expand", "lost"))
    return f"{view / number:.2f} / {(view + expand) / number:.2f} / {1 - far / number:.2f} ({number:.0f})"


def notes(options: Options, lacking: Sequence[dict[str, str]]) -> list[str]:
    """Returns what a reader of the table has to know."""
    return [
        "Recorded tasks of a domain, chained to 60,000 and 200,000 tokens, and generated runs, replayed call by call.",
        "At sampled calls: facts in view / and one expand away / and two expands away or found by `recall` (number).",
        "Cost against sending everything, cached reads at a tenth. *Rewrites*: requests that do not begin with the",
        "whole request before, of 100. *Reuse*: fraction of a request that the next one begins with, outside",
        "compactions. *Raw sent*: requests for which a method had no view that fits. *Outdated shown*: states and",
        "rules of which an earlier version is in view and the newest is not, of all. Users' sentences, rules and",
        "promises count for the whole run, other kinds for the task at hand. Methods have a view of the given size;",
        f"ours without a size has no budget. Seed {options.seed}.",
        *(f"{row['method']}: {row['lacks']}." for row in lacking),
    ]
