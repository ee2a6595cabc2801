// The overview: savings over time, cache and latency, sessions, and single calls.

import { Chart } from "./chart.js";
import { brief, count, dollars, get, h, percent, plural, say, seconds } from "./dom.js";
import { emptyState } from "./empty_state.js";
import { link } from "./router.js";
import { sessionTable } from "./session_rows.js";
import { SingleCalls } from "./single_calls.js";

const NEWEST = 8; // sessions that are shown

export class Overview {
  constructor({ state }) {
    this.state = state;
    this.title = "Overview";
    this.hasRange = true;
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
    this.sessions = sessionTable();
    this.sessionsNote = h("p", { class: "nothing quiet" });
    this.all = h("a", { class: "all", href: link("sessions") });
    this.calls = new SingleCalls();
    this.fallbacks = h("a", { href: link("fallbacks") });
    this.full = h(
      "div",
      { class: "overview" },
      h("div", { class: "tiles" }, tiles),
      h("div", { class: "charts" }, [this.tokens, this.cost, this.cache, this.latency].map((chart) => chart.figure)),
      h("section", { class: "card" }, h("div", { class: "bar" }, h("h2", {}, "Sessions"), h("span", { class: "grow" }), this.all), this.sessions.element, this.sessionsNote),
      this.calls.element,
    );
    this.element = h("div", { class: "view" }, h("h1", { class: "hidden", tabindex: -1 }, "Overview"), h("p", { class: "quiet loading" }, "Loading…"));
  }

  async refresh(signal) {
    const [stats, list] = await Promise.all([get(`v1/stats?range=${this.state.range}`, signal), get(`v1/sessions?limit=${NEWEST}`, signal)]);
    this.show(stats, list);
    return stats;
  }

  show(stats, list) {
    const { total } = stats;
    const known = list.known || stats.calls.length || total.calls || total.fallbacks;
    const body = known ? this.full : (this.blank ??= emptyState());
    if (this.element.lastElementChild !== body) this.element.lastElementChild.replaceWith(body);
    if (!known) return;
    const less = total.before - total.after;
    const nothing = total.calls > 0 && less <= 0;
    this.number("saved", brief(less), nothing ? "enabled, but saves nothing" : total.before ? `${percent(less / total.before)} of ${brief(total.before)}` : "of 0", nothing);
    this.number("cost", dollars(total.saved), total.saved < 0 ? "costs more than it saves" : "at list prices", total.saved < 0);
    const perCall = total.calls ? `${brief(total.before / total.calls)} tokens each` : "in this range";
    this.number("calls", brief(total.calls), total.fallbacks ? "" : perCall, total.fallbacks > 0);
    if (total.fallbacks) {
      say(this.fallbacks, plural(total.fallbacks, "fallback"));
      this.fallbacks.href = link("fallbacks", { range: this.state.range });
      if (!this.fallbacks.isConnected) this.numbers.calls.note.replaceChildren(this.fallbacks);
    }
    const looked = total.hits + total.coalesced + total.misses;
    this.number("hits", looked ? percent((total.hits + total.coalesced) / looked) : "–", looked ? `of ${brief(looked)} looked up` : "no cached calls");
    this.number("latency", seconds(total.p50), `p95 ${seconds(total.p95)}`);
    this.number("live", count(stats.sessions.live), `${count(stats.sessions.known)} known`);
    const points = stats.series.map((p) => ({ ...p, less: p.before - p.after }));
    this.tokens.show(points, stats.step, { ...total, less });
    this.cost.show(points, stats.step, total);
    this.cache.show(points, stats.step, total);
    this.latency.show(points, stats.step, total);
    this.sessions.show(list);
    this.sessions.element.hidden = !list.known;
    say(this.sessionsNote, list.known ? "" : "No sessions yet. Clients that name a session, or use the proxy, appear here.");
    this.sessionsNote.hidden = list.known > 0;
    say(this.all, list.known > NEWEST ? `All ${count(list.known)} sessions` : "Search and sort");
    this.calls.show(stats);
  }

  number(key, value, note, warn = false) {
    say(this.numbers[key].value, value);
    say(this.numbers[key].note, note);
    this.numbers[key].note.classList.toggle("warn", warn);
  }
}
