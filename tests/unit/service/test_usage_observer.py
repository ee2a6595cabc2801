"""What is read of an answer's usage while it is forwarded."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from compressor.service.proxy.usage_observer import UsageObserver

USAGE = {"prompt_tokens": 11, "completion_tokens": 3}
WHOLE = json.dumps({"choices": [{"text": '"usage": {'}], "usage": USAGE}).encode()
EVENTS = [
    {"type": "message_start", "message": {"usage": {"input_tokens": 11, "cache_read_input_tokens": 5}}},
    {"type": "content_block_delta", "delta": {"text": 'the "usage" of words'}},
    {"type": "message_delta", "usage": {"output_tokens": 3, "input_tokens": None}},
]
STREAM = b": ping\r\n\r\n" + b"".join(b"event: x\r\ndata: " + json.dumps(one).encode() + b"\r\n\r\n" for one in EVENTS)


def read(data: bytes, content_type: str, encoding: str = "", step: int = 7) -> list[dict[str, int]]:
    observer = UsageObserver(content_type, encoding)
    for start in range(0, len(data), step):
        observer.feed(data[start : start + step])
    return observer.finish()


@pytest.mark.parametrize(
    ("encoding", "pack"), [("", bytes), ("identity", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)]
)
def test_usage_is_read_whole_and_streamed_packed_or_not(encoding: str, pack: type[bytes]) -> None:
    assert read(pack(WHOLE), "application/json; charset=utf-8", encoding) == [USAGE]
    merged = {"input_tokens": 11, "cache_read_input_tokens": 5, "output_tokens": 3}
    assert read(pack(STREAM), "text/event-stream", encoding) == [merged]
    done = b'data: {"response": {"usage": {"input_tokens": 4}}}\n\ndata: [DONE]\n\n'
    assert read(pack(done), "text/event-stream", encoding) == [{"input_tokens": 4}]


@pytest.mark.parametrize(
    ("data", "content_type", "encoding"),
    [
        (WHOLE, "application/json", "br"),
        (b"not gzip at all", "application/json", "gzip"),
        (WHOLE, "text/html", ""),
        (WHOLE[:-9], "application/json", ""),
        (b"[1]", "application/json", ""),
        (b'{"usage": 7}', "application/json", ""),
        (b'data: {"usage": \n\n', "text/event-stream", ""),
        (b"", "application/json", ""),
        (b'{"usage": {"prompt_tokens": 1}, "x": "' + b"x" * (9 << 20) + b'"}', "application/json", ""),
    ],
)
def test_what_cannot_be_read_counts_as_not_measured(data: bytes, content_type: str, encoding: str) -> None:
    assert read(data, content_type, encoding, 1 << 16) == []
