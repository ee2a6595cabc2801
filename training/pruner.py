"""`python -m training.pruner`: makes scoring/weights/pruner.safetensors. About 40 minutes on two cores with bf16.

Trains low-rank updates of all linear layers (LoRA, arXiv 2106.09685), the norms and two heads on a frozen base. Reads
the data sets from COMPRESSOR_BENCH_DATA or ../shared/data; needs the extra "models".
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from compressor.scoring.models import bundled_pruner
from training import data, pruner_agents, pruner_data
from training.pruner_batches import Batch, Coder, Row, padded, plan

SEED = 20261122
THREADS = 2
RANK = 32
DECAY, WARMUP = 0.01, 0.05
# The fraction of the questions and the highest learning rate of each round. A round draws its own questions, and its
# rate falls to zero; the next round starts with the file that it wrote (warm restarts, arXiv 1608.03983).
ROUNDS = ((1.0, 8e-4), (0.6, 5e-4))
LISTWISE = 0.5  # weight of the loss over all units of a question, beside those of tokens, units and documents
DOCUMENT = 0.5  # weight of the document logit in that loss
LINEAR = ("query", "key", "value", "out", "up", "down")
# Questions of each source, at most: what two busy cores can read in an hour. Passages of the kind that agents retrieve
# come first; tool output, most of which the product does not give to this model, is a small part.
COUNTS = {
    "squad_train44": 1_000,
    "squad_dev11": 650,
    "squad_dev20_unans": 300,
    "selqa_dev": 150,
    "policyqa_dev": 400,
    "hotpot_train100": 100,
    "2wiki_train500": 300,
    "nq": 768,
    "qmsum": 250,
    "tau_bench": 100,
    "swe_demos": 100,
    "sgd": 100,
    "intercode": 100,
}
NEGATIVES = 2  # near passages a question of the passages gets
SAVE = 300.0  # seconds between checkpoints


def groups(folder: Path, rng: random.Random, size: float) -> list[pruner_data.Group]:
    """Returns the training set, or a fraction `size` of it."""
    found = pruner_data.passages(folder, "train", rng, COUNTS, NEGATIVES)
    others = pruner_data.multihop(folder, rng, 3)
    others += pruner_data.natural(folder, rng, 6) + pruner_data.natural(folder, rng, 6)
    others += pruner_data.meetings(folder, rng)
    others += pruner_agents.runs(folder, rng)
    for source in sorted({g.source for g in others}):
        own = [g for g in others if g.source == source]
        found += rng.sample(own, min(COUNTS[source], len(own)))
    return found if size == 1 else rng.sample(found, int(size * len(found)))


def adapted(module: Any, torch: Any) -> dict[str, Any]:
    """Freezes the module and gives every linear layer a low-rank side path. The trained tensors, by their names in the
    file."""

    class Adapted(torch.nn.Module):  # type: ignore[misc]
        """x W + x A B, as W + B A would do it."""

        def __init__(self, linear: Any) -> None:
            super().__init__()
            self.linear = linear
            self.a = torch.nn.Parameter(torch.empty(RANK, linear.in_features))
            self.b = torch.nn.Parameter(torch.zeros(linear.out_features, RANK))
            torch.nn.init.normal_(self.a, std=linear.in_features**-0.5)

        def forward(self, x: Any) -> Any:
            f = torch.nn.functional.linear
            return self.linear(x) + f(f(x, self.a), self.b)

    trained: dict[str, Any] = {}
    module.requires_grad_(False)
    for i, layer in enumerate(module.layers):
        for name in LINEAR:
            side = Adapted(getattr(layer, name))
            setattr(layer, name, side)
            trained |= {f"layers.{i}.{name}.a": side.a, f"layers.{i}.{name}.b": side.b}
    for name, parameter in module.named_parameters():
        if "norm" in name or name.startswith(("types", "keep", "document")):
            trained[name] = parameter.requires_grad_(True)
    return trained


def losses(module: Any, batch: Batch, reference: Any, selective: float, torch: Any) -> Any:
    """The batch's loss.

    Cross-entropy of each token with its unit's label, of each unit by the mean of its tokens, of each document; and the
    likelihood of the right units among all of a question. With a reference model only the share `selective` of the
    tokens with the highest excess loss over it counts in the first (Rho-1, arXiv 2404.07965, eq. 3-4).
    """
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    keep, document = _forward(module, batch, torch)
    inside = batch.unit >= 0
    token_unit, token = batch.unit[inside], keep[inside]
    wanted = batch.labels[token_unit]
    each = bce(token, wanted, reduction="none")
    if reference is not None:
        with torch.no_grad():
            plain = bce(_forward(reference, batch, torch)[0][inside], wanted, reduction="none")
        each = each[torch.topk(each.detach() - plain, max(1, int(selective * len(each))), sorted=False).indices]
    unit = unit_means(token, token_unit, len(batch.labels), torch)
    score = unit + DOCUMENT * document[batch.document]
    ask = batch.group[batch.document]
    size = int(batch.group.max()) + 1
    every = _log_sum(score, ask, size, torch)
    right = batch.labels > 0
    good = _log_sum(score[right], ask[right], size, torch)
    some = torch.isfinite(good)
    listwise = (every - good)[some].sum() / size
    return each.mean() + bce(unit, batch.labels) + bce(document, batch.holds) + LISTWISE * listwise


def _forward(module: Any, batch: Batch, torch: Any) -> tuple[Any, Any]:
    """Returns the keep logits of all tokens, joined end to end, and the document logits."""
    # Attention spelled out: on a CPU its backward pass is a third faster than the fused one's at these lengths.
    attention = torch.nn.attention
    with torch.autocast("cpu", torch.bfloat16), attention.sdpa_kernel(attention.SDPBackend.MATH):
        found = [module(*part) for part in batch.parts]
    return torch.cat([keep.flatten() for keep, _ in found]), torch.cat([document for _, document in found])


def unit_means(token: Any, unit: Any, n: int, torch: Any) -> Any:
    """Returns [n] the mean of the tokens' logits of each unit; 0 for a unit without tokens."""
    total = torch.zeros(n).index_add(0, unit, token)
    return total / torch.bincount(unit, minlength=n).clamp(min=1)


def _log_sum(x: Any, group: Any, n: int, torch: Any) -> Any:
    """Returns [n] the logsumexp of each group; -inf for an empty one. Logits stay far below the overflow at 60."""
    return torch.zeros(n).index_add(0, group, x.clamp(-60, 60).exp()).log()


def save(path: Path, trained: dict[str, Any], about: dict[str, Any], torch: Any) -> None:
    """Writes the adapter in one step, so that an interrupted run leaves the last complete file."""
    tensors = {name: value.detach().to(torch.float16).contiguous() for name, value in trained.items()}
    safe = import_module("safetensors.torch")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    about = {"format": bundled_pruner.FORMAT, "base": bundled_pruner.BASE_SHA256, "rank": RANK, **about}
    # One string: safetensors writes several in any order, and two runs are to give the same bytes.
    safe.save_file(tensors, part, {"about": json.dumps(about)})
    part.chmod(0o644)  # safetensors writes files that only their owner can read
    os.replace(part, path)


def train(
    questions: list[pruner_data.Group],
    seed: int,
    rate: float,
    path: Path,
    torch: Any,
    start: Path | None = None,
    reference: Any = None,
    selective: float = 1.0,
) -> None:
    """Trains one round, from the adapter `start` or from scratch, and writes the adapter to `path`."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)  # it rules the CPU's, too
    module, tokenizer = bundled_pruner.load_base(None)
    trained = adapted(module, torch)
    with torch.no_grad():
        module.keep.bias.fill_(-2.0)  # about the share of tokens worth keeping
        if start is not None:
            for name, value in import_module("safetensors.torch").load_file(start).items():
                trained[name].copy_(value)
    coder = Coder(tokenizer)
    rows = [r for g in questions if (r := [x for x in coder.rows(g, rng) if x.labels])]
    batches = plan(rows, rng)
    optimizer = torch.optim.AdamW(trained.values(), lr=rate, betas=(0.9, 0.98), weight_decay=DECAY)
    warm = max(1, int(WARMUP * len(batches)))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min((i + 1) / warm, (len(batches) - i) / (len(batches) - warm + 1))
    )
    about = {"seed": seed, "questions": len(rows), "selective": selective}
    total = 0.0
    saved = time.monotonic()
    for i, batch in enumerate(_tensors(batches, torch), 1):
        loss = losses(module, batch, reference, selective, torch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
        optimizer.step()
        schedule.step()
        total += float(loss.detach())
        if i % 25 == 0:
            print(f"{time.strftime('%H:%M:%S')} {i}/{len(batches)} batches, loss {total / 25:.3f}", flush=True)
            total = 0.0
        if time.monotonic() - saved > SAVE:
            save(path, trained, {**about, "step": f"{i}/{len(batches)}"}, torch)
            saved = time.monotonic()
    save(path, trained, {**about, "step": f"{len(batches)}/{len(batches)}"}, torch)


def _tensors(batches: list[list[list[Row]]], torch: Any) -> Iterator[Batch]:
    for batch in batches:
        yield padded(batch, torch)


def main() -> None:
    ask = argparse.ArgumentParser(prog="python -m training.pruner", description=__doc__)
    ask.add_argument("path", nargs="?", type=Path, default=bundled_pruner.PATH)
    ask.add_argument("--size", type=float, default=1.0, help="share of the training questions to use")
    ask.add_argument("--seed", type=int, default=SEED)
    ask.add_argument("--first", type=int, default=0, help="round to begin with, from what is in the file")
    ask.add_argument("--threads", type=int, default=THREADS)
    ask.add_argument("--selective", type=float, default=1.0, help="share of the tokens whose loss counts")
    ask.add_argument("--reference", type=Path, help="adapter of an ordinary run, which --selective needs")
    args = ask.parse_args()
    if (args.selective < 1) != (args.reference is not None):
        ask.error("--selective and --reference go together")
    try:
        torch = import_module("torch")
    except ImportError:
        raise SystemExit("training needs torch: pip install 'agentic-compressor[models]'") from None
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)
    reference = bundled_pruner.load("cpu", path=args.reference).module.requires_grad_(False) if args.reference else None
    for number, (share, rate) in enumerate(ROUNDS[args.first :], args.first):
        seed = args.seed + number
        questions = groups(data.root(), random.Random(seed), share * args.size)
        print(f"round {number}: {len(questions)} questions", flush=True)
        start = args.path if number else None
        train(questions, seed, rate, args.path, torch, start, reference, args.selective)
    print(f"{args.path}: {args.path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
