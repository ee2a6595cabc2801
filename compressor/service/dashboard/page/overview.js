// The overview: savings over time, cache and latency, sessions, and single calls.

import { Chart } from "./chart.js";
import { ago, brief, copier, count, dollars, get, h, percent, plural, say, seconds } from "./dom.js";

const REFS = 3; // refs of a call that are shown at first

export class Overview {
  constructor(state) {
    this.state = state;
    const numbers = [
      ["saved", "Tokens saved"],
      ["cost", "Net cost saved"],
      ["calls", "Compressions"],
      ["hits", "Cache hits"],
      ["latency", "Time added, p50"],
      ["live", "Live sessions"],
    ];
    this.numbers = {};
    const tiles = numbers.map(([key, label]) => {
      const value = h("b", { class: "value" }, "–");
      const note = h("span", { class: "note" }, " ");
      this.numbers[key] = { value, note };
      return h("div", { class: "card tile" }, h("span", { class: "label" }, label), value, note);
    });
    this.tokens = new Chart("Tokens", "area", [{ key: "after", label: "sent", tone: "blue" }, { key: "less", label: "saved", tone: "green" }], (v) => (v === null ? "–" : brief(v)), "nothing sent yet");
    this.cost = new Chart("Net cost saved", "bars", [{ key: "saved", label: "saved", tone: "green" }], (v) => (v === null ? "–" : dollars(v)), "nothing saved yet");
    this.cache = new Chart("Result cache", "bars", [{ key: "hits", label: "hits", tone: "green" }, { key: "coalesced", label: "coalesced", tone: "blue" }, { key: "misses", label: "computed", tone: "grey" }], (v) => (v === null ? "–" : brief(v)), "no cached calls yet");
    this.latency = new Chart("Time added by the compressor", "lines", [{ key: "p50", label: "p50", tone: "blue" }, { key: "p95", label: "p95", tone: "amber" }, { key: "p99", label: "p99", tone: "red" }], seconds, "no calls yet");
    this.sessions = h("div", { class: "rows", role: "list" });
    this.sessionsNote = h("p", { class: "quiet" });
    this.calls = h("div", { class: "rows", role: "list" });
    this.callsCard = h("section", { class: "card", hidden: true }, h("h2", {}, "Single calls"), this.calls);
    this.full = h(
      "div",
      { class: "overview" },
      h("div", { class: "tiles" }, tiles),
      h("div", { class: "charts" }, [this.tokens, this.cost, this.cache, this.latency].map((chart) => chart.figure)),
      h("section", { class: "card" }, h("h2", {}, "Sessions"), this.sessions, this.sessionsNote),
      this.callsCard,
    );
    this.element = h("div", { class: "view" }, h("h1", { class: "hidden" }, "Overview"), h("p", { class: "quiet loading" }, "Loading…"));
  }

  async refresh(signal) {
    const [stats, list] = await Promise.all([get(`v1/stats?range=${this.state.range}`, signal), get("v1/sessions", signal)]);
    this.show(stats, list);
    return stats;
  }

  show(stats, list) {
    const { total } = stats;
    const known = list.sessions.length || stats.calls.length || total.calls || total.fallbacks;
    const body = known ? this.full : (this.blank ??= empty());
    if (this.element.lastElementChild !== body) this.element.lastElementChild.replaceWith(body);
    if (!known) return;
    const less = total.before - total.after;
    const nothing = total.calls > 0 && less <= 0;
    this.number("saved", brief(less), nothing ? "enabled, but saves nothing" : total.before ? `${percent(less / total.before)} of ${brief(total.before)}` : "of 0", nothing);
    this.number("cost", dollars(total.saved), total.saved < 0 ? "costs more than it saves" : "at list prices", total.saved < 0);
    const perCall = total.calls ? `${brief(total.before / total.calls)} tokens each` : "in this range";
    this.number("calls", brief(total.calls), total.fallbacks ? `${plural(total.fallbacks, "fallback")}` : perCall, total.fallbacks > 0);
    const looked = total.hits + total.coalesced + total.misses;
    this.number("hits", looked ? percent((total.hits + total.coalesced) / looked) : "–", looked ? `of ${brief(looked)} looked up` : "no cached calls");
    this.number("latency", seconds(total.p50), `p95 ${seconds(total.p95)} · p99 ${seconds(total.p99)}`);
    this.number("live", count(stats.sessions.live), `${count(stats.sessions.known)} known`);
    const points = stats.series.map((p) => ({ ...p, less: p.before - p.after }));
    this.tokens.show(points, stats.step, { ...total, less });
    this.cost.show(points, stats.step, total);
    this.cache.show(points, stats.step, total);
    this.latency.show(points, stats.step, total);
    this.listSessions(list);
    this.listCalls(stats);
  }

  number(key, value, note, warn = false) {
    say(this.numbers[key].value, value);
    say(this.numbers[key].note, note);
    this.numbers[key].note.classList.toggle("warn", warn);
  }

  listSessions({ sessions, now }) {
    say(this.sessionsNote, sessions.length ? "" : "No sessions yet. Clients that name a session, or use the proxy, appear here.");
    keyed(this.sessions, sessions, (one) => one.id, (one, row) => sessionRow(one, now, row));
  }

  listCalls({ calls, now }) {
    this.callsCard.hidden = !calls.length;
    keyed(this.calls, calls, (call) => `${call.time}`, (call, row) => callRow(call, now, row));
  }
}

/** Updates rows by key. Elements of rows that stay are reused, so that they keep focus and open parts. */
function keyed(parent, items, key, make) {
  const old = new Map([...parent.children].map((row) => [row.dataset.key, row]));
  const rows = items.map((item) => {
    const row = make(item, old.get(key(item)));
    row.dataset.key = key(item);
    return row;
  });
  const same = rows.length === parent.children.length && rows.every((row, i) => row === parent.children[i]);
  if (!same) parent.replaceChildren(...rows);
}

function sessionRow(one, now, old) {
  const less = one.before - one.after;
  const fraction = one.before ? one.after / one.before : 1;
  const facts = JSON.stringify({ ...one, last: ago(one.last, now) });
  if (old?.facts === facts) return old;
  const name = [
    h("i", { class: `pulse${one.live ? " on" : ""}`, title: one.live ? "live" : "idle" }),
    h("span", { class: "id" }, one.id),
    one.warnings?.length ? h("span", { class: "badge warn", title: one.warnings.join("\n") }, plural(one.warnings.length, "warning")) : null,
  ];
  const cells = [
    h("span", { class: "name" }, name),
    h("span", { class: "model" }, one.model ?? "", h("small", { title: `since ${new Date(one.started * 1000).toLocaleString()}` }, ago(one.last, now))),
    h("span", { class: "n calls" }, count(one.calls), h("small", {}, one.calls === 1 ? "call" : "calls")),
    h("span", { class: "n wide" }, `${brief(one.before)} → ${brief(one.after)}`, meter(fraction)),
    h("span", { class: "n share" }, one.before ? percent(less / one.before) : "–", h("small", {}, "saved")),
    h("span", { class: `n net ${one.saved < 0 ? "loss" : ""}` }, dollars(one.saved), h("small", {}, "net")),
    h("span", { class: "n last" }, one.cached_fraction === undefined ? "–" : percent(one.cached_fraction), h("small", {}, "provider cache")),
  ];
  const row = old ?? h("div", { role: "listitem" });
  const inner = one.opens
    ? h("a", { class: "row session", href: `#/session/${encodeURIComponent(one.id)}` }, cells)
    : h("span", { class: "row session shut", title: "This conversation is known only to another worker. Name sessions to open them on any worker." }, cells);
  const focused = row.contains(document.activeElement);
  row.replaceChildren(inner);
  if (focused) inner.focus();
  row.facts = facts;
  return row;
}

function meter(fraction) {
  const bar = h("i", {});
  bar.style.width = `${Math.min(100, 100 * fraction)}%`;
  return h("span", { class: "meter", "aria-hidden": "true" }, bar);
}

function callRow(call, now, old) {
  if (old) {
    say(old.querySelector(".since"), ago(call.time, now));
    return old;
  }
  const kinds = { call: "context", documents: "documents", examples: "examples" };
  const caches = { hit: "cache hit", coalesced: "coalesced", miss: "computed", "": "" };
  const fraction = call.before ? call.after / call.before : 1;
  const below = h("div", { class: "below" });
  const refs = call.refs.map((ref, i) =>
    h("span", { class: "ref", hidden: i >= REFS }, copier(ref), h("button", { type: "button", class: "link", click: () => original(below, ref) }, "original")),
  );
  if (refs.length > REFS) {
    const more = h("button", { type: "button", class: "link" }, `+${refs.length - REFS} more`);
    more.addEventListener("click", () => {
      for (const ref of refs) ref.hidden = false;
      more.remove();
    });
    refs.push(more);
  }
  return h(
    "div",
    { role: "listitem" },
    h(
      "div",
      { class: "row call" },
      h("span", { class: "name" }, h("span", { class: "badge" }, kinds[call.kind] ?? call.kind), h("small", { class: "since" }, ago(call.time, now))),
      h("span", { class: "n wide" }, `${count(call.before)} → ${count(call.after)}`, meter(fraction)),
      h("span", { class: "n" }, call.before ? percent(1 - fraction) : "–", h("small", {}, "saved")),
      h("span", { class: "n" }, seconds(call.seconds), h("small", {}, caches[call.cache] || call.tier)),
      h("span", { class: "refs" }, refs),
    ),
    call.warnings.length ? h("p", { class: "note warn" }, call.warnings.join(" · ")) : null,
    below,
  );
}

async function original(place, ref) {
  if (place.dataset.ref === ref) {
    delete place.dataset.ref;
    place.replaceChildren();
    return;
  }
  place.dataset.ref = ref;
  try {
    const { original_content } = await get(`v1/retrieve/${encodeURIComponent(ref)}`);
    if (place.dataset.ref === ref) place.replaceChildren(h("pre", { class: "text", tabindex: 0 }, original_content));
  } catch (error) {
    place.replaceChildren(h("p", { class: "note warn" }, error.message));
  }
}

function empty() {
  const here = new URL(".", location.href.split("#")[0]).href.replace(/\/$/, "");
  const line = `curl ${here}/v1/compress -H 'content-type: application/json' \\\n  -d '{"model": "gpt-4o", "budget": 4000, "messages": [{"role": "user", "content": "…"}]}'`;
  return h(
    "section",
    { class: "card blank" },
    h("h2", {}, "No calls yet"),
    h("p", {}, "Set a client's base URL to this service, and its requests are compressed on the way:"),
    h("pre", { class: "text" }, `client = OpenAI(base_url="${here}/v1")`),
    h("p", {}, "or compress a context yourself:"),
    h("pre", { class: "text", id: "try" }, line),
    copier(line, "Copy the command"),
    h("p", { class: "quiet" }, "This page refreshes every few seconds."),
  );
}
