"""Stores without a server. The same tests run with Redis in tests/integration/redis."""

from __future__ import annotations

import pytest

from support.store_fixtures import clock, make
from support.store_tools import LOCAL

__all__ = ["clock", "make"]


@pytest.fixture(params=LOCAL)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=[LOCAL], ids="+".join)
def kinds(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Kinds of stores that are driven in step."""
    return tuple(request.param)
