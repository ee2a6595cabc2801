// One session: each message, which parts are kept, compressed losslessly or dropped, why, and the original on click.

import { ACTIONS } from "./actions.js";
import { Choices } from "./choices.js";
import { brief, copier, count, dollars, get, h, percent, plural, query, say } from "./dom.js";
import { Message } from "./message.js";
import { last, update } from "./router.js";

const SHOWN = { all: "All", changed: "Changed", removed: "Removed" };
const PAGE = 200; // messages that are loaded at a time
// The kinds of a receipt that are shown, with their headings.
const RECEIPT_KINDS = { rules: "rules", user_words: "users’ words", open_items: "open items", state: "states" };

export class Session {
  constructor({ id, params }) {
    this.id = this.title = id;
    this.path = `v1/sessions/${encodeURIComponent(id)}/messages`;
    this.receiptsPath = `v1/sessions/${encodeURIComponent(id)}/receipts`;
    this.missing = "This session does not exist here. It has expired, or it has no name, and only the worker that serves it knows it.";
    this.rows = [];
    this.loading = h("p", { class: "quiet loading" }, "Loading…");
    this.head = h("div", { class: "head" }, this.loading);
    this.list = h("div", { class: "messages", role: "list", "aria-label": "Messages" });
    this.receipts = h("div", {});
    this.choices = new Choices("Messages shown", SHOWN, "shown", (shown) => update({ shown: shown === "all" ? "" : shown }));
    this.counted = h("span", { class: "quiet", role: "status" });
    this.strip = h("div", { class: "strip", "aria-hidden": "true" });
    this.fresh = h("button", { type: "button", class: "fresh", hidden: true, click: () => this.reload() });
    this.more = h("button", { type: "button", class: "more", hidden: true, click: () => this.loadMore() });
    this.element = h(
      "div",
      { class: "view" },
      h("nav", { class: "crumbs", "aria-label": "Breadcrumbs" }, h("a", { href: last("sessions") }, "← Sessions")),
      h("h1", { class: "title", tabindex: -1 }, copier(id)),
      this.head,
      this.receipts,
      this.fresh,
      this.list,
      this.more,
    );
    this.navigate(params);
  }

  /** Takes the parameters of the address. */
  navigate(params) {
    const shown = params.shown in SHOWN ? params.shown : "all";
    this.choices.set(shown);
    if (this.shown !== undefined && this.shown !== shown) this.forget();
    this.shown = shown;
  }

  refuse(text) {
    if (!this.loading.isConnected) this.head.prepend(this.loading);
    say(this.loading, text);
  }

  /** Called by the poll: offers new messages, and moves nothing. */
  async refresh(signal) {
    if (this.calls === undefined) return this.load(signal);
    const { cost_report: report } = await get(`${this.path}?after=${Number.MAX_SAFE_INTEGER}`, signal);
    const more = report.calls - this.calls;
    this.fresh.hidden = more <= 0;
    if (more > 0) this.fresh.textContent = `${plural(more, "new call")}: show`;
    return null;
  }

  forget() {
    this.rows = [];
    this.calls = undefined;
    this.fresh.hidden = this.more.hidden = true;
  }

  async reload() {
    this.forget();
    await this.attempt();
  }

  async loadMore() {
    const next = this.rows.length;
    await this.attempt();
    this.list.children[next]?.querySelector("button").focus();
  }

  /** Loads what comes next for a click. The polls have a place of their own for errors. */
  async attempt() {
    try {
      await this.load();
    } catch (error) {
      say(this.counted, error.message);
    }
  }

  async load(signal) {
    const after = this.rows.at(-1)?.number;
    const shown = this.shown;
    const data = await get(`${this.path}${query({ limit: PAGE, after, shown })}`, signal);
    if (shown !== this.shown || after !== this.rows.at(-1)?.number) return null; // another answer was first
    const isFirst = after === undefined;
    if (isFirst) this.list.replaceChildren();
    this.maxTokens = Math.max(this.maxTokens ?? 1, ...data.messages.map((m) => Math.max(m.tokens_before, m.tokens_after)));
    const rows = data.messages.map((m) => new Message(this, m));
    this.rows.push(...data.messages);
    this.list.append(...rows.map((row) => row.element));
    const rest = data.matching - this.rows.length;
    this.more.hidden = !data.more;
    say(this.more, rest > PAGE ? `Show the next ${PAGE} of ${count(rest)} more messages` : `Show the other ${plural(rest, "message")}`);
    this.tell(data);
    this.drawStrip();
    if (isFirst) await this.describe(data);
    return null;
  }

  /** Shows what is known of the whole session, if there were calls since it was shown. */
  async describe(data) {
    const b = data.cost_report;
    this.calls = b.calls;
    if (this.described === b.calls) return;
    this.described = b.calls;
    const facts = [
      ["model", b.model],
      ["calls", count(b.calls)],
      ["tokens", `${brief(b.baseline_tokens)} → ${brief(b.actual_tokens)}`],
      ["saved", `${dollars(b.saved_cost)}${b.baseline_cost ? ` (${percent(b.saved_cost / b.baseline_cost)})` : ""}`],
      ["provider cache", percent(b.cached_fraction)],
      ["view now", `${count(b.view_tokens)} tokens`],
      ["compactions", count(b.compactions)],
      ["expansions", count(b.expansions)],
    ];
    const keys = Object.entries(ACTIONS).map(([action, label]) => h("span", {}, h("i", { class: `swatch ${action}` }), label));
    const missing = data.missing.length
      ? h("p", { class: "note warn" }, `${plural(data.missing.length, "message")} ${data.missing.length === 1 ? "was" : "were"} evicted from the view and ${data.missing.length === 1 ? "is" : "are"} no longer stored.`)
      : null;
    this.head.replaceChildren(
      h("dl", { class: "card facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      ...(data.warnings.length ? [h("ul", { class: "warnings" }, data.warnings.map((text) => h("li", {}, text)))] : []),
      h("div", { class: "bar" }, this.choices.element, this.counted, h("span", { class: "grow" }), h("span", { class: "keys" }, keys)),
      this.strip,
      ...(missing ? [missing] : []),
    );
    await this.describeReceipts(b.compactions);
  }

  /** Shows what each compaction kept in view, the newest first. */
  async describeReceipts(compactions) {
    if (!compactions) return;
    try {
      const { receipts } = await get(this.receiptsPath);
      const names = Object.keys(RECEIPT_KINDS);
      const heading = ["compaction", "tokens", ...Object.values(RECEIPT_KINDS)].map((name) => h("th", { scope: "col" }, name));
      const rows = receipts.reverse().map((receipt) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, count(receipt.compaction)),
          h("td", {}, `${count(receipt.tokens_before)} → ${count(receipt.tokens_after)}`),
          names.map((name) => kept(receipt.tallies[name])),
        ),
      );
      const table = h("table", {}, h("thead", {}, h("tr", {}, heading)), h("tbody", {}, rows));
      const title = `Kept in view by ${plural(compactions, "compaction")}`;
      this.receipts.replaceChildren(h("details", { class: "card receipts" }, h("summary", {}, title), h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, table)));
    } catch (error) {
      this.receipts.replaceChildren(h("p", { class: "note warn" }, error.message));
    }
  }

  /** Says how many messages there are, and how many of them are listed. */
  tell(data) {
    const all = plural(data.count, "message");
    const found = this.shown === "all" ? all : `${count(data.matching)} of ${all}`;
    say(this.counted, data.more ? `${found}, the first ${count(this.rows.length)} listed` : found);
  }

  drawStrip() {
    const total = this.rows.reduce((sum, m) => sum + Math.max(1, m.tokens_before), 0);
    this.strip.replaceChildren(
      ...this.rows.map((m, i) => {
        const part = h("i", { class: `swatch ${m.action}`, title: `#${m.number} ${m.role}: ${ACTIONS[m.action]}`, click: () => this.jump(i) });
        part.style.flexGrow = String(Math.max(1, m.tokens_before) / total);
        return part;
      }),
    );
  }

  jump(i) {
    this.list.children[i].scrollIntoView({ block: "center" });
    this.list.children[i].querySelector("button").focus({ preventScroll: true });
  }
}

/** A cell: how many things of a kind are in view, of all there were. */
function kept(tally) {
  const all = tally.in_view + tally.behind_ref + tally.archived;
  const title = `${count(tally.in_view)} in view, ${count(tally.behind_ref)} behind a ref, ${count(tally.archived)} archived`;
  return h("td", { class: tally.in_view < all ? "lost" : null, title }, all ? `${count(tally.in_view)}/${count(all)}` : "–");
}
