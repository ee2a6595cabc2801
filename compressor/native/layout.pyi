from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

class RunFinder:
    def __init__(self, characters: str, size: int) -> None: ...
    def search(self, text: str) -> bool: ...

def tile(
    text: str,
    starts: Sequence[int] | npt.NDArray[np.integer],
    parents: Sequence[int] | npt.NDArray[np.integer] | None,
    flags: Sequence[int] | npt.NDArray[np.integer] | None,
    closes: Sequence[int] | npt.NDArray[np.integer] | None,
    max_chars: int,
    long_line: int,
    payload: RunFinder,
) -> (
    tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.uint16], npt.NDArray[np.int32] | None] | None
): ...
def lay_fragments(
    fragments: list[str], parents: list[int], flags: list[int], columns: list[int]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.uint16], npt.NDArray[np.int32]]: ...
def line_starts(text: str) -> npt.NDArray[np.int32]: ...
