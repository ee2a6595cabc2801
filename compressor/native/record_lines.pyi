from collections.abc import Callable
from typing import Any

def record_kinds(
    string: str, headings: bool, most: int, read: Callable[..., Any], is_rule: Callable[[str], bool]
) -> list[str] | None: ...
def read_record_lines(
    string: str,
    headings: bool,
    most: int,
    read: Callable[..., Any],
    is_rule: Callable[[str], bool],
    make: Callable[..., Any],
) -> list[Any] | None: ...
def looks_like_code(
    string: str,
    headings: bool,
    most: int,
    read: Callable[..., Any],
    is_rule: Callable[[str], bool],
    words: frozenset[str],
) -> bool | None: ...
