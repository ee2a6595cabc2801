"""Text tables cut by cells: exact round trip, columns and rows that stay aligned, and when a text is no clean table."""

from __future__ import annotations

import csv
import io

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


def test_quoted_cells_may_hold_delimiters_and_line_breaks() -> None:
    rows = "".join(f'{i},"Firm {i}, Ltd","line one\nwith ""quotes"" {i}",{i}.50\r\n' for i in range(1, 9))
    for begin in ("", "\ufeff"):
        text = f"{begin}id,name,note,amount\r\n{rows}"
        layout = segment_text(text)
        assert isinstance(layout, DelimitedTableLayout)
        assert layout.render(np.ones(len(layout.spans), np.bool_)) == text
        names = list(layout.column_names)
        keep = (layout.columns <= 0) | (layout.columns == names.index("name"))
        records = list(csv.reader(io.StringIO(layout.render(keep))))
        assert records[1] == ["1", "Firm 1, Ltd", "1.50"] and len(records) == 9
        note = (layout.columns <= 0) | (layout.columns == names.index("note"))
        assert list(csv.reader(io.StringIO(layout.render(note))))[3][1] == 'line one\nwith "quotes" 3'


@given(st.lists(st.lists(st.text('a1 ,;"\n', max_size=6), min_size=3, max_size=3), min_size=4, max_size=8))
def test_csv_is_read_as_the_csv_module_reads_it(rows: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([["x", "y", "z"], *rows])
    layout = segment_delimited_table(out.getvalue())
    assert layout is not None
    assert layout.render(np.ones(len(layout.spans), np.bool_)) == out.getvalue()
    keep = np.ones(len(layout.spans), np.bool_)
    keep[-1] = False
    kept = list(csv.reader(io.StringIO(layout.render(keep), newline="")))
    assert len(kept) == len(rows) + 1 and all(
        set(row) <= {*source, "…"} for row, source in zip(kept[1:], rows, strict=True)
    )


def test_a_header_costs_only_the_columns_that_stay() -> None:
    header = ",".join(f"Option{i} Name Column" for i in range(46))
    text = header + "\n" + "\n".join(f'item-{i},"Ring {i}, gold",{i}.99' + "," * 43 for i in range(60))
    r = Compressor(store="memory").compress_text(text, 0.1, query="What is the price of item-37?")
    assert "item-37" in r.text and "37.99" in r.text and "Option40" not in r.text
