"""One policy from all the ways to say which tools' results may be cut. Cuts nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from compressor import CompressorError
from compressor.sessions import Policy, ToolRule
from compressor.sessions.expand_tool import TOOL_NAME

_UNCUT = 1_000_000  # tokens: what was asked for is not cut again at once, only when it is old


def resolve_policy(
    policy: Policy | None,
    tools: Mapping[str, ToolRule] | None,
    only: Collection[str] | None,
    never: Collection[str] | None,
) -> Policy:
    """The policy with rules for single tools. CompressorError where they contradict each other."""
    policy = policy or Policy()
    rules = {**policy.tools, **(tools or {})}
    for label, names in (("compress_only", only), ("never_compress", never)):
        if isinstance(names, str):
            raise CompressorError(f"{label} is a list of tool names: [{names!r}]")
    if both := set(only or ()) & set(never or ()):
        raise CompressorError(f"{', '.join(sorted(both))}: named in `only` and in `never`")
    if only is not None:
        if "*" in rules:
            raise CompressorError('`only` and a rule for "*" both say what happens to all other tools: give one')
        rules["*"] = ToolRule(never_compress=True)
        for name in only:
            rules.setdefault(name, ToolRule())
    for name in never or ():
        if name in rules and not rules[name].never_compress:
            raise CompressorError(f"{name}: named in `never`, and has a rule of its own")
        rules[name] = ToolRule(never_compress=True)
    rules.setdefault(TOOL_NAME, ToolRule(max_tokens=_UNCUT))
    return replace(policy, tools=rules)
