"""Percentiles of durations."""

from __future__ import annotations

from random import Random

import pytest

pytest.importorskip("prometheus_client")

from compressor.service.dashboard.durations import (
    LAST_BUCKET,
    bucket_number,
    from_list,
    from_old_columns,
    quantile,
    to_list,
)


def counts(values: list[float]) -> dict[int, int]:
    out: dict[int, int] = {}
    for value in values:
        out[bucket_number(value)] = out.get(bucket_number(value), 0) + 1
    return out


@pytest.mark.parametrize("seconds", [2e-5, 0.0006, 0.014, 2.52, 31.0, 299.0, 1_000.0])
def test_one_duration_shows_as_such(seconds: float) -> None:
    for fraction in (0.5, 0.95, 0.99):
        assert quantile(counts([seconds]), fraction) == pytest.approx(seconds, rel=0.1)
    assert quantile(counts([seconds]), 0.5) == pytest.approx(seconds, rel=0.05)


def test_percentiles_are_true() -> None:
    random = Random(3)
    for sigma in (0.1, 1.0, 2.5):
        values = sorted(random.lognormvariate(-4, sigma) for _ in range(5_000))
        found = counts(values)
        for fraction in (0.5, 0.95, 0.99):
            assert quantile(found, fraction) == pytest.approx(values[int(fraction * 5_000)], rel=0.06)


def test_ends_and_json() -> None:
    assert quantile({}, 0.5) is None
    assert bucket_number(0) == bucket_number(-1) == 0 and bucket_number(10**9) == LAST_BUCKET
    found = counts([0.001, 0.002, 0.002, 5])
    assert from_list(to_list(found)) == found
    with pytest.raises(ValueError):
        from_list([1, 2, 3])


def test_records_of_version_1_are_read() -> None:
    columns = [0.0, 0.0, 3.0] + [0.0] * 13 + [2.0]  # three of 2.5 to 5 ms, two of more than 5 minutes
    found = from_old_columns(columns)
    assert sum(found.values()) == 5
    assert 0.0025 <= (quantile(found, 0.3) or 0) <= 0.005 and (quantile(found, 0.99) or 0) > 300
