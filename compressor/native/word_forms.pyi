from collections.abc import Iterable, Mapping, Sequence

class WordForms:
    def __init__(
        self,
        english: Iterable[tuple[str, int, Sequence[str]]],
        vowels: str,
        doubled: str,
        others: Mapping[str, tuple[int, Sequence[str], Sequence[str]]],
    ) -> None: ...
    def list_forms(self, word: str, languages: Iterable[str]) -> tuple[str, ...]: ...
