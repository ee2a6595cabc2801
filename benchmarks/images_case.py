"""Reduces a recorded run with one method: once as a whole, and step by step as a session does.

A method takes messages to messages. The baselines are what vendors' examples do: keep the newest pictures.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.images_frames import Expand
from benchmarks.images_messages import Message, build_messages, group_messages
from benchmarks.images_run import BrowsingRun
from benchmarks.images_sent import Sent, read_messages
from compressor import Compressor, CompressorError
from compressor.context.formats import detect_format
from compressor.errors import UnknownRefError
from compressor.tokens import TokenCounter, get_counter

#: What a cached input token costs, as a fraction of the price of one that is not.
CACHED_PRICE = 0.1


@dataclass(frozen=True)
class Recipient:
    """A model, and the format in which its provider takes messages."""

    model: str
    layout: str


RECIPIENTS = (
    Recipient("gpt-4o", "chat"),
    Recipient("gpt-5.4", "responses"),
    Recipient("claude-sonnet-4-5", "anthropic"),
    Recipient("gemini-2.5-pro", "chat"),
)


@dataclass
class Reduced:
    """What a method made of a run.

    Attributes:
        messages: What is sent in the end.
        expand: Returns what is behind a ref.
        milliseconds: CPU time for each picture, beyond the time that the texts take.
        sent_tokens: Tokens of all requests of a session; of the one request otherwise.
        sent_cost: The same, with what a request has in common with the one before at a tenth.
        views: The messages of each request of a session.
        error: Why there is no result; "" if there is one.
    """

    messages: list[Message]
    expand: Expand
    milliseconds: float = 0.0
    sent_tokens: int = 0
    sent_cost: float = 0.0
    views: list[Sent] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True)
class ImageMethod:
    """A way of reducing a run.

    Attributes:
        name: Its name in the table.
        share: For ours, the budget as a fraction of the run's tokens; None for none.
        keep: For baselines, how many of the newest pictures stay; None: all.
        keeps_texts: Whether the results keep their texts when their picture is left out.
        is_session: Whether the run is appended step by step, with a request after each.
        is_ours: Whether the compressor does it.
    """

    name: str
    share: float | None = None
    keep: int | None = None
    keeps_texts: bool = True
    is_session: bool = False
    is_ours: bool = False


METHODS = (
    ImageMethod("untouched"),
    ImageMethod("keep last 3", keep=3),
    ImageMethod("keep last 1", keep=1),
    ImageMethod("newest only", keep=1, keeps_texts=False),
    *(ImageMethod(f"ours {share}", share, is_ours=True) for share in (0.6, 0.4, 0.25)),
    ImageMethod("session untouched", is_session=True),
    ImageMethod("session keep last 3", keep=3, is_session=True),
    ImageMethod("session keep last 1", keep=1, is_session=True),
    ImageMethod("session ours", is_session=True, is_ours=True),
    ImageMethod("session ours 0.4", 0.4, is_session=True, is_ours=True),
)


def count_tokens(messages: Sequence[Message], counter: TokenCounter) -> tuple[int, int]:
    """Returns the tokens of messages, and of their pictures alone."""
    context = detect_format(messages).parse(messages)
    images = [slot.image for turn in context.turns for slot in turn.slots if slot.image is not None]
    return counter.count_context(context), sum(map(counter.count_image, images))


def reduce_run(run: BrowsingRun, method: ImageMethod, to: Recipient) -> Reduced:
    """Reduces a run; a failure of the compressor is written down, and the run is sent as it is."""
    reduce = _by_steps if method.is_session else _as_whole
    return reduce(run, method, to)


def _as_whole(run: BrowsingRun, method: ImageMethod, to: Recipient) -> Reduced:
    counter = get_counter(to.model)
    messages = build_messages(run, to.layout, questions=True, **_chosen(method, len(run.steps)))
    reduced = Reduced(messages, _no_ref)
    if method.is_ours:
        assert method.share is not None
        text_seconds = _text_time(run, method, to)
        compressor, start = Compressor(store="memory"), time.process_time()
        try:
            reduced.messages = compressor.compress(messages, method.share, model=to.model).messages
        except CompressorError as error:
            reduced.error = f"{type(error).__name__}: {error}"
        spent = time.process_time() - start - text_seconds
        reduced.milliseconds = max(0.0, 1000 * spent / len(run.steps))
        reduced.expand = compressor.expand
    reduced.sent_tokens = count_tokens(reduced.messages, counter)[0]
    reduced.sent_cost = float(reduced.sent_tokens)
    return reduced


def _text_time(run: BrowsingRun, method: ImageMethod, to: Recipient) -> float:
    """Returns the seconds that the run takes without its pictures."""
    messages = build_messages(run, to.layout, questions=True, pictures=())
    compressor, start = Compressor(store="memory"), time.process_time()
    try:
        compressor.compress(messages, method.share or 1.0, model=to.model)
    except CompressorError:
        return 0.0
    return time.process_time() - start


def _by_steps(run: BrowsingRun, method: ImageMethod, to: Recipient) -> Reduced:
    """Replays a run: a request after the task and after each step."""
    counter = get_counter(to.model)
    groups = group_messages(run, to.layout)
    reduced = Reduced([], _no_ref)
    if method.is_ours:
        whole = count_tokens([message for group in groups for message in group], counter)[0]
        budget = None if method.share is None else int(method.share * whole)
        texts = Reduced([], _no_ref)
        _view_by_steps(run.name, group_messages(run, to.layout, pictures=()), to, budget, texts)
        requests = _view_by_steps(run.name, groups, to, budget, reduced)
        reduced.milliseconds = max(0.0, reduced.milliseconds - texts.milliseconds) / len(run.steps)
    else:
        requests = [build_messages(run, to.layout, count=i, **_chosen(method, i)) for i in range(len(groups))]
    before: list[Message] = []
    for sent in requests:
        _add_request(reduced, before, sent, counter)
        reduced.views.append(read_messages(sent))
        before = sent
    reduced.messages = before
    return reduced


def _view_by_steps(
    name: str, groups: Sequence[list[Message]], to: Recipient, budget: int | None, reduced: Reduced
) -> list[list[Message]]:
    """Appends groups of messages to a session and returns its view after each; writes down time and failures."""
    session = Compressor(store="memory").session(name, model=to.model, budget=budget)
    reduced.expand = session.expand
    requests = []
    start = time.process_time()
    for group in groups:
        session.append(*group)
        try:
            requests.append(session.view())
        except CompressorError as error:
            reduced.error = f"{type(error).__name__}: {error}"
            requests.append(session.view(best_effort=True))
    reduced.milliseconds = 1000 * (time.process_time() - start)
    return requests


def _add_request(reduced: Reduced, before: list[Message], sent: list[Message], counter: TokenCounter) -> None:
    common = 0
    while common < min(len(before), len(sent)) and before[common] == sent[common]:
        common += 1
    context = detect_format(sent).parse(sent)
    total = counter.count_context(context)
    cached = sum(counter.count_turn(turn, context.format_name) for turn in context.turns[:common])
    reduced.sent_tokens += total
    reduced.sent_cost += total - cached + CACHED_PRICE * cached


def _chosen(method: ImageMethod, count: int) -> dict[str, Any]:
    """Returns which steps keep their picture and text."""
    if method.keep is None:
        return {}
    kept = range(max(0, count - method.keep), count)
    return {"pictures": kept} if method.keeps_texts else {"pictures": kept, "texts": kept}


def _no_ref(ref: str) -> str:
    raise UnknownRefError(f"nothing is stored under {ref}")
