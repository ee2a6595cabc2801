"""JSON inside other text is cut by records, its wrapper stays around it; logs and prose with a little JSON are left."""

from __future__ import annotations

import json

import numpy as np
import pytest

from compressor.text.lossless.json_values import parses_strictly
from compressor.text.segmenters import segment_text
from compressor.text.segmenters.base import EncodableText
from compressor.text.segmenters.composite_layout import CompositeLayout
from compressor.text.segmenters.embedded_json import find_embedded_json
from compressor.text.segmenters.json import JsonLayout
from support.property_tests import given, settings, st
from support.segment_tools import units

HOSTS = [{"host": f"web-{i:02d}", "ip": f"10.0.3.{i}", "state": "down" if i == 9 else "up"} for i in range(25)]
PLAIN = json.dumps(HOSTS)
WRAPPERS = {
    "a sentence": ("Result: ", ""),
    "a line": ("Result:\n", ""),
    "a line after": ("", "\nDone in 3.2s"),
    "fence": ("Here:\n```json\n", "\n```\n"),
    "tag": ("<result>\n", "\n</result>"),
    "guard": (")]}',\n", ""),
    "callback": ("cb(", ");"),
    "assignment": ("window.state = ", ";\n"),
    "event": ("data: ", "\n\n"),
    "headers": (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 01 Jan 2024 10:00:00 GMT\r\nServer: nginx\r\n"
        "X-Request-Id: 7f3a-44-aa-10\r\n\r\n",
        "",
    ),
    "comment": ("// hosts of today\n", ""),
    "cut off": ("", ', {"host": "web-25", "ip": "10.0'),
}
SOURCES = {
    "plain": PLAIN,
    "indented": json.dumps(HOSTS, indent=2),
    "lines": "\n".join(map(json.dumps, HOSTS)),
    "blank lines": "\n\n".join(map(json.dumps, HOSTS)),
    "events": "".join(f"data: {json.dumps(h)}\n\n" for h in HOSTS) + "data: [DONE]\n",
    "named events": "".join(f"event: delta\ndata: {json.dumps(h)}\n\n" for h in HOSTS),
    "python": repr(HOSTS),
    "python records": "["
    + ", ".join(f"Row(host={h['host']!r}, ip={h['ip']!r}, state={h['state']!r}, at=date(2024, 1, 2))" for h in HOSTS)
    + "]",
    "trailing comma": PLAIN[:-1] + ",]",
    "comments": PLAIN.replace('"web-03",', '"web-03", // slow\n'),
    "cut off": PLAIN[:-20],
    "byte order mark": "\ufeff" + PLAIN,
}


def rows_kept(out: str) -> list[str]:
    return [h["host"] for h in HOSTS if f'"{h["host"]}"' in out]


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_changes_nothing(name: str) -> None:
    before, after = WRAPPERS[name]
    text = before + (PLAIN[:-1] if name == "cut off" else PLAIN) + after
    plain, found = segment_text(PLAIN), segment_text(text)
    assert isinstance(found, CompositeLayout) and found.render(np.ones(len(found.spans), np.bool_)) == text
    (layout,) = (p.layout for p in found.parts if isinstance(p.layout, JsonLayout))
    assert units(layout) == units(plain)
    keep = np.array([("web-09" in u or "down" in u or "web-1" in u) for u in units(found)], np.bool_)
    out = found.render(keep)
    body = layout.write(keep[np.array(["web-" in u or u in units(plain) for u in units(found)])])
    assert body in out and parses_strictly(body) and rows_kept(body) == ["web-09", *(f"web-{i}" for i in range(10, 20))]
    if name not in ("headers", "cut off"):
        assert out.startswith(before) and out.endswith(after)


@pytest.mark.parametrize("name", SOURCES)
def test_every_notation_is_cut_by_records(name: str) -> None:
    text = SOURCES[name]
    found = segment_text(text)
    assert found.kind == "json" and found.render(np.ones(len(found.spans), np.bool_)) == text
    keep = np.array(["web-09" in u or "down" in u for u in units(found)], np.bool_)
    out = found.render(keep)
    assert "web-09" in out and "down" in out
    assert rows_kept(out) == ["web-09"] + ["web-24"] * (name == "cut off")  # the rest of a record cut off stays as text
    texts = found.json_texts(keep) if isinstance(found, CompositeLayout) else [out]
    assert texts and all(map(parses_strictly, texts))
    places = {text[a:b] for spans in found.source_spans for a, b in spans}
    quote = "'" if name.startswith("python") else '"'
    assert all(any(p.endswith(f"{quote}web-{i:02d}{quote}") for p in places) for i in range(24)), "reports need places"
    if name == "comments":
        assert "// slow" in places


@pytest.mark.parametrize("name", ["plain", "indented", "lines", "blank lines", "events", "named events", "cut off"])
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrapped_json_folds(name: str, wrapper: str) -> None:
    before, after = WRAPPERS[wrapper]
    found = segment_text(before + SOURCES[name] + after)
    assert isinstance(found, EncodableText)
    encoded = found.encode_exactly()
    assert encoded is not None and len(encoded) < 0.7 * len(before + SOURCES[name] + after)
    assert rows_kept(encoded) == [h["host"] for h in HOSTS if h["host"] in SOURCES[name]]


def test_two_values_have_their_own_lines() -> None:
    text = f"Page 1:\n{json.dumps(HOSTS[:12])}\n\nPage 2:\n{json.dumps(HOSTS[12:])}\n\nEnd of results.\n"
    found = segment_text(text)
    keep = np.array(["web-03" in u or "web-20" in u for u in units(found)], np.bool_)
    out = found.render(keep)
    assert out.index("Page 1") < out.index("web-03") < out.index("Page 2") < out.index("web-20") < out.index("End of")


def test_values_of_different_levels_are_not_joined() -> None:
    lines = [f"INFO {json.dumps({'n': i, 'text': 'poll ok'})}" for i in range(30)]
    lines[13] = f"ERROR {json.dumps({'n': 13, 'text': 'no answer'})}"
    found = segment_text("\n".join(lines))
    assert isinstance(found, CompositeLayout)
    encoded = found.encode_exactly()
    assert encoded is not None and f"\n{lines[13]}\nINFO {{" in encoded


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"2024-05-01 10:{i:02d}:00 api {h}" for i, h in enumerate(map(json.dumps, HOSTS))),
        "\n".join(f"src/a{i}.json:{i}: {h}" for i, h in enumerate(map(json.dumps, HOSTS))),
        "The service failed yesterday, and we looked at it. " * 8 + 'It said {"code": 17, "reason": "quota"}. ' * 3,
        "See [1], [2] and [3] for more about this. " * 30,
        "diff --git a/x.json b/x.json\n@@ -1,3 +1,3 @@\n" + PLAIN,
        "<!doctype html><html><body><script>var x = " + PLAIN + "</script>Hello</body></html>",
        "\n".join(f"def f{i}(x):\n    return [{{'k': x}}['k'], {i}]" for i in range(20)),
        "function f() { return [a, {b: 1}]; }\n" * 30,
    ],
)
def test_other_texts_are_left_alone(text: str) -> None:
    assert find_embedded_json(text) == []


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=200),
    st.sampled_from(sorted(SOURCES)),
    st.text(max_size=200),
    st.integers(0, 2**32 - 1),
)
def test_any_wrapper_gives_the_text_back(before: str, name: str, after: str, seed: int) -> None:
    text = before + SOURCES[name] + after
    found = segment_text(text)
    n = len(found.spans)
    assert found.render(np.ones(n, np.bool_)) == text
    assert found.parents.shape == found.flags.shape == found.columns.shape == (n,)
    assert (found.parents < np.arange(n)).all() and len(found.source_spans) == n
    keep = np.random.default_rng(seed).random(n) < 0.4
    found.render(keep)
    if isinstance(found, CompositeLayout):
        assert all(map(parses_strictly, found.json_texts(keep)))
