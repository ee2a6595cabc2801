from typing import Any

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
