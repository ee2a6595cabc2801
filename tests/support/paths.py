"""The folders of the repository that tests read."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
EXAMPLES = ROOT / "examples"
#: Recorded data sets that may lie beside the repository.
SHARED_DATA = ROOT.parent / "shared" / "data"
