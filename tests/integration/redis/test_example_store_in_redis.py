"""An `ExampleStore` in Redis: the same tests as with the other stores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compressor.storage.base import BlobStore
from support.redis_tools import RedisServer
from unit.pipeline.examples.test_example_store import (  # noqa: F401
    test_a_bank_is_there_again,
    test_processes_see_each_others_changes,
    test_the_log_does_not_grow_without_end,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlobStore]:
    from compressor.storage.redis.store import RedisStore

    server = RedisServer(tmp_path)
    opened = RedisStore(f"redis://127.0.0.1:{server.port}/0")
    yield opened
    opened.close()
