"""Runs with drawn screenshots are compressed in each message format: what becomes of their images."""

from __future__ import annotations

import base64
import json
import os
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from compressor import Compressor, Result
from compressor.images.policy import ImagePolicy
from support.property_tests import given, settings, st

if os.environ.get("COMPRESSOR_REQUIRE_MODELS") != "1":
    pytest.importorskip("PIL")

from support.picture_runs import (
    FORMATS,
    MODELS,
    Shot,
    browsing,
    check_result,
    computer_run,
    count,
    dumped,
    encode,
    image_data,
    image_part,
    image_parts,
    page_shot,
    parse,
    screen_data,
    texts_of,
    user_message,
    write_rounds,
    write_run,
)

ROOT = Path(__file__).parents[3]
NO_OCR = ImagePolicy(ocr=False)
BY_POINT = {"tool": "computer", "arguments": {"action": "left_click", "coordinate": [120, 80]}}


def squeeze(
    messages: list[Any], model: str, fraction: float, images: Any = NO_OCR, **options: Any
) -> tuple[Compressor, Result]:
    """Compresses to a fraction of the tokens, and checks what must hold of every result."""
    compressor, before = Compressor(store="memory", images=images), dumped(messages)
    result = compressor.compress(messages, int(fraction * count(messages, model)), model, **options)
    check_result(compressor, messages, before, result, model)
    return compressor, result


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("fraction", [0.95, 0.8, 0.6, 0.4, 0.25])
def test_every_result_fits_and_every_image_is_shown_or_behind_a_ref(format_name: str, fraction: float) -> None:
    messages = write_run(format_name, browsing())
    _, result = squeeze(messages, MODELS[format_name], fraction)
    assert len(image_parts(result.messages)) > 0 or fraction < 0.4


@st.composite
def runs(draw: st.DrawFn) -> tuple[str, list[Any], float, ImagePolicy]:
    format_name = draw(st.sampled_from(FORMATS))
    options: dict[str, Any] = BY_POINT if draw(st.booleans()) else {}
    shots = browsing(draw(st.lists(st.integers(1, 3), min_size=1, max_size=6)), **options)
    if draw(st.booleans()):
        shots.append(draw(st.sampled_from(shots)))
    policy = ImagePolicy(
        fold_repeats=draw(st.booleans()),
        shrink=draw(st.booleans()),
        drop_stale=draw(st.booleans()),
        ocr=False,
        keep_frames=draw(st.integers(1, 3)),
    )
    return format_name, write_run(format_name, shots), draw(st.sampled_from((0.3, 0.5, 0.7, 0.9))), policy


@settings(max_examples=25)
@given(runs())
def test_results_of_any_run_and_policy_fit_and_lose_nothing(run: tuple[str, list[Any], float, ImagePolicy]) -> None:
    format_name, messages, fraction, policy = run
    model = MODELS[format_name]
    budget = max(int(fraction * count(messages, model)), 700)  # the newest screenshot by coordinates has to stay
    compressor, before = Compressor(store="memory", images=policy), dumped(messages)
    result = compressor.compress(messages, budget, model)
    check_result(compressor, messages, before, result, model)
    again = compressor.compress(result.messages, budget, model)
    assert dumped(again.messages) == dumped(result.messages)
    other = Compressor(store="memory", images=policy).compress(messages, budget, model)
    assert dumped(other.messages) == dumped(result.messages)


@pytest.mark.parametrize("format_name", FORMATS)
def test_an_equal_image_becomes_a_note_about_the_later_one(format_name: str) -> None:
    one, two = page_shot(1), page_shot(2)
    messages = write_run(format_name, [one, two, one._replace(url="https://desk.example/other"), page_shot(3)])
    compressor, result = squeeze(messages, MODELS[format_name], 0.85)
    assert image_data(result.messages).count(one.data) == 1 == image_data(result.messages).count(two.data)
    assert any("[image 1: the same as image 3]" in text for text in texts_of(result.messages))
    (dropped,) = [found for found in result.dropped if found.kind == "image"]
    assert compressor.expand(dropped.ref) == image_parts(messages)[0]


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_newest_screenshot_stays_whole_for_an_agent_that_clicks_by_coordinates(format_name: str) -> None:
    shots = browsing((1, 1, 1, 1, 1), **BY_POINT)
    for fraction in (0.9, 0.6, 0.45):
        _, result = squeeze(write_run(format_name, shots), MODELS[format_name], fraction)
        assert image_data(result.messages)[-1] == shots[-1].data


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_last_frame_of_each_page_stays_while_others_can_leave(format_name: str) -> None:
    shots = browsing((1, 1, 2, 2, 2, 3, 3))
    fraction = 0.6  # three screenshots and the texts
    policy = ImagePolicy(fold_repeats=False, shrink=False, ocr=False)
    _, result = squeeze(write_run(format_name, shots), MODELS[format_name], fraction, policy)
    assert set(image_data(result.messages)) >= {shots[i].data for i in (1, 4, 6)}


@pytest.mark.parametrize("format_name", FORMATS)
def test_images_of_the_first_and_last_message_of_the_user_are_not_touched(format_name: str) -> None:
    first, last = screen_data(7), screen_data(8)
    shots = [page_shot(7), *browsing((1, 1, 1)), page_shot(8)]
    messages = write_run(format_name, shots, ("Find this.", image_part(format_name, first)))
    messages.append(user_message(format_name, "And this?", image_part(format_name, last)))
    for fraction in (0.9, 0.6, 0.5):
        _, result = squeeze(messages, MODELS[format_name], fraction)
        assert result.messages[0] is messages[0] and result.messages[-1] is messages[-1]


@pytest.mark.parametrize("format_name", FORMATS)
def test_pictures_of_the_user_never_become_lines(format_name: str) -> None:
    shots = browsing((1, 1, 1, 1))
    messages = write_run(format_name, shots[:2])
    messages.append(
        user_message(format_name, "I took this photo of my screen.", image_part(format_name, screen_data(9)))
    )
    messages += write_rounds(format_name, shots[2:], 2)
    messages.append(user_message(format_name, "Go on."))
    for fraction in (0.8, 0.5, 0.3):
        _, result = squeeze(messages, MODELS[format_name], fraction)
        assert not any("image 3: screenshot" in text for text in texts_of(result.messages))


@pytest.mark.parametrize("format_name", FORMATS)
def test_without_a_policy_images_stay_or_go_as_they_are(format_name: str) -> None:
    messages = write_run(format_name, browsing())
    originals = image_parts(messages)
    _, result = squeeze(messages, MODELS[format_name], 0.6, images=False)
    assert set(image_parts(result.messages)) < set(originals)
    assert not any("[image " in text for text in texts_of(result.messages))


@pytest.mark.parametrize("format_name", FORMATS)
def test_two_images_of_one_result_are_told_apart(format_name: str) -> None:
    messages = write_run(format_name, browsing((1, 2, 1, 3)))
    extra = image_part(format_name, screen_data(5))
    held: Any = messages[2]  # the first result
    if format_name == "anthropic":
        held["content"][0]["content"].append(extra)
    elif format_name == "langchain":
        held.content.append(extra)
    else:
        held["output" if format_name == "openai_responses" else "content"].append(extra)
    assert len(image_parts(messages)) == 5
    for fraction in (0.8, 0.5, 0.3):
        squeeze(messages, MODELS[format_name], fraction)


def test_a_cache_mark_beside_an_image_stays() -> None:
    messages = write_run("anthropic", browsing())
    for message in messages[2::2]:
        message["content"][0]["content"][-1]["cache_control"] = {"type": "ephemeral"}
    messages[2]["content"][0]["cache_control"] = {"type": "ephemeral"}
    for fraction in (0.9, 0.7, 0.5):
        _, result = squeeze(messages, MODELS["anthropic"], fraction)
        text = dumped(result.messages)
        assert text.count("cache_control") >= 1
        for turn_part in (part for part in image_parts(result.messages) if "cache_control" in part):
            assert json.loads(turn_part)["cache_control"] == {"type": "ephemeral"}


def test_screenshots_of_the_computer_tool_stay_pictures() -> None:
    shots = [Shot(screen_data(1, kinds, (1280, 800))) for kinds in ((), ("digit",), ("tick",), ("dot",), ("badge",))]
    messages = computer_run(shots)
    for fraction in (0.8, 0.6, 0.55):  # the last two stay, because the agent has clicked on them
        compressor, result = squeeze(messages, "gpt-4o", fraction)
        for item in result.messages:
            if item.get("type") == "computer_call_output":
                assert item["output"]["type"] == "computer_screenshot"
                assert item["output"]["image_url"].startswith("data:image/")
        assert image_data(result.messages)[-1] == shots[-1].data
        originals = set(image_parts(messages))
        refs = [found.ref for found in result.dropped if found.kind == "image"]
        assert refs and {compressor.expand(ref) for ref in refs} <= originals


def odd_images() -> dict[str, Shot]:
    """Images that cannot be decoded or must not be drawn again."""
    from PIL import Image

    source = random.Random(4)
    noise = Image.frombytes("RGB", (160, 120), source.randbytes(160 * 120 * 3))
    frames = [noise, noise.rotate(90)]
    turned = Image.Exif()
    turned[0x0112] = 6
    png = encode(noise)
    raw = b"\x89PNG\r\n\x1a\n"

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    def claiming(width: int, height: int) -> str:
        head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
        body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
        return base64.b64encode(raw + body).decode()

    svg = base64.b64encode(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>').decode()
    deep = Image.new("I;16", (160, 120))
    return {
        "truncated": Shot(png[: len(png) // 2 // 4 * 4]),
        "not an image": Shot(base64.b64encode(b"hello" * 40).decode()),
        "not base64": Shot("@@@ not base64 @@@"),
        "empty": Shot(""),
        "animated": Shot(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]), media_type="image/gif"),
        "cmyk": Shot(encode(noise.convert("CMYK"), "JPEG"), media_type="image/jpeg"),
        "16 bit": Shot(encode(deep)),
        "turned": Shot(encode(noise, "JPEG", exif=turned), media_type="image/jpeg"),
        "transparent": Shot(encode(noise.convert("RGBA").point(lambda value: value // 2))),
        "no pixels": Shot(claiming(0, 0)),
        "100 megapixels": Shot(claiming(10_000, 10_000)),
        "svg": Shot(svg, media_type="image/svg+xml"),
        "wrong media type": Shot(png, media_type="image/webp"),
        "remote": Shot("", source="https://desk.example/shot.png"),
        "file": Shot("", source="file-abc123"),
    }


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("kind", odd_images())
def test_an_odd_image_stays_as_it_is_or_leaves_whole(format_name: str, kind: str) -> None:
    odd, model = odd_images()[kind]._replace(url="https://desk.example/odd"), MODELS[format_name]
    for shots in ([odd, *browsing((1, 1, 1, 2))], [*browsing((1, 1, 1, 2)), odd]):
        messages = write_run(format_name, shots)
        parts, place = image_parts(messages), shots.index(odd)
        assert len(parts) == 5
        for fraction in (0.9, 0.7, 0.5):
            result = squeeze(messages, model, fraction)[1]
            blocks = [block for block in result.blocks if block.kind == "image"]
            assert len(blocks) == 5 and blocks[place].action in ("kept", "pinned", "dropped")
            if kind != "100 megapixels" and fraction > 0.8:  # it takes more than all of the others
                assert any(part in image_parts(result.messages) for part in parts if part != parts[place])


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("kind", ["animated", "cmyk", "turned", "wrong media type"])
def test_an_odd_image_that_comes_twice_is_folded(format_name: str, kind: str) -> None:
    odd = odd_images()[kind]._replace(url="https://desk.example/odd")
    shots = [*[odd._replace(url=f"https://desk.example/{i}") for i in range(5)], page_shot(1)]
    _, result = squeeze(write_run(format_name, shots), MODELS[format_name], 0.95)
    assert image_data(result.messages).count(odd.data) < 5 or MODELS[format_name].startswith("claude")


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_huge_image_leaves_so_that_others_can_stay(format_name: str) -> None:
    shots = browsing((1, 2))
    odd = odd_images()["100 megapixels"]._replace(url="https://desk.example/odd")
    messages = write_run(format_name, [odd, *shots])
    model = MODELS[format_name]
    budget = count(write_run(format_name, shots), model) + 150
    result = Compressor(store="memory", images=NO_OCR).compress(messages, budget, model)
    assert set(image_data(result.messages)) == {shot.data for shot in shots}


SCRIPT = """
import sys
sys.path[:0] = [{tests!r}]
from support.picture_runs import *
from compressor.images.policy import ImagePolicy
for name in ("openai_chat", "openai_responses", "anthropic"):
    messages = write_run(name, browsing((1, 1, 2, 1, 2)))
    for fraction in (0.9, 0.6, 0.4):
        compressor = Compressor(store="memory", images=ImagePolicy(ocr=False))
        print(dumped(compressor.compress(messages, fraction, MODELS[name]).messages))
"""


def run_python(script: str, **environment: str) -> str:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout


def test_two_processes_give_the_same_bytes() -> None:
    script = SCRIPT.format(tests=str(ROOT / "tests"))
    assert run_python(script, PYTHONHASHSEED="1") == run_python(script, PYTHONHASHSEED="2")


TEXT_ONLY = """
import sys
from compressor import Compressor
from compressor.sessions import Conversation
def check(when):
    loaded = [name for name in sys.modules if name.partition(".")[0] == "PIL"]
    ours = [n for n in sys.modules if n.startswith("compressor.images.") and n.split(".")[2] in (
        "decoding", "encoding", "picture", "fingerprint", "differences", "text_height", "known_image", "drawing",
        "resizing", "margins", "frames", "ocr", "large_texts", "captions", "repeats", "coordinates", "page_identity")]
    assert not loaded and not ours, (when, loaded, ours)
check("import")
log = "\\n".join(f"line {i}: {i * i}" for i in range(900))
call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
messages = [{"role": "user", "content": "Sum."}, {"role": "assistant", "content": None, "tool_calls": [call]},
    {"role": "tool", "tool_call_id": "c1", "content": log}]
compressor = Compressor(store="memory")
result = compressor.compress(messages, 500)
result.report(), result.blocks
check("compress")
session = Conversation(compressor, "gpt-4o", 3000)
session.append(*messages)
session.append({"role": "assistant", "content": "Done."})
session.view()
check("session")
print("ok")
"""


def test_a_context_of_texts_alone_loads_no_code_for_images() -> None:
    assert run_python(TEXT_ONLY).strip() == "ok"


WITHOUT_PILLOW = """
import sys
sys.path[:0] = [{tests!r}]
import json, pathlib
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "PIL":
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
import importlib.util
sys.meta_path.insert(0, Hidden())
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name.startswith("PIL") else find(name, package)
from compressor import Compressor
from compressor.sessions import Conversation
messages = json.loads(pathlib.Path({file!r}).read_text())
compressor = Compressor(store="memory")
result = compressor.compress(messages, 0.85, "gpt-4o")
less = compressor.compress(messages, 0.5, "gpt-4o")
session = Conversation(compressor, "gpt-4o", 100_000)
views = []
for i, message in enumerate(messages):
    session.append(message)
    if i % 2 == 0:
        views.append(session.view())
made = [result.messages, result.warnings, views[-1], less.messages, less.warnings, less.tokens_after, less.budget]
print(json.dumps(made))
"""


def test_without_pillow_equal_images_are_folded_and_a_warning_says_what_to_install(tmp_path: Path) -> None:
    one = page_shot(1)
    shots = [one, page_shot(2), one._replace(url="https://desk.example/x"), page_shot(2, ("digit",)), page_shot(4)]
    messages = write_run("openai_chat", shots)
    file = tmp_path / "messages.json"
    file.write_text(json.dumps(messages))
    script = WITHOUT_PILLOW.format(tests=str(ROOT / "tests"), file=str(file))
    result, warnings, view, less, _, after, budget = json.loads(run_python(script))
    assert "the same as image 3" in json.dumps(result) and not any("Pillow" in warning for warning in warnings)
    assert image_data(result).count(one.data) == 1
    assert after <= budget and len(image_parts(less)) < 4
    assert image_data(view).count(one.data) == 1
    assert len(view) == len(messages)


def test_without_pillow_a_warning_says_what_to_install(tmp_path: Path) -> None:
    shots = browsing((1, 2, 3, 4))  # no page comes again, so they would have to be made smaller
    file = tmp_path / "messages.json"
    file.write_text(json.dumps(write_run("openai_chat", shots)))
    script = WITHOUT_PILLOW.format(tests=str(ROOT / "tests"), file=str(file))
    *_, warnings, after, budget = json.loads(run_python(script))
    assert after <= budget
    assert any("pip install 'agentic-compressor[images]'" in warning for warning in warnings)


def test_parsed_formats_are_what_they_are_called() -> None:
    for name in FORMATS:
        assert parse(write_run(name, browsing((1,)))).format_name == name


@pytest.mark.parametrize("format_name", FORMATS)
def test_nothing_longer_stands_for_a_small_image(format_name: str) -> None:
    small = screen_data(1, (), (60, 40)), screen_data(1, ("theme",), (60, 40))
    shots = [Shot(data, url="https://desk.example/1") for data in (*small, *small, *small)]
    long = page_shot(2)
    for fraction in (0.95, 0.8, 0.6, 0.4):
        messages = write_run(format_name, [*shots, long])
        _, result = squeeze(messages, MODELS[format_name], fraction)
        for block in result.blocks:
            assert block.tokens_after <= block.tokens_before


def test_as_many_screenshots_of_the_computer_tool_become_thumbnails_as_have_to() -> None:
    shots = [Shot(screen_data(1, kinds, (1280, 800))) for kinds in ((), ("digit",), ("tick",), ("dot",), ("badge",))]
    _, result = squeeze(computer_run(shots), "gpt-4o", 0.55)
    sizes = [block.image.sizes for block in result.blocks if block.kind == "image" and block.image is not None]
    assert sizes == ["1280 × 800 -> 320 × 220"] * 3 + ["1280 × 800"] * 2
