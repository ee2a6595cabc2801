"""quicktok encodes as tiktoken does, and where it may not, tiktoken does it."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import itertools
import os
import subprocess
import sys
import time
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiktoken

from compressor.tokens import quicktok_encoder, tiktoken_ranks
from compressor.tokens.base import Tokenizer
from compressor.tokens.openai_bpe import BytePairTokenizer
from compressor.tokens.quicktok_encoder import (
    QuicktokEncoder,
    QuicktokUnavailableError,
    is_exact_for,
    load_quicktok,
)
from support.cpu_time import cpu_time_below
from support.property_tests import example, given, settings, st

VOCABULARIES = ["o200k_base", "cl100k_base"]
SWITCH = "COMPRESSOR_NATIVE"

#: What the patterns of both vocabularies tell apart, with its neighbours in Unicode.
PIECES = [
    *(
        "'s",
        "'S",
        "'ſ",
        "'LL",
        "'lL",
        "'re",
        "'VE",
        "'d",
        "’s",
        "the",
        " The",
        "THE",
        "camelCase",
        "XMLHttp",
        "a",
        "ABC",
    ),
    *(
        "\r",
        "\n",
        "\r\n",
        " ",
        "  ",
        "\t",
        "\u3000",
        "\u00a0",
        "\u2028",
        "\x85",
        "\x0b",
        "\x0c",
        "\x1c",
        "\u200b",
        "\ufeff",
    ),
    *(
        "/",
        "\n/",
        "!",
        "?\r\n",
        "_",
        "=====",
        "-",
        "1",
        "12",
        "1234",
        "١٢٣٤",
        "²³",
        "Ⅷ",
        "½",
        "\x00",
        "\x7f",
        "\u0378",
        "\u0295",
        "\u1acf",
    ),
    *(
        "ǅ",
        "ʰ",
        "ª",
        "e\u0301",
        "\u0301",
        "İ",
        "ß",
        "ſ",
        "\u212a",
        "ﬁ",
        "日本",
        "ไทย",
        "क्षि",
        "한국어",
        "\u0640",
        "🙂",
        "👨‍👩‍👧",
    ),
    *(
        "\U000e0067",
        "\ue000",
        "\U0010fffd",
        "<|endoftext|>",
        "<|fim_prefix|>",
        "<|endofprompt|>",
        "<|im_start|>",
        "\ud83d",
    ),
]
RUNS = st.tuples(st.sampled_from(PIECES), st.one_of(st.integers(1, 3), st.integers(1, 300))).map(
    lambda run: run[0] * run[1]
)
TEXTS = st.one_of(
    st.lists(RUNS, max_size=12).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
    st.text(st.characters(categories=None), max_size=60),
    st.text(st.characters(max_codepoint=127), max_size=120),
)


@lru_cache
def quicktok(name: str) -> QuicktokEncoder:
    """quicktok, in runs without native code, too; skips the test where it is not installed."""
    before = os.environ.pop(SWITCH, None)
    try:
        return load_quicktok(name)
    except QuicktokUnavailableError as error:
        if os.environ.get("COMPRESSOR_REQUIRE_MODELS") == "1":
            raise
        pytest.skip(str(error))
    finally:
        if before is not None:
            os.environ[SWITCH] = before


@lru_cache
def pair(name: str) -> tuple[BytePairTokenizer, BytePairTokenizer]:
    """The tokenizer with quicktok, and one with tiktoken alone."""
    quick, exact = BytePairTokenizer(name), BytePairTokenizer(name)
    quick._quicktok, exact._quicktok = quicktok(name), None
    return quick, exact


# --- the same ids


@pytest.mark.moderate
@pytest.mark.parametrize("name", VOCABULARIES)
@settings(max_examples=200, deadline=None)
@given(text=TEXTS)
@example(text="XMLHttp'ſ'ſ'S")
@example(text="\ud83d\ude42 pair, \ud83d lone, \ude42 low, \udbff\udbff\udc00")
@example(text="")
def test_ids_counts_and_offsets_are_tiktokens(name: str, text: str) -> None:
    quick, exact = pair(name)
    assert quick.count(text) == exact.count(text)
    assert quick.offsets(text).tolist() == exact.offsets(text).tolist()
    if is_exact_for(text):
        ids, starts = quicktok(name).encode([text, "x", text])
        assert ids[: starts[1]].tolist() == ids[starts[2] :].tolist() == exact.encoding.encode_ordinary(text)


@pytest.mark.moderate
@pytest.mark.parametrize("name", VOCABULARIES)
def test_every_character_is_encoded_alike(name: str) -> None:
    """A change of either package's Unicode tables shows here."""
    quick, exact = quicktok(name), pair(name)[1].encoding
    for start in (*range(0, 0x32400, 256), *range(0xE0000, 0xE0200, 256), 0xF0000, 0x10FF00):
        characters = filter(is_exact_for, map(chr, range(start, start + 256, 3)))
        text = "\x00".join(f"{c}a{c}b A{c}{c}1{c}'s {c}\n{c}" for c in characters)
        assert quick.encode([text])[0].tolist() == exact.encode_ordinary(text), hex(start)


@pytest.mark.moderate
def test_the_classes_of_characters_differ_where_the_table_says() -> None:
    """Asks tiktoken with a vocabulary in which a character joins an "a" before it if it is of the class."""
    quicktok("o200k_base")
    spec = importlib.util.find_spec("quicktok")
    assert spec is not None and spec.origin is not None
    data = np.fromfile(Path(spec.origin).parent / "data" / "uniclass_o200k.bin", np.uint32).tolist()
    codes = [code for code in (*range(0x34000), *range(0xE0000, 0xE0400)) if not 0xD800 <= code < 0xE000 and code != 97]
    characters = list(map(chr, codes))
    text = "".join(f"a{character}" for character in characters)
    places = np.cumsum([0, *(1 + len(character.encode()) for character in characters)])[:-1]
    different = np.zeros(len(codes), np.bool_)
    ranks = {bytes([b]): b for b in range(256)} | {b"a" + bytes([b]): 256 + b for b in range(256)}
    upper, lower = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    for members in (r"\p{L}", r"\p{N}", r"\s", upper, lower):
        encoding = tiktoken.Encoding(members, pat_str=rf"a{members}|[\s\S]", mergeable_ranks=ranks, special_tokens={})
        ids = encoding.encode_to_numpy(text)
        starts = np.cumsum([0, *np.where(ids >= 256, 2, 1)])[:-1]
        count, data = data[0], data[1:]
        theirs = np.zeros(0x110000, np.bool_)
        for first, last in zip(data[: 2 * count : 2], data[1 : 2 * count : 2], strict=True):
            theirs[first : last + 1] = True
        data = data[2 * count :]
        different |= theirs[codes] != np.isin(places, starts[ids >= 256])
    assert not data
    expected = {code for first, last in quicktok_encoder._DIFFERENT for code in range(first, last + 1)}
    assert {code for code, differs in zip(codes, different.tolist(), strict=True) if differs} == expected


@pytest.mark.moderate
@given(texts=st.lists(TEXTS, min_size=1, max_size=6), cuts=st.lists(st.integers(0, 400), max_size=8))
@settings(max_examples=150, deadline=None)
def test_spans_are_counted_in_one_batch(texts: list[str], cuts: list[int]) -> None:
    quick = pair("o200k_base")[0]
    spans = []
    for text in texts:
        bounds = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
        spans.append(np.array(list(itertools.pairwise(bounds)), np.int32).reshape(-1, 2))
    found, expected = quick._count_spans(texts, spans), Tokenizer._count_spans(quick, texts, spans)
    for one, other, text, places in zip(found, expected, texts, spans, strict=True):
        assert one.dtype == np.float32
        assert one.tolist() == other.tolist()
        assert one.sum() == (quick.count(text) if len(places) else 0)


@pytest.mark.moderate
def test_texts_are_encoded_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = pair("cl100k_base")[0]
    texts = [f"naïve at {time.time()}", "it'ſ", "\ud83d", f"again at {time.time()}", ""]
    spans = [np.array([[0, 2], [2, len(text)]], np.int32) for text in texts[::3]]
    quick.encode_ahead([*texts, texts[0]])
    with monkeypatch.context() as patch:
        patch.setattr(quick, "_count", lambda text: 1 / 0)
        patch.setattr(quicktok("cl100k_base"), "encode", lambda texts: 1 / 0)
        counts = [quick.count(text) for text in texts[::3]]
        assert counts == [found.sum() for found in quick.count_spans(texts[::3], spans)]
    exact = pair("cl100k_base")[1]
    assert [quick.count(text) for text in texts] == [exact.count(text) for text in texts]


@pytest.mark.moderate
def test_counts_of_spans_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = pair("o200k_base")[0]
    text = f"said once at {time.time()}\nand no more"
    whole, parts = np.array([[0, len(text)]], np.int32), np.array([[0, 5], [5, len(text)]], np.int32)
    first = quick.count_spans([text], [whole])
    other = quick.count_spans([text], [parts])
    assert first[0].sum() == other[0].sum() == quick.count(text)
    monkeypatch.setattr(quick, "_count_spans", lambda texts, spans: 1 / 0)
    assert quick.count_spans([text, text], [parts, parts])[1] is other[0]


# --- the same vocabulary


@pytest.mark.moderate
@pytest.mark.parametrize("name", VOCABULARIES)
def test_the_vocabulary_is_openais(name: str) -> None:
    encoding = quicktok(name)._encoding
    tokens = map(encoding.decode_single_token_bytes, range(len(encoding.token_byte_values())))
    ranks = b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens))
    assert hashlib.sha256(ranks).hexdigest() == tiktoken_ranks.SPECS[name][0]


@pytest.mark.moderate
@pytest.mark.parametrize("name", VOCABULARIES)
def test_the_sample_is_tiktokens(name: str) -> None:
    exact = pair(name)[1].encoding
    tokens = exact.encode_ordinary(quicktok_encoder._SAMPLE)
    assert quicktok_encoder._SAMPLE_TOKENS[name] == " ".join(map(str, tokens))


# --- what falls back to tiktoken


def test_texts_for_tiktoken() -> None:
    assert is_exact_for("plain <|endoftext|> \r\n\x00")
    assert is_exact_for("naïve 日本語 🙂 ſ's \u0378\ue000\uffff\U000323af\U0003347a\U000e0067\U0010ffff")
    for text in ("\u0295", "\u1acf", "\U000323b0", "\U00033479", "\ud83d", "it'ſ", "é" * (1 << 20) + "\u0295"):
        assert not is_exact_for(text)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(distribution: str) -> str:
        raise metadata.PackageNotFoundError(distribution)

    monkeypatch.setattr(metadata, "version", version)


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    quicktok("o200k_base")
    monkeypatch.setattr(metadata, "version", lambda distribution: "9.9.9")


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quicktok("o200k_base")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "o200k.vocab").write_bytes(b"\x00" * 100)
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: spec)


@pytest.fixture
def wrong_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    quicktok("o200k_base")
    monkeypatch.setitem(quicktok_encoder._SAMPLE_TOKENS, "o200k_base", "1 2 3")


@pytest.fixture
def switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "0")


@pytest.fixture
def short_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quicktok_encoder, "_is_process_short", False)
    quicktok_encoder.prefer_short_start()


@pytest.fixture
def situation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv(SWITCH, raising=False)
    name, message = request.param
    request.getfixturevalue(name)
    return str(message)


@pytest.mark.moderate
@pytest.mark.parametrize(
    "situation",
    [
        ("missing", "not installed"),
        ("newer", "9.9.9 was not compared"),
        ("damaged", "not the file"),
        ("wrong_sample", "a sample"),
        ("switched_off", "COMPRESSOR_NATIVE=0"),
        ("short_process", "a short one"),
    ],
    indirect=True,
)
def test_why_quicktok_is_not_used(situation: str) -> None:
    with pytest.raises(QuicktokUnavailableError, match=situation):
        load_quicktok("o200k_base")


@pytest.mark.moderate
@pytest.mark.usefixtures("switched_off")
def test_without_quicktok_tiktoken_counts() -> None:
    tokenizer = BytePairTokenizer("o200k_base")
    assert tokenizer.encoder == "tiktoken, because COMPRESSOR_NATIVE=0 switches quicktok off"
    assert tokenizer.count("hello world") == 2


@pytest.mark.moderate
def test_tiktoken_is_loaded_for_the_texts_that_need_it() -> None:
    quicktok("o200k_base")
    code = (
        "import sys\n"
        "from compressor import Compressor\n"
        "from compressor.tokens import get_counter\n"
        "counter = get_counter('gpt-4o')\n"
        "Compressor(store='memory').compress_text('line of text, naïve 日本 🙂\\n' * 50, budget=60)\n"
        "print(counter.encoder, 'tiktoken' in sys.modules, counter.count('\\u0295'), 'tiktoken' in sys.modules)"
    )
    environment = {key: value for key, value in os.environ.items() if key != SWITCH}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["quicktok", "0.4.0", "False", "2", "True"]


# --- time


@pytest.mark.moderate
@pytest.mark.parametrize("name", VOCABULARIES)
@pytest.mark.parametrize("unit", ["a", " ", "\n", "\t", "7", "!", "aA", "-=", "é", "日", "\u0301", "🙂"])
def test_the_time_of_long_runs_is_bounded(name: str, unit: str) -> None:
    text = unit * (3_000_000 // len(unit)) + "x"
    quicktok(name).count("é")
    with cpu_time_below(3):
        assert quicktok(name).count(text) > 1_000
