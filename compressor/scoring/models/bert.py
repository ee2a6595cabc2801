"""BERT (arXiv 1810.04805) with a head on every token and one on [CLS], as a plain torch module.

It is written out instead of taken from transformers, because importing transformers takes seconds. Import this module
only where torch is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

#: Maps queries, keys and values [..., heads, d] of a batch to the values that each token gets, of the same shape.
Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class BertConfig:
    """The sizes of a BERT encoder, with the names of its config.json."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float


class BertLayer(nn.Module):  # type: ignore[misc, unused-ignore] # where torch is not installed
    """Self-attention and feed-forward, each followed by residual and norm."""

    def __init__(self, c: BertConfig) -> None:
        super().__init__()
        self.heads = c.num_attention_heads
        self.query = nn.Linear(c.hidden_size, c.hidden_size)
        self.key = nn.Linear(c.hidden_size, c.hidden_size)
        self.value = nn.Linear(c.hidden_size, c.hidden_size)
        self.out = nn.Linear(c.hidden_size, c.hidden_size)
        self.out_norm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)
        self.up = nn.Linear(c.hidden_size, c.intermediate_size)
        self.down = nn.Linear(c.intermediate_size, c.hidden_size)
        self.down_norm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)

    def forward(self, x: torch.Tensor, attend: Attention) -> torch.Tensor:
        """Maps [..., d] to [..., d]."""
        mixed = attend(*(p(x).unflatten(-1, (self.heads, -1)) for p in (self.query, self.key, self.value)))
        x = self.out_norm(x + self.out(mixed.flatten(-2)))
        out: torch.Tensor = self.down_norm(x + self.down(functional.gelu(self.up(x))))
        return out


class TokenClassifier(nn.Module):  # type: ignore[misc, unused-ignore]
    """One logit a token (`keep`) and one a text (`document`, from the first token)."""

    def __init__(self, c: BertConfig) -> None:
        super().__init__()
        self.words = nn.Embedding(c.vocab_size, c.hidden_size)
        self.positions = nn.Embedding(c.max_position_embeddings, c.hidden_size)
        self.types = nn.Embedding(c.type_vocab_size, c.hidden_size)
        self.norm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)
        self.layers = nn.ModuleList(BertLayer(c) for _ in range(c.num_hidden_layers))
        self.keep = nn.Linear(c.hidden_size, 1)
        self.document = nn.Linear(c.hidden_size, 1)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Maps three [b, t] int64 tensors to float32 logits [b, t] and [b]; the mask is 1 where there is a token."""
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.hidden(input_ids, positions, token_type_ids, padded_attention(attention_mask))
        return self.keep(x).squeeze(-1).float(), self.document(x[:, 0]).squeeze(-1).float()

    def hidden(
        self, ids: torch.Tensor, positions: torch.Tensor, types: torch.Tensor, attend: Attention
    ) -> torch.Tensor:
        """Maps ids, positions and types of any one shape to the last layer's output [..., d]."""
        x: torch.Tensor = self.norm(self.words(ids) + self.types(types) + self.positions(positions))
        for layer in self.layers:
            x = layer(x, attend)
        return x


def padded_attention(mask: torch.Tensor) -> Attention:
    """Returns the attention of padded sequences [b, t, heads, d]; mask [b, t] is 1 where there is a token."""
    wide = mask.bool()[:, None, None, :]

    def attend(*projected: torch.Tensor) -> torch.Tensor:
        q, k, v = (x.transpose(1, 2) for x in projected)
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=wide).transpose(1, 2)

    return attend


#: Names in a checkpoint and here, in the order in which they are replaced.
NAMES = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "types",
    "embeddings.LayerNorm": "norm",
    "encoder.layer.": "layers.",
    "attention.self.": "",
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "out_norm",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "down_norm",
}


def rename_weights(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns a checkpoint's encoder weights with the names of this module, without pooler and position ids."""
    out = {}
    for name, value in weights.items():
        if name.startswith("pooler.") or name.endswith("position_ids"):
            continue
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        out[name] = value
    return out
