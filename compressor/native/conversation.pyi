from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]

def take_units(
    messages: Iterable[tuple[int, str, float, bool, Sequence[int]]],
    standing: _Floats,
    costs: _Floats,
    parents: npt.NDArray[np.int32],
    is_long: Callable[[int], bool],
    constants: tuple[float, float, float, tuple[float, ...]],
) -> tuple[list[int], list[float], list[float]]: ...
