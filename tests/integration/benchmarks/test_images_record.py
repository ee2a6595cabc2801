"""The browsing runs can be recorded anew: the pages are the same in every browser, only pixels may differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.images_record import record
from benchmarks.images_run import load_runs
from benchmarks.images_scripts import SCRIPTS
from support.dashboard_tools import need_browser


@pytest.mark.slow
def test_a_run_can_be_recorded_anew(tmp_path: Path) -> None:
    need_browser()
    pytest.importorskip("PIL")
    known = load_runs()[-1]
    (run,) = record(SCRIPTS[-1:], tmp_path)
    assert load_runs(tmp_path) == [run]
    assert [replace(step, frame="") for step in run.steps] == [replace(step, frame="") for step in known.steps]
    assert [(t.question, t.text) for t in run.targets] == [(t.question, t.text) for t in known.targets]
    assert [click.name for click in run.clicks] == [click.name for click in known.clicks]
    assert run.png(0).startswith(b"\x89PNG")
