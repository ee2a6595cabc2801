import numpy as np
import numpy.typing as npt

def compare_pairs(
    tokens: npt.NDArray[np.int32],
    ends: npt.NDArray[np.int64],
    which: npt.NDArray[np.int64],
    overlaps: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int32],
    exactness: npt.NDArray[np.uint8],
    max_postings: int,
) -> list[int]: ...
def compare_terms(
    tokens: npt.NDArray[np.int32],
    ends: npt.NDArray[np.int64],
    which: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int32],
    sizes: npt.NDArray[np.int32],
    retained: list[npt.NDArray[np.int32]],
    overlap: float,
    min_terms: int,
    min_chars: int,
) -> list[int]: ...
def find_exact(
    tokens: npt.NDArray[np.int32],
    ends: npt.NDArray[np.int64],
    which: npt.NDArray[np.int64],
    exactness: npt.NDArray[np.uint8],
) -> npt.NDArray[np.bool_]: ...
