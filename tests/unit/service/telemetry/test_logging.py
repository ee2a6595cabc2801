"""What uvicorn says about websockets: neither a path, which may begin with a key, nor an error that is none."""

from __future__ import annotations

import logging

import pytest

pytest.importorskip("uvicorn")

from compressor.service.telemetry.logging import _is_wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('%s - "WebSocket %s" [accepted]', False),
        ('%s - "WebSocket %s" %d', False),
        ("ASGI callable returned without completing handshake.", False),
        ("Exception in ASGI application\n", True),
        ("Started server process [%d]", True),
    ],
)
def test_lines_of_uvicorn(text: str, wanted: bool) -> None:
    record = logging.LogRecord("uvicorn.error", logging.INFO, "", 0, text, None, None)
    assert _is_wanted(record) is wanted


def test_they_are_the_lines_that_uvicorn_writes() -> None:
    """A newer uvicorn may word them otherwise, and then the filter has to follow."""
    import inspect

    implementation = pytest.importorskip("uvicorn.protocols.websockets.websockets_sansio_impl")
    source = inspect.getsource(implementation)
    assert '"WebSocket %s"' in source and "without completing handshake" in source
