"""The HTML report: everything shown, nothing executed, whatever the context holds."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from compressor.cli.html_report import render_html
from compressor.context.results import Action, BlockReport, Dropped, Result, TextResult
from support.cpu_time import cpu_time_below
from support.property_tests import given, settings, st

VOID = {"meta", "input", "img", "i", "tr", "th", "td"}  # without end tags here, or (i) checked by the others


class Page(HTMLParser):
    """Texts, tags and attributes of a page; fails on a tag that is not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self._text: list[str] = []
        self._deleted: list[str] = []
        self.feed(page)
        self.close()
        self.text, self.deleted = "".join(self._text), "".join(self._deleted)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self._text.append(data)
        if "del" in self.open and "sup" not in self.open and "summary" not in self.open:
            self._deleted.append(data)


def block(n: int, before: str, after: str = "", action: Action = "excerpt", **more: object) -> BlockReport:
    fields: dict[str, object] = {
        "name": "search",
        "tokens_before": len(before) // 4,
        "tokens_after": len(after) // 4,
        "reason": f"reason of block {n}",
        "layout": "log",
        "ref": "123456789012",
    }
    return BlockReport(n, n, "tool_result", action=action, before=before, after=after, **(fields | more))  # type: ignore[arg-type]


def made_result(blocks: list[BlockReport], dropped: list[Dropped], **more: object) -> Result:
    before, after = sum(b.tokens_before for b in blocks), sum(b.tokens_after for b in blocks)
    return Result(before, after, 1000, _blocks=lambda: blocks, _dropped=lambda: dropped, **more)  # type: ignore[arg-type]


def drop(n: int, start: int, end: int, reason: str = "low relevance", score: float = 0.25) -> Dropped:
    return Dropped(n, n, "tool_result", (start, end), reason, score, "123456789012")


def test_every_reason_and_the_totals_are_there() -> None:
    text = "keep this. drop that. keep more. and this too."
    r = made_result(
        [
            block(0, "You help.", "You help.", "pinned"),
            block(1, text, "keep this. … keep more. …"),
            block(2, text, text, "folded"),
        ],
        [drop(1, 11, 21), drop(1, 33, 46, "says the same as 'keep this'", 0.4)],
        warnings=["the tokenizer is an estimate"],
        is_estimate=True,
        tokenizer="calibrated",
    )
    page = Page(render_html(r, "a <title>"))
    for wanted in (
        *(d.reason for d in r.dropped),
        *(b.reason for b in r.blocks),
        *r.warnings,
        "a <title>",
        f"{r.tokens_before:,}",
        f"{r.tokens_after:,}",
        "an estimate",
        "calibrated",
        "compressor expand 123456789012",
    ):
        assert wanted in page.text
    assert page.deleted == "drop that.and this too."
    titles = [a["title"] for tag, a in page.tags if tag == "del"]
    assert titles == ["low relevance · score 0.25", "says the same as 'keep this' · score 0.40"]
    assert sum(tag == "section" for tag, _ in page.tags) == 3
    ids = {a["id"] for _, a in page.tags if "id" in a}
    assert all(a["href"][1:] in ids for tag, a in page.tags if tag == "a")


EVIL = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>' onmouseover='x",
    "</div></section></style></title><script>",
    "\x1b[31mred\x1b[0m\x00\x07\r\n\ud800 \udfff \u202e\ufffe\x9b",
    "<!-- --> ]]> &lt;script&gt; &#60;",
]


@pytest.mark.parametrize("evil", EVIL)
def test_nothing_gets_out_of_its_place(evil: str) -> None:
    parts = [block(0, evil * 3, evil, name=evil, reason=evil, ref=evil, layout=evil)]
    r = made_result(parts, [drop(0, 0, len(evil), evil)], warnings=[evil], tokenizer=evil)
    html = render_html(r, evil)
    html.encode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", html)
    page = Page(html)
    calm = Page(render_html(made_result([block(0, "aaaa", "a")], [drop(0, 0, 2)], warnings=["w"])))
    assert {tag for tag, _ in page.tags} == {tag for tag, _ in calm.tags}
    assert not any(name.startswith("on") or name == "src" for _, attrs in page.tags for name in attrs)
    assert not re.search(r"https?://|url\(|@import", html)


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(), max_size=80),
    st.lists(st.tuples(st.integers(-5, 90), st.integers(-5, 90), st.sampled_from(["a", "b", "<b>"])), max_size=6),
)
def test_any_text_and_any_spans(text: str, spans: list[tuple[int, int, str]]) -> None:
    html = render_html(made_result([block(0, text, text[:5])], [drop(0, s, e, reason) for s, e, reason in spans]))
    html.encode("utf-8")
    page = Page(html)
    assert all(reason in page.text for *_, reason in spans)


@pytest.mark.moderate
def test_large_contexts_stay_manageable() -> None:
    line = "2024-05-01 12:00:00 INFO <worker> did the thing & went on\n"
    text = line * 20_000  # 1.2 MB
    dropped = [drop(0, i, i + len(line) - 1, f"reason {i % 3}") for i in range(0, len(text), 2 * len(line))]
    blocks = [block(0, text, text[:500]), block(1, line * 30, line * 30, "kept", ref=None)]
    blocks += [block(i, line, line, "kept", ref=None) for i in range(2, 3000)]
    with cpu_time_below(5):
        html = render_html(made_result(blocks, dropped))
    assert len(html) < 8_000_000
    page = Page(html)
    assert "further characters are not shown" in page.text
    assert "more characters kept" in page.text
    assert all(f"reason {i}" in page.text for i in range(3))


def test_long_runs_fold_away_without_loss() -> None:
    text = "".join(f"{i} " for i in range(2000))
    page = Page(render_html(made_result([block(0, text, "", "dropped")], [drop(0, 0, len(text))])))
    assert page.deleted == text


def test_empty_and_text_results() -> None:
    page = Page(render_html(TextResult(0, 0, 10)))
    assert "Nothing was dropped" in page.text and "is sent unchanged" in page.text
    page = Page(
        render_html(TextResult(0, 0, 10, _blocks=lambda: [block(0, "", "", "kept", name=None, reason="", ref=None)]))
    )
    assert "no text: tool_result" in page.text


def test_same_bytes_every_time() -> None:
    r = made_result([block(0, "abc def", "abc")], [drop(0, 4, 7)])
    assert render_html(r) == render_html(r)
