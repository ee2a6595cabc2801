"""Counts durations in narrow buckets, so that percentiles are true to within 5 %.

Each bucket is 10 % longer than the one before it. Counts are kept by bucket number, and only where there are any.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from compressor.service.telemetry.metrics import DURATION_BUCKETS

SHORTEST = 1e-5  # seconds; the end of the first bucket
GROWTH = 1.1
LAST_BUCKET = math.ceil(math.log(3_600 / SHORTEST, GROWTH))  # an hour, and whatever takes longer

DurationCounts = dict[int, int]


def bucket_number(seconds: float) -> int:
    """Returns the number of the bucket that a duration belongs to."""
    if seconds <= SHORTEST:
        return 0
    return min(LAST_BUCKET, math.ceil(math.log(seconds / SHORTEST, GROWTH)))


def quantile(counts: Mapping[int, int], fraction: float) -> float | None:
    """Returns a quantile of durations, in seconds, or None if there are none.

    Args:
        counts: The durations in each bucket; they are taken to be spread evenly within it.
        fraction: The fraction of durations that are at most that long.
    """
    remaining = fraction * sum(counts.values())
    for bucket, count in sorted(counts.items()):
        if count and remaining <= count:
            high = SHORTEST * GROWTH**bucket
            low = high / GROWTH if bucket else 0.0
            return round(low + (high - low) * max(remaining, 0.5) / max(count, 1), 6)
        remaining -= count
    return None


def add_counts(sums: dict[int, DurationCounts], at: int, more: Mapping[int, int]) -> None:
    """Adds counts to those of a minute, an hour or a point."""
    counts = sums.setdefault(at, {})
    for bucket, count in more.items():
        counts[bucket] = counts.get(bucket, 0) + count


def to_list(counts: Mapping[int, int]) -> list[int]:
    """Returns counts as JSON data: bucket, count, bucket, count, ..."""
    return [number for pair in sorted(counts.items()) for number in pair]


def from_list(numbers: Sequence[int]) -> DurationCounts:
    """Returns the counts that `to_list` wrote.

    Raises:
        TypeError, ValueError: The data is not valid.
    """
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return {max(0, min(LAST_BUCKET, int(bucket))): int(count) for bucket, count in pairs}


def from_old_columns(columns: Iterable[float]) -> DurationCounts:
    """Returns the counts of records of version 1.0, which have a column for each bucket of the metrics' histograms."""
    ends = [*DURATION_BUCKETS, 2 * DURATION_BUCKETS[-1]]
    starts = [0.0, *DURATION_BUCKETS]
    return {
        bucket_number((start + end) / 2): int(count)
        for start, end, count in zip(starts, ends, columns, strict=False)
        if count
    }
