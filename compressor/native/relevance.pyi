import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

def count_terms(rows: Longs, columns: Ints, row: Ints, column: Ints, times: Longs, found: Longs) -> int: ...
def add_scores(
    out: Floats,
    row: Ints,
    column: Ints,
    times: Longs,
    idf: npt.NDArray[np.float64],
    lengths: Ints,
    mean_length: float,
    k1: float,
    b: float,
) -> None: ...
def propagate(
    out: Floats,
    relevance: Floats,
    rows: Ints,
    source_indices: Ints,
    parents: Ints,
    flags: npt.NDArray[np.uint16],
    header: int,
    after: float,
    before: float,
    group: float,
) -> None: ...
def combine_matches(
    out: Floats,
    records: Floats,
    single: Floats,
    costs: Floats,
    rows: Ints,
    source_indices: Ints,
    spoken: npt.NDArray[np.uint8],
    turn_tokens: float,
    record_tokens: float,
    group: float,
    near: float,
) -> None: ...
def find_novelty(
    position: npt.NDArray[np.int64],
    unit: npt.NDArray[np.int32],
    token: npt.NDArray[np.int32],
    kinds: npt.NDArray[np.uint8],
    weights: npt.NDArray[np.float32],
) -> npt.NDArray[np.float64]: ...
def propagate_to_ancestors(position: npt.NDArray[np.int64], parents: npt.NDArray[np.int32]) -> None: ...
