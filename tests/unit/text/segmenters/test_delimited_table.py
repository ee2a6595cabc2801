"""Text tables cut by cells: exact round trip, columns and rows that stay aligned, and when a text is no clean table."""

from __future__ import annotations

import numpy as np

from compressor import Compressor
from compressor.text.segmenters import segment_text
from compressor.text.segmenters.delimited_table import DelimitedTableLayout, segment_delimited_table
from support.property_tests import given, st

MARKDOWN = """| name | city | price | remark |
| --- | --- | ---: | --- |
| A-1 | Oslo | 3.50 | sent by ship, arrives late |
| A-2 | Rome | 4.00 | sent by rail |
| A-3 | Oslo | 5.25 | lost and found again |
| A-4 | Bonn | 6.00 | on time |
"""

cells = st.text(st.characters(blacklist_characters='|"\\\n\r\t;,', blacklist_categories=("Cs", "Cc")), max_size=12)


@given(st.lists(st.lists(cells, min_size=3, max_size=3), min_size=4, max_size=12), st.randoms())
def test_everything_kept_is_the_source_and_rows_stay_aligned(rows: list[list[str]], rng: object) -> None:
    text = "| a | b | c |\n|---|---|---|\n" + "".join(f"| {' | '.join(r)} |\n" for r in rows)
    layout = segment_delimited_table(text)
    if layout is None:
        return
    n = len(layout.spans)
    assert layout.render(np.ones(n, np.bool_)) == text
    keep = np.random.default_rng(len(text)).random(n) < 0.5
    lines = layout.render(keep).split("\n")
    width = lines[0].count("|")
    assert all(line == "…" or line.count("|") <= width for line in lines)


def test_one_column_of_every_row_can_stay() -> None:
    layout = segment_delimited_table(MARKDOWN)
    assert isinstance(layout, DelimitedTableLayout)
    names = list(layout.column_names)
    keep = (layout.columns < 0) | (layout.columns == 0) | (layout.columns == names.index("city"))
    assert layout.render(keep).split("\n") == [
        "| name | city | price | … |",
        "| A-1 | Oslo | 3.50 |",
        "| A-2 | Rome | 4.00 |",
        "| A-3 | Oslo | 5.25 |",
        "| A-4 | Bonn | 6.00 |",
    ]


def test_spans_point_at_the_cells() -> None:
    layout = segment_delimited_table(MARKDOWN)
    assert layout is not None
    for spans, (a, b) in zip(layout.source_spans[1:], layout.spans[1:].tolist(), strict=True):
        for start, end in spans:
            assert MARKDOWN[start:end] in layout.text[a:b]


def test_what_is_no_clean_table_is_cut_by_lines() -> None:
    assert segment_delimited_table("a,b\n1,2\n") is None
    assert segment_delimited_table(MARKDOWN + "\nA remark below the table.\n") is None
    assert segment_delimited_table("1,2,3\n4,5,6\n7,8,9\n1,1,1\n") is None, "no header"
    assert segment_delimited_table(MARKDOWN.replace("| Bonn ", "")) is None, "a row is short"
    assert segment_text('a,b\n"1,5",2\n3,4\n5,6\n').kind == "table"


def test_the_asked_column_survives() -> None:
    rows = "".join(f"{2000 + i},{'win' if i % 2 else 'loss'},{i * 37},a long remark number {i}\n" for i in range(60))
    text = "year,result,attendance,remark\n" + rows
    r = Compressor(store="memory").compress_text(text, 0.5, query="Which year had the highest attendance?")
    assert all(f"{2000 + i}," in r.text for i in range(60)) and "2183" in r.text
