"""Which tokenizer a model's name stands for: OpenAI's, an estimate, or one read from a file."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from compressor.errors import MissingDependencyError, TokenizerError
from compressor.tokens import TokenCounter, get_counter
from compressor.tokens.model_families import find_family
from support.paths import ROOT
from support.property_tests import given, settings, st

ANY_TEXT = st.text(st.characters(categories=None), max_size=60)
MIXED = "def f(x):\n    return {'naïve': x}  # 日本語 🙂\r\n\r\n" * 30


# --- models


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (None, "o200k_base"),
        ("", "o200k_base"),
        ("gpt-4o-2024-08-06", "o200k_base"),
        ("azure/GPT-4o-mini", "o200k_base"),
        ("openai:gpt-4.1-nano", "o200k_base"),
        ("openrouter/openai/gpt-5.2-codex", "o200k_base"),
        ("gpt-4.5-preview", "o200k_base"),
        ("o1", "o200k_base"),
        ("o3-mini-2025-01-31", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("gpt-oss:20b", "o200k_base"),
        ("ft:gpt-4o-mini-2024-07-18:org::id", "o200k_base"),
        ("ft:gpt-3.5-turbo-0125:org::id", "cl100k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-1106-preview", "cl100k_base"),
        ("openai/gpt-4-turbo", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("text-embedding-3-large", "cl100k_base"),
        ("gpt-7", "estimate:openai"),
        ("claude-3-5-sonnet-20241022", "estimate:claude"),
        ("claude-opus-4-20250514", "estimate:claude"),
        ("anthropic:claude-sonnet-4-5", "estimate:claude"),
        ("us.anthropic.claude-opus-4-7-v1:0", "estimate:claude-4.7"),
        ("claude-opus-5", "estimate:claude-4.7"),
        ("models/gemini-2.5-pro", "estimate:gemini"),
        ("meta-llama/Llama-3.3-70B-Instruct", "estimate:llama"),
        ("llama2:7b", "estimate:llama-2"),
        ("mistral-large-latest", "estimate:mistral"),
        ("Qwen/Qwen3-8B", "estimate:qwen"),
        ("o2-sensor", "estimate:other"),
        ("\x00/" * 3000, "estimate:other"),
    ],
)
def test_names(model: str | None, name: str) -> None:
    counter = get_counter(model)
    assert counter.name == name
    assert counter.is_estimate == name.startswith("estimate:")
    assert (counter.scale == 1.0) == (not counter.is_estimate)
    assert get_counter(model) is counter


def test_estimates_scale_up() -> None:
    text = '{"id": 12345, "name": "a value"}'
    exact, estimate = get_counter("gpt-4o"), get_counter("claude-sonnet-4-5")
    assert estimate.count(text) == -(-exact.count(text) * 13 // 10)
    assert estimate.count_many([text, ""]) == [estimate.count(text), 0]
    assert estimate.offsets(text).tolist() == exact.offsets(text).tolist()


def test_factors_cover_what_was_measured() -> None:
    file = ROOT / "benchmarks" / "results" / "tokens_estimate.json"
    measured = json.loads(file.read_text())["per_o200k_token"]
    models = {"llama-3": "llama-3", "llama-4": "llama-4", "qwen": "qwen3", "mistral-tekken": "mistral-nemo"}
    models |= {"llama-2 (mistral v1)": "llama-2", "claude-3.0": "claude-sonnet-4", "claude-4.7": "claude-opus-4-7"}
    assert measured.keys() == models.keys()
    for name, kinds in measured.items():
        assert find_family(models[name]).scale >= max(kind["all"] for kind in kinds.values()), name


# --- tokenizer files


@pytest.fixture(scope="session")
def tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, processors, trainers

    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator([MIXED, "some words to learn from, and some more words"], trainer)
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    made.enable_truncation(8)
    made.enable_padding(length=8)
    file = tmp_path_factory.mktemp("model") / "tokenizer.json"
    made.save(str(file))
    return file


def test_tokenizer_file(tokenizer_json: Path) -> None:
    import tokenizers

    counter = get_counter(str(tokenizer_json))
    assert (counter.name, counter.is_estimate, counter.scale) == ("hf:tokenizer.json", False, 1.0)
    assert get_counter(str(tokenizer_json.parent)).name == counter.name
    plain = tokenizers.Tokenizer.from_file(str(tokenizer_json))
    plain.no_truncation()
    plain.no_padding()
    for text in ("", "some words", MIXED, "é🙂"):
        assert counter.count(text) == len(plain.encode(text, add_special_tokens=False).ids)
    assert counter.count("\ud83d") == counter.count("�")


@settings(max_examples=60, deadline=None)
@given(text=ANY_TEXT)
def test_tokenizer_file_offsets(tokenizer_json: Path, text: str) -> None:
    counter = get_counter(str(tokenizer_json))
    offsets = counter.offsets(text)
    assert len(offsets) == counter.count(text) + 1
    assert offsets[-1] == len(text)
    assert (np.diff(offsets) >= 0).all()
    if text.isascii() and text:
        assert "".join(text[a:b] for a, b in itertools.pairwise(offsets)) == text


def test_bad_tokenizer_files(tmp_path: Path) -> None:
    corrupt = tmp_path / "tokenizer.json"
    for content in (b"", b"{}", b'{"model": {"type": "BPE"', b"\xff\xfe\x00", b"[" * 100_000):
        corrupt.write_bytes(content)
        with pytest.raises(TokenizerError, match=re.escape(str(corrupt))):
            get_counter(str(corrupt))
    for missing in (str(tmp_path / "no.json"), "no/such.gguf", str(tmp_path / "nothing"), "./nothing", "~nobody-x/m"):
        with pytest.raises(TokenizerError, match="no tokenizer file"):
            get_counter(missing)


class Llama:
    """What we use of llama_cpp.Llama, one token for each two bytes, with SentencePiece's space before the text."""

    def __init__(self, path: str, vocab_only: bool, verbose: bool) -> None:
        if Path(path).read_bytes()[:4] != b"GGUF":
            raise ValueError(f"Failed to load model from file: {path}")
        assert vocab_only and not verbose
        self.pieces: list[bytes] = []

    def tokenize(self, text: bytes, add_bos: bool, special: bool) -> list[int]:
        assert not add_bos and not special
        start = len(self.pieces)
        spelled = b" " + text if text else b""
        self.pieces += [spelled[i : i + 2] for i in range(0, len(spelled), 2)]
        return list(range(start, len(self.pieces)))

    def detokenize(self, tokens: list[int]) -> bytes:
        return b"".join(self.pieces[token] for token in tokens)


def test_gguf_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How we call llama-cpp-python; `test_gguf` runs the real one where there is one."""
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF")
    monkeypatch.setitem(
        sys.modules,
        "llama_cpp",
        SimpleNamespace(Llama=Llama, llama_log_callback=lambda f: f, llama_log_set=lambda *_: None),
    )
    check_gguf(get_counter(str(file)))
    (tmp_path / "bad.gguf").write_bytes(b"????")
    with pytest.raises(TokenizerError, match=r"bad\.gguf"):
        get_counter(str(tmp_path / "bad.gguf"))
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    (tmp_path / "other.gguf").write_bytes(b"GGUF")
    with pytest.raises(MissingDependencyError, match=r"agentic-compressor\[llama\]"):
        get_counter(str(tmp_path / "other.gguf"))


def test_gguf() -> None:
    pytest.importorskip("llama_cpp")
    path = os.environ.get("COMPRESSOR_TEST_GGUF")
    if not path:
        pytest.skip("COMPRESSOR_TEST_GGUF names no GGUF file")
    check_gguf(get_counter(path))


def check_gguf(counter: TokenCounter) -> None:
    assert counter.name.startswith("gguf:") and not counter.is_estimate
    for text in ("", "some words", MIXED, "é🙂", "\ud83d x"):
        offsets: Any = counter.offsets(text)
        assert len(offsets) == counter.count(text) + 1
        assert offsets[-1] == len(text)
        assert (np.diff(offsets) >= 0).all()
