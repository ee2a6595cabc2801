"""Large results of calls are compressed; everything that is not text stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("mcp_types")

from mcp_types import CallToolResult, EmbeddedResource, ImageContent, ResourceLink, TextContent, TextResourceContents

from compressor import Compressor
from compressor.context.refs import find_refs
from compressor.mcp_proxy.result_shortener import ResultShortener
from compressor.tokens import get_counter

BUDGET = 300
count = get_counter(None).count
LOG = "\n".join(
    "ERROR disk full on node-7" if i == 150 else f"2024-05-01 12:{i // 60:02d}:{i % 60:02d} worker {i % 7} did job {i}"
    for i in range(400)
)
ROWS = json.dumps([{"id": f"ord-{i:05}", "customer": "Ada", "total": i * 1.5} for i in range(300)])


def shorten(compressor: Compressor, result: CallToolResult, **options: Any) -> CallToolResult:
    return ResultShortener(compressor, BUDGET).shorten(result, "read_log", {"path": "/x"}, **options)


def text(value: str) -> TextContent:
    return TextContent(type="text", text=value)


def texts(result: CallToolResult) -> list[str]:
    return [block.text for block in result.content if isinstance(block, TextContent)]


@pytest.fixture
def compressor() -> Compressor:
    return Compressor(store="memory")


def test_a_small_result_is_the_same_object(compressor: Compressor) -> None:
    result = CallToolResult(content=[text("short")], structured_content={"result": "short"}, _meta={"k": 1})
    assert shorten(compressor, result) is result


@pytest.mark.parametrize("long", [LOG, ROWS], ids=["log", "json"])
def test_a_large_text_fits_and_comes_back(compressor: Compressor, long: str) -> None:
    result = CallToolResult(content=[text(long)], _meta={"k": 1})
    made = shorten(compressor, result)
    (short,) = texts(made)
    assert count(short) <= BUDGET and made.meta == {"k": 1}
    assert compressor.expand(find_refs(short)[0] if find_refs(short) else short[-14:-2]) == long
    assert texts(result) == [long]  # the given one is not written to


def test_other_blocks_stay_where_they_are(compressor: Compressor) -> None:
    image = ImageContent(type="image", data="aGk=", mime_type="image/png")
    link = ResourceLink(type="resource_link", name="n", uri="file:///x")
    embedded = EmbeddedResource(
        type="resource", resource=TextResourceContents(uri="file:///y", text=LOG, mime_type="text/plain")
    )
    made = shorten(compressor, CallToolResult(content=[image, text(LOG), link, text("a note"), embedded]))
    assert [made.content[0], made.content[2], made.content[4]] == [image, link, embedded]
    assert sum(map(count, texts(made))) <= BUDGET and texts(made)[1] == "a note"


def test_an_error_keeps_more_and_its_error_lines(compressor: Compressor) -> None:
    whole = CallToolResult(content=[text("\n".join(LOG.splitlines()[:40]))], is_error=True)
    assert count(texts(whole)[0]) > BUDGET and shorten(compressor, whole) is whole
    made = shorten(compressor, CallToolResult(content=[text(LOG)], is_error=True))
    assert made.is_error and count(texts(made)[0]) <= 4 * BUDGET and "ERROR disk full on node-7" in texts(made)[0]


def test_a_text_that_is_repeated_as_structured_content_is_shortened_there_too(compressor: Compressor) -> None:
    schema = {"type": "object", "properties": {"result": {"type": "string"}}, "required": ["result"]}
    result = CallToolResult(content=[text(LOG)], structured_content={"result": LOG})
    made = shorten(compressor, result, output_schema=schema)
    assert made.structured_content == {"result": texts(made)[0]}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"result": {"type": "string", "minLength": len(LOG)}}},
        {"type": "object", "properties": {"result": {"$ref": "https://example.com/missing.json"}}},
        {"type": "dict"},
    ],
    ids=["too short", "unknown reference", "invalid schema"],
)
def test_structured_content_stays_if_it_would_not_be_valid(compressor: Compressor, schema: dict[str, Any]) -> None:
    result = CallToolResult(content=[text(LOG)], structured_content={"result": LOG})
    made = shorten(compressor, result, output_schema=schema)
    assert made.structured_content == {"result": LOG} and count(texts(made)[0]) <= BUDGET


def test_json_without_a_declared_form_is_not_sent_twice(compressor: Compressor) -> None:
    result = CallToolResult(content=[text(ROWS)], structured_content=json.loads(ROWS))
    assert shorten(compressor, result).structured_content is None
    declared = shorten(compressor, result, output_schema={"type": "array"})
    assert declared.structured_content == json.loads(ROWS) and count(texts(declared)[0]) <= BUDGET


def test_what_is_asked_for_is_kept(compressor: Compressor) -> None:
    made = shorten(compressor, CallToolResult(content=[text(LOG)]), request="What did worker 3 do in job 283?")
    assert "did job 283" in texts(made)[0]
