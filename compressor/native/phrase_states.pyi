from typing import Any

class PhraseStates:
    def __init__(self, automaton: Any, marks: dict[str, int], max_states: int) -> None: ...
