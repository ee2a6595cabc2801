"""How a proxy offers the tools of the servers that it wraps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compressor.context.budget import Budget


@dataclass(frozen=True)
class ProxyOptions:
    """How the tools of the wrapped servers are offered.

    Attributes:
        tools_budget: Tokens of all listed tools, or a fraction of the tokens of all tools.
        result_budget: Tokens of the text of a result; None leaves results as they are.
        model: The model whose tokens are counted.
        pinned: Patterns of tools that are always listed whole.
        allow: Patterns of tools that are offered; empty for all.
        deny: Patterns of tools that are neither listed nor called.
        task: What the agent is to do, "" if that is not known.
        always_prefix: Whether each tool's name begins with its server's.
        call_timeout: Seconds that a call may take.
        start_timeout: Seconds that the start of a server may take.
        wait: Seconds that the client waits for slow servers before it is answered; some give up after 10.
    """

    tools_budget: Budget = 4_000
    result_budget: int | None = None
    model: str | None = None
    pinned: Sequence[str] = ()
    allow: Sequence[str] = ()
    deny: Sequence[str] = ()
    task: str = ""
    always_prefix: bool = False
    call_timeout: float = 300.0
    start_timeout: float = 60.0
    wait: float = 8.0
