"""Tests that need a server, a model, a framework, a browser or other processes. The name of their folder is their marker.

`pytest -m redis` or `pytest -m "not models"` chooses by it. A test whose package or program is missing is skipped; with
COMPRESSOR_REQUIRE_MODELS=1 (CI) missing model packages, servers and browsers are failures.
"""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(item.path.relative_to(HERE).parts[0])
