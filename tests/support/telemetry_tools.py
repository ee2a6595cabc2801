"""What the service says of itself, caught in tests."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")


from compressor.service.telemetry import logging as logs


@contextmanager
def lines(level: int = logging.DEBUG) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What the service writes in the meantime, as `compressor serve` would."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter())
    logger = logging.getLogger("compressor.service")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
