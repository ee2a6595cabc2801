"""Makes one policy of all options that say which tools' results may be compressed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from compressor import CompressorError
from compressor.sessions import Policy, ToolRule
from compressor.sessions.expand_tool import TOOL_NAME
from compressor_agents.options import check_policy

#: Tokens that an expanded text may have: it is not cut again at once, only when it is old.
_EXPANDED_TEXT_MAX_TOKENS = 1_000_000


def resolve_policy(
    policy: Policy | None,
    tools: Mapping[str, ToolRule] | None,
    compress_only: Collection[str] | None,
    never_compress: Collection[str] | None,
) -> Policy:
    """Returns the policy with a rule for each tool that is named.

    Args:
        policy: What is compressed and when; None takes the defaults.
        tools: Rules by tool name; "*" stands for all other tools.
        compress_only: The only tools whose results may be compressed.
        never_compress: The tools whose results are never compressed.

    Raises:
        CompressorError: If an option has the wrong type, or options contradict each other.
    """
    check_policy(policy)
    _check_rules(tools)
    _check_names("compress_only", compress_only)
    _check_names("never_compress", never_compress)
    policy = policy or Policy()
    rules = {**policy.tools, **(tools or {})}
    if both := set(compress_only or ()) & set(never_compress or ()):
        raise CompressorError(
            f"{', '.join(sorted(both))}: named in both compress_only and never_compress; remove it from one of them"
        )
    if compress_only is not None:
        if "*" in rules:
            raise CompressorError(
                'compress_only and a rule for "*" both apply to all other tools; give only one of them'
            )
        rules["*"] = ToolRule(never_compress=True)
        for name in compress_only:
            rules.setdefault(name, ToolRule())
    for name in never_compress or ():
        if name in rules and not rules[name].never_compress:
            raise CompressorError(f"{name}: named in never_compress but has a rule of its own; remove one")
        rules[name] = ToolRule(never_compress=True)
    rules.setdefault(TOOL_NAME, ToolRule(max_tokens=_EXPANDED_TEXT_MAX_TOKENS))
    return replace(policy, tools=rules)


def _check_rules(tools: Any) -> None:
    if tools is None:
        return
    if not isinstance(tools, Mapping):
        raise CompressorError(
            'tools must map tool names to rules, such as {"read_file": ToolRule(max_tokens=2_000)}, '
            f"not {tools!r:.80}; to keep the results of some tools, use never_compress=[...]"
        )
    for name, rule in tools.items():
        if not isinstance(rule, ToolRule):
            raise CompressorError(
                f"tools[{name!r}] must be a ToolRule, such as ToolRule(never_compress=True), not {rule!r:.80}"
            )


def _check_names(option: str, names: Any) -> None:
    if isinstance(names, str):
        raise CompressorError(f"{option} must be a list of tool names; write {option}=[{names!r}]")
    if names is not None and not (isinstance(names, Collection) and all(isinstance(name, str) for name in names)):
        raise CompressorError(f'{option} must be a list of tool names, such as ["search"], not {names!r:.80}')
