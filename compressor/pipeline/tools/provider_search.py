"""Writes tools for a provider's own tool search: some are loaded, the others are found by the provider when needed.

* Anthropic, Claude 4.5 and later: tools with `defer_loading` are not part of the prompt, and so neither billed nor part
  of the cached prefix, until the search adds them to the conversation. At least one tool must be loaded, which the
  search tool itself is. A tool with `cache_control` may not be deferred.
* OpenAI, GPT-5.4 and later (not gpt-5.4-nano), Responses API only: the model sees the name and description of a
  deferred function from the start; only its parameters are loaded later, at the end of the context.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from compressor.pipeline.tools.catalog import ToolCatalog
from compressor.pipeline.tools.description_shrinking import shorten

ANTHROPIC = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}
OPENAI = {"type": "tool_search"}
#: Tokens of the provider's search tool. The providers publish none; this is what `find_tool` takes, and a little more.
SEARCH_TOKENS = 150
#: Of the budget, for what is visible of deferred tools, and to how many characters their descriptions are cut for it.
MAX_VISIBLE_FRACTION = 0.6
DESCRIPTION_CHARS = (160, 60, 0)
_CLAUDE = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_GPT = re.compile(r"gpt-(\d{1,2})(?:\.(\d{1,2}))?(?![\d])")
FIRST_CLAUDE, FIRST_GPT = (4, 5), (5, 4)
_WITHOUT = ("gpt-5.4-nano",)


def provider_search(model: str | None, message_format: str) -> dict[str, str] | None:
    """Returns the search tool of the model's provider, or None if the model or the format of the tools has none.

    Args:
        model: The model's name, with or without a provider in front.
        message_format: "anthropic", "openai_responses" or another.
    """
    name = (model or "").lower()
    if message_format == "anthropic" and (found := _CLAUDE.search(name)):
        return dict(ANTHROPIC) if _version(found) >= FIRST_CLAUDE else None
    if message_format == "openai_responses" and (found := _GPT.search(name)):
        return dict(OPENAI) if _version(found) >= FIRST_GPT and not any(n in name for n in _WITHOUT) else None
    return None


class Deferral:
    """The tools of a catalog as they are sent for the provider's search.

    Attributes:
        search_tool: The provider's search tool.
        tokens: What the prompt has beside the loaded tools: the search tool, and what is visible of the others.

    Args:
        pool: The tools.
        search_tool: The provider's search tool.
        limit: The budget.
    """

    def __init__(self, pool: ToolCatalog, search_tool: dict[str, str], limit: int) -> None:
        self.search_tool = search_tool
        self._pool = pool
        self._tools = {i: _deferred(pool, i, None) for i in pool.function_indices}
        self.tokens = SEARCH_TOKENS + self._visible_tokens()
        for size in DESCRIPTION_CHARS:
            if self.tokens > limit * MAX_VISIBLE_FRACTION:
                self._tools = {i: _deferred(pool, i, size) for i in pool.function_indices}
                self.tokens = SEARCH_TOKENS + self._visible_tokens()

    @classmethod
    def make(cls, pool: ToolCatalog, model: str | None, limit: int, warnings: list[str]) -> Deferral | None:
        """Returns how the provider's search is used, or None, with a warning, if it cannot be.

        Args:
            pool: The tools.
            model: The model.
            limit: The budget.
            warnings: A list that gets the reason.
        """
        functions = [pool.functions[i] for i in pool.function_indices]
        form = functions[0].form if functions and functions[0] is not None else ""
        search_tool = provider_search(model, form)
        if search_tool is None or any(f is None or not isinstance(f.tool, Mapping) for f in functions):
            warnings.append(
                f"find_tool is used: {model or 'the model'} with tools in the form {form or 'unknown'!r} has no search "
                "of the provider, as Claude from 4.5 on and GPT from 5.4 on (Responses API) have"
            )
            return None
        out = cls(pool, search_tool, limit)
        if out.tokens > limit * MAX_VISIBLE_FRACTION:
            warnings.append(f"find_tool is used: the names of all deferred tools take {out.tokens} of {limit} tokens")
            return None
        return out

    def deferred(self, indices: Iterable[int]) -> list[dict[str, Any]]:
        """Returns the tools at these positions as they are sent, to be loaded by the provider when they are needed."""
        return [self._tools[i] for i in indices]

    def _visible_tokens(self) -> int:
        if self.search_tool["type"] != OPENAI["type"]:
            return 0
        keys = ("type", "name", "description")
        return sum(self._pool.cost({k: v for k, v in tool.items() if k in keys}) for tool in self._tools.values())


def _deferred(pool: ToolCatalog, index: int, size: int | None) -> dict[str, Any]:
    function = pool.functions[index]
    assert function is not None
    about = function.description if size is None else shorten(function.description, 1, size, clip=True)
    out: dict[str, Any] = {**function.replaced(about, function.schema), "defer_loading": True}
    return out


def _version(found: re.Match[str]) -> tuple[int, int]:
    return int(found[1]), int(found[2] or 0)
