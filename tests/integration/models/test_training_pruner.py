"""How the pruner is trained, on data made here: rows, batches, losses, labels, measures."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.property_tests import given, st

pytest.importorskip("torch")
pytest.importorskip("safetensors.torch")

import torch

from compressor.scoring.models import bundled_pruner
from training import pruner, pruner_agents, pruner_eval
from training.pruner_batches import Batch, Coder, Row, _part, padded, plan
from training.pruner_data import Document, Group, Near


class Words:
    """A tokenizer of single words."""

    def token_to_id(self, token: str) -> int:
        return {"[CLS]": 1, "[SEP]": 2}[token]

    def encode(self, text: str, add_special_tokens: bool = True) -> Any:
        ids = [10 + int(w) for w in text.split()]
        return type("Encoding", (), {"ids": ids})


def row(n: int, labels: tuple[bool, ...] = (True,)) -> Row:
    """Begin, a query of one, end, n tokens over all units, end."""
    unit = sorted(i % len(labels) for i in range(n))
    return Row([1, 11, 2, *range(20, 20 + n), 2], 3, [-1, -1, -1, *unit, -1], labels)


def test_a_document_of_units() -> None:
    document = Document.of("t", ["one two", "three"], [0, 1])
    assert document.text == "one two three"
    assert [document.text[a:b] for a, b in document.spans] == ["one two", "three"]
    assert document.labels == (False, True)


def test_rows_mark_units_and_nothing_else() -> None:
    document = Document.of("90 91", ["3 4 5", "6"], [0, 1])
    (found,) = Coder(Words()).rows(Group("1 2", (document,), "x"))
    assert found.ids == [1, 11, 12, 2, 100, 101, 13, 14, 15, 16, 2]
    assert found.first == 4
    assert found.unit == [-1, -1, -1, -1, -1, -1, 0, 0, 0, 1, -1]


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=20), st.integers(1, 100))
def test_a_part_fits_and_holds_what_is_worth_keeping(units: list[tuple[int, bool]], room: int) -> None:
    sizes, labels = [n for n, _ in units], [x for _, x in units]
    first, last = _part(sizes, labels, room)
    assert first < last <= len(units)
    assert sum(sizes[first:last]) <= room or last - first == 1
    assert not any(labels) or any(labels[first:last])
    grown = [sizes[i] for i in (first - 1, last) if 0 <= i < len(sizes)]
    assert all(sum(sizes[first:last]) + n > room for n in grown)


@given(st.lists(st.lists(st.integers(1, 200), min_size=1, max_size=4), max_size=60), st.integers(0, 5))
def test_a_plan_has_every_group_once(sizes: list[list[int]], seed: int) -> None:
    groups = [[row(n) for n in group] for group in sizes]
    batches = plan(groups, random.Random(seed))
    assert sorted(map(id, groups)) == sorted(id(g) for batch in batches for g in batch)
    again = plan(groups, random.Random(seed))
    assert [[id(g) for g in b] for b in again] == [[id(g) for g in b] for b in batches]


def test_padding_numbers_units_over_the_batch() -> None:
    batch = padded([[row(5, (False, True)), row(2)], [row(3, (False,))]], torch)
    ((ids, mask, types),) = batch.parts
    assert ids.shape == (3, 9)
    assert mask.sum(1).tolist() == [6, 7, 9]  # shortest first
    assert (types.sum(1) == mask.sum(1) - 3).all()
    assert batch.unit[batch.unit >= 0].tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
    assert batch.labels.tolist() == [1, 0, 0, 1]
    assert batch.document.tolist() == [0, 1, 2, 2]
    assert batch.holds.tolist() == [1, 0, 1]
    assert batch.group.tolist() == [0, 1, 0]


class Given(torch.nn.Module):
    """A model that says what it is told to."""

    def __init__(self, keep: torch.Tensor, document: torch.Tensor) -> None:
        super().__init__()
        self.keep, self.document = torch.nn.Parameter(keep), document

    def forward(self, ids: Any, mask: Any, types: Any) -> Any:
        return self.keep[:, : ids.shape[1]], self.document


def batch_of_two() -> Batch:
    return padded([[row(4, (False, True)), row(4, (False, False))]], torch)


def test_the_loss_falls_when_the_answer_is_right() -> None:
    batch = batch_of_two()
    good, bad = torch.full((2, 8), -4.0), torch.full((2, 8), -4.0)
    good[0, 5:7] = 4.0
    bad[1, 3:5] = 4.0
    document = torch.tensor([3.0, -3.0])
    right = pruner.losses(Given(good, document), batch, None, 1.0, torch)
    wrong = pruner.losses(Given(bad, -document), batch, None, 1.0, torch)
    assert right.item() < 0.3 < 3 < wrong.item()


def test_selective_loss_leaves_out_what_the_reference_finds_as_hard() -> None:
    batch = batch_of_two()
    silent = torch.zeros(2)
    model = Given(torch.zeros(2, 8), silent)
    hard = torch.zeros(2, 8)
    hard[0, 3:7] = torch.tensor([9.0, 9.0, -9.0, -9.0])  # the reference is wrong on the first row's tokens
    easy = torch.zeros(2, 8)

    def gradient(reference: torch.Tensor) -> torch.Tensor:
        model.keep.grad = None
        plain = pruner.losses(model, batch, None, 1.0, torch)
        chosen = pruner.losses(model, batch, Given(reference, silent), 0.5, torch)
        (chosen - plain).backward()  # only the token loss differs
        assert model.keep.grad is not None
        return model.keep.grad

    assert gradient(hard)[0, 3:7].abs().min() > 0.05
    assert (gradient(hard)[0, 3:5] < 0).all()  # no longer pushed down
    assert (gradient(easy)[:, :3] == 0).all()


def test_unit_means() -> None:
    token, unit = torch.tensor([1.0, 3.0, 5.0]), torch.tensor([0, 0, 2])
    assert pruner.unit_means(token, unit, 3, torch).tolist() == [2.0, 0.0, 5.0]


@pytest.mark.skipif(importlib.util.find_spec(bundled_pruner.BASE_PACKAGE) is None, reason="no base model")
def test_a_short_run_writes_what_it_trained(tmp_path: Path) -> None:
    """The merged file answers as the side paths did, and two runs give the same bytes."""
    texts = ["Anna lives in Rome.", "The sky is blue.", "Bread is made of flour."]
    groups = [
        Group(q, (Document.of("Facts", texts, [i == k for i in range(3)]), Document.of("", texts[:1])), "x")
        for k, q in enumerate(("Where does Anna live?", "What colour is the sky?", "What is bread made of?"))
    ]
    kept: dict[str, torch.Tensor] = {}

    def watch(module: Any, torch: Any) -> dict[str, Any]:
        trained = adapted(module, torch)
        kept.update(trained)
        modules.append(module)
        return trained

    adapted = pruner.adapted
    modules: list[Any] = []
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pruner, "adapted", watch)
        patch.setattr("training.pruner_batches.TOKENS", 30)  # several steps: the heads start at nought
        for path in paths:
            pruner.train(groups, 3, 8e-4, path, torch)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_mode & 0o044 == 0o044
    assert all(t.detach().abs().max().item() > 0 for name, t in kept.items() if name.endswith(".b"))
    merged = bundled_pruner.load("cpu", path=paths[0]).module
    batch = padded([Coder(bundled_pruner.load_base(None)[1]).rows(groups[0])], torch)
    with torch.no_grad():
        for part in batch.parts:
            for a, b in zip(modules[0](*part), merged(*part), strict=True):
                torch.testing.assert_close(a, b, rtol=0.02, atol=0.01)


def test_near_finds_passages_by_words() -> None:
    near = Near(["the cat sat on the mat", "dogs bark at night", "a cat and a dog at night"])
    assert near.best("why do dogs bark at night", 2) == [1, 2]
    assert near.best("quantum", 2) == []


def tool_call(name: str, **arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": function}]}


def test_agent_labels_are_what_later_calls_use() -> None:
    bookings = json.dumps([{"id": "HAT136", "price": 50}, {"id": "HAT039", "price": 80}, {"id": "HAT200", "price": 9}])
    messages = [
        {"role": "user", "content": "Cancel my cheaper flight please"},
        tool_call("list_flights", user="mia_li_3668"),
        {"role": "tool", "content": bookings},
        {"role": "user", "content": "Yes"},
        tool_call("cancel", flight="HAT039"),
    ]
    (group,) = pruner_agents._steps(messages, "x", random.Random(0))
    (document,) = group.documents
    units = [document.text[a:b] for a, b in document.spans]
    assert [u for u, label in zip(units, document.labels, strict=True) if label]
    assert all(("HAT039" in u) == label for u, label in zip(units, document.labels, strict=True))
    assert group.query.startswith("Yes\n") and "list_flights" in group.query and "Cancel" in group.query
    assert document.title.startswith("list_flights")


def test_one_task_in_five_is_held_out() -> None:
    share = np.mean([pruner_agents.held_out(f"airline-{i}") for i in range(2_000)])
    assert 0.17 < share < 0.23


def test_measures() -> None:
    scores, labels = np.array([3.0, 2.0, 1.0, 0.0]), np.array([True, False, True, False])
    assert pruner_eval.average_precision(scores, labels) == pytest.approx((1 + 2 / 3) / 2)
    assert pruner_eval.best_f1(scores, labels) == pytest.approx((0.8, 1.0))
    found = pruner_eval.Read(
        keep=np.array([1.0, 0.0, 2.0]),
        labels=np.array([True, False, False]),
        tokens=np.array([5, 5, 10]),
        document=np.array([0, 0, 1]),
        odds=np.array([2.0, 0.0]),
        title=np.array([2, 2]),
    )
    assert not pruner_eval.kept(found, 0.0, 2.0)  # room for 12: the other document's unit takes it
    assert pruner_eval.kept(found, 1.0, 2.0)
