from collections.abc import Callable
from typing import Any

class SentenceReader:
    def __init__(
        self,
        stops: str,
        run_stops: str,
        marks: str,
        mark_runs: str,
        closers: str,
        mark_closers: str,
        bullets: str,
        line_ends: str,
        openers: str,
        abbreviations: frozenset[str],
        numbers: tuple[int, int, int, int],
        wide: str,
        ends_sentence: Callable[[str, int, int, int], bool],
        begin_alike: Callable[[str, int, int], bool],
        refers: tuple[str, ...],
        openings: tuple[str, ...],
        head_match: Any,
        head_letters: str,
        trouble_match: Any,
        fractions: tuple[int, float],
        header: int,
        error: int,
        warning: int,
        trouble_words: WordFinder,
        rare_scripts: str,
    ) -> None: ...
    def divide(self, text: str) -> tuple[list[int], list[int], list[int]] | None: ...
    def starts(self, text: str) -> list[int]: ...
    def has_opening(self, text: str) -> bool: ...
    def heads(
        self, text: str, starts: list[int], documents: set[int], troubled: list[int]
    ) -> tuple[list[int], list[int]]: ...

class WordFinder:
    def __init__(self, words: tuple[str, ...]) -> None: ...
    def offsets(self, low: str, every: bool = False) -> list[int]: ...
