"""Defines what a session cuts, when it cuts, and down to what size.

`benchmarks/LOG.md` has the measurements behind the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from compressor.errors import CompressorError
from compressor.sessions.policy_sizes import (
    BUDGET_SIZES,
    DEFAULT_PRESET,
    PRESETS,
    CompactionSizes,
    Size,
    check_size,
)
from compressor.tokens.pricing import Price

if TYPE_CHECKING:
    from compressor.sessions.summaries import Summarizer


@dataclass(frozen=True, slots=True)
class ToolRule:
    """Says how a session treats the results of one tool.

    Attributes:
        never_compress: Keeps the results exactly as they are, at ingest and in every compaction.
        max_tokens: The most tokens that a result may have after ingest. None applies the policy's own rule.
        holds_rules: The results hold standing rules, such as a memory file: the newest of each call stays unchanged.

    Raises:
        CompressorError: `max_tokens` is not a whole number of at least 1.
    """

    never_compress: bool = False
    max_tokens: int | None = None
    holds_rules: bool = False

    def __post_init__(self) -> None:
        if self.max_tokens is not None and not _is_count(self.max_tokens):
            raise CompressorError(
                f"ToolRule.max_tokens must be None or a whole number of tokens, at least 1, not {self.max_tokens!r:.80}"
            )


@dataclass(frozen=True, slots=True)
class Policy:
    """Says what a session compresses and when.

    Example:
        >>> policy = Policy(preset="frugal", tools={"read_file": ToolRule(never_compress=True)})

    Attributes:
        ingest: Whether tool results are compressed once, when their tool round is complete.
        tool_result_min_tokens: Tool results of at most this size are encoded losslessly, but never cut.
        tool_result_keep_fraction: The fraction of its tokens that a larger tool result may keep.
        tool_result_max_tokens: The most tokens that any tool result keeps.
        compact: Whether the session re-selects its history before the budget requires it.
        preset: How early a session without a budget compacts to lower the bill: "faithful", "balanced" or "frugal".
        trigger: The size of the view at which it is compacted: a fraction of the budget, or tokens besides system
            prompt and tool schemas; or "cost", as soon as that lowers the bill. None: with a budget, when the view
            exceeds it; without one, "cost".
        target: The size that a compaction aims at, in the same form. None: with a budget, 0.6 of it; without one, as
            the preset says.
        keep: The newest rounds that stay unchanged in a compaction: a fraction of the target, or tokens.
        strip_reasoning: Whether a compaction removes the reasoning of finished turns.
        tools: Rules by tool name. The name "*" stands for every other tool.
        pricing: The prices to calculate with. None takes the model's own from the price table.
        summarizer: Summarises the rounds that leave the view, see `compressor.summarizer`. None cuts them without a
            summary. Either way each round stays behind its ref, with a line in an index.

    Raises:
        CompressorError: A value is out of range or of the wrong type.
    """

    ingest: bool = True
    tool_result_min_tokens: int = 1_000
    tool_result_keep_fraction: float = 0.7
    tool_result_max_tokens: int = 4_000
    compact: bool = True
    preset: str = DEFAULT_PRESET
    trigger: Size | str | None = None
    target: Size | None = None
    keep: Size = ("fraction", 0.3)
    strip_reasoning: bool = True
    tools: Mapping[str, ToolRule] = field(default_factory=dict)
    pricing: Price | None = None
    summarizer: Summarizer | None = None

    def __post_init__(self) -> None:
        for name in ("tool_result_min_tokens", "tool_result_max_tokens"):
            if not _is_count(getattr(self, name)):
                raise CompressorError(
                    f"Policy.{name} must be a whole number of tokens, at least 1, not {getattr(self, name)!r:.80}"
                )
        value = self.tool_result_keep_fraction
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
            raise CompressorError(
                f"Policy.tool_result_keep_fraction must be a fraction above 0 and at most 1, not {value!r:.80}"
            )
        if self.preset not in PRESETS:
            raise CompressorError(f"Policy.preset must be one of {', '.join(PRESETS)}, not {self.preset!r:.80}")
        if self.trigger is not None and self.trigger != "cost":
            object.__setattr__(self, "trigger", check_size("trigger", self.trigger))
        for name in ("target", "keep"):
            if (size := getattr(self, name)) is not None or name == "keep":
                object.__setattr__(self, name, check_size(name, size))
        if not isinstance(self.tools, Mapping) or not all(isinstance(r, ToolRule) for r in self.tools.values()):
            raise CompressorError(
                'Policy.tools must map tool names to rules, such as {"search": ToolRule(max_tokens=500)}, '
                f"not {self.tools!r:.80}"
            )
        if self.pricing is not None and not isinstance(self.pricing, Price):
            raise CompressorError(f"Policy.pricing must be a Price or None, not {self.pricing!r:.80}")
        if self.summarizer is not None and not hasattr(self.summarizer, "update"):
            raise CompressorError(
                "Policy.summarizer must be an object that `compressor.summarizer(...)` returned, or None, "
                f"not {self.summarizer!r:.80}"
            )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Policy:
        """Builds a policy from plain data, such as a settings file.

        Args:
            data: Values by field name. `tools` maps tool names to a `ToolRule` or to a dict with its fields.

        Raises:
            CompressorError: A field does not exist (the message lists those that do), or a value makes no sense.
        """
        given = _known_fields(cls, data)
        rules = given.get("tools", {})
        if isinstance(rules, Mapping):
            given["tools"] = {
                name: rule if isinstance(rule, ToolRule) else ToolRule(**_known_fields(ToolRule, rule))
                for name, rule in rules.items()
            }
        return cls(**given)

    def sizes(self, has_budget: bool) -> CompactionSizes:
        """Returns when a compaction is due and what it leaves, for a session with or without a budget of its own."""
        sizes = BUDGET_SIZES if has_budget else PRESETS[self.preset]
        return CompactionSizes(self.trigger or sizes.trigger, self.target or sizes.target)

    def rule_for(self, tool: str | None) -> ToolRule:
        """Returns the rule for a tool's results: its own, else the one named "*", else one that changes nothing."""
        return self.tools.get(tool or "", self.tools.get("*", ToolRule()))


def check_policy(policy: Any) -> Policy:
    """Returns the policy, or the default policy for None.

    Raises:
        CompressorError: The argument is something else, such as a dict.
    """
    if policy is None:
        return Policy()
    if not isinstance(policy, Policy):
        raise CompressorError(f"policy must be a Policy, such as Policy(preset='frugal'), not {policy!r:.80}")
    return policy


def _known_fields(kind: type[Policy] | type[ToolRule], data: Any) -> dict[str, Any]:
    """Returns a copy of the data. Raises CompressorError, with a list of the fields, for names that are not fields."""
    names = [f.name for f in fields(kind)]
    if not isinstance(data, Mapping):
        raise CompressorError(
            f"{kind.__name__} must be given as a mapping with the fields {', '.join(names)}, not {data!r:.80}"
        )
    if unknown := [str(name) for name in data if name not in names]:
        raise CompressorError(
            f"{kind.__name__} has no field {', '.join(map(repr, unknown))}; its fields are {', '.join(names)}"
        )
    return dict(data)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
