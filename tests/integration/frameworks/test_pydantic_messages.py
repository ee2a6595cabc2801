"""The parts of pydantic-ai's messages that are never edited: they are read, counted, and given back as they are."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from compressor.context.formats import MESSAGE_FORMATS
from compressor.context.model import Turn
from compressor.tokens import get_counter
from support.strategies import png

pytest.importorskip("pydantic_ai")

from pydantic_ai.messages import (
    AudioUrl,
    BinaryContent,
    CachePoint,
    Citation,
    CompactionPart,
    DocumentUrl,
    FilePart,
    ImageUrl,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    NativeToolCallPart,
    NativeToolReturnPart,
    RetryFeedbackPart,
    RetryInfo,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
    WebCitationSource,
)

from compressor_agents.pydantic_messages import from_anthropic, to_anthropic

ANTHROPIC = next(one for one in MESSAGE_FORMATS if one.name == "anthropic")
PAYLOAD = "Zx9k" * 1_400
PICTURE = BinaryContent(base64.b64decode(png(200, 300)), media_type="image/png")
FOUND = {"type": "web_search_result", "title": "Pumps", "url": "https://e.org", "encrypted_content": PAYLOAD}


def _turns(*messages: ModelMessage) -> list[Turn]:
    converted = to_anthropic(messages)
    json.dumps(converted)
    same = from_anthropic(converted, converted, messages)
    assert all(a is b for a, b in zip(same, messages, strict=True))
    turns = ANTHROPIC.parse(converted).turns
    for turn in turns:
        assert not any(text[0].isdigit() and "." in text for text in turn.unedited_texts)  # no `_at`
    return turns


def test_native_tools_are_read_and_counted() -> None:
    calls: list[Any] = [
        NativeToolCallPart("web_search", {"query": "pumps", "user_id": "U-7"}, "n1", provider_name="anthropic"),
        NativeToolReturnPart("web_search", [FOUND], "n1", provider_name="anthropic"),
        NativeToolCallPart("code_execution", '{"code": "1 + 1"}', "n2"),
        NativeToolReturnPart("code_execution", {"stdout": "total 2", "return_code": 0}, "n2"),
        NativeToolReturnPart("image_generation", [PICTURE, "a pump"], "n3"),
    ]
    (turn,) = _turns(ModelResponse([*calls, TextPart("Done.")]))
    assert turn.extras == (
        *("web_search", '{"query": "pumps", "user_id": "U-7"}', "Pumps", "https://e.org"),
        *("code_execution", '{"code": "1 + 1"}', "total 2", "a pump"),
    )
    assert turn.opaque_tokens == 1_050
    assert [(slot.text, slot.editable) for slot in turn.slots] == [("", False), ("Done.", True)]


def test_files_and_typed_returns_are_counted_and_never_edited() -> None:
    calls = ModelResponse(
        [ToolCallPart("shot", {}, "c1"), ToolCallPart("find", {}, "c2"), ToolCallPart("read", {}, "c3")]
    )
    results = [
        ToolReturnPart("shot", ["The page.", PICTURE], "c1"),
        ToolReturnPart("find", {"discovered": ["pump"]}, "c2", tool_kind="search"),
        ToolReturnPart("read", "plain", "c3"),
    ]
    turn = _turns(calls, ModelRequest(results))[1]
    assert turn.role == "tool" and turn.result_call_ids == ("c1", "c2", "c3")
    assert [(slot.kind, slot.text, slot.editable) for slot in turn.slots] == [
        ("tool_result", "The page.", False),
        ("image", "", False),
        ("tool_result", '{"discovered":["pump"]}', False),
        ("tool_result", "plain", True),
    ]
    image = turn.slots[1].image
    assert image is not None and (image.width, image.height) == (200, 300)


def test_images_of_users_and_models_count() -> None:
    items: list[Any] = ["Look:", PICTURE, ImageUrl("https://e.org/x"), CachePoint()]
    files: list[Any] = [DocumentUrl("https://e.org/no-extension"), AudioUrl("https://e.org/a.mp3")]
    user, agent = _turns(ModelRequest([UserPromptPart([*items, *files])]), ModelResponse([FilePart(PICTURE)]))
    assert [slot.kind for slot in user.slots] == ["user", "image", "image"]
    assert [slot.kind for slot in agent.slots] == ["image"]
    counter = get_counter("gpt-4o")
    plain = _turns(ModelRequest([UserPromptPart("Look:")]))[0]
    assert counter.count_turn(user, "any") > counter.count_turn(plain, "any") + 200


@pytest.mark.parametrize("kind", [ModelResponse, ModelRequest])
def test_compactions_are_summaries(kind: Any) -> None:
    (turn,) = _turns(kind([CompactionPart("Key K-77 was rotated.")]))
    assert turn.is_summary and turn.extras == ("Key K-77 was rotated.",)
    part = CompactionPart(None, provider_name="openai", provider_details={"encrypted_content": PAYLOAD})
    (turn,) = _turns(ModelResponse([part]))
    assert turn.is_summary and turn.opaque_tokens == 1_050


def test_hidden_thinking_quotes_and_feedback() -> None:
    source = WebCitationSource("https://e.org", title="Pumps", excerpts=["They pump."])
    said = TextPart("Yes.", citations=[Citation([source])])
    (turn, feedback) = _turns(
        ModelResponse([ThinkingPart("", signature=PAYLOAD), said]),
        ModelRequest([RetryFeedbackPart("No verdict.", retry=RetryInfo("model_retry"))]),
    )
    assert turn.opaque_tokens == 1_050 and turn.unbilled == ("They pump.", "Pumps", "https://e.org")
    assert len(feedback.slots) == 1 and "No verdict." in feedback.slots[0].text and not feedback.slots[0].editable
