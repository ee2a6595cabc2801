from collections.abc import Callable
from typing import Any

from compressor.native.json_values import ValueWriter

class UnitSettings:
    def __init__(
        self,
        value_writer: ValueWriter,
        types: tuple[type, type, type, type],
        is_summary_key: Callable[[str], object],
        is_name: Callable[[str], bool],
        is_pair: Callable[[str, str], bool],
        first_name: Callable[[Any], Any],
        sizes: tuple[int, ...],
        shares: tuple[float, float],
        flags: tuple[int, int, int],
        empty_texts: tuple[str, ...],
        key_column: str,
        no_place: tuple[str, ...],
    ) -> None: ...
    def tiers(self, names: list[str], columns: list[list[str]], sizes: list[float]) -> list[list[int]]: ...

class UnitBuilder:
    fragments: list[str]
    parents: list[int]
    flags: list[int]
    columns: list[int]
    column_names: list[str]
    named_items: list[tuple[int, int]]
    def __init__(self, settings: UnitSettings, emitter: Any, segment: Callable[[str], Any]) -> None: ...
    def node(self, value: Any, label: str, step: Any, depth: int) -> Any: ...
