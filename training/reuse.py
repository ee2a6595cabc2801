"""`python -m training.reuse`: makes scoring/weights/reuse.npz from recorded and generated runs. Minutes; needs torch.

For every call of every run, the strings of the tool outputs before it are the examples; those that stand in the call's
arguments, and that the agent knew from nowhere else, are the positives. The loss is the cross-entropy of picking them
out of their context (a softmax over the context's strings), so that every call counts the same.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.methods import ours_sessions
from benchmarks.survival import RATIOS, measure
from compressor import Compressor
from compressor.scoring import reuse_features, reuse_predictor
from compressor.scoring.base import Query, Scores, UnitBatch
from compressor.scoring.heuristic import HeuristicScorer
from compressor.scoring.token_index import TOKEN
from training import data
from training.edits import edits
from training.runs import Run, runs

SEED = 20261122
HIDDEN = 16
FOLDS = 4
EPOCHS = 30
DECAY = 1e-1
LEAST = 60  # strings in a context, below which there is nothing to choose
#: how much a set counts: many short, alike dialogues and generated edits must not outvote the few long runs
SHARE = {
    "tau_airline": 1.0,
    "tau_retail": 1.0,
    "swe_demos": 2.0,
    "openhands": 1.0,
    "intercode": 0.3,
    "sgd": 0.1,
    "edits": 0.05,
}


@dataclass(frozen=True)
class Example:
    """A call and its context: features of tokens and units, their pairs, and which pairs the call repeats."""

    source: str
    task: str
    token: npt.NDArray[np.float32]
    unit: npt.NDArray[np.float32]
    pairs: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]
    wanted: npt.NDArray[np.bool_]


class _Seen(Exception):
    """Carries the scorer's input out of the compressor before anything is compressed."""

    def __init__(self, query: Query, units: UnitBatch) -> None:
        super().__init__()
        self.query, self.units = query, units


class _Spy:
    name = "spy"

    def score(self, query: Query, units: UnitBatch) -> Scores:
        raise _Seen(query, units)


def examples(run: Run) -> Iterator[Example]:
    """Returns the calls of a run that repeat a string which only tool outputs had before."""
    compressor = Compressor(scorer=_Spy(), store="memory")
    for i, message in enumerate(run.messages):
        calls = message.get("tool_calls")
        if not calls or not any(m["role"] == "tool" for m in run.messages[:i]):
            continue
        written = {t for call in calls for t in TOKEN.findall(_values(call["function"]["arguments"]))}
        try:
            compressor.compress(run.messages[:i], budget=1, model="gpt-4")
        except _Seen as seen:
            query, units = seen.query, seen.units
        if not len(units):
            continue
        _, match = HeuristicScorer().match(query, units)
        unit, token = units.index.pairs
        vocabulary = units.index.vocabulary
        new = np.zeros(len(vocabulary), np.bool_)
        new[[vocabulary[t] for t in written & vocabulary.keys() if len(t) > 2]] = True
        new &= ~(match.retained | match.written_by_agent)
        wanted = new[token]
        if len(token) >= LEAST and wanted.any():
            features = reuse_features.token_features(units, match), reuse_features.unit_features(units, match)
            yield Example(run.source, run.task, *features, (unit, token), wanted)


def _values(arguments: str) -> str:
    """The argument values of a call, without their names."""
    try:
        parsed = json.loads(arguments)
    except ValueError:
        return arguments
    out: list[str] = []
    todo = [parsed]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo += value.values()
        elif isinstance(value, list):
            todo += value
        else:
            out.append(str(value))
    return "\n".join(out)


def fit(chosen: list[Example], torch: Any, seed: int = SEED) -> reuse_predictor.ReuseNetwork:
    """Trains the network on these examples."""
    generator = torch.Generator().manual_seed(seed)
    widths = chosen[0].token.shape[1], chosen[0].unit.shape[1]
    weights = [
        torch.randn(widths[0], HIDDEN, generator=generator) * 0.1,
        torch.randn(widths[1], HIDDEN, generator=generator) * 0.1,
        torch.zeros(HIDDEN),
        torch.randn(HIDDEN, generator=generator) * 0.1,
    ]
    for w in weights:
        w.requires_grad_(True)
    optimizer = torch.optim.AdamW(weights, lr=1e-2, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    ready = [[torch.from_numpy(np.asarray(a)) for a in (e.token, e.unit, *e.pairs, e.wanted)] for e in chosen]
    shares = [SHARE[e.source] for e in chosen]
    for _ in range(EPOCHS):
        order = torch.randperm(len(chosen), generator=generator).tolist()
        for first in range(0, len(order), 16):
            loss = sum(shares[k] * _loss(weights, ready[k], torch) for k in order[first : first + 16]) / 16
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    return reuse_predictor.ReuseNetwork(*(w.detach().numpy() for w in weights))


def _loss(weights: list[Any], example: list[Any], torch: Any) -> Any:
    """The cross-entropy of the wanted strings; of each, its best place counts, as it is enough to keep one."""
    token, unit, places, tokens, wanted = example
    by_token, by_unit, bias, out = weights
    odds = torch.tanh((unit @ by_unit + bias)[places] + (token @ by_token)[tokens]) @ out
    total = torch.logsumexp(odds, 0)
    mine, inverse = torch.unique(tokens[wanted], return_inverse=True)
    best = torch.full((len(mine),), -1e9).scatter_reduce(0, inverse, odds[wanted], "amax")
    return (total - best).mean()


def write(path: Path, network: reuse_predictor.ReuseNetwork) -> None:
    """Writes the model; the same numbers give the same bytes."""
    arrays = {name: getattr(network, name).astype(np.float16) for name in ("by_token", "by_unit", "bias", "out")}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, array in {"version": np.array(reuse_predictor.VERSION), **arrays}.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            file.writestr(
                zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), buffer.getvalue(), zipfile.ZIP_DEFLATED
            )


def held_out(found: list[Example], torch: Any) -> list[reuse_predictor.ReuseNetwork]:
    """Trains a network for each fold on the tasks of the others."""
    return [fit([e for e in found if fold(e.task) != k], torch) for k in range(FOLDS)]


def fold(task: str) -> int:
    return zlib.crc32(task.encode()) % FOLDS


def report(found: list[Example], networks: list[reuse_predictor.ReuseNetwork]) -> Iterator[str]:
    """Prints, for each set, the loss in nats a string on held-out tasks, and that of a random pick."""
    for source in SHARE:
        losses, even = [], []
        for e in (e for e in found if e.source == source):
            odds = networks[fold(e.task)](e.token, e.unit, e.pairs).astype(np.float64)
            total = np.log(np.exp(odds - odds.max()).sum()) + odds.max()
            tokens = e.pairs[1]
            losses.append(np.mean([total - odds[e.wanted & (tokens == t)].max() for t in np.unique(tokens[e.wanted])]))
            even.append(np.log(len(odds)))
        yield f"{source}: {len(losses)} calls, {np.mean(losses):.2f} nats (at random {np.mean(even):.2f})"


def survival(folder: Path, networks: list[reuse_predictor.ReuseNetwork]) -> Iterator[str]:
    """Measures argument survival of the dev sessions, each with the network that was not trained on its task."""
    shipped = reuse_predictor.network
    for name in ("tau_airline", "tau_retail", "swe_lite", "swe_demos"):
        kept, asked = [0, 0, 0], 0
        for session in data.records(folder / "sessions" / f"{name}.jsonl.gz"):
            parts = session["id"].split("-")
            task = "-".join(parts[:2]) if name.startswith("tau") else session["id"]
            network = networks[0 if name == "swe_lite" else fold(task)]
            reuse_predictor.network = lambda path=reuse_predictor.PATH, network=network: network  # type: ignore[assignment]
            tallies = [measure(ours_sessions, [session], ratio) for ratio in RATIOS]
            kept = [k + t.kept for k, t in zip(kept, tallies, strict=True)]
            asked += tallies[0].asked
        yield f"{name}: " + " / ".join(f"{k / asked:.3f}" for k in kept) + " of the strings kept at 2x / 4x / 8x"
    reuse_predictor.network = shipped


def main() -> None:
    try:
        torch = import_module("torch")
    except ImportError:
        raise SystemExit("training needs torch: pip install torch (the package itself does not)") from None
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else reuse_predictor.PATH
    folder = data.root()
    found = [e for run in chain(runs(folder), edits()) for e in examples(run)]
    print(f"tasks not trained on ({FOLDS} folds):")
    networks = held_out(found, torch)
    for line in (*report(found, networks), *survival(folder, networks)):
        print(f"  {line}")
    write(target, fit(found, torch))
    print(f"{target}: {target.stat().st_size / 1e3:.0f} kB, {len(found)} calls")


if __name__ == "__main__":
    main()
