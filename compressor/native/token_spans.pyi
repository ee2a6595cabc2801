import numpy as np
import numpy.typing as npt

def count_spans(
    texts: list[str],
    spans: list[npt.NDArray[np.int32]],
    ids: list[npt.NDArray[np.uint32]],
    lengths: npt.NDArray[np.uint8],
) -> list[npt.NDArray[np.float32]] | None: ...
