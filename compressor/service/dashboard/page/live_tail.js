// A live tail of calls, the newest first.

import { count, dollars, get, h, percent, plural, query, say, seconds } from "./dom.js";
import { link } from "./router.js";
import { Table, bar } from "./table.js";

const EVERY = 2000; // milliseconds
const KEPT = 200; // calls
const COLUMNS = [
  { label: "Session" },
  { label: "Time" },
  { label: "Model" },
  { label: "Tokens", n: true },
  { label: "Net saved", n: true },
  { label: "Time added", n: true },
];
const KINDS = { call: "single call", conversation: "conversation", session: "session", documents: "documents", examples: "examples", tools: "tools", append: "append", answer: "answer" };

export class LiveTail {
  constructor({ poll }) {
    this.poll = poll;
    this.title = "Calls";
    this.every = EVERY;
    this.calls = [];
    this.isPaused = false;
    this.missing = "This service does not know /v1/stats/calls (404): it is older than this page.";
    this.said = h("p", { class: "found", role: "status" }, "Loading…");
    this.pause = h("button", { type: "button", class: "mode", id: "pause", "aria-pressed": "false", click: () => this.toggle() }, "Pause");
    this.search = h("input", { type: "search", maxlength: 200, spellcheck: "false", autocomplete: "off", placeholder: "session, model, kind", input: () => this.show() });
    this.warned = h("input", { type: "checkbox", change: () => this.show() });
    this.note = h("p", { class: "nothing quiet", hidden: true });
    this.table = new Table({ label: "Calls, the newest first", columns: COLUMNS, key, facts: () => "", cells });
    this.table.element.setAttribute("aria-live", "off"); // every two seconds something new would be read out
    this.element = h(
      "div",
      { class: "view" },
      h("h1", { class: "title", tabindex: -1 }, "Calls"),
      h(
        "form",
        { class: "filters", role: "search", "aria-label": "Calls", submit: (event) => event.preventDefault() },
        h("label", { class: "search" }, h("span", { class: "hidden" }, "Search these calls"), this.search),
        h("label", { class: "check" }, this.warned, "With warnings"),
        this.pause,
      ),
      h("section", { class: "card" }, h("div", { class: "bar" }, this.said), this.table.element, this.note),
    );
  }

  navigate() {}

  toggle() {
    this.isPaused = !this.isPaused;
    this.pause.setAttribute("aria-pressed", String(this.isPaused));
    this.tell();
    this.poll();
  }

  async refresh(signal) {
    if (this.isPaused) return null;
    const data = await get(`v1/stats/calls${query({ after: this.last, limit: KEPT })}`, signal);
    if (this.last !== undefined && typeof data.last === "number" && data.last < this.last) {
      this.last = undefined; // the service began anew, and so did its numbers
      this.calls = [];
      return this.refresh(signal);
    }
    this.last = data.last ?? this.last;
    const known = new Set(this.calls.map(key));
    const fresh = data.calls.filter((call) => !known.has(key(call)));
    this.calls = [...fresh, ...this.calls].sort((a, b) => b.time - a.time).slice(0, KEPT);
    this.workers = data.workers;
    this.isLoaded = true;
    this.show();
    return data;
  }

  refuse(text) {
    say(this.said, text);
  }

  show() {
    if (!this.isLoaded) return;
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (call) => {
      const text = `${call.session ?? ""} ${call.model ?? ""} ${KINDS[call.kind] ?? call.kind}`.toLowerCase();
      return words.every((word) => text.includes(word)) && (!this.warned.checked || countWarnings(call) > 0);
    };
    const shown = this.calls.filter(fits);
    this.table.show(shown);
    this.table.element.hidden = !shown.length;
    this.note.hidden = shown.length > 0;
    say(this.note, this.calls.length ? "No call matches." : "No calls yet. They appear here within two seconds.");
    this.tell();
  }

  /** Says only what changes seldom, because it is read out. */
  tell() {
    if (!this.isLoaded) return;
    const whose = this.workers === "this" ? " Only calls of the worker that answers are listed." : "";
    say(this.said, `${this.isPaused ? "Paused" : "Live"}: the last ${KEPT} calls at most.${whose}`);
  }
}

/** Identifies a call. Its number alone does not: another worker, or the service after a restart, may use it again. */
const key = (call) => `${call.id} ${call.time}`;

const countWarnings = (call) => (Array.isArray(call.warnings) ? call.warnings.length : Number(call.warnings) || 0);

function cells(call) {
  const less = call.tokens_before - call.tokens_after;
  const kind = KINDS[call.kind] ?? call.kind;
  const warnings = countWarnings(call);
  const told = Array.isArray(call.warnings) ? call.warnings.join("\n") : null;
  const date = new Date(call.time * 1000);
  return [
    h(
      "span",
      { class: "name" },
      call.session ? h("a", { class: "session cover", href: link("session", {}, call.session) }, call.session) : h("span", { class: "badge" }, kind),
      warnings ? h("span", { class: "badge warn", title: told }, plural(warnings, "warning")) : null,
    ),
    h("time", { datetime: date.toISOString(), title: date.toLocaleString() }, date.toLocaleTimeString("en-GB")),
    h("span", { class: "model", title: call.model ?? null }, call.model || "–"),
    [`${count(call.tokens_before)} → ${count(call.tokens_after)}`, bar(call.tokens_before ? call.tokens_after / call.tokens_before : 1)],
    [h("span", { class: call.saved_usd < 0 ? "loss" : null }, dollars(call.saved_usd ?? 0)), h("small", {}, call.tokens_before ? `${percent(less / call.tokens_before)} of tokens` : "–")],
    seconds(call.seconds),
  ];
}
