"""Judges what a reduced run still shows: targets, click targets, pages, repeats, and folds that are false."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.images_case import Recipient, Reduced, count_tokens
from benchmarks.images_frames import (
    Expand,
    Frames,
    expanded,
    has_page_text,
    is_composed,
    is_equal,
    is_false_fold,
    pixel_digest,
    shows,
)
from benchmarks.images_legible import caption_text, has_pixels, is_legible, stands_in
from benchmarks.images_messages import build_messages, call_id
from benchmarks.images_run import BrowsingRun, Target
from benchmarks.images_sent import Sent, SentPicture, read_messages
from compressor.context.refs import find_refs
from compressor.tokens import get_counter

#: Where a target or page is: in a text or a picture of the view, one or two expansions away, or nowhere.
IN_VIEW = ("text", "picture", "smaller", "composed")
PLACES = (*IN_VIEW, "expand", "expand_2", "lost")


@dataclass
class Judgement:
    """What a reduced run still shows.

    Attributes:
        targets: Number of targets by place.
        old_targets: Of these, the ones that the last picture does not show.
        picture_targets: Of all, the ones that no text of the untouched run has. The others would be found without any
            picture, so they say nothing about pictures.
        clicks: How many elements of the last picture can be clicked: in view, and all.
        next_click: The same for the one that the agent clicks next.
        last_whole: How many requests have their newest picture whole, at its size; how many have it at its own place,
            not only as an earlier picture that is equal; and all requests with a picture.
        pages: Number of pages by the place of their last picture.
        repeats: Exact repeats that are not sent again, and all.
        near: Near repeats that are not sent beside the frame that they are near to, and all.
        false_folds: Frames whose place leads to another picture.
        lost: The targets that are lost, for a reader.
    """

    targets: Counter[str] = field(default_factory=Counter)
    old_targets: Counter[str] = field(default_factory=Counter)
    picture_targets: Counter[str] = field(default_factory=Counter)
    clicks: tuple[int, int] = (0, 0)
    next_click: tuple[int, int] = (0, 0)
    last_whole: tuple[int, int, int] = (0, 0, 0)
    pages: Counter[str] = field(default_factory=Counter)
    repeats: tuple[int, int] = (0, 0)
    near: tuple[int, int] = (0, 0)
    false_folds: int = 0
    lost: list[str] = field(default_factory=list)


def judge(run: BrowsingRun, reduced: Reduced) -> Judgement:
    """Judges the last request of a reduced run, and for sessions the newest picture of every request."""
    sent = read_messages(reduced.messages)
    frames = Frames(run, len(run.steps))
    found = Judgement()
    once = behind(sent, reduced.expand)
    twice = behind(once, reduced.expand)
    told = read_messages(build_messages(run, "chat", pictures=())).texts
    for target in run.targets:
        place = find_target(target, frames, sent, once, twice)
        found.targets[place] += 1
        if all(step < len(run.steps) - 1 for step, _ in target.places):
            found.old_targets[place] += 1
        if not stands_in(target.text, told):
            found.picture_targets[place] += 1
        if place == "lost":
            found.lost.append(f"{run.name}: {target.question} {target.text}")
    _judge_clicks(found, frames, sent, reduced.views)
    for step in frames.last_of_pages():
        found.pages[find_page(step, frames, sent, once, twice)] += 1
    _judge_repeats(found, frames, sent)
    found.false_folds = sum(is_false_fold(step, frames, sent, reduced.expand) for step in range(frames.count))
    return found


def find_target(target: Target, frames: Frames, sent: Sent, once: Sent, twice: Sent) -> str:
    """Returns the best place that has a target."""
    for place, reach in (("view", sent), ("expand", once), ("expand_2", twice)):
        if stands_in(target.text, reach.texts):
            return "text" if place == "view" else place
        if _is_readable(target, frames, reach.pictures):
            return "picture" if place == "view" else place
    return "lost"


def _is_readable(target: Target, frames: Frames, pictures: Sequence[SentPicture]) -> bool:
    """Looks for equal pixels first. A picture that is a frame of the run needs no OCR: the run knows what it shows."""
    shown = {pixel_digest(frames.data(step)) for step, _ in target.places}
    distinct = {pixel_digest(picture.data): picture for picture in pictures}
    if shown & distinct.keys():
        return True
    whole = {pixel_digest(frames.data(step)) for step in range(frames.count)}
    others = [picture for digest, picture in distinct.items() if digest not in whole]
    places = list({(frames.run.steps[step].frame, box): (step, box) for step, box in target.places}.values())
    for step, (left, top, width, height) in places if others else ():
        patch = frames.pixels(step)[top : top + height, left : left + width]
        if any(has_pixels(patch, picture, (left, top)) for picture in others):
            return True
    return any(is_legible(target.text, box, frames.data(step), picture) for step, box in places for picture in others)


def find_page(step: int, frames: Frames, sent: Sent, once: Sent, twice: Sent) -> str:
    """Returns the best place that has a frame."""
    data = frames.data(step)
    if _has_frame(step, frames, sent):
        return "picture"
    if any(shows(data, picture) for picture in sent.pictures):
        return "smaller"
    if has_page_text(step, frames, sent.texts):
        return "text"
    if is_composed(step, frames, sent):
        return "composed"
    for place, reach in (("expand", once), ("expand_2", twice)):
        if any(shows(data, picture) for picture in reach.pictures):
            return place
    return "lost"


def behind(sent: Sent, expand: Expand) -> Sent:
    """Returns what the refs in some texts expand to, without what is in view already."""
    found = Sent()
    texts = [*sent.texts, *map(caption_text, sent.pictures)]
    for ref in dict.fromkeys(ref for text in texts for ref in find_refs(text)):
        more = expanded(ref, expand)
        found.texts += more.texts
        found.pictures += more.pictures
    return found


def _judge_clicks(found: Judgement, frames: Frames, sent: Sent, views: Sequence[Sent]) -> None:
    """An agent that acts by pixels needs the whole frame at its size; another one the element's name or picture."""
    run, last = frames.run, frames.count - 1
    is_whole = _has_frame(last, frames, sent)
    texts = sent.calls.get(call_id(run, last), Sent()).texts if run.has_snapshots else []

    def is_in_view(name: str, box: tuple[int, int, int, int]) -> bool:
        if is_whole or run.acts == "pixel":
            return is_whole
        if stands_in(name, texts):
            return True
        return any(is_legible(name, box, frames.data(last), picture) for picture in sent.pictures)

    seen = [(click.is_next, is_in_view(click.name, click.box)) for click in run.clicks]
    found.clicks = sum(view for _, view in seen), len(seen)
    found.next_click = sum(view for is_next, view in seen if is_next), sum(is_next for is_next, _ in seen)
    newest = [(count - 1, view) for count, view in enumerate(views) if count] or [(last, sent)]
    whole = sum(_has_frame(step, frames, view) for step, view in newest)
    in_place = sum(_has_frame(step, frames, view.calls.get(call_id(run, step), Sent())) for step, view in newest)
    found.last_whole = whole, in_place, len(newest)


def _has_frame(step: int, frames: Frames, sent: Sent) -> bool:
    return any(is_equal(frames.data(step), picture) for picture in sent.pictures)


def _judge_repeats(found: Judgement, frames: Frames, sent: Sent) -> None:
    again = frames.exact_repeats()
    extra = 0
    for name in {frames.run.steps[i].frame for i in again}:
        data = next(frames.data(i) for i in again if frames.run.steps[i].frame == name)
        extra += max(0, sum(is_equal(data, picture) for picture in sent.pictures) - 1)
    found.repeats = len(again) - min(extra, len(again)), len(again)
    near = frames.near_repeats()
    both = sum(_has_frame(i, frames, sent) and _has_frame(k, frames, sent) for i, k in near)
    found.near = len(near) - both, len(near)


def measure(run: BrowsingRun, reduced: Reduced, to: Recipient) -> dict[str, Any]:
    """Returns the numbers of one run and method for the JSON file."""
    counter = get_counter(to.model)
    whole = build_messages(run, to.layout, questions=not reduced.views)
    before, images_before = count_tokens(whole, counter)
    after, images_after = count_tokens(reduced.messages, counter)
    found = judge(run, reduced)
    return {
        "frames": len(run.steps),
        "tokens_before": before,
        "tokens_after": after,
        "image_tokens_before": images_before,
        "image_tokens_after": images_after,
        "sent_tokens": reduced.sent_tokens,
        "sent_cost": round(reduced.sent_cost),
        "ms_per_frame": round(reduced.milliseconds, 2),
        "targets": dict(found.targets),
        "old_targets": dict(found.old_targets),
        "picture_targets": dict(found.picture_targets),
        "pages": dict(found.pages),
        "clicks": found.clicks,
        "next_click": found.next_click,
        "last_whole": found.last_whole,
        "repeats": found.repeats,
        "near": found.near,
        "false_folds": found.false_folds,
        "lost": found.lost,
        "error": reduced.error,
    }
