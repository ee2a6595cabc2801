"""JSON through the whole pipeline: complete where it can be, valid where it is cut, and never lost."""

from __future__ import annotations

import json

import pytest

from compressor import Compressor
from compressor.context.refs import find_refs
from compressor.text.lossless.json_values import parses_strictly

RECORDS = [{"id": i, "name": f"user{i}", "note": "é" if i % 9 == 7 else "ok", "state": "open"} for i in range(60)]
TEXT = json.dumps({"items": RECORDS}, indent=4)
MIXED = TEXT.replace("\\u00e9", "é", 1)  # é is written in two ways, which no style of ours can write again


@pytest.fixture
def c() -> Compressor:
    return Compressor(store="memory")


def test_no_record_goes_where_all_values_fit(c: Compressor) -> None:
    before = c.compress_text(MIXED, 10**6).tokens_before
    for budget in (before - 1, before // 2, before // 3):
        r = c.compress_text(MIXED, budget)
        (block,) = r.blocks
        assert (block.action, block.reason, r.dropped) == ("folded", "reformatted", [])
        assert all(f'"user{i}"' in r.text for i in range(60)) and parses_strictly(r.text)
        (ref,) = find_refs(r.text)
        assert block.ref == ref and c.expand(ref) == MIXED
        assert '"only spacing cut ref' in r.text


def test_what_can_be_rebuilt_has_no_placeholder(c: Compressor) -> None:
    r = c.compress_text(TEXT.replace("\n", "\r\n"), 0.5)
    assert r.blocks[0].reason == "lossless" and not find_refs(r.text) and r.blocks[0].ref is None


def test_a_wrapped_result_keeps_its_wrapper_and_says_what_it_is(c: Compressor) -> None:
    text = f"Result:\n```json\n{MIXED}\n```"
    r = c.compress_text(text, 0.5)
    assert r.text.startswith("Result:\n```json\n{") and "\n```\n[…only spacing cut ref " in r.text
    assert c.expand(find_refs(r.text)[0]) == text
    cut = c.compress_text(text, 0.1)
    assert cut.text.startswith("Result:\n```json\n") and cut.blocks[0].action == "excerpt"
    assert parses_strictly(cut.text.split("```json\n")[1].split("\n```")[0])


@pytest.mark.parametrize("budget", [0.9, 0.5, 0.3])
def test_numbers_are_sent_letter_for_letter(c: Compressor, budget: float) -> None:
    text = "[" + ",".join(
        f'{{"sku":"A{i:02d}","ver":1.{i}0,"rate":0.12345678901234567890,"big":1e400}}' for i in range(16)
    )
    r = c.compress_text(text + "]", budget)
    assert parses_strictly(r.text) and r.warnings == []
    assert "0.12345678901234567890" in r.text and "1e400" in r.text and "1.150" in r.text
    assert r.blocks[0].action == ("folded" if budget > 0.4 else "excerpt")


def test_not_a_number_passes_as_it_came(c: Compressor) -> None:
    text = json.dumps([{"id": f"run-{i}", "loss": float("nan") if i % 2 else i / 7} for i in range(40)])
    r = c.compress_text(text, 0.5)
    assert "NaN" in r.text and r.warnings == []


def test_a_cell_that_looks_like_a_placeholder_is_data(c: Compressor) -> None:
    rows = [{"k": f"k{i}", "v": f"value {i}"} for i in range(30)]
    usual = c.compress_text(json.dumps(rows), 200, query="What is k3?")
    rows[7]["v"] = "see […cut ref 123456789012]"
    text = json.dumps(rows, ensure_ascii=False)
    r = c.compress_text(text, 200, query="What is k3?")
    assert "value 3" in r.text and r.tokens_after > 0.8 * usual.tokens_after
    assert c.expand(find_refs(r.text)[-1]) == text
    again = c.compress_text(r.text, r.tokens_after)
    assert again.text == r.text
