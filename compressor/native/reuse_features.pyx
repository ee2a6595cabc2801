"""Computes the features of the reuse predictor: of tokens, of units, and their sums in the network's hidden layer.

Twins: functions of `compressor.scoring.reuse_features`. Logarithms and exponentials are handed in, as
numpy's differ from those of C in the last bit.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libcpp.vector cimport vector

ctypedef const int32_t[::1] Ints
ctypedef const uint8_t[::1] Bytes
ctypedef const float[::1] Floats

cdef enum:
    CLASSES = 6
    PATH_FEATURES = 8
    LAYOUTS = 12
    FLAGS = 8
    RANGES = 3
    NEAR_END = 8


def token_features(
    float[:, ::1] out,
    Bytes kinds,
    const uint16_t[::1] shapes,
    int shape_bits,
    Ints unit,
    Ints token,
    Ints source_indices,
    Floats ages,
    Floats freshness,
    Floats unit_counts,
    Floats source_counts,
    Floats matched,
    Floats best,
    Bytes in_calls,
    Bytes retained,
    Bytes written,
    path_tokens,
    path_rows,
):
    """Twin of `_token_matrix`: writes [vocabulary, features] to `out`."""
    cdef Py_ssize_t size = kinds.shape[0], pairs = unit.shape[0], i, t, column
    cdef vector[int32_t] places
    cdef vector[int32_t] sources
    cdef vector[int32_t] last
    cdef vector[int32_t] newest
    cdef int32_t source
    cdef uint16_t shape
    cdef float* row
    if (
        out.shape[0] != size or out.shape[1] != CLASSES + shape_bits + 10 + PATH_FEATURES or shapes.shape[0] != size
        or token.shape[0] != pairs or matched.shape[0] != size or best.shape[0] != size or in_calls.shape[0] != size
        or retained.shape[0] != size or written.shape[0] != size or freshness.shape[0] != ages.shape[0]
        or unit_counts.shape[0] <= source_indices.shape[0] or source_counts.shape[0] <= ages.shape[0]
    ):
        raise ValueError("arrays do not fit together")
    places.assign(size, 0)
    sources.assign(size, 0)
    last.assign(size, -1)
    newest.assign(size, -1)
    for i in range(pairs):
        t = token[i]
        source = source_indices[unit[i]]
        places[t] += 1
        if last[t] != source:
            last[t] = source
            sources[t] += 1
            if newest[t] < 0 or ages[source] < ages[newest[t]]:
                newest[t] = source
    for t in range(size):
        row = &out[t, 0]
        shape = shapes[t]
        column = CLASSES
        for i in range(CLASSES):
            row[i] = kinds[t] == i
        for i in range(shape_bits):
            row[column] = shape >> i & 1
            column += 1
        row[column] = <float>(shape >> shape_bits) / <float>7
        row[column + 1] = unit_counts[places[t]]
        row[column + 2] = source_counts[sources[t]]
        row[column + 3] = freshness[newest[t]] if newest[t] >= 0 else 0
        row[column + 4] = matched[t]
        row[column + 5] = matched[t] >= <float>0.99
        row[column + 6] = in_calls[t]
        row[column + 7] = retained[t]
        row[column + 8] = written[t]
        row[column + 9] = best[t]
        for i in range(PATH_FEATURES):
            row[column + 10 + i] = 0
    column = CLASSES + shape_bits + 10
    for i in range(len(path_tokens)):
        row = &out[<Py_ssize_t>path_tokens[i], column]
        for value in path_rows[i]:
            row[0] = <float><double>value
            row += 1


def unit_features(
    float[:, ::1] out,
    Floats sizes,
    const uint16_t[::1] flags,
    Ints source_indices,
    Ints starts,
    const int32_t[:, ::1] forms,
    Floats match_unit,
    Floats match_source,
    ranges,
    const float[:, ::1] of_source,
    Ints columns,
    Bytes column_names,
    Ints members,
    Bytes member_names,
    Ints parents,
):
    """Twin of `_unit_matrix`: writes [units, features] to `out`."""
    cdef Py_ssize_t n = flags.shape[0], i, k, column, place, size, group
    cdef int32_t source
    cdef int32_t[RANGES] reach
    cdef float top = 0
    cdef float* row
    cdef uint8_t name
    cdef vector[float] found
    cdef vector[float] around
    cdef vector[float] best
    cdef vector[double] sums
    cdef vector[double] means
    if (
        out.shape[0] != n or out.shape[1] != 1 + FLAGS + LAYOUTS + 2 + 4 + RANGES + 3 + of_source.shape[1] + 7
        or sizes.shape[0] != n or source_indices.shape[0] != n or match_unit.shape[0] != n or columns.shape[0] != n
        or members.shape[0] != n or parents.shape[0] != n or starts.shape[0] != forms.shape[0] + 1
        or match_source.shape[0] != forms.shape[0] or of_source.shape[0] != forms.shape[0] or forms.shape[1] != 2
    ):
        raise ValueError("arrays do not fit together")
    if not n:
        return
    for k in range(RANGES):
        reach[k] = ranges[k]
    for i in range(n):
        top = max(top, match_unit[i])
    top = <float>max(<double>top, 1e-6)
    found.resize(n)
    sums.resize(n + 1)
    for i in range(n):
        found[i] = match_unit[i] / top
        sums[i + 1] = sums[i] + <double>found[i]
    around.resize(RANGES * n)
    for k in range(RANGES):
        _around(&around[0] + k * n, sums, means, source_indices, starts, reach[k])
    best = found
    for i in range(n):
        group = parents[i] if parents[i] >= 0 else i
        best[group] = max(best[group], found[i])
    for i in range(n):
        row = &out[i, 0]
        source = source_indices[i]
        row[0] = sizes[i]
        column = 1
        for k in range(FLAGS):
            row[column] = flags[i] >> k & 1
            column += 1
        for k in range(LAYOUTS):
            row[column] = forms[source, 0] == k
            column += 1
        for k in range(2):
            row[column] = forms[source, 1] == k
            column += 1
        row[column] = found[i]
        row[column + 1] = found[i] >= <float>0.999
        row[column + 2] = match_source[source]
        row[column + 3] = match_source[source] >= <float>0.999
        column += 4
        for k in range(RANGES):
            row[column] = around[k * n + i]
            column += 1
        place, size = i - starts[source], starts[source + 1] - starts[source]
        row[column] = <float>(<double>place / <double>max(size - 1, 1))
        row[column + 1] = <float>(<double>min(place, <Py_ssize_t>NEAR_END) / NEAR_END)
        row[column + 2] = <float>(<double>min(size - 1 - place, <Py_ssize_t>NEAR_END) / NEAR_END)
        column += 3
        for k in range(of_source.shape[1]):
            row[column] = of_source[source, k]
            column += 1
        name = 0
        if columns[i] >= 0:
            name = column_names[columns[i]]
        elif members[i] >= 0:
            name = member_names[members[i]]
        row[column] = columns[i] >= 0
        for k in range(3):
            row[column + 1 + k] = name >> k & 1
        group = parents[i] if parents[i] >= 0 else i
        row[column + 4] = best[group]
        row[column + 5] = parents[i] >= 0
        row[column + 6] = best[group] >= <float>0.999


cdef void _around(
    float* out, vector[double]& sums, vector[double]& means, Ints source, Ints starts, int32_t reach
) noexcept:
    """Twin of `_around`."""
    cdef Py_ssize_t n = sums.size() - 1, i, low, high
    cdef double top = 0
    means.resize(n)
    for i in range(n):
        low = max(i - reach, <Py_ssize_t>starts[source[i]])
        high = min(i + reach + 1, <Py_ssize_t>starts[source[i] + 1])
        means[i] = (sums[high] - sums[low]) / <double>max(high - low, <Py_ssize_t>reach)
        top = max(top, means[i])
    top = max(top, 1e-6)
    for i in range(n):
        out[i] = <float>(means[i] / top)


def first_members(int32_t[::1] out, Ints columns, Bytes in_json, Ints source_indices, Ints lengths, Ints token):
    """Twin of `_first_members`: writes the first token of each unit that is a member of a JSON object, or -1."""
    cdef Py_ssize_t i, start = 0
    if out.shape[0] != columns.shape[0] or out.shape[0] != lengths.shape[0] or out.shape[0] != source_indices.shape[0]:
        raise ValueError("arrays do not fit together")
    for i in range(out.shape[0]):
        out[i] = token[start] if columns[i] < 0 and lengths[i] > 1 and in_json[source_indices[i]] else -1
        start += lengths[i]


def add_pairs(float[:, ::1] out, const float[:, ::1] by_unit, const float[:, ::1] by_token, Ints unit, Ints token):
    """Writes by_unit[unit] + by_token[token] to `out`."""
    cdef Py_ssize_t i, k, width = out.shape[1]
    cdef float* row
    cdef const float* a
    cdef const float* b
    if by_unit.shape[1] != width or by_token.shape[1] != width:
        raise ValueError("arrays do not fit together")
    if unit.shape[0] != out.shape[0] or token.shape[0] != out.shape[0]:
        raise ValueError("arrays do not fit together")
    if not width:
        return
    for i in range(out.shape[0]):
        row, a, b = &out[i, 0], &by_unit[unit[i], 0], &by_token[token[i], 0]
        for k in range(width):
            row[k] = a[k] + b[k]
