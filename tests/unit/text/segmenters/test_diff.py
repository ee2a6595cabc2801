"""Diffs: changed lines come before context, and context only with its change; the line that sums up is known."""

from __future__ import annotations

import numpy as np
import pytest

from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.diff import segment_diff
from compressor.text.segmenters.lines import line_starts, total_line
from support.segment_tools import units

DIFF = (
    "commit 1234567890\nAuthor: A\n\n    Message\n\n a.py | 4 +-\n 1 file changed, 2 insertions(+), 2 deletions(-)\n\n"
    "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n"
    "@@ -1,5 +1,5 @@ def f\n one\n-two\n+TWO\n three\n-four\n+FOUR\n five\n"
)


def test_changes_and_context_are_told_apart() -> None:
    found = segment_diff(DIFF)
    flags = dict(zip(units(found), found.flags.tolist(), strict=True))
    assert flags["-two\n+TWO\n"] == flags["-four\n+FOUR\n"] == UnitFlag.CHANGE
    assert flags[" one\n"] == flags[" three\n"] == flags[" five\n"] == UnitFlag.NOISE
    assert flags[" 1 file changed, 2 insertions(+), 2 deletions(-)\n"] == UnitFlag.SUMMARY


def test_context_comes_with_the_change_before_it() -> None:
    found = segment_diff(DIFF)
    out = found.render(np.array([" five" in unit for unit in units(found)]))
    assert "-four\n+FOUR\n five\n" in out and "two" not in out


@pytest.mark.parametrize(
    ("last", "is_total"),
    [
        ("41 files changed, 3 insertions(+)", True),
        ("(Results are truncated: showing first 60 results of 412)", True),
        ("total size is 4,096  speedup is 1.00", True),
        ("found 25 vulnerabilities", True),
        ("25 packages installed", True),
        ("file9.txt", False),
        ("the end", False),
    ],
)
def test_the_line_that_sums_up_a_listing(last: str, is_total: bool) -> None:
    text = "".join(f"file{i}.txt\n" for i in range(6)) + last + "\n\n"
    assert (total_line(text, line_starts(text)) == 6) is is_total
