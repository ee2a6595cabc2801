"""Returns text that was removed: a function for programs, and a tool for the agent itself.

Refs are read only within their session's scopes. Every expansion is recorded as feedback: similar texts score higher
from then on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from compressor.context.formats.function_schema import function_schema
from compressor.context.refs import REF_DIGITS
from compressor.errors import BudgetError, BudgetTooSmallError, CompressorError, ExpiredRefError, UnknownRefError
from compressor.pipeline.documents import compress_documents, compress_text
from compressor.sessions import archive
from compressor.sessions.runtime import CompressorLike
from compressor.sessions.state import SessionState
from compressor.sessions.tool_arguments import WrongArgumentsError, parse_arguments, parse_max_tokens
from compressor.storage.wrappers.scoped import ScopedStore
from compressor.tokens import get_counter

_REF = re.compile(rf"(?<!\d)\d{{{REF_DIGITS}}}(?!\d)")
MAX_EXPANSIONS = 8  # newest expansions that a session remembers
MAX_EXPANSION_CHARS = 600  # of each: its query, or the beginning of its text
TOOL_NAME = "expand_context"
DESCRIPTION = (
    "Returns text that was removed from this conversation. A mark like […cut ref 123456789012] shows where. Call this "
    "when you need the missing text."
)
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "ref": {"type": "string", "description": "the 12 digits"},
        "query": {"type": "string", "description": "return only what matches"},
        "max_tokens": {"type": "integer", "minimum": 1},
    },
    "required": ["ref"],
    "additionalProperties": False,
}
DEFAULT_MAX_TOKENS = 4_000  # of an answer unless more is requested, because a whole log would fill the view again
MIN_EXCERPT_TOKENS = 50  # a smaller budget for an excerpt is raised to this, so that its placeholder fits


def normalize_ref(ref: str) -> str:
    """Returns the digits of a ref, which may be given as a whole placeholder."""
    return found[0] if (found := _REF.search(ref)) else ref.strip()


def expand(
    compressor: CompressorLike,
    state: SessionState,
    ref: str,
    query: str | None,
    budget: int | None,
    model: str | None,
) -> str:
    """Returns the text behind a ref, and records the expansion in the state, see `Conversation.expand`."""
    if not isinstance(ref, str):
        raise CompressorError(f"a ref must be a string of {REF_DIGITS} digits, not {ref!r:.80}")
    if query is not None and not isinstance(query, str):
        raise CompressorError(f"the query of `expand` must be a string or None, not {query!r:.80}")
    if budget is not None and (isinstance(budget, bool) or not isinstance(budget, int) or budget < 1):
        raise BudgetError(f"the budget of `expand` must be a whole number of tokens, at least 1, not {budget!r:.80}")
    ref = normalize_ref(ref)
    text = archive.read_original(compressor.store, state.scopes, ref)
    expansion = (query.strip() if query and query.strip() else text)[:MAX_EXPANSION_CHARS]
    if expansion not in state.expansions:
        state.expansions = [*state.expansions, expansion][-MAX_EXPANSIONS:]
    state.counters.expansions += 1
    archive.record_expansion(compressor.store, state.scopes[0], state.counters.expansions, ref, query)
    if budget is None and not (query and query.strip()):
        return text
    size = max(MIN_EXCERPT_TOKENS, budget) if budget is not None else DEFAULT_MAX_TOKENS
    counter = get_counter(model)
    try:
        if query and archive.is_index_page(
            text
        ):  # index lines say where to look, so the rounds themselves are searched
            documents = archive.load_documents(compressor.store, state.scopes, text)
            if documents:
                store = ScopedStore(compressor.store, state.scopes[0])
                return compress_documents(documents, query, size, counter, compressor.engine, lambda: store).text
        return compress_text(text, size, query, counter, compressor.engine, lambda: compressor.store).text
    except BudgetTooSmallError:
        return text[:size]


@dataclass(frozen=True)
class ExpandTool:
    """The tool `expand_context`: a schema for the model, and the answers to its calls.

    Attributes:
        expand: Returns the text behind a ref, such as `Conversation.expand`.
        name: The name of the tool.
    """

    expand: Callable[[str, str | None, int | None], str]
    name: str = TOOL_NAME

    def schema(self, dialect: str = "openai_chat") -> dict[str, Any]:
        """Returns the tool's schema.

        Args:
            dialect: The provider's format: "openai_chat", "openai_responses" or "anthropic".

        Raises:
            CompressorError: The format is not one of these.
        """
        return function_schema(dialect, self.name, DESCRIPTION, PARAMETERS)

    def answer(self, arguments: Mapping[str, Any] | str | None) -> str:
        """Returns the tool result for a call of the model.

        It never raises for wrong arguments or unknown refs, because a model can only read an error. The same call gives
        the same answer.

        Args:
            arguments: The arguments of the call, as JSON text or parsed.
        """
        try:
            given = parse_arguments(arguments, "ref", "123456789012")
            ref, query = str(given["ref"]), given.get("query")
            return self.expand(ref, str(query) if query else None, parse_max_tokens(given, DEFAULT_MAX_TOKENS))
        except ExpiredRefError:
            return f"Expired: the text behind ref {ref:.40} is no longer stored. Run the tool that returned it again."
        except UnknownRefError:
            return f"Not expanded: this conversation has no ref {ref:.40}. Copy the 12 digits of a ref exactly."
        except (WrongArgumentsError, CompressorError, BudgetError) as error:
            return f"Not expanded: {error}"
