"""Measures the cost of long runs: recorded sessions, replayed step by step with every method at three price tables.

    from benchmarks.runs import PRICES, ours, replay, summary
    outcomes = replay(recordings, ours(Policy(target=("tokens", 3_000))), PRICES["cached"])

`runs_replay.py` measures; this module makes the table.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.report import Report, format_fraction
from benchmarks.runs_chains import as_run, chain_sessions, read_runs
from benchmarks.runs_methods import RAW, SIMPLE, ours
from benchmarks.runs_peers import PEERS
from benchmarks.runs_replay import PRICES, Outcome, replay, replay_all_prices
from compressor.tokens.billing import CallUsage

__all__ = [
    "METHODS",
    "PRICES",
    "Outcome",
    "as_run",
    "chain_sessions",
    "ours",
    "read_runs",
    "replay",
    "replay_all_prices",
    "run",
    "summary",
]

METHODS = [*SIMPLE, *PEERS, ours()]
SLOW = {"long runs": 1, "sessions": 8}  # maximum runs of a domain for methods that take minutes per run


def summary(outcomes: list[Outcome], raw: list[Outcome], price: str) -> dict[str, Any]:
    """Returns one method's row over the same runs as `raw`, at the price table with this key.

    Costs are fractions of the raw cost. `money` is the ratio of the sums. `tools` also bills the method's tool
    schemas, and `fetched` also bills the calls that fetch missing strings. `input` leaves out the price of output.
    `worst` is the run with the highest ratio, `above` the number of runs that cost at least 0.01 % more than raw.
    """
    own = [o.bills[price].cost_usd for o in outcomes]
    base = [o.bills[price].cost_usd for o in raw]
    tools = [o.tools[price].cost_usd for o in outcomes]
    ratios = [a / b for a, b in zip(own, base, strict=True)]
    with_tools = [a / b for a, b in zip(tools, base, strict=True)]
    reuse = [r for o in outcomes for r in o.reuse_between_compactions]
    seconds = sorted(s for o in outcomes for s in o.seconds)
    needed = sum(o.needed for o in outcomes)
    steps = sum(o.steps for o in outcomes)
    answers = sum(o.answers[price] for o in raw)
    return {
        "runs": len(outcomes),
        "steps": steps,
        "money": sum(own) / sum(base),
        "tools": sum(tools) / sum(base),
        "fetched": (sum(tools) + sum(o.expanded[price] for o in outcomes)) / sum(base),
        "input": (sum(own) - answers) / (sum(base) - answers),
        "worst": max(ratios),
        "worst_tools": max(with_tools),
        "above": sum(r > 1.0001 for r in ratios),
        "above_tools": sum(r > 1.0001 for r in with_tools),
        "asked": needed,
        "seen": sum(o.in_view for o in outcomes),
        "near": sum(o.reachable for o in outcomes),
        "reuse": statistics.fmean(reuse) if reuse else 1.0,
        "reuse_least": min(reuse, default=1.0),
        "rewrites": 100 * sum(o.rewrites for o in outcomes) / max(1, steps),
        "cache_share": sum((o.bills[price] for o in outcomes), CallUsage()).cached_fraction,
        "longest": max(o.longest for o in outcomes),
        "p50": seconds[len(seconds) // 2],
        "p95": seconds[int(0.95 * (len(seconds) - 1))],
    }


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures the sessions and the long runs of every domain. `limit` caps both (default: all)."""
    found: list[dict[str, Any]] = []
    for domain, (sessions, long) in read_runs(root / "sessions", limit).items():
        for kind, recordings in (("long runs", long), ("sessions", sessions)):
            raw: dict[str, list[Outcome]] = {}
            for method in (m for m in METHODS if m is RAW or m.name in methods):
                where = {"set": domain, "kind": kind, "method": method.name}
                if method.unavailable or not recordings:
                    found.append({**where, "lacks": method.unavailable or "no runs"})
                    continue
                outcomes = replay_all_prices(recordings[: SLOW[kind] if method.slow else None], method)
                raw = raw or outcomes
                found += [{**where, "price": k, "outcomes": o, "raw": raw[k][: len(o)]} for k, o in outcomes.items()]
    rows = summaries(found)
    return Report("runs", "Long runs, billed", NOTES, table(rows), rows)


def summaries(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Replaces outcomes by their `summary`, and puts a row for all domains together before them."""
    every: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in (r for r in found if "outcomes" in r):
        key = row["kind"], row["method"], row["price"]
        one = every.setdefault(key, {**row, "set": "all", "outcomes": [], "raw": []})
        one["outcomes"] += row["outcomes"]
        one["raw"] += row["raw"]
    out = []
    for row in [*every.values(), *found]:
        plain = {k: v for k, v in row.items() if k not in ("outcomes", "raw")}
        out.append(plain | (summary(row["outcomes"], row["raw"], row["price"]) if "outcomes" in row else {}))
    return out


def table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Builds the table: the long runs by domain, and all sessions together. The JSON has the other rows."""
    by = {(r["kind"], r["set"], r["method"], r.get("price")): r for r in rows}
    places = [*(("long runs", name) for name in dict.fromkeys(r["set"] for r in rows)), ("sessions", "all")]
    out = [HEAD]
    for kind, name in places:
        for method in dict.fromkeys(r["method"] for r in rows):
            prices = {key: by[kind, name, method, key] for key in PRICES if (kind, name, method, key) in by}
            not_run = by.get((kind, name, method, None))
            if prices:
                runs = prices["cached"]["runs"]
                out.append([f"{name}, {runs} {kind if runs > 1 else kind[:-1]}", method, *_cells(prices)])
            elif not_run:
                out.append([f"{name}, {kind}", method, not_run["lacks"], *["–"] * (len(HEAD) - 3)])
    return out


def _cells(rows: Mapping[str, Any]) -> list[str]:
    c, w, n = rows["cached"], rows["writes"], rows["none"]
    return [
        _percent(c["money"]),
        _percent(c["input"]),
        _percent(c["fetched"]),
        _percent(w["money"]),
        _percent(n["money"]),
        f"{_percent(max(r['worst'] for r in rows.values()))} ({sum(r['above'] for r in rows.values())})",
        f"{format_fraction(c['seen'], c['asked'])} / {format_fraction(c['near'], c['asked'])}",
        f"{c['reuse']:.3f}",
        f"{c['rewrites']:.1f}",
        f"{1e3 * c['p50']:.1f} / {1e3 * c['p95']:.1f}",
    ]


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"


HEAD = [
    "runs",
    "method",
    "cost",
    "input only",
    "tool and expands paid",
    "writes 1.25×",
    "no cache",
    "worst run (above raw)",
    "in view / + expand",
    "prefix reuse",
    "compactions / 100 steps",
    "ms a step p50 / p95",
]
NOTES = [
    "Recorded sessions replayed call by call; *long runs* are the tasks of one domain chained to 60,000 tokens and",
    "more. Cost against sending everything as it is: input $3, output $15, cached reads $0.30 a million, cache writes",
    "at the input price, the output being the recorded answers; *input only* leaves output out; *tool and expands",
    "paid* adds the schema of our expand tool to every request, and an extra call for each needed string that was not",
    "in view but one expand away. *Worst run*: over all three price tables, with how many runs came out above raw.",
    "*In view*: strings that the agent's next tool call used. *Prefix reuse*: fraction of a request that the next one",
    "begins with, byte for byte, outside compactions. Summaries are extracts of 1,000 tokens, billed as a model's at",
    "the same prices; methods that wait for a full window get one of 32,000 tokens (summaries at 80 % of it,",
    "LangChain's editing at half of it, as 100,000 is of 200,000; llmslim's budget is 80 % of it). At their defaults",
    "LangChain's never act on these.",
]
