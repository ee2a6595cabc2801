"""The networks of published pruners, as modules of transformers, with the names that their weights have.

Each returns log-odds of keeping a token [b, t], and of the text being relevant [b] if the model has such a head. They
were written from the published configs and training code. Import this module only where torch and transformers are
installed.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import (
    BertForTokenClassification,
    DebertaV2ForSequenceClassification,
    ModernBertForSequenceClassification,
    XLMRobertaForTokenClassification,
)

Output = tuple[torch.Tensor, torch.Tensor | None]


def keep_log_odds(scores: torch.Tensor) -> torch.Tensor:
    """Turns scores of dropping and keeping [..., 2] into log-odds of keeping [...] float32."""
    return scores[..., 1].float() - scores[..., 0].float()


class _LLMLingua2:
    """LLMLingua-2 (arXiv 2403.12968): a token classifier with the labels drop and keep, which reads no query.

    microsoft/llmlingua-2-xlm-roberta-large-meetingbank, microsoft/llmlingua-2-bert-base-multilingual-cased-meetingbank.
    """

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, _: torch.Tensor) -> Output:
        return keep_log_odds(super().forward(ids, attention_mask=mask).logits), None  # type: ignore[misc]


class LLMLingua2Bert(_LLMLingua2, BertForTokenClassification):  # type: ignore[misc, no-untyped-call, unused-ignore]
    """LLMLingua-2 on multilingual BERT."""


class LLMLingua2XLMRoberta(_LLMLingua2, XLMRobertaForTokenClassification):  # type: ignore[misc, no-untyped-call, unused-ignore]
    """LLMLingua-2 on XLM-RoBERTa."""


class Provence(DebertaV2ForSequenceClassification):  # type: ignore[misc, no-untyped-call, unused-ignore]
    """Provence (arXiv 2501.16214): a DeBERTa-v3 reranker with a second head, drop or keep, on every token.

    naver/provence-reranker-debertav3-v1. The rerank score, first output of the first head, is what its authors rank by.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.token_classifier = nn.Linear(config.hidden_size, 2)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, _: torch.Tensor) -> Output:
        """Maps token ids, mask and types [b, t] to log-odds."""
        hidden = self.deberta(ids, attention_mask=mask).last_hidden_state
        return keep_log_odds(self.token_classifier(hidden)), self.classifier(self.pooler(hidden))[:, 0]


class OpenProvence(ModernBertForSequenceClassification):  # type: ignore[misc, no-untyped-call, unused-ignore]
    """OpenProvence: a ModernBERT reranker with a second head on every token. hotchpotch/open-provence-reranker-*.

    That head was trained on the last of `hidden_states` under transformers 4.57: the output of ModernBERT's last layer,
    before the final norm. Since version 5 it is the output of the norm. Therefore the norm is moved out of the encoder.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.norm, self.model.final_norm = self.model.final_norm, nn.Identity()
        self.token_classifier = nn.Linear(config.hidden_size, 2)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, _: torch.Tensor) -> Output:
        """Maps token ids, mask and types [b, t] to log-odds."""
        hidden = self.model(ids, attention_mask=mask).last_hidden_state
        normed = self.norm(hidden)
        if self.config.classifier_pooling == "cls":
            pooled = normed[:, 0]
        else:
            real = mask.unsqueeze(-1).to(normed.dtype)
            pooled = (normed * real).sum(1) / real.sum(1)
        return keep_log_odds(self.token_classifier(hidden)), self.classifier(self.head(pooled))[:, 0]
