"""What the headers of a proxied request say about its conversation."""

from __future__ import annotations

from typing import Any, NamedTuple

from compressor.errors import BudgetError
from compressor.service import policy_options
from compressor.service.budget_options import read_budget_headers
from compressor.service.proxy.exchange import Exchange
from compressor.service.settings_fields import parse_budget


class RequestOptions(NamedTuple):
    """The options of one request.

    Attributes:
        session: The id of the session, or "".
        budget: The budget, or None.
        options: When to compact, and the budgets of tools and examples.
    """

    session: str
    budget: int | float | str | None
    options: dict[str, Any]


def read_options(exchange: Exchange) -> RequestOptions:
    """Reads the headers of a request.

    Raises:
        CompressorError: A header is not valid.
        HttpError: 400 for an id that no session can have.
    """
    session, budget = exchange.session_id, exchange.get_option("budget")
    try:
        limit = parse_budget(budget) if budget else None
    except ValueError:
        raise BudgetError("x-compressor-budget must be tokens (4000), a fraction (50%) or money ($0.02)") from None
    options = policy_options.read_headers(exchange.get_option) | read_budget_headers(exchange.get_option)
    return RequestOptions(session, limit, options)
