"""Computes how well units match a query from the words that they share with it.

Twins: `TermCounts`, `propagate_relevance` and `_combine_matches` of `compressor.scoring`, and `find_novelty` and
`propagate_to_ancestors` of `compressor.pipeline.ranking`.
"""

import numpy as np

from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t
from libcpp.vector cimport vector

ctypedef const int32_t[::1] Ints
ctypedef const float[::1] Floats


def count_terms(
    const int64_t[::1] rows, Ints columns, int32_t[::1] row, int32_t[::1] column, int64_t[::1] times, int64_t[::1] found
):
    """Twin of `TermCounts.count`.

    Args:
        rows: The row of each match.
        columns: The query term of each match.
        row: Gets the row of each distinct pair, in order of rows, then of terms; as long as `rows`.
        column: Gets the term of each pair.
        times: Gets how often each pair occurs.
        found: [width] gets the number of rows that have each term, starts with 0.

    Returns:
        The number of pairs.
    """
    cdef Py_ssize_t size = rows.shape[0], width = found.shape[0], i, count = 0
    cdef int64_t first, last
    cdef vector[Py_ssize_t] start
    cdef vector[Py_ssize_t] by_column
    cdef vector[Py_ssize_t] order
    if not size:
        return 0
    if columns.shape[0] != size or row.shape[0] < size or column.shape[0] < size or times.shape[0] < size:
        raise ValueError("arrays do not fit together")
    first = last = rows[0]
    for i in range(size):
        first, last = min(first, rows[i]), max(last, rows[i])
        if columns[i] < 0 or columns[i] >= width:
            raise ValueError("no such term")
    # Sorted by term and then by row, by counting: matches of one row are then in order of their terms.
    start.assign(width + 1, 0)
    by_column.resize(size)
    for i in range(size):
        start[columns[i] + 1] += 1
    for i in range(width):
        start[i + 1] += start[i]
    for i in range(size):
        by_column[start[columns[i]]] = i
        start[columns[i]] += 1
    start.assign(last - first + 2, 0)
    order.resize(size)
    for i in range(size):
        start[rows[i] - first + 1] += 1
    for i in range(last - first + 1):
        start[i + 1] += start[i]
    for i in by_column:
        order[start[rows[i] - first]] = i
        start[rows[i] - first] += 1
    for i in order:
        if count and row[count - 1] == rows[i] and column[count - 1] == columns[i]:
            times[count - 1] += 1
        else:
            row[count], column[count], times[count] = <int32_t>rows[i], columns[i], 1
            found[columns[i]] += 1
            count += 1
    return count


def add_scores(
    float[::1] out,
    Ints row,
    Ints column,
    const int64_t[::1] times,
    const double[::1] idf,
    Ints lengths,
    double mean_length,
    double k1,
    double b,
):
    """Twin of `TermCounts.bm25`: adds the score of each pair to its row."""
    cdef Py_ssize_t i
    cdef double tf, norm
    if column.shape[0] != row.shape[0] or times.shape[0] != row.shape[0] or out.shape[0] != lengths.shape[0]:
        raise ValueError("arrays do not fit together")
    for i in range(row.shape[0]):
        tf = <double>times[i]
        norm = k1 * (1 - b + b * <double>lengths[row[i]] / mean_length)
        out[row[i]] += <float>(idf[column[i]] * tf * (k1 + 1) / (tf + norm))


def propagate(
    float[::1] out,
    Floats relevance,
    Ints rows,
    Ints source_indices,
    Ints parents,
    const uint16_t[::1] flags,
    uint16_t header,
    float after,
    float before,
    float group,
):
    """Twin of `propagate_relevance`: writes [n] the propagated relevance to `out`."""
    cdef Py_ssize_t n = out.shape[0], i, previous = -1, current
    cdef vector[uint8_t] is_record
    cdef vector[float] own
    if relevance.shape[0] != n or rows.shape[0] != n or source_indices.shape[0] != n:
        raise ValueError("arrays do not fit together")
    if parents.shape[0] != n or flags.shape[0] != n:
        raise ValueError("arrays do not fit together")
    is_record.assign(n, 0)
    for i in range(n):
        out[i] = relevance[i]
        is_record[rows[i]] = 1
    for current in range(n):
        if not is_record[current]:
            continue
        if previous >= 0 and source_indices[current] == source_indices[previous]:
            out[current] = max(out[current], after * relevance[previous])
            out[previous] = max(out[previous], before * relevance[current])
        previous = current
    own.resize(n)
    for i in range(n):
        own[i] = out[i]
    for i in range(n):
        if parents[i] >= 0 and not flags[parents[i]] & header:
            out[parents[i]] = max(out[parents[i]], own[i])
    for i in range(n):
        own[i] = out[i]
    for i in range(n):
        if parents[i] >= 0 and not flags[parents[i]] & header:
            out[i] = max(own[i], group * own[parents[i]])


def combine_matches(
    float[::1] out,
    Floats records,
    Floats single,
    Floats costs,
    Ints rows,
    Ints source_indices,
    const uint8_t[::1] spoken,
    double turn_tokens,
    double record_tokens,
    float group,
    float near,
):
    """Twin of `_combine_matches`: writes [n] how well units match a question to `out`."""
    cdef Py_ssize_t n = out.shape[0], i, distance
    cdef vector[float] best
    cdef vector[double] size
    cdef vector[double] match
    cdef vector[double] spread
    cdef double floor, other, top
    cdef float own
    if records.shape[0] != n or single.shape[0] != n or costs.shape[0] != n or rows.shape[0] != n:
        raise ValueError("arrays do not fit together")
    if source_indices.shape[0] != n or spoken.shape[0] != n:
        raise ValueError("arrays do not fit together")
    best.assign(n, 0)
    size.assign(n, 0)
    match.resize(n)
    for i in range(n):
        best[rows[i]] = max(best[rows[i]], single[i])
        size[rows[i]] += <double>costs[i]
    for i in range(n):
        own = single[i] / max(best[rows[i]], <float>1e-6)
        floor = (turn_tokens if spoken[rows[i]] else record_tokens) / max(size[rows[i]], <double>1)
        floor = <double>group * sqrt(min(<double>1, floor))
        match[i] = <double>records[rows[i]] * max(<double>own, floor)
    spread = match
    for i in range(n):
        other = 0 if spoken[i] else match[i] * <double>near
        for distance in range(1, 3):
            if i + distance < n and source_indices[i + distance] == source_indices[i]:
                spread[i + distance] = max(spread[i + distance], other)
            if i >= distance and source_indices[i - distance] == source_indices[i]:
                spread[i - distance] = max(spread[i - distance], other)
            other = other * <double>0.5
    top = 0
    for i in range(n):
        top = max(top, spread[i])
    top = max(top, 1e-6)
    for i in range(n):
        out[i] = <float>(spread[i] / top)


def find_novelty(const int64_t[::1] position, Ints unit, Ints token, const uint8_t[::1] kinds, Floats weights):
    """Twin of `compressor.pipeline.ranking.find_novelty`."""
    cdef Py_ssize_t n = position.shape[0], size = kinds.shape[0], i
    cdef vector[int64_t] best
    cdef vector[double] total
    cdef double weight
    if token.shape[0] != unit.shape[0]:
        raise ValueError("arrays do not fit together")
    out = np.zeros(n)
    cdef double[::1] fresh = out
    best.assign(size, n)
    total.assign(n, 0)
    for i in range(unit.shape[0]):
        if unit[i] < 0 or unit[i] >= n or token[i] < 0 or token[i] >= size or kinds[token[i]] >= weights.shape[0]:
            raise ValueError("no such unit, token or class")
        best[token[i]] = min(best[token[i]], position[unit[i]])
    for i in range(unit.shape[0]):
        weight = <double>weights[kinds[token[i]]]
        total[unit[i]] += weight
        if position[unit[i]] == best[token[i]]:
            fresh[unit[i]] += weight
    for i in range(n):
        fresh[i] = fresh[i] / max(total[i], 1e-9) if total[i] > 0 else 1
    return out


def propagate_to_ancestors(int64_t[::1] position, Ints parents):
    """Twin of `compressor.pipeline.ranking.propagate_to_ancestors`: lowers positions in place."""
    cdef Py_ssize_t n = position.shape[0], i
    cdef bint has_moved = True
    if parents.shape[0] != n:
        raise ValueError("arrays do not fit together")
    for i in range(n):
        if parents[i] >= n:
            raise ValueError("no such unit")
    while has_moved:  # once more only where a parent comes after its child
        has_moved = False
        for i in range(n - 1, -1, -1):
            if parents[i] >= 0 and position[parents[i]] > position[i]:
                position[parents[i]] = position[i]
                has_moved |= parents[i] > i
