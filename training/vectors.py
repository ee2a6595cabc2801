"""Trains the word vectors so that a question finds its answering sentences among those of other passages.

A sentence's score is the cosine of its bag of words with the query's, its document's likewise, and the share of query
words in both, so that the vectors learn what common words do not say.
Needs torch; writes nothing.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.scoring.token_index import TOKEN, classify_token
from compressor.scoring.word_vectors import FIRST_TERM_ROW, NUMBER_ROWS, UNKNOWN_IDF, hash_bucket
from training.data import Pair, Passage

SIZE = 64
RAREST = 3  # passages a term must stand in to have a row of its own
EPOCHS = 1
CLOZES = 21_000  # an epoch: terms of one sentence must find the other sentences of its passage
BATCH, SAME = 96, 4  # questions a batch, of them so many about one article: hard negatives
RATE = 0.01
LONGEST, LONGEST_QUERY, MOST = 48, 24, 10  # terms of a sentence, of a query; sentences of a passage

Term = tuple[int, int, int]  # row, number of the exact term, class of the token
Item = tuple[list[Term], str, list[list[Term]], tuple[bool, ...]]  # query, title, sentences, labels
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Vectors:
    """The trained arrays: vectors of terms, what a query adds to them, vectors of classes, and weights."""

    vocabulary: list[str]
    term: Floats
    asked: Floats
    kind: Floats
    bag: Floats
    idf: Floats


class Coder:
    """Texts as rows of the vocabulary."""

    def __init__(self, corpus: Sequence[Passage]) -> None:
        seen: Counter[str] = Counter()
        for p in corpus:
            seen.update({t for s in (p.title, *p.sentences) for k in TOKEN.findall(s) for t in classify_token(k)[1]})
        self.vocabulary = [
            t for t, n in sorted(seen.items(), key=lambda x: (-x[1], x[0])) if n >= RAREST and not t.isdigit()
        ]
        self.rows = {t: FIRST_TERM_ROW + i for i, t in enumerate(self.vocabulary)}
        self.numbers: dict[str, int] = {}
        self.idf = np.full(FIRST_TERM_ROW + len(self.vocabulary), UNKNOWN_IDF, np.float32)
        self.idf[:NUMBER_ROWS] = (3, 3, 3, 4, 5, 6)
        self.idf[FIRST_TERM_ROW:] = [math.log(len(corpus) / (1 + seen[t])) for t in self.vocabulary]
        self._memo: dict[tuple[str, int], list[Term]] = {}

    def terms(self, text: str, most: int) -> list[Term]:
        """The first `most` terms; the same list for the same text."""
        found = self._memo.get((text, most))
        if found is None:
            pairs = [(t, kind) for token in TOKEN.findall(text) for kind, ts in [classify_token(token)] for t in ts][
                :most
            ]
            found = [
                (
                    r if (r := self.rows.get(t)) is not None else hash_bucket(t),
                    self.numbers.setdefault(t, len(self.numbers)),
                    k,
                )
                for t, k in pairs
            ]
            self._memo[text, most] = found
        return found


def items(pairs: Sequence[Pair], coder: Coder) -> list[Item]:
    """Returns pairs as the model reads them, with the part around the answer of a long passage."""
    out = []
    for p in pairs:
        first = max(0, p.labels.index(True) - MOST // 2)
        part = slice(first, first + MOST)
        sentences = [coder.terms(s, LONGEST) for s in p.passage.sentences[part]]
        out.append((coder.terms(p.query, LONGEST_QUERY), p.passage.title, sentences, p.labels[part]))
    return out


def clozes(corpus: Sequence[Passage], coder: Coder, rng: random.Random) -> Iterator[Item]:
    """Returns pseudo-questions: a few rare terms of one sentence, with the rest of its passage as the answer."""
    for p in rng.sample(corpus, min(CLOZES, len(corpus))):
        sentences = [coder.terms(s, LONGEST) for s in p.sentences[:MOST]]
        if len(sentences) < 2:
            continue
        at = rng.randrange(len(sentences))
        telling = [t for t in sentences[at] if coder.idf[t[0]] > 2.5]
        if rng.random() < 0.5:
            telling = telling + coder.terms(p.title, LONGEST)
        if len(telling) >= 3:
            rest = sentences[:at] + sentences[at + 1 :]
            title = p.title if rng.random() < 0.5 else ""
            yield rng.sample(telling, min(len(telling), rng.randint(3, 7))), title, rest, (True,) * len(rest)


def batches(of: Sequence[Item], rng: random.Random, same: int) -> list[list[Item]]:
    """Items in batches, `same` of one article together."""
    order = list(range(len(of)))
    rng.shuffle(order)
    groups: dict[str, list[int]] = {}
    for i in order:
        groups.setdefault(of[i][1], []).append(i)
    chunks = [g[i : i + same] for g in groups.values() for i in range(0, len(g), same)]
    rng.shuffle(chunks)
    flat = [of[i] for c in chunks for i in c if of[i][0] and of[i][2]]
    return [flat[i : i + BATCH] for i in range(0, len(flat) - BATCH + 1, BATCH)]


class Model:
    """The parameters, and the score of every sentence of a batch for every question of it."""

    def __init__(self, coder: Coder, torch: Any) -> None:
        self.torch = torch
        n = len(coder.idf)
        parameter = torch.nn.Parameter
        self.idf = torch.tensor(coder.idf)
        self.term = parameter(torch.randn(n, SIZE) / math.sqrt(SIZE))
        self.asked = parameter(torch.zeros(n, SIZE))
        self.kind = parameter(torch.zeros(6, SIZE))
        self.bag = parameter(torch.tensor(coder.idf) * 0.35)
        self.mix = parameter(torch.tensor([6.0, 6.0, 8.0, 8.0]))  # words and bag of a sentence and of its document
        self.mix_cloze = parameter(torch.tensor([3.0, 3.0, 8.0, 8.0]))

    def loss(self, batch: Sequence[Item], coder: Coder) -> Any:
        """Mean negative log likelihood of the sentences that answer."""
        torch, size = self.torch, len(batch)
        document = torch.tensor([i for i, item in enumerate(batch) for _ in item[2]])
        right = torch.tensor([y for item in batch for y in item[3]])
        lists = [s for item in batch for s in item[2]] + [coder.terms(item[1], LONGEST) for item in batch]
        scores = self._scores(batch, lists, document)
        mine = document[None, :] == torch.arange(size)[:, None]
        firsts: dict[int, int] = {}
        first = torch.tensor([firsts.setdefault(id(item[2][0]), j) for j, item in enumerate(batch)])
        twin = (first[document][None, :] == first[:, None]) & ~mine  # the same passage under another question
        scores = scores.masked_fill(twin, -1e9)
        good = scores.masked_fill(~(mine & right[None, :]), -1e9)
        return (torch.logsumexp(scores, 1) - torch.logsumexp(good, 1)).mean()

    def _scores(self, batch: Sequence[Item], lists: list[list[Term]], document: Any) -> Any:
        """[questions, sentences]; `lists` are the sentences, then a title for each question."""
        torch, n, size = self.torch, len(document), len(batch)
        unit = torch.nn.functional.normalize
        asking = torch.from_numpy(np.array([(r, t, i) for i, item in enumerate(batch) for r, t, _ in item[0]]))
        entry = torch.from_numpy(np.array([(r, t, k, j) for j, x in enumerate(lists) for r, t, k in x]))
        rows, asks, owner = asking[:, 0], asking[:, 2], entry[:, 3]
        part_of = torch.cat([document, torch.arange(size)])
        # Words in common, weighted by idf: what the vectors need not say again.
        distinct, place = torch.unique(torch.cat([asking[:, 1], entry[:, 1]]), return_inverse=True)
        wanted = torch.zeros(size, len(distinct))
        wanted[asks, place[: len(rows)]] = self.idf[rows]
        wanted = wanted / wanted.sum(1, keepdim=True)
        has = torch.zeros(len(lists), len(distinct))
        has[owner, place[len(rows) :]] = 1.0
        whole = torch.zeros(size, len(distinct)).index_add_(0, part_of, has).clamp(max=1.0)
        # Bags of words.
        weight = torch.nn.functional.softplus(self.bag)[:, None]
        vectors = (self.term[entry[:, 0]] + self.kind[entry[:, 2]]) * weight[entry[:, 0]]
        bags = torch.zeros(len(lists), SIZE).index_add_(0, owner, vectors)
        bag_whole = torch.zeros(size, SIZE).index_add_(0, part_of, bags)
        question = (self.term[rows] + self.asked[rows]) * weight[rows]
        question = unit(torch.zeros(size, SIZE).index_add_(0, asks, question), dim=1)
        near, near_whole = question @ unit(bags[:n], dim=1).T, question @ unit(bag_whole, dim=1).T
        mix = self.mix_cloze if batch[0][3][0] and all(all(i[3]) for i in batch) else self.mix
        same = mix[0] * (wanted @ has[:n].T) + mix[1] * (wanted @ whole.T)[:, document]
        return same + mix[2] * near + mix[3] * near_whole[:, document]


def train(pairs: Sequence[Pair], corpus: Sequence[Passage], seed: int, torch: Any) -> Vectors:
    """Trains vectors of the corpus's terms; takes a few minutes on two threads."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    coder = Coder(corpus)
    asked = items(pairs, coder)
    model = Model(coder, torch)
    groups = [{"params": [model.term, model.asked, model.kind], "lr": RATE}]
    groups += [{"params": [model.bag, model.mix, model.mix_cloze], "lr": 2 * RATE}]
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    plan: list[list[Item]] = []
    for _ in range(EPOCHS):
        epoch = batches(asked, rng, SAME) + batches(list(clozes(corpus, coder, rng)), rng, 2)
        rng.shuffle(epoch)
        plan += epoch
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: max(0.03, 1 - i / len(plan)))
    total = 0.0
    for i, batch in enumerate(plan, 1):
        optimizer.zero_grad(set_to_none=True)
        loss = model.loss(batch, coder)
        loss.backward()
        optimizer.step()
        schedule.step()
        total += float(loss.detach())
        if i % 200 == 0:
            print(f"vectors: {i}/{len(plan)} batches, loss {total / 200:.3f}", flush=True)
            total = 0.0
    term, extra, kind, bag = (p.detach().numpy() for p in (model.term, model.asked, model.kind, model.bag))
    return Vectors(coder.vocabulary, term, extra, kind, np.log1p(np.exp(bag)).astype(np.float32), coder.idf)
