"""Measures what a context with screenshots costs, and what can still be read in it after it was reduced.

Runs recorded by `benchmarks.images_record`, and the public web runs in `screens`, are sent to four models as messages
of three formats: as a whole with a budget, and step by step in a session. The ruler looks only at the messages that
come out, and at what their refs expand to.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.images_case import METHODS, RECIPIENTS, ImageMethod, Recipient, reduce_run
from benchmarks.images_frames import Frames, fold_of
from benchmarks.images_measure import IN_VIEW, PLACES, measure
from benchmarks.images_pairs import near_pairs
from benchmarks.images_run import BrowsingRun, load_runs
from benchmarks.images_screens import screen_runs
from benchmarks.images_sent import read_messages
from benchmarks.report import Report

PAIRS = 1_000
PAIR_SHARES = (0.9, 0.5)
_SUMS = (
    *("frames", "tokens_before", "tokens_after", "image_tokens_before", "image_tokens_after"),
    *("sent_tokens", "sent_cost", "false_folds"),
)
_COUNTS = ("targets", "old_targets", "picture_targets", "pages")
_OF = ("clicks", "next_click", "last_whole", "repeats", "near")


def sources(root: Path, limit: int | None) -> Iterator[tuple[str, BrowsingRun, tuple[Recipient, ...]]]:
    """Yields each run with its set and the models that it is sent to."""
    for run in load_runs()[:limit]:
        yield "recorded", run, RECIPIENTS
    for run in screen_runs(root, limit):
        yield "screens", run, RECIPIENTS[::2]


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures the chosen methods. `limit` caps the runs of a set; with it, there are fewer pairs."""
    chosen = [method for method in METHODS if method.name in methods]
    singles: list[dict[str, Any]] = []
    for group, browsing, recipients in sources(root, limit):
        for to in recipients:
            for method in chosen:
                row = {
                    "set": group,
                    "run": browsing.name,
                    "model": to.model,
                    "layout": to.layout,
                    "method": method.name,
                }
                singles.append({**row, **measure(browsing, reduce_run(browsing, method, to), to)})
        print(f"{group} {browsing.name}: {len(browsing.steps)} pictures", flush=True)
    rows = [_sum(group, model, method, found) for (group, model, method), found in _grouped(singles).items()]
    pairs = measure_pairs(PAIRS if limit is None else 30 * limit) if any(m.is_ours for m in chosen) else []
    return Report("images", "Screenshots", notes(pairs), table(rows), [*rows, *pairs, *singles])


def _grouped(singles: Iterable[dict[str, Any]]) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in singles:
        found.setdefault((row["set"], row["model"], row["method"]), []).append(row)
    return found


def _sum(group: str, model: str, method: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Adds up the runs of a set."""
    total: dict[str, Any] = {"set": group, "run": "all", "runs": len(rows), "model": model, "method": method}
    total |= {key: sum(row[key] for row in rows) for key in _SUMS}
    for key in _COUNTS:
        counted = sum((Counter(row[key]) for row in rows), Counter[str]())
        total[key] = {place: counted[place] for place in PLACES if counted[place]}
    for key in _OF:
        total[key] = [sum(row[key][i] for row in rows) for i in range(len(rows[0][key]))]
    total["ms_per_frame"] = round(sum(r["ms_per_frame"] * r["frames"] for r in rows) / max(1, total["frames"]), 2)
    total["errors"] = sum(bool(row["error"]) for row in rows)
    return total


def measure_pairs(count: int) -> list[dict[str, Any]]:
    """Counts false folds over pairs of pictures that nearly show the same."""
    found: dict[str, Counter[str]] = {}
    to = RECIPIENTS[0]
    with tempfile.TemporaryDirectory() as folder:
        for i, pair in enumerate(near_pairs(load_runs(), count, 17, Path(folder))):
            method = ImageMethod("pair", PAIR_SHARES[i % len(PAIR_SHARES)], is_ours=True)
            reduced = reduce_run(pair.run, method, to)
            sent = read_messages(reduced.messages)
            frames = Frames(pair.run, 2)
            counted = found.setdefault(pair.kind, Counter())
            counted["pairs"] += 1
            counted.update(fold_of(step, frames, sent, reduced.expand) for step in (0, 1))
            counted["errors"] += bool(reduced.error)
    return [{"set": "pairs", "kind": kind, **dict(counted)} for kind, counted in found.items()]


def table(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Builds the table: one row for each set, model and method."""
    head = [
        "runs",
        "model",
        "method",
        "image tokens",
        "all tokens",
        "sent",
        "cost",
        "targets",
        "only in pictures",
        "old targets",
    ]
    head += ["clicks", "newest whole", "pages", "repeats", "near", "false folds", "ms a frame"]
    whole = {(row["set"], row["model"], row["method"]): row for row in rows}
    return [head, *(_cells(row, whole) for row in rows)]


def _cells(row: dict[str, Any], whole: dict[tuple[str, str, str], dict[str, Any]]) -> list[str]:
    raw = "session untouched" if row["method"].startswith("session") else "untouched"
    base = whole.get((row["set"], row["model"], raw), row)
    return [
        f"{row['set']} ({row['runs']})",
        row["model"],
        row["method"] + (f" ({row['errors']} over)" if row["errors"] else ""),
        _change(row["image_tokens_after"], row["image_tokens_before"]),
        _change(row["tokens_after"], row["tokens_before"]),
        _change(row["sent_tokens"], base["sent_tokens"]),
        _change(row["sent_cost"], base["sent_cost"]),
        _places(row["targets"]),
        _places(row["picture_targets"]),
        _places(row["old_targets"]),
        _of(row["clicks"]),
        _of(row["last_whole"]),
        _places(row["pages"]),
        _of(row["repeats"]),
        _of(row["near"]),
        str(row["false_folds"]),
        f"{row['ms_per_frame']:.1f}",
    ]


def _change(after: float, before: float) -> str:
    return f"{100 * (after / before - 1):+.0f} %" if before else "–"


def _of(pair: Sequence[int]) -> str:
    return " / ".join(map(str, pair))


def _places(counted: dict[str, int]) -> str:
    """Formats how many are in view, one expansion away, further or lost."""
    view = sum(counted.get(place, 0) for place in IN_VIEW)
    return f"{view} / {counted.get('expand', 0)} / {counted.get('expand_2', 0) + counted.get('lost', 0)}"


def notes(pairs: Sequence[dict[str, Any]]) -> list[str]:
    """Returns what a reader of the table has to know."""
    lines = [
        "Recorded browsing runs as messages: one request with a fraction of its tokens as the budget and the questions",
        "at its end, or a session with a request after each step, without questions. *Sent* and *cost* add up all",
        "requests of a session against sending everything; what a request has in common with the one before costs a",
        "tenth. *Targets*: texts that are asked for: legible in view / one expansion away / further or lost. *Only in",
        "pictures*: without those that stand in a text of the run anyway. *Old*: not on the newest picture. *Clicks*:",
        "elements of the newest picture that can be clicked. *Newest whole*: requests with their newest picture",
        "unchanged / at its place / all. *Pages*: the last picture of each page, as targets. *Repeats*, *near*:",
        "pictures that repeat an earlier one, exactly or but for a small place, and are not sent beside it.",
        "*(n over)*: runs that did not fit the budget; they are sent and counted as they were.",
    ]
    if pairs:
        total = sum(
            (Counter({key: n for key, n in row.items() if isinstance(n, int)}) for row in pairs), Counter[str]()
        )
        lines += [
            f"{total['pairs']:,} pairs of pictures that differ a little: {total['picture']:,} places keep their",
            f"picture, {total['own']:,} have a ref to their own original (no claim, so nothing to judge),",
            f"{total['none']:,} neither, {total['claim']:,} rightly name another picture, {total['false']:,} lead to a",
            "wrong one.",
        ]
    return lines
