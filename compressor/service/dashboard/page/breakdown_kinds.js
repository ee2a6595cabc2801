// The kinds of breakdowns: their columns, and what they say about their rows.

import { ago, count, dollars, h, percent, plural } from "./dom.js";
import { link } from "./router.js";
import { comparedBar } from "./table.js";

const sum = (rows, name) => rows.reduce((total, row) => total + (row[name] ?? 0), 0);
const most = (rows, name) => rows.reduce((best, row) => ((row[name] ?? 0) > (best[name] ?? 0) ? row : best));
const now = () => Date.now() / 1000;
const named = (name) => h("span", { class: "id" }, name || "(no name)");
const money = (value) => h("span", { class: value < 0 ? "loss" : null }, dollars(value ?? 0));

/** The tokens of a row: the bar is as long as those without compression, and filled as far as they were sent. */
function tokens(row, largest) {
  return [count(row.tokens_after), comparedBar(row.tokens_after / largest, row.tokens_before / largest)];
}

function saved(row) {
  const less = row.saved_tokens ?? row.tokens_before - row.tokens_after;
  return [count(less), h("small", {}, row.tokens_before ? percent(less / row.tokens_before) : "–")];
}

/** Says which row costs most, and what part of the whole it is. */
function costliest(rows, of) {
  const top = most(rows, "tokens_after");
  const total = sum(rows, "tokens_after");
  const share = total ? `, ${percent(top.tokens_after / total)} of ${of}` : "";
  return `${top.name || "(no name)"} costs most: ${plural(top.tokens_after, "token")} sent${share}.`;
}

const BEFORE = { label: "Without compression", sort: "tokens_before", n: true };
const SENT = { label: "Tokens sent", sort: "tokens_after", n: true };
const SAVED = { label: "Tokens saved", sort: "saved_tokens", n: true };
const NET = { label: "Net saved", sort: "saved_usd", n: true };

const BY_CALLS = {
  id: "name",
  size: "tokens_before",
  sort: "tokens_after",
  none: "No calls in this range.",
};

export const KINDS = {
  tools: {
    title: "Tools",
    about: "Which tool’s output costs most? Tokens of the results of each tool, as they were and as they were sent.",
    rows: "tools",
    id: "name",
    size: "tokens_before",
    sort: "tokens_after",
    none: "No tool results in this range.",
    columns: [
      { label: "Tool", sort: "name", first: "asc" },
      { label: "Results", sort: "results", n: true },
      BEFORE,
      SENT,
      SAVED,
      NET,
      { label: "Expansions", sort: "expansions", n: true },
    ],
    cells: (row, largest) => [named(row.name), count(row.results), count(row.tokens_before), tokens(row, largest), saved(row), money(row.saved_usd), count(row.expansions ?? 0)],
    summary: (rows) => costliest(rows, "all tool output"),
  },
  models: {
    ...BY_CALLS,
    title: "Models",
    about: "Calls and tokens by model. A model’s name opens its sessions.",
    rows: "models",
    columns: [{ label: "Model", sort: "name", first: "asc" }, { label: "Calls", sort: "calls", n: true }, BEFORE, SENT, NET],
    cells: (row, largest) => [
      row.name ? h("a", { class: "cover id", href: link("sessions", { model: row.name }) }, row.name) : named(""),
      count(row.calls),
      count(row.tokens_before),
      tokens(row, largest),
      money(row.saved_usd),
    ],
    summary: (rows) => costliest(rows, "all tokens"),
  },
  tenants: {
    ...BY_CALLS,
    title: "Tenants",
    about: "Calls and tokens of all tenants.",
    rows: "tenants",
    refused: "Only an admin key sees all tenants.",
    columns: [{ label: "Tenant", sort: "name", first: "asc" }, { label: "Calls", sort: "calls", n: true }, BEFORE, SENT, NET],
    cells: (row, largest) => [named(row.name), count(row.calls), count(row.tokens_before), tokens(row, largest), money(row.saved_usd)],
    summary: (rows) => costliest(rows, "all tokens"),
  },
  fallbacks: {
    title: "Fallbacks",
    about: "Requests that were sent as they came, because they could not be compressed, by reason.",
    rows: "reasons",
    id: "reason",
    size: "count",
    sort: "count",
    none: "No fallbacks in this range.",
    columns: [
      { label: "Reason", sort: "reason", first: "asc" },
      { label: "Requests", sort: "count", n: true },
      { label: "Last", sort: "last", n: true },
    ],
    facts: (row) => ago(row.last ?? 0, now()),
    cells: (row, largest) => [
      named(row.reason),
      [count(row.count), comparedBar(row.count / largest, row.count / largest)],
      row.last ? h("span", { title: new Date(row.last * 1000).toLocaleString() }, ago(row.last, now())) : "–",
    ],
    summary: (rows) => `${plural(sum(rows, "count"), "fallback")} for ${plural(rows.length, "reason")}.`,
  },
};
