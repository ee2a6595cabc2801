"""Sessions need a compressor at nearly every step: here it is called `c`."""

from __future__ import annotations

import pytest

from compressor import Compressor


@pytest.fixture
def c(compressor: Compressor) -> Compressor:
    return compressor
