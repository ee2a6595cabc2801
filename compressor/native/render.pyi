import numpy as np
import numpy.typing as npt

_Ints = npt.NDArray[np.int32]

def gap_sign(text: str, a: int, b: int, sign: str) -> str: ...
def render_spans(
    text: str, spans: _Ints, parents: _Ints, closes: _Ints | None, keep: bytes, removed: _Ints | None, sign: str
) -> str: ...
def word_splits(text: str, spans: _Ints, keep: bytes) -> list[int]: ...
