from collections.abc import Callable
from typing import Any

class NodeWriter:
    def __init__(
        self,
        types: tuple[type, type, type, type],
        gap_item: str,
        gap_items: Callable[[int], str],
        absent_cell: str,
        key_column: str,
        few_rows: int,
        write_text: Callable[[Any, bytes, Callable[[str], str]], str],
        ragged_row: Callable[[Any, bytes, list[int], list[str], int], str],
    ) -> None: ...
    def write(self, node: Any, keep: bytes, quote: Callable[[str], str], is_signed: bool = True) -> str | None: ...
