from collections.abc import Callable
from re import Match

def read_listing(
    string: str,
    tree: Callable[[str, int], Match[str] | None],
    kind_of: Callable[[str, int], Match[str] | None],
    path: Callable[[str, int], Match[str] | None],
    flags: dict[str, int],
) -> tuple[list[int], list[int], list[int]]: ...
