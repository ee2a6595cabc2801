from typing import Any

import numpy as np
import numpy.typing as npt

class PhraseMatcher:
    def __init__(
        self,
        automaton: Any,
        kinds: dict[str, int],
        stops: str,
        dashes: str,
        fillers: str,
        max_states: int = 8_000,
    ) -> None: ...
    def classify(self, plain: str) -> int: ...
    def classify_spans(
        self, plain: str, spans: npt.NDArray[np.int32], max_chars: int, kinds: npt.NDArray[np.int8]
    ) -> bool: ...
