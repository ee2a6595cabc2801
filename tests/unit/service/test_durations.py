"""Durations in settings: seconds, or a number with a unit."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.errors import CompressorError
from compressor.service.settings import Settings
from compressor.service.settings_fields import parse_duration
from compressor.service.settings_sources import load
from compressor.storage import Retention


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(90, 90), (0.5, 0.5), ("90", 90), ("90s", 90), ("30m", 1800), ("1.5 H", 5400), ("7d", 604_800), ("2w", 1_209_600)],
)
def test_forms(given: Any, seconds: float) -> None:
    assert parse_duration(given) == seconds


@pytest.mark.parametrize("given", ["", "d", "-1", -1, "1y", "1h30m", True, None, [1], "9" * 400, 1e300, float("nan")])
def test_what_is_no_duration(given: Any) -> None:
    with pytest.raises(ValueError, match="neither seconds"):
        parse_duration(given)


def test_they_come_from_the_environment_and_make_a_retention() -> None:
    settings = load(None, {"COMPRESSOR_ORIGINALS_TTL": "1h", "COMPRESSOR_SESSIONS_TTL": "7200"})
    assert settings.retention() == Retention(originals=3600, sessions=7200)
    assert settings.for_tenant("red", {"results_ttl": "1d"}).retention().results == 86_400
    with pytest.raises(CompressorError, match=r"COMPRESSOR_ORIGINALS_TTL='soon' is neither seconds"):
        load(None, {"COMPRESSOR_ORIGINALS_TTL": "soon"})
    assert Settings().retention() == Retention()
