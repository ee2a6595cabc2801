"""The stores that need a Redis server."""

from __future__ import annotations

import pytest

from support.store_fixtures import clock, make
from support.store_tools import REMOTE

__all__ = ["clock", "make"]


@pytest.fixture(params=REMOTE)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=[(kind,) for kind in REMOTE], ids="+".join)
def kinds(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)
