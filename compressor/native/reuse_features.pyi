from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

def token_features(
    out: Floats,
    kinds: Bytes,
    shapes: npt.NDArray[np.uint16],
    shape_bits: int,
    unit: Ints,
    token: Ints,
    source_indices: Ints,
    ages: Floats,
    freshness: Floats,
    unit_counts: Floats,
    source_counts: Floats,
    matched: Floats,
    best: Floats,
    in_calls: Bytes,
    retained: Bytes,
    written: Bytes,
    path_tokens: Sequence[int],
    path_rows: Sequence[Sequence[float]],
) -> None: ...
def unit_features(
    out: Floats,
    sizes: Floats,
    flags: npt.NDArray[np.uint16],
    source_indices: Ints,
    starts: Ints,
    forms: Ints,
    match_unit: Floats,
    match_source: Floats,
    ranges: Sequence[int],
    of_source: Floats,
    columns: Ints,
    column_names: Bytes,
    members: Ints,
    member_names: Bytes,
    parents: Ints,
) -> None: ...
def first_members(
    out: Ints, columns: Ints, in_json: Bytes, source_indices: Ints, lengths: Ints, token: Ints
) -> None: ...
def add_pairs(out: Floats, by_unit: Floats, by_token: Floats, unit: Ints, token: Ints) -> None: ...
