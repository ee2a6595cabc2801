"""The small causal language model: parameters, forward pass, training. Knows no text and no file formats.

A llama (arXiv 2302.13971): RMSNorm, rotary positions, SwiGLU, embeddings tied to the output. Parameters have the names
and the layout of Hugging Face's `LlamaForCausalLM`. Hidden matrices are trained with Muon, the rest with AdamW.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SPREAD = 0.02  # standard deviation of a matrix at the start
MATCH, SAY = 0.7, 0.03  # how strongly attention at the start looks for its like, and repeats it

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """Sizes of a llama. context: tokens it is trained to look back over."""

    vocabulary: int = 4096
    width: int = 192
    layers: int = 4
    heads: int = 3
    hidden: int = 512
    context: int = 512
    rope_base: float = 10_000.0
    epsilon: float = 1e-5


@dataclass(frozen=True)
class Plan:
    """How it is trained. batch: tokens a step; short: length of the sequences but for the last share `long` of the
    steps, where they are as long as the context; warm: steps of warming up; matrix_rate: Muon's learning rate; rate:
    AdamW's."""

    batch: int = 4096
    short: int = 256
    long: float = 0.15
    warm: int = 60
    matrix_rate: float = 0.02
    rate: float = 4e-3
    decay: float = 0.01


def parameter_sizes(s: Shape) -> dict[str, tuple[int, ...]]:
    """Every parameter's name and sizes, in order."""
    out: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (s.vocabulary, s.width)}
    for i in range(s.layers):
        at = f"model.layers.{i}"
        out[f"{at}.input_layernorm.weight"] = (s.width,)
        for name in "qkvo":
            out[f"{at}.self_attn.{name}_proj.weight"] = (s.width, s.width)
        out[f"{at}.post_attention_layernorm.weight"] = (s.width,)
        out[f"{at}.mlp.gate_proj.weight"] = out[f"{at}.mlp.up_proj.weight"] = (s.hidden, s.width)
        out[f"{at}.mlp.down_proj.weight"] = (s.width, s.hidden)
    return {**out, "model.norm.weight": (s.width,)}


class Net:
    """Parameters by name, and the logits they give."""

    def __init__(self, shape: Shape, torch: Any) -> None:
        self.shape, self.torch = shape, torch
        sizes = parameter_sizes(shape)
        self.parameters = {name: torch.nn.Parameter(self._start(name, *sizes[name])) for name in sizes}
        self._attend_alike()
        size = shape.width // shape.heads
        angle = torch.arange(shape.context)[:, None] * shape.rope_base ** (-torch.arange(0, size, 2) / size)
        self.cos, self.sin = angle.cos().repeat(1, 2), angle.sin().repeat(1, 2)
        self.future = torch.full((shape.context, shape.context), -math.inf).triu(1)

    def _start(self, name: str, *sizes: int) -> Any:
        """Vectors begin as ones, matrices as small normal numbers, smaller where they add to the residual stream."""
        spread = SPREAD / math.sqrt(2 * self.shape.layers) if "down_proj" in name else SPREAD
        return self.torch.ones(sizes) if len(sizes) == 1 else self.torch.randn(sizes) * spread

    def _attend_alike(self) -> None:
        """Attention begins by looking for tokens like the present one and saying them again (mimetic initialization,
        Trockman and Kolter 2023, arXiv 2305.09828): what a question is for, and slow to be found by chance."""
        torch, width = self.torch, self.shape.width
        for i in range(self.shape.layers):
            q, k, v, o = (self.parameters[f"model.layers.{i}.self_attn.{n}_proj.weight"].data for n in "qkvo")
            match, say = (torch.linalg.qr(torch.randn(width, width))[0] for _ in range(2))
            q += math.sqrt(MATCH) * match
            k += math.sqrt(MATCH) * match
            v.copy_(say)
            o.copy_(SAY * say.T)

    def __call__(self, ids: Any) -> Any:
        """[b, t] token ids -> [b, t, vocabulary] logits."""
        p, f, s = self.parameters, self.torch.nn.functional, self.shape
        x = f.embedding(ids, p["model.embed_tokens.weight"])
        for i in range(s.layers):
            at = f"model.layers.{i}"
            y = f.rms_norm(x, (s.width,), p[f"{at}.input_layernorm.weight"], s.epsilon)
            x = x + self._attention(y, at)
            y = f.rms_norm(x, (s.width,), p[f"{at}.post_attention_layernorm.weight"], s.epsilon)
            gate, up = (f.linear(y, p[f"{at}.mlp.{name}_proj.weight"]) for name in ("gate", "up"))
            x = x + f.linear(f.silu(gate) * up, p[f"{at}.mlp.down_proj.weight"])
        x = f.rms_norm(x, (s.width,), p["model.norm.weight"], s.epsilon)
        return f.linear(x, p["model.embed_tokens.weight"])

    def _attention(self, x: Any, at: str) -> Any:
        # Written out: on a CPU, with heads this small, it is a third faster than the fused kernel.
        p, f, s = self.parameters, self.torch.nn.functional, self.shape
        b, t, _ = x.shape
        q, k, v = (
            f.linear(x, p[f"{at}.self_attn.{n}_proj.weight"]).view(b, t, s.heads, -1).transpose(1, 2) for n in "qkv"
        )
        q, k = self._turned(q) * (s.width // s.heads) ** -0.5, self._turned(k)
        weights = (q @ k.transpose(2, 3) + self.future[:t, :t]).softmax(3).to(v.dtype)
        return f.linear((weights @ v).transpose(1, 2).reshape(b, t, -1), p[f"{at}.self_attn.o_proj.weight"])

    def _turned(self, x: Any) -> Any:
        """[b, heads, t, size] with rotary positions."""
        t, half = x.shape[2], x.shape[3] // 2
        swapped = self.torch.cat([-x[..., half:], x[..., :half]], 3)
        return (x * self.cos[:t] + swapped * self.sin[:t]).to(x.dtype)


def train(net: Net, stream: Ints, plan: Plan, torch: Any) -> None:
    """One pass over a stream of token ids, in the order given; prints the loss (nats a token)."""
    f = torch.nn.functional
    muon, adam = _optimizers(net, plan, torch)
    batches = batched(stream, net.shape.context, plan)
    start, total = time.perf_counter(), 0.0
    for i, batch in enumerate(batches):
        rate = min(1.0, (i + 1) / plan.warm, (len(batches) - i) / (0.6 * len(batches)))
        for optimizer, full in ((muon, plan.matrix_rate), (adam, plan.rate)):
            for group in optimizer.param_groups:
                group["lr"] = full * rate
        ids = torch.from_numpy(batch)
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(ids[:, :-1])
        loss = f.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())
        for optimizer in (muon, adam):
            optimizer.zero_grad()
        loss.backward()
        for optimizer in (muon, adam):
            optimizer.step()
        total += float(loss.detach())
        if (i + 1) % 50 == 0:
            seconds = time.perf_counter() - start
            print(f"lm: {i + 1}/{len(batches)} steps, loss {total / 50:.3f}, {seconds:.0f} s", flush=True)
            total = 0.0


def batched(stream: Ints, context: int, plan: Plan) -> list[Ints]:
    """The stream in batches [rows, length + 1]: short rows first, then rows of the whole context. A row's last token is
    the first of the next."""
    out: list[Ints] = []
    at, steps = 0, (len(stream) - 1) // plan.batch
    for i in range(steps):
        length = plan.short if i < (1 - plan.long) * steps else context
        part = stream[at : at + plan.batch + 1]
        out.append(np.lib.stride_tricks.sliding_window_view(part, length + 1)[::length].copy())
        at += plan.batch
    return out


def _optimizers(net: Net, plan: Plan, torch: Any) -> tuple[Any, Any]:
    matrices = [p for n, p in net.parameters.items() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in net.parameters.items() if p.ndim == 1 or "embed" in n]
    return (
        torch.optim.Muon(matrices, lr=plan.matrix_rate, weight_decay=plan.decay),
        torch.optim.AdamW(rest, lr=plan.rate, betas=(0.9, 0.95), weight_decay=plan.decay),
    )


def surprisals(net: Net, rows: Sequence[Sequence[int]], torch: Any) -> list[npt.NDArray[np.float32]]:
    """Nats of every token but the first of each row (at most context + 1 long), in full precision."""
    out = []
    with torch.no_grad():
        for row in rows:
            ids = torch.tensor([row])
            logp = net(ids[:, :-1]).log_softmax(2)
            out.append(-logp.gather(2, ids[:, 1:, None])[0, :, 0].numpy())
    return out
