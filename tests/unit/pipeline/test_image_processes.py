"""Images in other processes: the same bytes, nothing loaded for texts alone, and what works without Pillow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

if os.environ.get("COMPRESSOR_REQUIRE_MODELS") != "1":
    pytest.importorskip("PIL")

from support.picture_runs import browsing, image_data, image_parts, page_shot, write_run

ROOT = Path(__file__).parents[3]


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
