"""The perplexity tier on the shipped model and the real llama.cpp: batches, spans, windows, units, bad files."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compressor.errors import CompressorError, DeviceError, MissingDependencyError, ModelError
from compressor.scoring import Query, SourceBlock, UnitBatch, make_scorer
from compressor.scoring.runtime.device import Device
from compressor.text.segmenters.sentences import segment_prose
from support import gguf_tools
from support.gguf_tools import TINY
from support.property_tests import given, settings, st

llama_cpp: Any = pytest.importorskip("llama_cpp")

from compressor.scoring.models import gguf_loader  # noqa: E402
from compressor.scoring.models.gguf_logprobs import GgufLanguageModel, ScoredSequence, get_language_model  # noqa: E402
from compressor.scoring.perplexity import PerplexityModel  # noqa: E402

CPU = Device("cpu", "a test")
TEXT = (
    "Marie Curie was born in Warsaw in 1867. She studied physics in Paris. In 1903 she won the Nobel Prize in physics. "
    "The weather in the valley was mild, and the road to the village was dry."
)


@pytest.fixture(scope="module")
def model() -> GgufLanguageModel:
    return get_language_model(TINY, CPU)


@pytest.fixture(scope="module")
def reader() -> PerplexityModel:
    return PerplexityModel(TINY, device="cpu")


def prose_units(*texts: str, title: str = "") -> UnitBatch:
    layouts = [segment_prose(text) for text in texts]
    return UnitBatch([SourceBlock("document", x, np.ones(len(x.spans), np.float32), title) for x in layouts])


def one_by_one(item: ScoredSequence, path: Path = TINY) -> np.ndarray[Any, Any]:
    """Nats by llama-cpp-python's own high-level class, one sequence at a time."""
    whole = np.concatenate([item.prefix, item.ids]).tolist()
    plain = llama_cpp.Llama(str(path), n_ctx=512, logits_all=True, n_threads=1, n_threads_batch=1, verbose=False)
    plain.eval(whole)
    logits = plain.scores[: len(whole)].astype(np.float64)
    plain.close()
    logp = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    first = len(item.prefix) + item.first
    return np.array([-logp[i - 1, whole[i]] for i in range(first, len(whole))])


def test_a_batch_with_shared_prefixes_is_the_same_as_one_by_one(model: GgufLanguageModel) -> None:
    ids, start = model.vocabulary.tokens(TEXT).ids, model.vocabulary.start
    asked = np.concatenate([start, model.vocabulary.tokens("when was marie curie born\n").ids])
    items = [
        ScoredSequence(start, ids),
        ScoredSequence(asked, ids),
        ScoredSequence(asked, ids[:20], 5),
        ScoredSequence(start, ids[3:9]),
        ScoredSequence(asked, ids[:1]),
    ]
    found = model.token_nll(items)
    for item, nats in zip(items, found, strict=True):
        assert nats.dtype == np.float32
        assert nats.shape == (len(item.ids) - item.first,)
        assert np.abs(nats - one_by_one(item)).max() < 0.02
    alone = GgufLanguageModel(TINY, CPU)
    for item, nats in zip(items, found, strict=True):
        assert np.abs(nats - alone.token_nll([item])[0]).max() < 0.01


def test_more_than_a_pass_holds(model: GgufLanguageModel) -> None:
    ids, start = model.vocabulary.tokens(TEXT * 40).ids, model.vocabulary.start
    items = [ScoredSequence(start, ids[i : i + 100 + i % 50]) for i in range(0, 1500, 10)]
    found = GgufLanguageModel(TINY, CPU).token_nll(items)
    assert [len(x) for x in found] == [len(i.ids) for i in items]
    assert np.abs(found[7] - GgufLanguageModel(TINY, CPU).token_nll([items[7]])[0]).max() < 0.01


def test_an_item_that_fills_the_window(model: GgufLanguageModel) -> None:
    ids = model.vocabulary.tokens(TEXT * 40).ids
    item = ScoredSequence(model.vocabulary.start, ids[: model.window - 1])
    assert np.isfinite(model.token_nll([item])[0]).all()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=120))
def test_tokens_cover_any_text(text: str) -> None:
    tokens = get_language_model(TINY, CPU).vocabulary.tokens(text)
    assert len(tokens.ids) == len(tokens.ends)
    assert (np.diff(tokens.ends) >= 0).all()
    assert not len(text) or tokens.ends[-1] == len(text)


@pytest.mark.parametrize(
    "text", ["\ud800 a \udfff", "東京🙂" * 300, "a" * 40_000, " \n" * 3000, "x y\n" * 9000, "\x00"]
)
def test_spans_of_odd_texts(model: GgufLanguageModel, text: str) -> None:
    tokens = model.vocabulary.tokens(text)
    assert len(tokens.ids) == len(tokens.ends)
    assert (np.diff(tokens.ends) >= 0).all()
    assert tokens.ends[-1] == len(text)


def test_token_ends_stand_at_the_tokens_text(model: GgufLanguageModel) -> None:
    tokens = model.vocabulary.tokens(TEXT)
    begins = [0, *tokens.ends[:-1].tolist()]
    pieces = [TEXT[a:b] for a, b in zip(begins, tokens.ends.tolist(), strict=True)]
    assert "".join(pieces) == TEXT
    assert " the" in pieces and " was" in pieces


def test_what_is_common_surprises_less(model: GgufLanguageModel) -> None:
    text = "The president of the United States of America xylophonist."
    tokens = model.vocabulary.tokens(text)
    (nats,) = model.token_nll([ScoredSequence(model.vocabulary.start, tokens.ids)])
    states = tokens.ends.tolist().index(text.index(" of America"))
    assert nats[states] < 2 < nats[-5:].mean()


def test_a_long_text_is_read_in_windows(reader: PerplexityModel, model: GgufLanguageModel) -> None:
    long, short = prose_units(TEXT * 30), prose_units(TEXT)
    assert len(model.vocabulary.tokens(TEXT * 30).ids) > 3 * model.window
    odds = reader.relevance(Query(), long, np.arange(len(long)))
    assert np.isfinite(odds).all()
    assert np.abs(odds[:3] - reader.relevance(Query(), short, np.arange(3))).max() < 0.05


def test_the_question_raises_what_it_asks_for(reader: PerplexityModel) -> None:
    query = Query((("Marie Curie Nobel Prize in physics", 1.0),))
    units = prose_units(TEXT)
    odds = reader.relevance(query, units, np.arange(len(units)))
    assert odds.dtype == np.float32 and odds.shape == (len(units),)
    assert np.isfinite(odds).all()
    assert odds[:3].max() > odds[3]


def test_reads_the_wanted_units_only_and_the_same_every_time(reader: PerplexityModel) -> None:
    query = Query((("who won", 1.0), ("context", 0.4)))
    units = prose_units(TEXT, TEXT[40:] * 20, title="Physics")
    everything = reader.relevance(query, units, np.arange(len(units)))
    some = np.array([len(units) - 1, 2, 0])
    assert np.array_equal(reader.relevance(query, units, some), everything[some])
    assert reader.relevance(query, units, np.zeros(0, np.int64)).shape == (0,)
    assert np.abs(PerplexityModel(TINY, device="cpu").relevance(query, units, some) - everything[some]).max() < 0.05


def test_without_a_question_surprise_counts(reader: PerplexityModel) -> None:
    units = prose_units("The quick zebra xylophone quartz jinxed. It was one of the most of the time of the day.")
    odds = reader.relevance(Query(), units, np.arange(2))
    assert odds[0] > odds[1]


def test_a_unit_without_tokens(reader: PerplexityModel) -> None:
    units = prose_units("", "A sentence of words.")
    odds = reader.relevance(Query((("words", 1.0),)), units, np.arange(len(units)))
    assert np.isfinite(odds).all()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=3), st.text(max_size=40), st.text(max_size=20))
def test_any_text_gives_finite_numbers(texts: list[str], query: str, title: str) -> None:
    units = prose_units(*texts, title=title)
    odds = PerplexityModel(TINY, device="cpu").relevance(Query(((query, 1.0),)), units, np.arange(len(units)))
    assert odds.shape == (len(units),)
    assert np.isfinite(odds).all()


def test_threads_share_one_model(reader: PerplexityModel) -> None:
    query = Query((("born", 1.0),))
    sets = [prose_units(f"Text number {i}. " + TEXT) for i in range(6)]
    alone = [GgufLanguageModel(TINY, CPU) for _ in range(1)]
    out: list[Any] = [None] * 6

    def work(i: int) -> None:
        out[i] = PerplexityModel(TINY, device="cpu").relevance(query, sets[i], np.arange(len(sets[i])))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(len(x) == len(u) for x, u in zip(out, sets, strict=True))
    assert get_language_model(TINY, CPU) is get_language_model(TINY, CPU) is not alone[0]


def test_what_was_computed_is_remembered(model: GgufLanguageModel) -> None:
    item = ScoredSequence(model.vocabulary.start, model.vocabulary.tokens("Never said before: " + TEXT).ids)
    first = model.token_nll([item, item])
    before = model._scheduler.stats().items
    assert model.token_nll([item])[0] is first[0] is first[1]
    assert model._scheduler.stats().items == before


@pytest.mark.parametrize("make", [gguf_tools.llama, gguf_tools.mamba])
def test_other_models(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path / "other.gguf")
    model = GgufLanguageModel(path, CPU)
    start, ids = model.vocabulary.start, model.vocabulary.tokens("the cat in the thin hat").ids
    asked = np.concatenate([start, model.vocabulary.tokens("a hat").ids])
    items = [
        ScoredSequence(asked, ids),
        ScoredSequence(start, ids),
        ScoredSequence(asked, ids[:7], 2),
        ScoredSequence(asked, ids[3:9]),
    ]
    for item, nats in zip(items, model.token_nll(items), strict=True):
        assert np.abs(nats - one_by_one(item, path)).max() < 0.01


def test_spans_of_a_sentencepiece_vocabulary(tmp_path: Path) -> None:
    vocabulary = GgufLanguageModel(gguf_tools.llama(tmp_path / "other.gguf"), CPU).vocabulary
    for text in ["the cat in the thé hat.", "  lead", "東京 a\nb\n\n", "e\u0301x"]:
        tokens = vocabulary.tokens(text)
        assert (np.diff(tokens.ends) >= 0).all() and tokens.ends[-1] == len(text)
    assert vocabulary.tokens("in the hat").ends[:3].tolist() == [0, 2, 6]


def test_an_encoder_is_no_language_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a causal language model; its architecture is bert"):
        GgufLanguageModel(gguf_tools.encoder(tmp_path / "bert.gguf"), CPU)


def test_numbers_that_are_none_are_an_error(tmp_path: Path) -> None:
    path = broken(tmp_path, "blk.0.attn_norm.weight", np.full(192, np.nan, np.float32))
    model = GgufLanguageModel(path, CPU)
    with pytest.raises(ModelError, match="NaN"):
        model.token_nll([ScoredSequence(model.vocabulary.start, model.vocabulary.tokens("a b c").ids)])


def broken(folder: Path, tensor: str, data: np.ndarray[Any, Any]) -> Path:
    """The shipped model with one tensor overwritten in its file."""
    gguf = pytest.importorskip("gguf")
    path = folder / "broken.gguf"
    shutil.copy(TINY, path)
    for t in gguf.GGUFReader(path, "r+").tensors:
        if t.name == tensor:
            t.data[:] = data
            return path
    raise AssertionError(f"no tensor {tensor}")


def test_files_that_are_no_model(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    with pytest.raises(ModelError, match="cannot read"):
        PerplexityModel(path)
    path.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(ModelError, match="not a GGUF"):
        PerplexityModel(path)
    with pytest.raises(ModelError, match="cannot read"):
        PerplexityModel(tmp_path)


@pytest.mark.parametrize("size", [10, 5_000, 200_000, 2_000_000])
def test_a_truncated_file(tmp_path: Path, size: int, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(TINY.read_bytes()[:size])
    with pytest.raises(ModelError, match=r"cannot load .*cut\.gguf: \w"):
        GgufLanguageModel(path, CPU)
    assert capfd.readouterr().err == ""


def test_a_file_with_a_vocabulary_only(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    path = tmp_path / "vocabulary.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for key, field in gguf.GGUFReader(TINY).fields.items():
        if not key.startswith(("GGUF.", "general.architecture")):
            writer.add_key_value(key, field.contents(), field.types[0], *field.types[1:2])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ModelError, match="token_embd"):
        GgufLanguageModel(path, CPU)


def test_a_model_bigger_than_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_loader, "MAX_MEMORY_FRACTION", 1e-9)
    with pytest.raises(ModelError, match="too big"):
        GgufLanguageModel(TINY, CPU)


def test_loading_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    GgufLanguageModel(TINY, CPU).token_nll([ScoredSequence(np.array([0], np.int32), np.array([5, 6], np.int32))])
    out = capfd.readouterr()
    assert out.out == "" and out.err == ""


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError):
        PerplexityModel(TINY, device="cuda:99")
    gpu = Device("cuda:0", "a test")
    monkeypatch.setattr(gguf_loader, "select_device", lambda wanted: gpu)
    monkeypatch.setattr(llama_cpp, "llama_supports_gpu_offload", lambda: False)
    assert PerplexityModel(TINY).device.name == "cpu"  # the best there is for llama.cpp, and it says why
    assert "GPU" in PerplexityModel(TINY).device.reason
    with pytest.raises(DeviceError, match="GPU"):
        PerplexityModel(TINY, device="cuda")
    monkeypatch.setattr(llama_cpp, "llama_supports_gpu_offload", lambda: True)
    assert PerplexityModel(TINY).device is gpu


def test_without_llama_cpp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "llama_cpp", None)
    with pytest.raises(MissingDependencyError, match=r"agentic-compressor\[llama\]") as e:
        PerplexityModel(TINY)
    assert isinstance(e.value, CompressorError)


def test_without_a_model() -> None:
    with pytest.raises(CompressorError, match=r"perplexity:/path/model\.gguf"):
        make_scorer("perplexity")
