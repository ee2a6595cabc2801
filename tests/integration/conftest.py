"""Tests that need a server, a model, a framework, a browser or other processes. Their folder names their marker.

`pytest -m redis` or `pytest -m "not models"` chooses by it. A test whose package or program is missing is skipped; with
COMPRESSOR_REQUIRE_MODELS=1 (CI) missing model packages, servers and browsers are failures.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from pathlib import Path

import pytest

from support.quick_http import make_http_quick

make_http_quick()
HERE = Path(__file__).parent
OURS = ("compressor", "compressor_agents", "support", "unit")


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    """Whether a client asks for its answer as a stream."""
    return bool(request.param)


@pytest.fixture(params=["expand_context", "recall_context"])
def own_tool(request: pytest.FixtureRequest) -> str:
    """Which of the compressor's own tools a model calls."""
    return str(request.param)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(item.path.relative_to(HERE).parts[0])


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skips a file that imports a package that is not installed: not every checkout has every extra."""
    report = yield
    if (
        report.outcome == "failed"
        and HERE in collector.path.parents
        and not os.environ.get("COMPRESSOR_REQUIRE_MODELS")
    ):
        missing = re.search(r"ModuleNotFoundError: No module named '([^'.]+)", str(report.longrepr))
        if missing and missing[1] not in OURS:
            report.outcome = "skipped"
            report.longrepr = (str(collector.path), 0, f"Skipped: {missing[1]} is not installed")
    return report
