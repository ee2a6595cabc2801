"""How the HTML report looks, in light and dark, on a phone and on a desk. Text only."""

CSS = """\
:root { color-scheme: light dark; --back: #fff; --panel: #f6f7f9; --ink: #1c2127; --soft: #656d76; --line: #d5dae0;
  --pinned: #8250df; --kept: #2da44e; --folded: #1f7ae0; --excerpt: #d98a00; --dropped: #cf222e;
  --drop-back: #ffe3e3; --drop-ink: #8b1a22; --fold-back: #e1effe; --gone: #e3e6ea; }
@media (prefers-color-scheme: dark) {
  :root { --back: #0f1318; --panel: #171c23; --ink: #dfe5ec; --soft: #93a0ad; --line: #2c343d;
    --pinned: #a884f3; --kept: #3fb950; --folded: #58a6ff; --excerpt: #e3a33a; --dropped: #f8716d;
    --drop-back: #3b1a1e; --drop-ink: #ffb3b0; --fold-back: #132a45; --gone: #2a313a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; background: var(--back); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
p { margin: .2rem 0; }
.total { font-size: 1.6rem; }
.ratio { font-size: 1.1rem; color: var(--kept); font-weight: 600; }
.note, .why, .key { color: var(--soft); font-size: .85rem; font-weight: normal; overflow-wrap: anywhere; }
.why { color: inherit; }
.warnings { color: var(--excerpt); }
.bar { display: flex; height: 1rem; min-width: 2px; background: var(--gone); border-radius: 3px; overflow: hidden; }
.bar i { display: block; height: 100%; }
.key i { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin-left: .6rem; }
i.pinned { background: var(--pinned); } i.kept { background: var(--kept); } i.folded { background: var(--folded); }
i.excerpt { background: var(--excerpt); } i.dropped { background: var(--dropped); } i.gone { background: var(--gone); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; }
th, td { text-align: left; padding: .15rem .5rem; border-bottom: 1px solid var(--line); vertical-align: middle;
  overflow-wrap: anywhere; }
.n { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
td.bars { width: 30%; min-width: 6rem; } td .bar { height: .7rem; }
a { color: var(--folded); }
summary { cursor: pointer; }
body > details { margin: 1rem 0; } body > details > summary { font-weight: 600; }
label[for=changed] { padding-left: .4rem; }
#changed:checked ~ main .same { display: none; }
section { margin: 1rem 0; padding: .7rem; background: var(--panel); border: 1px solid var(--line);
  border-left-width: 5px; border-radius: 5px; }
section.pinned { border-left-color: var(--pinned); } section.kept { border-left-color: var(--kept); }
section.folded { border-left-color: var(--folded); } section.excerpt { border-left-color: var(--excerpt); }
section.dropped { border-left-color: var(--dropped); }
.tag { font-size: .75rem; padding: .05rem .5rem; border-radius: 1rem; border: 1px solid currentColor; }
.tag.pinned { color: var(--pinned); } .tag.kept { color: var(--kept); } .tag.folded { color: var(--folded); }
.tag.excerpt { color: var(--excerpt); } .tag.dropped { color: var(--dropped); }
.text { font: .8rem/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere;
  unicode-bidi: isolate; margin-top: .4rem; tab-size: 4; }
.text details > summary { font: .8rem/1.45 system-ui, sans-serif; color: var(--soft); }
.text span.folded, .text details.folded { background: var(--fold-back); }
del { text-decoration: none; background: var(--drop-back); color: var(--drop-ink); border-radius: 2px; }
del span { text-decoration: line-through; text-decoration-color: color-mix(in srgb, currentColor 35%, transparent); }
sup { font: 600 .65rem/1 system-ui, sans-serif; color: var(--dropped); padding: 0 .15rem; }
@media (max-width: 40rem) { body { padding: .5rem; } td.bars, th.bars { display: none; } section { padding: .4rem; } }
"""
