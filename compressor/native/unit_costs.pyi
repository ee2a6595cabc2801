import numpy as np
import numpy.typing as npt

_Ints = npt.NDArray[np.int32]
_Floats = npt.NDArray[np.float32]

def estimate_tokens(text: str, spans: _Ints, density: _Floats, rate: float, out: _Floats) -> None: ...
