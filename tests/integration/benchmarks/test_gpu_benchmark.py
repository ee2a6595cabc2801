"""`make bench-gpu`: what it says where there is no GPU, and that one failing step stops no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import ceiling, gpu, report, throughput
from benchmarks.data import REPOSITORY
from compressor.errors import ModelError, QueueFullError
from compressor.scoring import BLEND_WEIGHTS, ModelScorer, Query, UnitBatch

torch = pytest.importorskip("torch")


@pytest.fixture
def run() -> gpu.GpuRun:
    return gpu.GpuRun("cpu", "A card", False, time.monotonic() + 1_000)


@pytest.mark.moderate
def test_without_cuda_it_says_not_run_and_exits_with_0() -> None:
    environment = {**os.environ, "COMPRESSOR_DEVICE": "cpu", "PYTHONPATH": str(REPOSITORY)}
    environment.pop("BENCH_GPU_DEVICE", None)
    before = {path: path.stat().st_mtime_ns for path in report.RESULTS.iterdir()}
    made = subprocess.run([sys.executable, "-m", "benchmarks.gpu"], env=environment, capture_output=True, text=True)
    assert made.returncode == 0 and made.stdout.startswith("bench-gpu: not run (")
    assert before == {path: path.stat().st_mtime_ns for path in report.RESULTS.iterdir()}


def test_a_step_that_fails_leaves_a_row_and_the_next_runs(run: gpu.GpuRun) -> None:
    done: list[str] = []
    run.step("broken", lambda: torch.ones(2) @ torch.ones(3))
    run.step("whole", lambda: done.append("whole"))
    run.end = time.monotonic() + 5
    run.step("late", lambda: done.append("late"))
    assert done == ["whole"] and [row["what"] for row in run.rows] == ["broken", "late"]
    assert "RuntimeError" in run.rows[0]["why"] and run.rows[1]["why"] == "no time was left"
    assert run.report().table[1][:3] == ["broken", "–", "not run"]


def test_it_writes_the_card_and_both_tables(run: gpu.GpuRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = throughput.LoadResult([0.1, 0.2], 100, 0.3, 0)
    run.rows.append({"what": "embedding", "at_once": 8, **served.row(), "rank_correlation": 0.9995, "share": 0.25})
    run.rows.append({"what": "tests", "passed": ["one"], "failed": [], "skipped": []})
    begin, end = gpu.MARKS
    (tmp_path / "README.md").write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "README.md").write_text("# Results\n")
    monkeypatch.setattr(gpu, "REPOSITORY", tmp_path)
    for module in (gpu, report):
        monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    gpu.write(run)
    gpu.write(run)
    written = json.loads((tmp_path / "results" / "gpu.json").read_text())
    assert written["rows"][0] == {"card": "A card"} and written["rows"][1]["at_once"] == 8
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith(f"before\n{begin}\nA card") and readme.endswith(f"{end}\nafter\n") and "old" not in readme
    assert "| embedding | 8 |" in readme and readme.count("| what |") == 1
    assert "## On a GPU: A card" in (tmp_path / "results" / "README.md").read_text()


def test_a_model_that_fails_counts_as_fallen_back() -> None:
    class Failing:
        name = "failing"

        def __init__(self, error: Exception) -> None:
            self.error = error

        def relevance(self, query: Query, units: UnitBatch, which: object) -> np.ndarray:
            raise self.error

    for error in (ModelError("broken"), QueueFullError("late")):
        alone = gpu.ModelAlone(ModelScorer("x", Failing(error), BLEND_WEIGHTS["embedding"]))
        assert throughput.serve(alone, 1, [next(throughput.requests(1, 1))] * 2).fallbacks == 2


@pytest.mark.parametrize("way", ["padded", "packed"])
def test_the_ceiling_of_both_ways(way: ceiling.Way, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ceiling.MATRIX_SIDE, "cpu", 64)
    monkeypatch.setitem(ceiling.COPY_NUMBERS, "cpu", 1 << 16)
    monkeypatch.setattr(ceiling, "REPEATS", 1)
    found = ceiling.bound("cpu", way, batch=1)
    assert found.tokens_per_second > 0 and found.limit > 0
