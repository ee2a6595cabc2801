"""Runs benchmarks and writes `results/`.

Usage: `python -m benchmarks [--only sessions,qa] [--methods ours,masking] [--limit N]`. The battery also has
`[--tasks kv,records] [--seed N] [--tier NAME] [--look N] [--jobs N]`, and `facts_kept` has `--tasks`, `--seed` and
`--look`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import (
    batching,
    battery,
    encoder_quality,
    encoders,
    example_banks,
    example_lists,
    example_scale,
    examples,
    facts,
    facts_kept,
    images,
    legibility,
    lingua,
    long_session,
    lossless,
    many_shot,
    plot,
    qa,
    runs,
    service_cache,
    service_faults,
    service_fuzz,
    service_load,
    service_proxy,
    shared_conversations,
    speed,
    speed_memory,
    survival,
    throughput,
    tiers,
    tool_arguments,
    tools,
    tools_conversation,
    word_pruning,
)
from benchmarks.columns import BASELINES
from benchmarks.data import folder
from benchmarks.images_case import METHODS as IMAGE_METHODS
from benchmarks.methods import DOCUMENTS, SESSIONS, TIERS
from benchmarks.report import Report, write_page

Benchmark = Callable[[Path, int | None, list[str]], Report]
WITHOUT_DATA = (
    "battery",
    "throughput",
    "service_cache",
    "service_proxy",
    "service_fuzz",
    "shared_conversations",
    "facts_kept",
    "example_lists",
    "images",
    "legibility",
)
BENCHMARKS: dict[str, Benchmark] = {
    "sessions": survival.run,
    "facts": facts.run,
    "qa": qa.run,
    "folds": lossless.run,
    "speed": speed.run,
    "memory": speed_memory.run,
    "tiers": tiers.run,
    "throughput": throughput.run,
    "encoders": encoders.run,
    "encoder_quality": encoder_quality.run,
    "batching": batching.run,
    "words": word_pruning.run,
    "lingua": lingua.run,
    "runs": runs.run,
    "facts_kept": facts_kept.run,
    "marathon": long_session.run,
    "service_load": service_load.run,
    "service_cache": service_cache.run,
    "service_proxy": service_proxy.run,
    "service_faults": service_faults.run,
    "service_fuzz": service_fuzz.run,
    "shared_conversations": shared_conversations.run,
    "examples": examples.run,
    "example_lists": example_lists.run,
    "example_banks": example_banks.run,
    "example_scale": example_scale.run,
    "many_shot": many_shot.run,
    "tools": tools.run,
    "tools_conversation": tools_conversation.run,
    "tool_arguments": tool_arguments.run,
    "battery": battery.run,
    "images": images.run,
    "legibility": legibility.run,
}
#: Plainer names for `--only`.
ALIASES = {"lossless": "folds", "long_session": "marathon"}
#: Run by default: they take two minutes. The others take up to ten minutes each, and some need the models.
DEFAULT = ("sessions", "facts", "qa", "folds", "speed")


def main() -> None:
    """Runs the chosen benchmarks; without data it prints a message and succeeds."""
    others = [
        *(method.name for method in [*runs.METHODS, *facts_kept.METHODS]),
        *(method.name for method in IMAGE_METHODS),
        *tools.METHODS,
        *tools_conversation.METHODS,
    ]
    known = list(dict.fromkeys([*SESSIONS, *facts.METHODS, *DOCUMENTS, *lossless.METHODS, *TIERS, *BASELINES, *others]))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", default=os.environ.get("ONLY"), help=f"benchmarks to run, separated by commas: {','.join(BENCHMARKS)}"
    )
    parser.add_argument(
        "--methods", help=f"methods to compare, separated by commas: {','.join(known)}".replace("%", "%%")
    )
    parser.add_argument(
        "--limit", type=int, default=os.environ.get("LIMIT"), help="maximum cases per set, for a quick look"
    )
    _add_battery_options(parser)
    args = parser.parse_args()
    chosen = [ALIASES.get(n, n) for n in args.only.split(",")] if args.only else list(DEFAULT)
    methods = args.methods.split(",") if args.methods else known
    if unknown := [n for n in chosen if n not in BENCHMARKS] + [m for m in methods if m not in known]:
        parser.error(f"unknown benchmark or method: {', '.join(unknown)}")
    names = tuple(args.tasks.split(",")) if args.tasks else ()
    options = battery.Options(names, args.seed, args.tier, args.look, args.jobs)
    root = folder()
    kept = facts_kept.Options(names, args.seed, args.look)
    if "facts_kept" in chosen and (lacking := kept.unknown(root or Path())):
        parser.error(f"unknown part: {', '.join(lacking)}; known: {','.join(facts_kept.PARTS)}, files in sessions")
    if "facts_kept" not in chosen or "battery" in chosen:
        try:
            options.names()
        except KeyError as error:
            parser.error(f"unknown task: {error}; known: {','.join([*battery.GROUPS, *battery.TASKS])}")
    benchmarks: dict[str, Benchmark] = {
        **BENCHMARKS,
        "battery": partial(battery.run, options=options),
        "facts_kept": partial(facts_kept.run, options=kept),
    }
    if root is None and not set(chosen) <= set(WITHOUT_DATA):
        print("Found no data, so nothing was measured. Set COMPRESSOR_BENCH_DATA, or put the data in ../shared/data.")
        return
    flags = (f" --limit {args.limit}" if args.limit else "") + (f' --methods "{args.methods}"' if args.methods else "")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = (
            cache  # the default store is a file in the user's cache, which must stay as it is
        )
        for name in chosen:
            if name == "legibility" and (why := legibility.missing()):
                print(f"legibility: not run ({why}).")
                continue
            start = time.perf_counter()
            report = benchmarks[name](root or Path(), args.limit, methods)
            own = {"battery": options.flags, "facts_kept": kept.flags}.get(name, str)()
            path = report.write(f"python -m benchmarks --only {name}{flags}{own}")
            if name == "sessions":
                plot.survival(report)
            print(f"{report.markdown()}\n{path.name}: {time.perf_counter() - start:.0f} s\n", flush=True)
    write_page([*BENCHMARKS, "gpu"], {"sessions": plot.FILE})


def _add_battery_options(parser: argparse.ArgumentParser) -> None:
    """Adds what only the battery and the ruler of kept facts have."""
    group = parser.add_argument_group("battery, facts_kept")
    known = ",".join([*battery.GROUPS, *battery.TASKS])
    parts = ",".join(facts_kept.PARTS)
    group.add_argument(
        "--tasks", default=os.environ.get("TASKS"), help=f"tasks, separated by commas: {known}; facts_kept: {parts}"
    )
    group.add_argument("--seed", type=int, default=os.environ.get("SEED", 1), help="seed of generated cases")
    group.add_argument("--tier", default=os.environ.get("TIER", ""), help="scorer (default: the embedded one)")
    group.add_argument(
        "--look", type=int, default=os.environ.get("LOOK", 0), help="cases to print, as a model would see them"
    )
    group.add_argument("--jobs", type=int, default=os.environ.get("JOBS", 1), help="processes")


if __name__ == "__main__":
    main()
