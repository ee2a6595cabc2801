"""Stores in files."""

from __future__ import annotations

import pytest

from support.store_tools import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
