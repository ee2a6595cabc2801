"""The stores that need a Redis server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.redis_tools import RedisServer
from support.store_fixtures import clock, make
from support.store_tools import REMOTE

__all__ = ["clock", "make"]


@pytest.fixture(params=REMOTE)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=[(kind,) for kind in REMOTE], ids="+".join)
def kinds(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return tuple(request.param)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of its own that loses nothing it has acknowledged."""
    server = RedisServer(tmp_path / "r", appendonly="yes", appendfsync="always")
    yield server
    server.stop()
