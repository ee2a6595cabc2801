"""Gives back what was cut: the call for programs, and the tool for the agent itself.

Refs are read only within their session's scopes. Every expansion is noted as regret: its text counts as worth having
from then on. Chooses nothing to cut.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compressor.context.formats.function_schema import function_schema
from compressor.context.refs import REF_DIGITS
from compressor.errors import BudgetError, BudgetTooSmallError, CompressorError, ExpiredRefError, UnknownRefError
from compressor.pipeline.documents import compress_documents
from compressor.sessions import archive
from compressor.sessions.state import SessionState
from compressor.tokens import get_counter

if TYPE_CHECKING:
    from compressor.compressor import Compressor

_REF = re.compile(rf"(?<!\d)\d{{{REF_DIGITS}}}(?!\d)")
MAX_EXPANSIONS = 8  # remembered a session, the newest
MAX_EXPANSION_CHARS = 600  # of each: what it begins with, or what was asked of it
TOOL_NAME = "expand_context"
DESCRIPTION = (
    "Gives back text that was cut from this conversation to save room. Where something was cut stands a mark with its "
    "ref, such as […cut ref 123456789012]. Use it when the missing text may hold what you need."
)
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "ref": {"type": "string", "description": "The 12 digits of the mark."},
        "query": {"type": "string", "description": "What you are looking for; gives only the part that matters."},
        "max_tokens": {"type": "integer", "minimum": 1, "description": "The most tokens to give back."},
    },
    "required": ["ref"],
    "additionalProperties": False,
}
DEFAULT_MAX_TOKENS = 4_000  # tokens the tool gives back unless asked for more: a whole log would fill the view again
MIN_EXCERPT_TOKENS = 50  # tokens a query is answered with at least, so that its mark has room


def expand(
    compressor: Compressor, state: SessionState, ref: str, query: str | None, budget: int | None, model: str | None
) -> str:
    """See `Conversation.expand`."""
    if not isinstance(ref, str):
        raise CompressorError(f"a ref is a string of {REF_DIGITS} digits, not {ref!r}")
    if query is not None and not isinstance(query, str):
        raise CompressorError(f"expand's query is a text, not {query!r}")
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 1):
        raise BudgetError(f"expand's budget must be a positive number of tokens, not {budget!r}")
    ref = found[0] if (found := _REF.search(ref)) else ref.strip()  # a whole mark will do
    text = archive.read_original(compressor.store, state.scopes, ref)
    regret = (query.strip() if query and query.strip() else text)[:MAX_EXPANSION_CHARS]
    if regret not in state.expansions:
        state.expansions = [*state.expansions, regret][-MAX_EXPANSIONS:]
    state.counters.expansions += 1
    archive.record_expansion(compressor.store, state.scopes[0], state.counters.expansions, ref, query)
    if budget is None and not (query and query.strip()):
        return text
    size = max(MIN_EXCERPT_TOKENS, budget) if budget is not None else DEFAULT_MAX_TOKENS
    try:
        if query and archive.is_index_page(text):  # lines of an index say where to look, not what is there
            documents = archive.load_documents(compressor.store, state.scopes, text)
            if documents:
                store = archive.ScopedStore(compressor.store, state.scopes[0])
                counter = get_counter(model)
                return compress_documents(documents, query, size, counter, compressor.engine, lambda: store).text
        return compressor.compress_text(text, size, query=query, model=model).text
    except BudgetTooSmallError:
        return text[:size]


@dataclass(frozen=True)
class ExpandTool:
    """The tool `expand_context`: a schema for the model, and an `answer` for what it calls it with.

    expand: as `Conversation.expand`."""

    expand: Callable[[str, str | None, int | None], str]
    name: str = TOOL_NAME

    def schema(self, dialect: str = "openai_chat") -> dict[str, Any]:
        """The tool's schema for "openai_chat", "openai_responses" or "anthropic". CompressorError for another."""
        return function_schema(dialect, self.name, DESCRIPTION, PARAMETERS)

    def answer(self, arguments: Mapping[str, Any] | str | None) -> str:
        """What the model is told, whatever it called the tool with. Never raises: a model can only read an error. The
        same call gives the same answer."""
        try:
            given = json.loads(arguments) if isinstance(arguments, str) else arguments
        except (ValueError, RecursionError) as error:
            return f'Not expanded: the arguments are no JSON ({error}). Give {{"ref": "123456789012"}}.'
        if not isinstance(given, Mapping) or not str(given.get("ref") or "").strip():
            return 'Not expanded: give the 12 digits of a mark, {"ref": "123456789012"}.'
        ref, query, most = str(given["ref"]), given.get("query"), given.get("max_tokens")
        if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
            return f"Not expanded: max_tokens must be a positive whole number, not {most!r:.40}."
        try:
            return self.expand(ref, str(query) if query else None, most or DEFAULT_MAX_TOKENS)
        except ExpiredRefError:
            return f"Expired: the text behind ref {ref:.40} is no longer stored. Run the tool that gave it again."
        except UnknownRefError:
            return f"Not expanded: there is no ref {ref:.40} in this conversation. Copy the 12 digits of a mark."
        except (CompressorError, BudgetError) as error:
            return f"Not expanded: {error}"
