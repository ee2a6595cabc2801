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
