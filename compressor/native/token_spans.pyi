import numpy as np
import numpy.typing as npt

def read_lengths(data: bytes, size: int) -> npt.NDArray[np.uint8]: ...
def count_spans(
    texts: list[str],
    spans: list[npt.NDArray[np.int32]],
    ids: list[npt.NDArray[np.uint32]],
    lengths: npt.NDArray[np.uint8],
) -> list[npt.NDArray[np.float32]] | None: ...
def estimate_spans(
    text: str, spans: npt.NDArray[np.int32], densities: npt.NDArray[np.float32], factor: float
) -> npt.NDArray[np.float32]: ...
