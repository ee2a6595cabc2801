"""Renders an HTML page that shows what a call kept, encoded losslessly and dropped, and why.

The page is one file without scripts or external resources; images are in it as thumbnails. Everything in a context is
untrusted: it is escaped, control and bidi characters are made visible, and the content security policy of the page
forbids scripts in case something slips through.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from html import escape
from importlib import resources

from compressor.cli.html_report_images import ReportImages
from compressor.context.results import BlockReport, DocumentsResult, Dropped, Result, TextResult

Span = tuple[int, int, str, float, float]  # start, end, reason, lowest and highest score

# Limits for long contexts: enough to judge every decision, small enough for a phone to open.
_PAGE_CHARS = 3_000_000
_BLOCK_CHARS = 30_000
_LONG_RUN = 1_200  # characters; of a longer run only the ends are visible until it is unfolded
_RUN_END = 300  # characters at either end of a long run

_UNPRINTABLE = re.compile(
    "\r\n|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render_html(result: Result | TextResult | DocumentsResult, title: str = "Compression report") -> str:
    """Renders the report of one result.

    Args:
        result: The result of `compress`, `compress_text` or `compress_documents`.
        title: The heading of the page.

    Returns:
        The page, as text that can always be encoded as UTF-8.
    """
    dropped: dict[int, list[Dropped]] = defaultdict(list)
    reasons: dict[str, list[int]] = {}  # reason -> [number in the legend, spans, characters]
    for d in result.dropped:
        dropped[d.block].append(d)
        entry = reasons.setdefault(d.reason, [len(reasons) + 1, 0, 0])
        entry[1] += 1
        entry[2] += d.span[1] - d.span[0]
    numbers = {reason: entry[0] for reason, entry in reasons.items()}
    cap = _cap([len(block.before) for block in result.blocks])
    images = ReportImages(result.blocks, _text)
    parts = [
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n",
        f'<meta http-equiv=Content-Security-Policy content="{_POLICY}{images.policy}">\n',
        '<meta name=viewport content="width=device-width, initial-scale=1">\n',
        f"<title>{_text(title)}</title>\n<style>\n{_css()}{images.css}</style>\n</head>\n<body>\n<h1>{_text(title)}</h1>\n",
        _totals(result),
        _legend(reasons),
        _table(result.blocks),
        "<input type=checkbox id=changed><label for=changed>only what changed</label>\n" if result.blocks else "",
        "<main>\n",
        *(_block(block, dropped[block.block], numbers, cap, images) for block in result.blocks),
        "</main>\n</body>\n</html>\n",
    ]
    return "".join(parts)


@cache
def _css() -> str:
    return resources.files("compressor.cli").joinpath("report.css").read_text(encoding="utf-8")


def _cap(lengths: list[int]) -> int:
    """How many characters of a block are shown: long blocks may use what short blocks leave of the page."""
    remaining = _PAGE_CHARS
    for i, length in enumerate(sorted(lengths)):
        fair_part = remaining // (len(lengths) - i)
        if length > fair_part:
            return max(_RUN_END, min(_BLOCK_CHARS, fair_part))
        remaining -= length
    return _BLOCK_CHARS


def _text(text: str) -> str:
    """Escapes text for HTML, and replaces characters that UTF-8 or a browser cannot show."""
    return escape(_UNPRINTABLE.sub(_visible, text))


def _visible(match: re.Match[str]) -> str:
    char = match[0]
    if char == "\r\n":
        return "\n"
    return chr(0x2400 + ord(char)) if char < " " else "\ufffd"


def _percent(part: int, whole: int) -> str:
    return f"{100 * min(1.0, part / max(1, whole)):.1f}%"


def _totals(result: Result | TextResult | DocumentsResult) -> str:
    """Token totals, a stacked bar of the whole input, and warnings."""
    after: dict[str, int] = defaultdict(int)
    for block in result.blocks:
        after[block.action] += block.tokens_after
    whole = result.tokens_before
    saved = max(0, result.tokens_before - result.tokens_after)
    bar = "".join(
        f'<i class="{action}" style="width:{_percent(after[action], whole)}"'
        f' title="{action}: {after[action]:,} tokens"></i>'
        for action in ("pinned", "kept", "folded", "excerpt")
        if after[action]
    )
    used = 100 * result.tokens_after / result.budget if result.budget else 0.0
    counted = f"counted with {_text(result.tokenizer)}" if result.tokenizer else "counted"
    warnings = "".join(f"<li>{_text(warning)}</li>" for warning in result.warnings)
    return (
        f"<p class=total><b>{result.tokens_before:,}</b> → <b>{result.tokens_after:,}</b> tokens"
        f" <span class=ratio>{result.ratio:.2f}×</span></p>\n"
        f"<p class=note>budget {result.budget:,} ({used:.0f}% used), {counted}"
        f"{', an estimate' if result.is_estimate else ''}; {saved:,} tokens saved</p>\n"
        f"<div class=bar>{bar}</div>\n"
        "<p class=key><i class=pinned></i> pinned <i class=kept></i> kept <i class=folded></i> folded"
        " <i class=excerpt></i> excerpt sent <i class=gone></i> not sent</p>\n"
        + (f"<ul class=warnings>{warnings}</ul>\n" if warnings else "")
    )


def _legend(reasons: dict[str, list[int]]) -> str:
    if not reasons:
        return "<p class=note>Nothing was dropped.</p>\n"
    rows = "".join(
        f"<tr><td><sup>{number}</sup><td>{_text(reason)}<td class=n>{spans:,}<td class=n>{chars:,}\n"
        for reason, (number, spans, chars) in reasons.items()
    )
    return (
        f"<details{' open' if len(reasons) <= 12 else ''}><summary>Why text was dropped</summary>\n"
        f"<table><tr><th><th>reason<th class=n>spans<th class=n>characters\n{rows}</table></details>\n"
    )


def _table(blocks: list[BlockReport]) -> str:
    if not blocks:
        return "<p class=note>The input fits the budget and is sent unchanged.</p>\n"
    largest = max((block.tokens_before for block in blocks), default=0)
    rows = "".join(
        f'<tr class="{_same(b)}"><td class=n><a href="#b{b.block}">{b.block}</a><td>{_name(b)}<td>{b.action}'
        f"<td class=n>{b.tokens_before:,}<td class=n>{b.tokens_after:,}"
        f'<td class=bars><div class=bar style="width:{_percent(b.tokens_before, largest)}">'
        f'<i class="{b.action}" style="width:{_percent(b.tokens_after, b.tokens_before)}"></i></div>\n'
        for b in blocks
    )
    return (
        f"<details{' open' if len(blocks) <= 60 else ''}><summary>{len(blocks):,} blocks</summary>\n"
        "<div class=wide><table><tr><th class=n>#<th>block<th>action<th class=n>before<th class=n>after"
        f"<th class=bars>tokens\n{rows}"
        "</table></div></details>\n"
    )


def _same(block: BlockReport) -> str:
    return "same" if block.before == block.after else "changed"


def _name(block: BlockReport) -> str:
    name = f" <b>{_text(block.name)}</b>" if block.name else ""
    return f"{_text(block.kind)}{name}"


def _block(block: BlockReport, dropped: list[Dropped], numbers: dict[str, int], cap: int, images: ReportImages) -> str:
    spans = _spans(block.before, dropped)
    layout = f" · {_text(block.layout)}" if block.layout else ""
    why = f"<p class=why>{_text(block.reason)}</p>\n" if block.reason else ""
    if dropped and block.image is None:
        counts: dict[str, int] = defaultdict(int)
        for d in dropped:
            counts[d.reason] += 1
        listed = " · ".join(f"<sup>{numbers[r]}</sup> {_text(r)} ({n:,}×)" for r, n in counts.items())
        why += f"<p class=why>dropped: {listed}</p>\n"
    if block.ref:
        why += f"<p class=note>the original: <code>compressor expand {_text(block.ref)}</code></p>\n"
    if block.image is not None:
        body = images.render(block, block.image)
    else:
        body = f"<div class=text>{_with_dropped_spans(block, spans, numbers, cap)}</div>\n"
    sent = ""
    if block.image is None and block.before != block.after and block.after:
        sent = f"<details><summary>as sent</summary><div class=text>{_capped(block.after, cap)}</div></details>\n"
    return (
        f'<section class="{block.action} {_same(block)}" id=b{block.block}>\n'
        f"<h2>#{block.block} {_name(block)} <span class=note>message {block.message}{layout}</span>"
        f' <span class="tag {block.action}">{block.action}</span>'
        f" <span class=note>{block.tokens_before:,} → {block.tokens_after:,} tokens</span></h2>\n"
        f"{why}{body}{sent}</section>\n"
    )


def _spans(text: str, dropped: list[Dropped]) -> list[Span]:
    """The spans in order, clipped to the text, without overlaps; neighbours with the same reason are merged."""
    spans: list[Span] = []
    for d in sorted(dropped, key=lambda d: d.span):
        start, end = max(0, d.span[0], spans[-1][1] if spans else 0), min(len(text), d.span[1])
        if start >= end:
            continue
        if spans and spans[-1][2] == d.reason and not text[spans[-1][1] : start].strip():
            first, _, reason, low, high = spans[-1]
            spans[-1] = (first, end, reason, min(low, d.score), max(high, d.score))
        else:
            spans.append((start, end, d.reason, d.score, d.score))
    return spans


def _with_dropped_spans(block: BlockReport, spans: list[Span], numbers: dict[str, int], cap: int) -> str:
    """The original text of a block, up to `cap` characters, with the dropped spans struck out."""
    text, shown = block.before, min(len(block.before), cap)
    plain = "folded" if block.action == "folded" else "kept"
    parts: list[str] = []
    position = 0
    for start, end, reason, low, high in spans:
        if start >= shown:
            break
        if start > position:
            parts.append(_run(text[position:start], plain))
        position = min(end, shown)
        score = f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
        body = _run(text[start:position], "dropped")
        parts.append(f'<del title="{_text(reason)} · score {score}"><sup>{numbers[reason]}</sup>{body}</del>')
    if position < shown:
        parts.append(_run(text[position:shown], plain))
    if not text:
        parts.append(f"<span class=note>(no text: {_text(block.kind)})</span>")
    return "".join(parts) + _rest(text, shown)


def _run(text: str, kind: str) -> str:
    """A run of text of one kind; the middle of a long one is collapsed."""
    if len(text) <= _LONG_RUN:
        return f"<span class={kind}>{_text(text)}</span>"
    middle = text[_RUN_END:-_RUN_END]
    return (
        f"<span class={kind}>{_text(text[:_RUN_END])}</span>"
        f"<details class={kind}><summary>{len(middle):,} more characters {kind}</summary>{_text(middle)}</details>"
        f"<span class={kind}>{_text(text[-_RUN_END:])}</span>"
    )


def _capped(text: str, cap: int) -> str:
    return _text(text[:cap]) + _rest(text, cap)


def _rest(text: str, shown: int) -> str:
    if len(text) <= shown:
        return ""
    return f"<p class=note>… {len(text) - shown:,} further characters are not shown here</p>"
