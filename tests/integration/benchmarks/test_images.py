"""The ruler of screenshots on hand-made reductions: what is lost is seen as lost, and what is kept as kept."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.images_case import METHODS, RECIPIENTS, Reduced, reduce_run
from benchmarks.images_frames import Frames, fold_of, is_false_fold, shows
from benchmarks.images_legible import find_pixels, is_legible, says, stands_in
from benchmarks.images_measure import Judgement, judge, measure
from benchmarks.images_messages import LAYOUTS, build_messages, call_id, data_url, group_messages
from benchmarks.images_pairs import CHANGES, near_pairs
from benchmarks.images_run import BrowsingRun, load_runs
from benchmarks.images_sent import SentPicture, decode, read_expanded, read_messages
from compressor import CompressorError
from compressor.context.formats import detect_format
from compressor.context.refs import format_placeholder

Image = pytest.importorskip("PIL.Image")
RUNS = {run.name: run for run in load_runs()}
SHOP, OFFICE, REPORTS = RUNS["shop"], RUNS["office"], RUNS["reports"]
REF = "123456789012"
needs_ocr = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")


def png(picture: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


def scaled(data: bytes, scale: float) -> bytes:
    with Image.open(io.BytesIO(data)) as picture:
        size = round(picture.width * scale), round(picture.height * scale)
        return png(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS))


def nothing(ref: str) -> str:
    raise CompressorError(ref)


def place(messages: list[Any], run: BrowsingRun, step: int, *parts: Any) -> list[Any]:
    """Returns chat messages with other parts in place of a step's picture."""
    changed = list(messages)
    after = next(i for i, m in enumerate(messages) if m.get("tool_call_id") == call_id(run, step)) + 1
    changed[after] = {"role": "user", "content": [messages[after]["content"][0], *parts]}
    return changed


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def picture(data: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": data_url(data)}}


def judged(run: BrowsingRun, messages: list[Any], expand: Callable[[str], str] = nothing) -> Judgement:
    return judge(run, Reduced(messages, expand))


def only(run: BrowsingRun, question: str) -> BrowsingRun:
    return replace(run, targets=tuple(t for t in run.targets if question in t.question))


def test_the_recording_is_as_it_is_described() -> None:
    assert [run.name for run in RUNS.values()] == ["shop", "docs", "reports", "office"]
    assert sum(len(run.steps) for run in RUNS.values()) >= 60
    assert {run.size for run in RUNS.values()} == {(1280, 800), (1024, 768)}
    for run in RUNS.values():
        height, width, _ = decode(run.png(0)).shape
        assert (width, height) == run.size and sum(click.is_next for click in run.clicks) == 1
        for target in run.targets:
            for step, (left, top, box_width, box_height) in target.places:
                assert left + box_width <= width and top + box_height <= height
                assert target.text in " ".join(run.steps[step].text.split())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_layouts_are_legal_and_show_every_picture(layout: str) -> None:
    for run in RUNS.values():
        messages = build_messages(run, layout, questions=True)
        context = detect_format(messages).parse(messages)
        images = [slot.image for turn in context.turns for slot in turn.slots if slot.image]
        assert {(image.width, image.height) for image in images} == {run.size} and len(images) == len(run.steps)
        sent = read_messages(messages)
        assert [p.data for p in sent.pictures] == [run.png(i) for i in range(len(run.steps))]
        for i in range(len(run.steps)):
            assert [p.data for p in sent.calls[call_id(run, i)].pictures] == [run.png(i)]
        assert messages[: -len(messages) + sum(map(len, group_messages(run, layout)))] == messages[:-1]


def test_untouched_messages_keep_everything() -> None:
    for run in RUNS.values():
        found = judged(run, build_messages(run, "chat"))
        assert set(found.targets) <= {"text", "picture"} and not found.lost and not found.false_folds
        assert found.clicks[0] == found.clicks[1] and found.last_whole == (1, 1, 1)
        assert set(found.pages) == {"picture"} and found.repeats[0] == 0 < found.repeats[1]


def test_a_target_of_a_removed_picture_is_lost() -> None:
    run = only(OFFICE, "reference of the application")
    ((step, _),) = run.targets[0].places
    kept = [i for i in range(len(run.steps)) if i != step]
    assert judged(run, build_messages(run, "chat", pictures=kept)).targets == {"lost": 1}
    assert judged(run, build_messages(run, "chat", pictures=[step])).targets == {"picture": 1}


def test_a_target_is_found_in_a_crop_in_text_and_behind_a_ref() -> None:
    run = only(OFFICE, "reference of the application")
    ((step, (left, top, width, height)),) = run.targets[0].places
    bare = build_messages(run, "chat", pictures=())
    with Image.open(io.BytesIO(run.png(step))) as whole:
        crop = png(whole.crop((left - 5, top - 5, left + width + 5, top + height + 5)))
    assert judged(run, place(bare, run, step, picture(crop))).targets == {"picture": 1}
    assert judged(run, place(bare, run, step, text(f"The page says {run.targets[0].text}."))).targets == {"text": 1}
    marked = place(bare, run, step, text(f"Picture 19 {format_placeholder(REF)}"))
    behind = {REF: json.dumps(picture(run.png(step)))}
    found = judged(run, marked, behind.__getitem__)
    assert found.targets == {"expand": 1} and not found.false_folds
    further = {REF: f"see {format_placeholder('9' * 12)}", "9" * 12: behind[REF]}
    assert judged(run, marked, further.__getitem__).targets == {"expand_2": 1}


@needs_ocr
def test_a_smaller_picture_is_read_by_ocr() -> None:
    run = only(SHOP, "article number")
    step, box = run.targets[0].places[0]
    data = run.png(step)
    legible = [is_legible(run.targets[0].text, box, data, SentPicture(scaled(data, s), str(s))) for s in (0.8, 0.3)]
    assert legible == [True, False]
    other = SentPicture(scaled(run.png(24), 0.8), "other")
    assert not is_legible(run.targets[0].text, box, data, other)
    assert shows(data, SentPicture(scaled(data, 0.7), "")) and not shows(
        run.png(24), SentPicture(scaled(data, 0.7), "")
    )


def test_a_picture_without_its_empty_margins_is_the_same_page() -> None:
    data = SHOP.png(23)
    with Image.open(io.BytesIO(data)) as whole:
        tight = whole.crop((0, 0, 1280, 305))
        small = tight.resize((round(tight.width * 0.7), round(tight.height * 0.7)), Image.Resampling.LANCZOS)
        part = whole.crop((0, 100, 700, 200))
    assert [shows(data, SentPicture(png(p), "")) for p in (tight, small, part)] == [True, True, False]
    assert not any(shows(SHOP.png(19), SentPicture(png(p), "")) for p in (tight, small))


def test_a_fold_to_another_picture_is_false() -> None:
    bare = build_messages(SHOP, "chat")
    first, second = 5, 6  # they differ in the badge of the cart
    frames = Frames(SHOP, len(SHOP.steps))
    behind = {REF: json.dumps(picture(SHOP.png(first))), "9" * 12: json.dumps(picture(SHOP.png(second)))}

    def is_false(*parts: Any, step: int = second) -> bool:
        return is_false_fold(step, frames, read_messages(place(bare, SHOP, step, *parts)), behind.__getitem__)

    assert is_false(text(f"[same as picture 6] {format_placeholder(REF)}"))
    assert is_false(text(f"[as picture 6, changed: nothing] {format_placeholder(REF)}"))
    assert not is_false(text(f"[picture 7 left out] {format_placeholder('9' * 12)}"))
    assert not is_false(text("[screenshot omitted]"))
    assert not is_false(text(f"[same as picture 7] {format_placeholder('9' * 12)}"), step=7)
    with Image.open(io.BytesIO(SHOP.png(second))) as whole:
        badge, wrong = png(whole.crop((1100, 0, 1280, 52))), png(whole.crop((0, 0, 180, 52)))
    changed = text(f"[as picture 6, changed region at 1100,0] {format_placeholder(REF)}")
    assert not is_false(changed, picture(badge))
    assert is_false(changed, picture(wrong))

    def fold(*parts: Any, step: int = second) -> str:
        return fold_of(step, frames, read_messages(place(bare, SHOP, step, *parts)), behind.__getitem__)

    assert fold(text("[screenshot omitted]")) == "none" and fold(picture(SHOP.png(second))) == "picture"
    assert fold(text(f"[picture 7 left out] {format_placeholder('9' * 12)}")) == "own"
    assert fold(text(f"[same as picture 7] {format_placeholder('9' * 12)}"), step=7) == "claim"
    assert fold(changed, picture(badge)) == "claim"


def test_targets_that_stand_in_a_text_anyway_are_told_apart() -> None:
    docs = judged(RUNS["docs"], build_messages(RUNS["docs"], "chat", pictures=()))
    assert docs.targets == {"text": 7} and not docs.picture_targets
    office = judged(OFFICE, build_messages(OFFICE, "chat", pictures=()))
    assert office.picture_targets == {"lost": 7}


def test_a_page_can_be_composed_of_another_frame_and_what_changed() -> None:
    run = replace(SHOP, steps=SHOP.steps[:7], targets=())
    bare = build_messages(run, "chat", pictures=(5,))
    page = run.steps[6].page
    assert run.steps[5].page == page
    assert judged(run, bare).pages["lost"] == 3
    with Image.open(io.BytesIO(run.png(6))) as whole:
        badge = png(whole.crop((1100, 0, 1280, 52)))
    assert judged(run, place(bare, run, 6, picture(badge))).pages["composed"] == 1
    told = text("As picture 6, changed: Cart 2")
    assert judged(run, place(bare, run, 6, told)).pages["composed"] == 1


def test_repeats_count_as_found_when_they_are_sent_once() -> None:
    run = replace(SHOP, targets=())
    assert judged(run, build_messages(run, "chat")).repeats == (0, 3)
    once = [i for i, step in enumerate(run.steps) if step.frame not in [s.frame for s in run.steps[:i]]]
    found = judged(run, build_messages(run, "chat", pictures=once))
    assert found.repeats == (3, 3) and found.near[0] == 0 < found.near[1]


def test_an_agent_that_clicks_by_pixels_needs_the_whole_frame() -> None:
    last = 10  # no earlier picture is the same
    run = replace(REPORTS, targets=(), steps=REPORTS.steps[: last + 1])
    messages = build_messages(run, "chat")
    assert judged(run, messages).next_click == (1, 1)
    smaller = place(messages, run, last, picture(scaled(run.png(last), 0.9)))
    found = judged(run, smaller)
    assert found.next_click == (0, 1) and found.last_whole == (0, 0, 1)


def test_baselines_lose_old_targets_and_sessions_add_up_their_requests() -> None:
    methods = {method.name: method for method in METHODS}
    to = RECIPIENTS[2]
    rows = {}
    for name in ("keep last 1", "session keep last 1", "session untouched"):
        rows[name] = measure(SHOP, reduce_run(SHOP, methods[name], to), to)
    assert rows["keep last 1"]["old_targets"]["lost"] > 3
    assert rows["keep last 1"]["image_tokens_after"] * len(SHOP.steps) == rows["keep last 1"]["image_tokens_before"]
    assert rows["session untouched"]["last_whole"] == (len(SHOP.steps),) * 3
    assert rows["session untouched"]["sent_tokens"] > 5 * rows["session keep last 1"]["sent_tokens"]
    assert rows["session untouched"]["sent_cost"] < rows["session untouched"]["sent_tokens"] / 3


def test_pairs_differ_and_are_the_same_for_one_seed(tmp_path: Path) -> None:
    def made() -> list[tuple[str, float, bytes]]:
        return [(p.kind, p.difference, p.run.png(1)) for p in near_pairs([OFFICE], 12, 3, tmp_path)]

    first = made()
    assert len(first) == 12 and {kind for kind, _, _ in first} == {"recorded", *CHANGES}
    assert all(0 < difference < 0.3 for _, difference, _ in first)


def test_words_and_pixels_are_compared_as_a_reader_would() -> None:
    assert says(["Total", "€", "155.10"], "€ 155.10") and says(["NKP-19O04"], "NKP-19004")
    assert not says(["1155.10", "0"], "55.1") and not says(["Total"], "€ 155.10")
    assert stands_in("41 months", ["It has 41\n months."]) and not stands_in("41 months", ["141 months"])
    data = SHOP.png(0)
    pixels = decode(data)
    patch = pixels[100:112, 200:260].copy()
    assert find_pixels(patch.tobytes(), (12, 60), data) is not None
    patch[5, 5] ^= 255
    assert find_pixels(patch.tobytes(), (12, 60), data) is None
    assert read_expanded("just a text").texts == ["just a text"]
