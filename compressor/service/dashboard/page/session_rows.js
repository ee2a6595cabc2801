// The table of sessions, for the overview and for the list.

import { ago, brief, count, dollars, h, percent, plural } from "./dom.js";
import { link } from "./router.js";
import { Table, bar } from "./table.js";

const SHUT = "This conversation is known only to another worker. Name sessions to open them on any worker.";
const COLUMNS = [
  { label: "Session", sort: "id", first: "asc" },
  { label: "Model" },
  { label: "Last call", sort: "last" },
  { label: "Calls", sort: "calls", n: true },
  { label: "Tokens", sort: "tokens", n: true },
  { label: "Net saved", sort: "saved", n: true },
  { label: "View", sort: "view", n: true },
];

/** Creates a table of sessions. sorted: called with a column and an order; without it, the columns cannot be sorted. */
export function sessionTable(sorted) {
  let now = 0;
  const table = new Table({
    label: "Sessions",
    columns: COLUMNS,
    key: (one) => one.id,
    facts: (one) => JSON.stringify({ ...one, last: ago(one.last, now) }),
    cells: (one) => cells(one, now),
    sorted,
  });
  return { element: table.element, mark: (sort, order) => table.mark(sort, order), show: (list) => ((now = list.now), table.show(list.sessions)) };
}

function cells(one, now) {
  const less = one.before - one.after;
  const id = one.opens ? h("a", { class: "session cover", href: link("session", {}, one.id) }, one.id) : h("span", { class: "session shut", title: SHUT }, one.id);
  const name = h(
    "span",
    { class: "name" },
    h("i", { class: `pulse${one.live ? " on" : ""}`, title: one.live ? "live" : "idle" }),
    id,
    one.live ? h("span", { class: "hidden" }, "live") : null,
    one.warnings?.length ? h("span", { class: "badge warn", title: one.warnings.join("\n") }, plural(one.warnings.length, "warning")) : null,
  );
  return [
    [name, one.task ? h("small", { class: "task", title: one.task }, one.task) : null],
    h("span", { class: "model", title: one.model ?? null }, one.model ?? "–"),
    h("span", { title: new Date(one.last * 1000).toLocaleString() }, ago(one.last, now)),
    count(one.calls),
    [`${brief(one.before)} → ${brief(one.after)}`, bar(one.before ? one.after / one.before : 1)],
    [h("span", { class: one.saved < 0 ? "loss" : null }, dollars(one.saved)), h("small", {}, one.before ? `${percent(less / one.before)} of tokens` : "–")],
    one.view === undefined ? "–" : [brief(one.view), h("small", {}, `${percent(one.cached_fraction ?? 0)} cached`)],
  ];
}
