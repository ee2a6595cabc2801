"""What is read and counted of values that are never edited."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.context.formats.unedited_values import estimate_opaque_tokens, estimate_payload_tokens, leaf_texts

PAYLOAD = "Zx9k" * 1_000


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ({"type": "web_search_result", "title": "T", "url": "u", "encrypted_content": PAYLOAD}, ["T", "u"]),
        ({"input": {"user_id": "U-7", "data": "d"}, "id": "s1"}, ['{"user_id": "U-7", "data": "d"}']),
        ({"input": "print(1)"}, ["print(1)"]),
        ({"arguments": '{"a": 1}', "output": "o"}, ['{"a": 1}', "o"]),
        ({"attributes": {"customer_id": "K-1", "year": 2024}}, ['{"customer_id": "K-1", "year": 2024}']),
        ({"source": {"type": "text", "media_type": "text/plain", "data": "page"}}, ["page"]),
        ({"source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}, []),
        ({"type": "image_generation_call", "result": PAYLOAD, "revised_prompt": "A cat."}, ["A cat."]),
        ({"outputs": [{"type": "image", "url": "data:image/png;base64,AA"}, {"type": "logs", "logs": "l"}]}, ["l"]),
        ({"resource": {"uri": "file:///a", "blob": PAYLOAD}}, ["file:///a"]),
        ({"input": {}}, []),
        ("text", ["text"]),
        (None, []),
    ],
)
def test_texts(value: Any, texts: list[str]) -> None:
    assert leaf_texts(value) == texts


@pytest.mark.parametrize(
    ("value", "payloads"),
    [
        ({"content": [{"encrypted_content": PAYLOAD}, {"encrypted_stdout": PAYLOAD, "stderr": ""}]}, 2),
        ({"type": "redacted_thinking", "data": PAYLOAD}, 1),
        ({"type": "reasoning.encrypted", "data": PAYLOAD}, 1),
        ({"type": "image", "data": PAYLOAD}, 0),
        ({"encrypted_content": None}, 0),
        ({"type": "redacted_thinking"}, 0),
        ([], 0),
    ],
)
def test_encrypted_payloads(value: Any, payloads: int) -> None:
    assert estimate_opaque_tokens(value) == 750 * payloads


def test_a_payload_of_readable_text_counts_what_is_beyond_the_text() -> None:
    assert estimate_payload_tokens(PAYLOAD) == 750 and estimate_payload_tokens("A") == 1
    assert estimate_payload_tokens(PAYLOAD, "a" * 400) == 650
    assert estimate_payload_tokens("AAAA", "a" * 400) == 0 == estimate_payload_tokens(None)


def test_cycles_end() -> None:
    value: dict[str, Any] = {"a": "x"}
    value["input"] = value["b"] = value
    assert leaf_texts(value) == ["x"] and estimate_opaque_tokens(value) == 0
