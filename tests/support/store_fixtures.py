"""Fixtures of stores, for each `kind` that the folder's conftest names: import them there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.store_tools import Both, Clock, clock_for, make_store


@pytest.fixture
def clock(kind: str) -> Clock:
    """The clock of the stores that `make` makes."""
    return clock_for(kind)


@pytest.fixture
def make(kind: str, clock: Clock, tmp_path: Path) -> Iterator[Callable[..., Both]]:
    """Makes stores of one kind that share what they hold, and closes them after the test."""
    made: list[Both] = []

    def one(**options: Any) -> Both:
        made.append(make_store(kind, tmp_path, **options))
        return made[-1]

    yield one
    for store in made:
        store.close()
