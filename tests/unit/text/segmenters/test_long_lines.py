"""Long lines: split at their own separators, so that the part that answers can stay; payloads are noise."""

from __future__ import annotations

import base64
import random

import numpy as np
import pytest

from compressor import Compressor
from compressor.text.segmenters import segment_text
from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.long_lines import MAX_PIECE, is_payload, split_unit
from support.property_tests import given, st

DATA = base64.b64encode(random.Random(1).randbytes(900)).decode()
LINES = {
    "dict": "["
    + ", ".join(f"{{'host': 'web-{i}', 'state': '{'down' if i == 17 else 'up'}'}}" for i in range(60))
    + "]",
    "rows": "[" + ", ".join(f"Row(id={i}, city='{'Ulm' if i == 23 else 'Bonn'}')" for i in range(60)) + "]",
    "pairs": ", ".join(f"setting.alpha{i}={i * 7}" for i in range(90)),
    "script": "".join(f"function f{i}(a){{var c=a*{i};return c}}" for i in range(60)) + "var TIMEOUT=4200;",
    "style": "".join(f".c{i}{{color:#fff;margin:{i}px}}" for i in range(90)),
    "query": "https://x.org/track?" + "&".join(f"p{i}=v{i}" for i in range(120)),
    "log": "; ".join(f"step {i} took {i * 13} ms" for i in range(120)),
}


@pytest.mark.parametrize("name", LINES)
def test_no_piece_is_long(name: str) -> None:
    text = LINES[name]
    layout = segment_text(text)
    sizes = [b - a for a, b in layout.spans.tolist()]
    assert max(sizes) <= MAX_PIECE + 20 and len(sizes) > 5
    assert layout.render(np.ones(len(sizes), np.bool_)) == text


@given(st.text("{}[]();,&|<>= \nab1'\"", max_size=1500))
def test_pieces_tile_the_text(text: str) -> None:
    text = text * 3
    pieces = split_unit(text, 0, len(text)) if text else []
    starts = [piece.start for piece in pieces]
    assert starts == sorted(set(starts)) and (not text or starts[0] == 0)
    assert all(-1 <= piece.parent < k for k, piece in enumerate(pieces))


def test_records_and_their_rest_stay_together() -> None:
    record = "{name: <alpha>, " + ", ".join(f"key{i}: value number {i}" for i in range(40)) + "}"
    layout = segment_text("[" + ", ".join([record, record.replace("alpha", "beta"), record]) + "]")
    keep = np.array(["value number 33" in layout.text[a:b] for a, b in layout.spans.tolist()])
    out = layout.render(keep)
    assert out.count("value number 33") == 3 and out.count("<alpha>") == 2 and out.count("<beta>") == 1


def test_payloads_are_noise_wherever_they_stand() -> None:
    lines = "\n".join(DATA[i : i + 64] for i in range(0, 1150, 64))
    for text in (
        f"A picture: data:image/png;base64,{DATA} and more.\nIt is red.\n",
        f"-----BEGIN KEY-----\n{lines}\n-----END KEY-----\nred\n",
    ):
        layout = segment_text(text)
        noisy = "".join(
            layout.text[a:b]
            for (a, b), f in zip(layout.spans.tolist(), layout.flags.tolist(), strict=True)
            if f & UnitFlag.NOISE
        )
        assert DATA[200:240].strip() in noisy.replace("\n", "") and "red" not in noisy
    assert not is_payload("/a/long/path/to/some/file" * 10) and not is_payload("0" * 300) and is_payload("0a1b" * 80)


def test_the_answer_in_one_long_line_survives() -> None:
    compressor = Compressor(store="memory")
    assert '"web-17","down"' in compressor.compress_text(LINES["dict"], 0.2, query="Which host is down?").text
    assert "TIMEOUT=4200" in compressor.compress_text(LINES["script"], 0.2, query="What is TIMEOUT?").text


@pytest.mark.parametrize("markup_only", [False, True])
def test_long_lines_behind_each_other_have_a_piece_each(markup_only: bool) -> None:
    text = "".join(letter * 700 + "\n" for letter in "abc") + "short"
    starts = [piece.start for piece in split_unit(text, 0, len(text), markup_only)]
    assert starts == [0, 701, 1402, 2103]
