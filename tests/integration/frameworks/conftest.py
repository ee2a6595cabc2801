"""Fixtures that the tests of the SDK clients and agent frameworks share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from compressor import Compressor


@pytest.fixture(scope="module")
def compressor() -> Compressor:
    """Returns a compressor with a store in memory."""
    return Compressor(store="memory")


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Yields an event loop that lives as long as the test, because clients keep their connections."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    """Returns whether the caller asks for a stream."""
    return bool(request.param)
