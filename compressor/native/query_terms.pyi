from collections.abc import Callable, Iterable, Mapping

_Terms = tuple[dict[str, float], dict[str, str], tuple[str, ...]]

class LanguageSigns:
    def __init__(
        self, shown_by: Mapping[str, Iterable[str]], no_sign: frozenset[str], english: frozenset[str]
    ) -> None: ...
    def count_shown(self, tokens: list[str]) -> tuple[dict[str, int], dict[str, int], int]: ...

class TermReader:
    def __init__(
        self,
        stop_words: Mapping[str, Iterable[str]],
        english: Iterable[str],
        list_forms: Callable[[str, tuple[str, ...]], tuple[str, ...]],
        read_token: Callable[[str, tuple[str, ...], tuple[str, ...]], _Terms],
    ) -> None: ...
    def read_tokens(self, tokens: list[str], languages: tuple[str, ...], forms: tuple[str, ...]) -> _Terms: ...
