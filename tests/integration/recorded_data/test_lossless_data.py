"""Round trips and gains on recorded tool outputs, where the data sets lie beside the repository."""

from __future__ import annotations

import glob
import gzip
import json

import pytest

from compressor.text.lossless import decode_losslessly, encode_losslessly
from compressor.text.lossless.back_references import BackReferenceCodec
from support.paths import SHARED_DATA as DATA

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are not here")


def sessions(path: str) -> list[list[str]]:
    """The tool outputs of each session."""
    with gzip.open(path, "rt") as f:
        recorded = [json.loads(line)["messages"] for line in f]
    return [[m["content"] or "" for m in messages if m["role"] == "tool"] for messages in recorded]


def chars_folded(outputs: list[str]) -> int:
    """Checks the round trip of each output; the characters that are left of them all."""
    repeats = BackReferenceCodec()
    left = 0
    for label, text in enumerate(outputs, 1):
        repeated = repeats.encode(text)
        repeats.add(label, text)
        first = repeated.text if repeated else text
        folded, names = encode_losslessly(first)
        assert decode_losslessly(folded, names) == first
        if repeated:
            assert repeats.decode(first, lambda k: outputs[k - 1]) == text
        left += len(folded)
    return left


@pytest.mark.parametrize(("name", "gain"), [("swe_lite", 1.4), ("swe_demos", 1.4), ("tau_airline", 1.0)])
def test_sessions(name: str, gain: float) -> None:
    runs = sessions(str(DATA / "sessions" / f"{name}.jsonl.gz"))
    assert sum(len(text) for run in runs for text in run) > gain * sum(map(chars_folded, runs))


def test_test_logs() -> None:
    for path in sorted(glob.glob(str(DATA / "test_logs" / "*.jsonl.gz"))):
        with gzip.open(path, "rt") as f:
            for line in f:
                chars_folded([json.loads(line)["text"]])


def test_json_payloads() -> None:
    for path in sorted(glob.glob(str(DATA / "json_payloads" / "*.gz"))):
        with gzip.open(path, "rb") as f:
            chars_folded([f.read(400_000).decode("utf-8", "replace")])


@pytest.mark.parametrize("size", [100, 2000])
def test_loghub(size: int) -> None:
    for path in sorted(glob.glob(str(DATA / "loghub" / "*.log.gz"))):
        with gzip.open(path, "rb") as f:
            lines = f.read().decode("utf-8", "replace").split("\n")
        parts = ["\n".join(lines[i : i + size]) for i in range(0, len(lines), size)]
        assert sum(map(len, parts)) > 1.2 * chars_folded(parts), path
