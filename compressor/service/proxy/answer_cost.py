"""Books what a proxied request has cost: from the usage that the provider reports, else from our own counts."""

from __future__ import annotations

from compressor.service.limits.answer_watcher import AnswerWatcher
from compressor.service.limits.request_cost import (
    RequestCost,
    find_model,
    price_tokens,
    price_usages,
)
from compressor.service.proxy.exchange import Exchange


def settle_cost(exchange: Exchange, watcher: AnswerWatcher) -> None:
    """Books the cost of a request whose answer is over, or whose client has gone."""
    exchange.admission.settle(_measure(exchange, watcher))


def _measure(exchange: Exchange, watcher: AnswerWatcher) -> RequestCost:
    if watcher.status >= 400:
        return RequestCost()  # providers do not bill errors
    call = exchange.call
    model = str(exchange.data.get("model") or "") or find_model(exchange.body)
    turns = call.hidden_rounds.turns if call is not None else []
    reported = [turn.usage for turn in turns if turn.usage is not None]
    if cost := price_usages(reported or filter(None, [watcher.usage()]), model):
        return cost
    if not exchange.was_sent:
        return RequestCost()
    # The provider has not reported any usage, as in the streams of OpenAI unless the client asks for it.
    prompt = exchange.admission.reserved_tokens if call is None else call.tracked.view_tokens * max(1, len(turns))
    return price_tokens(prompt, watcher.events, model)
