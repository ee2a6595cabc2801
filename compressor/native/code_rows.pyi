from typing import Any

def rows_by_indentation(
    string: str, start: int, python: bool | None, hash_comments: bool, braces: bool, twin: Any
) -> tuple[list[int], list[int], list[int], list[int]]: ...
