"""Tells from a model's name which vocabulary it uses, how exact counts are, and what a message costs beyond its texts.

Factors of estimates (o200k tokens times `scale`) were measured by benchmarks/tokens_estimate.py on JSON, agent
sessions, logs, HTML, tables and prose (benchmarks/results/tokens_estimate.json). Each is at least the total of the
worst of these kinds, because a budget must hold: a count may be some percent too high, but not too low.

| family          | worst kind, total | scale | measured with                                                     |
|-----------------|-------------------|-------|-------------------------------------------------------------------|
| claude          | 1.23 HTML         | 1.30  | `ctok` 3.0 (unofficial reconstruction of Claude 3 to 4.6 counts)  |
| claude-4.7      | 1.52 prose        | 1.60  | `ctok` 4.7; Anthropic's token counting page: "approximately 30    |
|                 |                   |       | percent more tokens than on earlier models"                       |
| llama           | 1.01 tables       | 1.05  | Llama 3 and 4 `tokenizer.model`                                   |
| llama-2         | 1.49 logs         | 1.50  | Mistral's v1 SentencePiece model, 32k pieces like Llama 2's       |
| mistral         | 1.40 logs         | 1.40  | `tekken_240911.json`                                              |
| qwen            | 1.33 logs         | 1.35  | `qwen.tiktoken`                                                   |
| gemini          | not measured      | 1.35  | writes numbers digit by digit as Qwen does, with a larger         |
|                 |                   |       | vocabulary (256k pieces); ai.google.dev: about 4 characters each  |
| openai          | not measured      | 1.05  | a GPT model newer than this table, most likely o200k              |
| other           | not measured      | 1.40  | as the dearest of the current vocabularies above                  |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

#: Used when no model is named.
DEFAULT_MODEL = "gpt-4o"


#: Since Claude Fable 5.1, a signed thinking block counts only if nothing before it has changed
#: (platform.claude.com/docs/en/build-with-claude/preserved-thinking).
_CLAUDE_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
FIRST_BINDING_VERSION = (5, 1)


def binds_thinking_to_prefix(model: str) -> bool:
    """Returns whether a model refuses signed reasoning once anything before it has changed.

    Of a Claude model without a version in its name, which may be the newest, that is assumed.
    """
    name = model.lower()
    if "claude" not in name:
        return False
    found = _CLAUDE_VERSION.search(name)
    return found is None or (int(found[1]), int(found[2] or 0)) >= FIRST_BINDING_VERSION


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """Models that are counted alike.

    Attributes:
        name: The family's name.
        encoding: The vocabulary that counts, or on which estimates are based.
        scale: Tokens of the model per token of the vocabulary.
        is_estimate: Whether counts are estimates.
        per_message: Tokens of the markup around one message; its role is one more.
        reply: Tokens that prime the answer.
        per_call: Tokens around one tool call, beyond its name and arguments.
        tools: How tool schemas are billed; see `tool_tokens.py`.
    """

    name: str
    encoding: Literal["o200k_base", "cl100k_base"] = "o200k_base"
    scale: float = 1.0
    is_estimate: bool = True
    per_message: int = 3
    reply: int = 3
    per_call: int = 10
    tools: Literal["openai", "anthropic", "template"] = "template"


#: per_message and reply: OpenAI cookbook, "How to count tokens with tiktoken", section 6.
#: per_call: 3 for the GPT models before GPT-5 (hmarr/openai-chat-tokens, measured against the API); 10 for the
#: reasoning models: `<|channel|>commentary to=functions. <|constrain|>json` of the published harmony format.
_O200K = ModelFamily("o200k_base", is_estimate=False, per_call=3, tools="openai")
_HARMONY = ModelFamily("o200k_base", is_estimate=False, tools="openai")
_CL100K = ModelFamily("cl100k_base", encoding="cl100k_base", is_estimate=False, per_call=3, tools="openai")

#: Anthropic does not publish markup costs: the whole frame of a one-message request is 7 tokens (Claude 3 to 4.6) or 11
#: (4.7) by `ctok`; with the role and the reply we count 4 + 2 + 3 and 6 + 2 + 3.
_CLAUDE = ModelFamily("claude", scale=1.30, per_message=4, tools="anthropic")
_CLAUDE_4_7 = ModelFamily("claude-4.7", scale=1.60, per_message=6, tools="anthropic")

#: Open models: ChatML's `<|im_start|>role\n` ... `<|im_end|>\n` is 5 with the role.
OPEN = ModelFamily("open", is_estimate=False, per_message=4)
_OTHER = ModelFamily("other", scale=1.40, per_message=4)

_START = r"(?:^|[/.:])"  # a provider may precede the name: openai/, azure/, openai:, openai.
#: 4.7 and later, in either order of version and name: claude-opus-4-7, claude-5-sonnet; but not claude-opus-4-20250514
_NEW_CLAUDE = r"claude-(?:[a-z]+-)?(?:4[-.](?:[7-9]|[1-9]\d)(?!\d)|(?:[5-9]|[1-9]\d)(?!\d))|claude-(?:mythos|fable)"
#: The first match wins.
_FAMILIES: list[tuple[str, ModelFamily]] = [
    (_START + r"(?:gpt-?(?:4o|4\.?1|4\.5)(?![a-z0-9])|chatgpt-)", _O200K),
    (_START + r"(?:gpt-?5|gpt-oss|codex-mini|computer-use|o[134](?:$|-))", _HARMONY),
    (_START + r"(?:gpt-?4(?![0-9.])|gpt-?3\.?5|text-embedding-(?:3|ada))", _CL100K),
    (_START + r"gpt-", ModelFamily("openai", scale=1.05, tools="openai")),
    (_NEW_CLAUDE, _CLAUDE_4_7),
    (r"claude", _CLAUDE),
    (r"gemini|gemma", ModelFamily("gemini", scale=1.35)),
    (r"llama[-_ v]*[34]", ModelFamily("llama", scale=1.05, per_message=4)),
    (r"llama|vicuna|mixtral|mistral-7b|codestral-22b", ModelFamily("llama-2", scale=1.50, per_message=4)),
    (r"mistral|ministral|codestral|devstral|magistral|pixtral", ModelFamily("mistral", scale=1.40, per_message=4)),
    (r"qwen|qwq|qvq", ModelFamily("qwen", scale=1.35, per_message=4)),
]


def base_name(model: str) -> str:
    """Returns the name in lower case; for a fine-tuned model (`ft:gpt-4o:org::id`) that of its base model."""
    name = model.strip().lower()
    if name.startswith("ft:"):
        name = name[3:].split(":", 1)[0]
    return name


def find_family(model: str) -> ModelFamily:
    """Returns the family of a model by its name. Unknown names get the conservative estimate "other"."""
    name = base_name(model)
    return next((family for pattern, family in _FAMILIES if re.search(pattern, name)), _OTHER)
