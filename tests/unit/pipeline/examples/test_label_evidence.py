"""How far labels can be predicted from texts, from what, and what follows for the choice of examples."""

from __future__ import annotations

import random

import numpy as np
import pytest

from compressor import Compressor
from compressor.pipeline.examples.label_evidence import LabelEvidence, label_signals, measure_evidence
from compressor.pipeline.examples.label_prior import LabelModel
from compressor.pipeline.examples.ngram_features import ngram_features
from compressor.pipeline.examples.ngram_index import NgramIndex
from compressor.pipeline.examples.word_centroids import WordCentroids, embed_words
from support.property_tests import given, settings, st

CARDS = [f"my card {x}" for x in ("is lost", "was stolen on the bus", "fell into the river", "got taken from me")]
WEATHER = [f"weather {x} today" for x in ("in Rome by noon", "around Oslo", "for a walk in Lima", "near Bonn or Köln")]
MUSIC = [f"play {x}" for x in ("a song by Queen", "some jazz music", "my music list", "the new album of Abba")]
TEXTS = [*CARDS, *WEATHER, *MUSIC]
LABELS = ["lost_card"] * 4 + ["weather"] * 4 + ["music"] * 4
C = Compressor(store="memory")


def model_of(texts: list[str], labels: list[str]) -> LabelModel:
    return LabelModel(NgramIndex(ngram_features(texts)), labels)


def evidence_of(texts: list[str], labels: list[str]) -> LabelEvidence:
    return measure_evidence(model_of(texts, labels), texts.__getitem__, None, None)


def probabilities(texts: list[str], labels: list[str], query: str) -> dict[str, float]:
    model, evidence = model_of(texts, labels), evidence_of(texts, labels)
    features = ngram_features([query])[0]
    hits = model.lexical.find_postings(features)
    assert evidence.centroids is not None
    words = evidence.centroids.cosines(evidence.centroids.centred(embed_words([query]))[0])
    signals = label_signals(model, features, (model.lexical.cosines(hits), hits), words)
    return dict(zip(model.names, evidence.probabilities(signals).tolist(), strict=True))


def test_classes_are_told_from_answers() -> None:
    assert evidence_of(TEXTS, LABELS).reliability > 0.3
    assert evidence_of(TEXTS, ["yes", "no", "yes"] * 4).reliability < 0.1
    assert evidence_of(TEXTS, ["card"] * 12).tries == 0
    assert evidence_of(TEXTS, [""] * 12).tries == 0
    assert evidence_of(TEXTS, [str(i) for i in range(12)]).tries == 0


def test_many_tries_count_more_than_few() -> None:
    many = [f"{text} {word}" for text in TEXTS for word in ("please", "quickly", "if you can", "for my brother")]
    assert evidence_of(many, [label for label in LABELS for _ in range(4)]).tries > evidence_of(TEXTS, LABELS).tries
    assert evidence_of(many[::8], LABELS[::2]).reliability < evidence_of(TEXTS, LABELS).reliability


def test_a_duplicate_proves_nothing() -> None:
    texts = [
        f"{a} {b}" for a in ("red", "blue", "tall", "slow") for b in ("stone bridge over water", "winter coat of wool")
    ]
    doubled = [*texts, *texts]
    labels = ["a", "b", "b", "a", "b", "a", "a", "b"] * 2
    assert evidence_of(doubled, labels).reliability < 0.2


def test_the_name_of_a_label_is_a_hint() -> None:
    texts = ["could you put on the radio", "sound please", "so cold here", "make it warmer in here"]
    found = probabilities(texts, ["play_music", "play_music", "heating", "heating"], "i want to hear music")
    assert found["play_music"] > 0.6


def test_probabilities_add_up() -> None:
    found = probabilities(TEXTS, LABELS, "where is my card")
    assert sum(found.values()) == pytest.approx(1.0)
    assert max(found, key=found.__getitem__) == "lost_card"


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([30, 60, 90]), st.booleans())
def test_the_order_of_the_list_does_not_matter(draw: random.Random, budget: int, answers: bool) -> None:
    labels = [str(len(text) % 5) for text in TEXTS] if answers else LABELS
    bank = [{"input": text, "output": label} for text, label in zip(TEXTS, labels, strict=True)]
    bank += [dict(example, input=f"{example['input']} {word}") for example in bank for word in ("please", "now")]
    bank += [dict(example, input=example["input"].upper()) for example in bank[:6]]  # with the same n-grams
    mixed = draw.sample(bank, len(bank))
    for query in ("i lost my card", "play the weather", "", "nothing of this"):
        assert C.select_examples(mixed, query, budget).text == C.select_examples(bank, query, budget).text


@given(st.integers(0, 1_000), st.integers(1, 5))
def test_centroids_without_some_examples(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    vectors, codes = rng.normal(size=(12, 4)).astype(np.float32), rng.integers(0, classes, 12)
    names, without = rng.normal(size=(classes, 4)).astype(np.float32), rng.permutation(12)[:5]
    centroids = WordCentroids(vectors, names, codes)
    stays = np.setdiff1d(np.arange(12), without)
    for code in range(classes):
        total = centroids.centred(names)[code] + centroids.vectors[stays[codes[stays] == code]].sum(0)
        expected = total @ centroids.vectors[0] / max(float(np.linalg.norm(total)), 1e-6)
        assert centroids.cosines(centroids.vectors[0], without)[code] == pytest.approx(expected, abs=1e-4)


def test_every_one_of_a_few_labels_is_shown() -> None:
    bank = [{"input": text, "output": label} for text, label in zip(TEXTS, LABELS, strict=True)]
    for query in ("i lost my card", "will the weather be fine", "play music"):
        assert {e["output"] for e in C.select_examples(bank, query, 70).examples} == set(LABELS)


def test_answers_that_no_text_predicts_do_not_count() -> None:
    bank = [{"input": text, "output": ("yes", "no")[i % 2]} for i, text in enumerate(TEXTS)]
    found = C.select_examples(bank, "where is my card", 50)
    assert found.text == C.select_examples(bank, "where is my card", 50, method="dpp").text


def noisy_bank(seed: int) -> tuple[list[dict[str, str]], set[str]]:
    """Sixty requests of three kinds; every fifth has a wrong label, and the texts of those are returned, too."""
    draw = random.Random(seed)
    what = {
        "lost_card": ["lost my card", "card was stolen", "cannot find my debit card", "block the card i lost"],
        "weather": ["weather in rome", "will it rain tomorrow", "how cold is it outside", "forecast for the weekend"],
        "music": ["play a song", "put on some jazz", "next track please", "turn the music up"],
    }
    bank, wrong = [], set()
    for i in range(60):
        label = list(what)[i % 3]
        start, end = draw.choice(["hi", "please", "hey there", "ok"]), draw.choice(["now", "for me", "today", "again"])
        text = f"{start} {draw.choice(what[label])} {end}"
        if i % 5 == 0:
            bank.append({"input": text, "output": draw.choice([name for name in what if name != label])})
            wrong.add(text)
        else:
            bank.append({"input": text, "output": label})
    return bank, wrong


def test_examples_with_wrong_labels_are_shown_less() -> None:
    shown = {"auto": 0, "top": 0}
    for seed in range(6):
        bank, wrong = noisy_bank(seed)
        right = {example["input"] for example in bank if example["input"] not in wrong}
        for query in ("i lost my card today", "will it rain now", "play some jazz for me"):
            for method in shown:
                found = C.select_examples(bank, query, 70, method=method).examples
                shown[method] += sum(e["input"] in wrong and e["input"] not in right for e in found)
    assert shown["auto"] < shown["top"] / 2
