"""Measures the model tiers on a GPU in at most eight minutes: `make bench-gpu`.

It runs the tests marked `gpu`, then measures the encoder alone against the card's limits, the tiers with 1 to 256
requests at once, and llama.cpp with all layers on the card. It writes results/gpu.json and the tables in README.md and
results/README.md. Without CUDA it says "not run" and writes nothing. A step that fails or for which no time is left
is a row that says so. BENCH_GPU_DEVICE=cpu runs every step on the CPU with tiny sizes, to try it out, and prints what
it would write.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from benchmarks import ceiling, throughput
from benchmarks.data import REPOSITORY, TINY_GGUF
from benchmarks.report import RESULTS, Report, load, write_page
from compressor import CompressorError
from compressor.errors import ModelError, QueueFullError
from compressor.scoring import ModelScorer, Query, Scorer, UnitBatch, make_scorer
from compressor.scoring.runtime.device import select_device

SECONDS = 480.0  # for everything
TEST_SECONDS = 150.0
#: A tier's next row begins only before this time.
TIER_SECONDS = 90.0
#: Seconds before the end in which no further step begins, and after which a step that hangs is given up.
RESERVE, GIVE_UP = 20.0, 15.0
TIERS = ("embedding", "pruner")
MARKS = "<!-- gpu: written by make bench-gpu -->", "<!-- /gpu -->"
#: Requests in all, by requests at once.
REQUESTS = {1: 20, 8: 80, 64: 192, 256: 512}
SHORT_REQUESTS = {1: 4, 8: 16, 64: 64, 256: 256}  # of a few documents, for a language model
TRIED_REQUESTS = {1: 2, 8: 8, 64: 64, 256: 256}
HEAD = ["what", "at once", "tokens/s", "p50 ms", "p95 ms", "fell back", "order as float32", "of the limit"]

Rows = list[dict[str, Any]]


@dataclass
class GpuRun:
    """One run of everything.

    Attributes:
        device: The device's name.
        card: The card's name.
        tried: Whether this is a trial on the CPU, with tiny sizes.
        end: When the time is over, on the monotonic clock.
        rows: What was measured so far.
        notes: What did not run, and why.
    """

    device: str
    card: str
    tried: bool
    end: float
    rows: Rows = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    limit: float = 0.0

    def left(self) -> float:
        """Returns the seconds that are left."""
        return self.end - time.monotonic()

    def step(self, name: str, work: Callable[[], None]) -> None:
        """Runs a step; if it fails, or no time is left, a row says so."""
        start, why = time.monotonic(), ""
        if self.left() < RESERVE:
            why = "no time was left"
        else:
            try:
                work()
            except Exception as error:  # whatever a driver or a kernel raises, the other steps run
                traceback.print_exc()
                why = f"{type(error).__name__}: {str(error).strip()[:200]}"
        if why:
            self.rows.append({"what": name, "state": "not run", "why": why})
            self.notes.append(f"*{name}*, not run: {why}.")
        print(f"{name}: {why or 'done'}, {time.monotonic() - start:.0f} s, {self.left():.0f} s left", flush=True)

    # -- steps

    def tests(self) -> None:
        """Runs the tests marked `gpu` in a process of their own."""
        file = Path(os.environ.get("TMPDIR", "/tmp")) / f"bench-gpu-{os.getpid()}.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", f"--junitxml={file}", "-p", "no:cacheprovider"]
        command += ["tests/integration/models/test_gpu.py"]
        environment = {**os.environ, "BENCH_GPU_DEVICE": self.device, "PYTHONPATH": _python_path()}
        try:
            seconds = min(TEST_SECONDS, self.left() - RESERVE)
            subprocess.run(command, cwd=REPOSITORY, env=environment, timeout=seconds, check=False)
            cases = list(ElementTree.parse(file).iter("testcase"))
        finally:
            file.unlink(missing_ok=True)
        found = {state: [str(c.get("name")) for c in cases if _state(c) == state] for state in _STATES}
        self.rows.append({"what": "tests", **found})
        counts = ", ".join(f"{len(names)} {state}" for state, names in found.items())
        self.notes.append(f"Tests marked `gpu`: {counts}. " + "; ".join(f"failed: {n}" for n in found["failed"]))

    def encoder(self, way: ceiling.Way) -> None:
        """Measures the encoder alone against what the card allows."""
        found = ceiling.bound(self.device, way, batch=2 if self.tried else 0)
        self.limit = max(self.limit, found.limit)
        share = {"share": found.fraction, "limit": found.limit, "arithmetic": found.arithmetic, "memory": found.memory}
        self.rows.append({"what": f"encoder alone, {way}", **vars(found), **share})
        self.notes.append(f"*Encoder alone, {way}*: {found}")

    def tier(
        self, name: str, label: str = "", plan: dict[int, int] = REQUESTS, documents: int = throughput.DOCUMENTS
    ) -> None:
        """Measures a tier as a whole and its model alone, with every number of requests at once."""
        plan, documents = (TRIED_REQUESTS, 1) if self.tried else (plan, documents)
        end = time.monotonic() + TIER_SECONDS
        scorer, supply = make_scorer(name, device=self.device), throughput.requests(1, documents)
        query, units = next(supply)
        scorer.score(query, units)  # loads what is loaded on first use
        if units.notes:
            raise CompressorError(units.notes[0])
        agreement = self._agreement(name, scorer, [next(supply) for _ in range(1 if self.tried else 3)])
        for whole in (False, True):
            for at_once, number in plan.items():
                if self.left() < RESERVE + 10 or time.monotonic() > end:
                    raise CompressorError(f"no time was left for {at_once} requests at once")
                cases = [next(supply) for _ in range(number)]
                made: Scorer = scorer if whole or not isinstance(scorer, ModelScorer) else ModelAlone(scorer)
                row = throughput.serve(made, at_once, cases).row()
                if self.limit and name in throughput.ENCODERS:
                    row["share"] = row["tokens_per_second"] / self.limit
                what = (label or name) + ("" if whole else ", model alone")
                self.rows.append({"what": what, "at_once": at_once, **row, **agreement})

    def _agreement(self, name: str, scorer: Scorer, cases: list[tuple[Query, UnitBatch]]) -> dict[str, float]:
        with throughput.plain_cpu():
            wanted = [throughput.model_scores(make_scorer(name, device="cpu"), *case) for case in cases]
        found = [throughput.model_scores(scorer, *case) for case in cases]
        return {"rank_correlation": min(map(throughput.ranks_agree, found, wanted))}

    def llama(self) -> None:
        """Measures the perplexity tier in llama.cpp, with all layers on the card."""
        library = import_module("llama_cpp")
        if not self.tried and not library.llama_supports_gpu_offload():
            raise CompressorError("this build of llama-cpp-python has no GPU support")
        path = Path(os.environ.get("COMPRESSOR_BENCH_GGUF") or TINY_GGUF)
        self.tier(f"perplexity:{path}", f"perplexity, {path.name}", SHORT_REQUESTS, 2)

    # -- what is written

    def report(self) -> Report:
        """Returns the table of what was measured."""
        notes = [
            f"{self.card}, torch {import_module('torch').__version__}.",
            *throughput.NOTES[:2],
            *NOTES,
            *self.notes,
        ]
        table = [HEAD, *(_line(row) for row in self.rows if row["what"] != "tests")]
        return Report("gpu", f"On a GPU: {self.card}", notes, table, [{"card": self.card}, *self.rows])


class ModelAlone:
    """A tier's model without the heuristic tier and the selection around it."""

    def __init__(self, scorer: ModelScorer) -> None:
        self.name, self._scorer = scorer.name, scorer

    def score(self, query: Query, units: UnitBatch) -> Any:
        """See `Scorer.score`."""
        try:
            return self._scorer.model.relevance(query, units, np.arange(len(units)))
        except (ModelError, QueueFullError) as error:
            units.notes.append(str(error))
            return np.zeros(len(units), np.float32)


_STATES = ("passed", "failed", "skipped")
NOTES = [
    "*Model alone* is the tier's model, tokenizing included, without the heuristic tier around it. *Order as float32*:",
    "the lowest rank correlation with the model in float32 on the CPU. *Of the limit*: of what arithmetic or memory of",
    "the card allow such an encoder at most, from its data sheet.",
]


def _state(case: ElementTree.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def _python_path() -> str:
    return os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])


def _line(row: dict[str, Any]) -> list[str]:
    if "state" in row:
        return [row["what"], "–", "not run", *"–––––"]
    times = [f"{row[key]:,.1f}" if key in row else "–" for key in ("p50_ms", "p95_ms")]
    return [
        row["what"],
        str(row.get("at_once", "–")),
        f"{row['tokens_per_second']:,.0f}",
        *times,
        str(row.get("fallbacks", "–")),
        f"{row['rank_correlation']:.5f}" if "rank_correlation" in row else "–",
        f"{row['share']:.0%}" if "share" in row else "–",
    ]


def write(run: GpuRun) -> None:
    """Writes results/gpu.json and the tables; a trial prints them."""
    report = run.report()
    if run.tried:
        print(report.markdown())
        return
    report.write("make bench-gpu")
    table = "\n".join(line for line in report.markdown().splitlines() if line.startswith("| "))
    readme, (begin, end) = REPOSITORY / "README.md", MARKS
    body = f"{begin}\n{run.card}, {report.made['date']}:\n\n{table}\n{end}"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(re.sub(f"{begin}.*?{end}", lambda _: body, text, flags=re.S), encoding="utf-8")
    write_page(_names(), {"sessions": "survival.svg"})
    print(f"{RESULTS / 'gpu.json'}\n{report.markdown()}")


def _names() -> list[str]:
    """The tables of results/README.md in the order in which they stand there, with this one at the end."""
    page = (RESULTS / "README.md").read_text(encoding="utf-8")
    reports = {path.stem: load(path.stem) for path in sorted(RESULTS.glob("*.json"))}
    shown = {name: page.find(f"## {report.title}\n") for name, report in reports.items() if report and name != "gpu"}
    return [*sorted((name for name, at in shown.items() if at >= 0), key=lambda name: shown[name]), "gpu"]


def main() -> int:
    """Runs everything. Returns 0, also where there is no CUDA, or 1 if a test failed or the time ran out."""
    wanted = os.environ.get("BENCH_GPU_DEVICE")
    if find_spec("torch") is None:
        print("bench-gpu: not run (torch is not installed)")
        return 0
    device = select_device(wanted) if wanted else select_device()
    if wanted is None and not device.name.startswith("cuda"):
        print(f"bench-gpu: not run ({device.reason})")
        return 0
    torch, tried = import_module("torch"), device.name == "cpu"
    card = "CPU" if tried else str(torch.cuda.get_device_name(device.name))
    run = GpuRun(device.name, card, tried, time.monotonic() + SECONDS)
    if tried:
        ceiling.MATRIX_SIDE["cpu"], ceiling.COPY_NUMBERS["cpu"] = 256, 1 << 20
    finished = threading.Event()
    threading.Thread(target=_guard, args=(run, finished), daemon=True).start()
    run.step("tests", run.tests)
    run.step("encoder alone, padded", lambda: run.encoder("padded"))
    run.step("encoder alone, packed", lambda: run.encoder("packed"))
    for tier in TIERS:
        run.step(tier, lambda tier=tier: run.tier(tier))  # type: ignore[misc]
    if not tried:
        run.step("encoder alone, compiled", lambda: run.encoder("compiled"))
    run.step("llama.cpp", run.llama)
    finished.set()
    write(run)
    return int(not any(row["what"] == "tests" and row.get("failed") == [] for row in run.rows))


def _guard(run: GpuRun, finished: threading.Event) -> None:
    """Ends the process when its time is over, with what was measured by then."""
    if finished.wait(max(0.0, run.left() - GIVE_UP)):
        return
    run.notes.append("The time ran out in a step that did not end.")
    write(replace(run, rows=list(run.rows)))
    sys.stdout.flush()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
