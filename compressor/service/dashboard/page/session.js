// One session: each message, which parts are kept, compressed losslessly or dropped, why, and the original on click.

import { brief, copier, count, dollars, get, h, percent, plural } from "./dom.js";

const ACTIONS = {
  kept: "kept",
  lossless: "lossless",
  excerpt: "excerpt",
  dropped: "dropped",
  index: "index",
  evicted: "evicted",
};
const SHOWN = { all: () => true, changed: (m) => m.action !== "kept", removed: (m) => m.action === "evicted" || m.action === "dropped" };
const PAGE = 500;
// The kinds of a receipt that are shown, with their headings.
const RECEIPT_KINDS = { rules: "rules", user_words: "users’ words", open_items: "open items", state: "states" };

export class Session {
  constructor(id) {
    this.id = id;
    this.path = `v1/sessions/${encodeURIComponent(id)}/messages`;
    this.receiptsPath = `v1/sessions/${encodeURIComponent(id)}/receipts`;
    this.shown = "all";
    this.rows = [];
    this.head = h("div", { class: "head" });
    this.list = h("div", { class: "messages", role: "list" });
    this.receipts = h("div", {});
    this.fresh = h("button", { type: "button", class: "fresh", hidden: true, click: () => this.reload() });
    this.more = h("button", { type: "button", class: "more", hidden: true, click: () => this.load() }, "Show more messages");
    this.element = h(
      "div",
      { class: "view" },
      h("nav", { class: "crumbs", "aria-label": "Breadcrumbs" }, h("a", { href: "#/" }, "← Overview")),
      h("h1", { class: "title" }, copier(id)),
      this.head,
      this.receipts,
      this.fresh,
      this.list,
      this.more,
    );
    this.head.append(h("p", { class: "quiet loading" }, "Loading…"));
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

  async reload() {
    this.rows = [];
    this.calls = undefined;
    this.fresh.hidden = true;
    this.list.replaceChildren();
    await this.load();
  }

  async load(signal) {
    const after = this.rows.length ? `&after=${this.rows.at(-1).number}` : "";
    const data = await get(`${this.path}?limit=${PAGE}${after}`, signal);
    if (!after) {
      this.calls = data.cost_report.calls;
      this.describe(data);
      await this.describeReceipts(data.cost_report.compactions, signal);
    }
    this.maxTokens = Math.max(this.maxTokens ?? 1, ...data.messages.map((m) => Math.max(m.tokens_before, m.tokens_after)));
    const rows = data.messages.map((m) => new Message(this, m));
    this.rows.push(...data.messages);
    this.list.append(...rows.map((row) => row.element));
    this.more.hidden = !data.more;
    this.filter();
    return null;
  }

  describe(data) {
    const b = data.cost_report;
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
    this.strip = h("div", { class: "strip", "aria-hidden": "true" });
    const choices = Object.keys(SHOWN).map((name) =>
      h("button", { type: "button", role: "radio", "aria-checked": String(name === this.shown), "data-shown": name, click: () => this.choose(name) }, { all: "All", changed: "Changed", removed: "Removed" }[name]),
    );
    this.choices = h("div", { class: "segments", role: "radiogroup", "aria-label": "Messages shown" }, choices);
    this.counted = h("span", { class: "quiet" });
    const keys = Object.entries(ACTIONS).map(([action, label]) => h("span", {}, h("i", { class: `swatch ${action}` }), label));
    const missing = data.missing.length
      ? h("p", { class: "note warn" }, `${plural(data.missing.length, "message")} ${data.missing.length === 1 ? "was" : "were"} evicted from the view and ${data.missing.length === 1 ? "is" : "are"} no longer stored.`)
      : null;
    this.head.replaceChildren(
      h("dl", { class: "card facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      ...(data.warnings.length ? [h("ul", { class: "warnings" }, data.warnings.map((text) => h("li", {}, text)))] : []),
      h("div", { class: "bar" }, this.choices, this.counted, h("span", { class: "grow" }), h("span", { class: "keys" }, keys)),
      this.strip,
      ...(missing ? [missing] : []),
    );
  }

  /** Shows what each compaction kept in view, the newest first. */
  async describeReceipts(compactions, signal) {
    this.receipts.replaceChildren();
    if (!compactions) return;
    try {
      const { receipts } = await get(this.receiptsPath, signal);
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
      this.receipts.append(h("details", { class: "card receipts" }, h("summary", {}, title), h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, table)));
    } catch (error) {
      this.receipts.append(h("p", { class: "note warn" }, error.message));
    }
  }

  choose(name) {
    this.shown = name;
    for (const button of this.choices.children) button.setAttribute("aria-checked", button.dataset.shown === name);
    this.filter();
  }

  filter() {
    const fits = SHOWN[this.shown];
    let shown = 0;
    this.rows.forEach((m, i) => {
      this.list.children[i].hidden = !fits(m);
      shown += fits(m);
    });
    this.counted.textContent = shown === this.rows.length ? plural(this.rows.length, "message") : `${count(shown)} of ${plural(this.rows.length, "message")}`;
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
    if (this.list.children[i].hidden) this.choose("all");
    this.list.children[i].scrollIntoView({ block: "center" });
    this.list.children[i].querySelector("button").focus({ preventScroll: true });
  }
}

class Message {
  constructor(session, data) {
    Object.assign(this, { session, data });
    const id = `m${data.number}`;
    const fraction = data.tokens_before / session.maxTokens;
    const full = h("span", { class: "size", "aria-hidden": "true" }, h("i", { class: `swatch ${data.action}` }));
    full.style.width = `${Math.max(2, 100 * fraction)}%`;
    full.firstChild.style.width = `${Math.min(100, (100 * data.tokens_after) / Math.max(1, data.tokens_before))}%`;
    const sizes = data.tokens_before === data.tokens_after ? count(data.tokens_before) : `${count(data.tokens_before)} → ${count(data.tokens_after)}`;
    this.button = h(
      "button",
      { type: "button", class: "fold", "aria-expanded": "false", "aria-controls": id, click: () => this.toggle() },
      h("span", { class: "number" }, data.number < 0 ? "·" : String(data.number)),
      h("span", { class: `role ${data.role}` }, data.role),
      h("span", { class: "preview" }, data.name ? h("b", {}, `${data.name} `) : null, data.preview || "(no text)"),
      h("span", { class: `badge ${data.action}` }, ACTIONS[data.action]),
      h("span", { class: "sizes" }, sizes, h("span", { class: "track" }, full)),
    );
    this.body = h("div", { class: "body", id, hidden: true });
    this.element = h("article", { class: `message ${data.action}`, role: "listitem", "data-number": data.number }, this.button, this.body);
  }

  async toggle() {
    const open = this.body.hidden;
    this.button.setAttribute("aria-expanded", String(open));
    this.body.hidden = !open;
    if (!open || this.body.childElementCount) return;
    this.body.append(h("p", { class: "quiet" }, "Loading…"));
    try {
      const made = await this.ask(false);
      const blocks = made.blocks.map((block) => new Block(this, block).element);
      const why = made.reason && !made.blocks.some((block) => block.reason === made.reason) ? [h("p", { class: "why" }, made.reason)] : [];
      this.body.replaceChildren(...why, ...(blocks.length ? blocks : [h("p", { class: "quiet" }, "This message has no text.")]));
    } catch (error) {
      this.body.replaceChildren(h("p", { class: "note warn" }, error.message));
    }
  }

  /** Requests the message; with its whole original text if asked for. */
  ask(original) {
    const path = `${this.session.path}/${this.data.number}`;
    if (!original) return get(path);
    this.original ??= get(`${path}?original=true`).catch((error) => {
      this.original = undefined;
      throw error;
    });
    return this.original;
  }
}

class Block {
  constructor(message, data) {
    Object.assign(this, { message, data });
    this.text = h("pre", { class: "text", tabindex: 0, "aria-label": "The text in the view, with the dropped parts" });
    this.problem = h("p", { class: "note warn", hidden: true });
    const changed = data.action !== "kept";
    this.other = data.action === "lossless" || data.action === "index"; // the text that is sent is a different one
    const modes = [changed && data.parts.length ? ["original", "Original"] : null, data.sent && !this.other ? ["sent", "As sent"] : null].filter(Boolean);
    this.modes = modes.map(([name, label]) => h("button", { type: "button", class: "mode", "aria-pressed": "false", "data-mode": name, click: () => this.mode(name) }, label));
    const label = data.name ? `${data.kind.replace("_", " ")} · ${data.name}` : data.kind.replace("_", " ");
    const sizes = changed ? `${count(data.tokens_before)} → ${count(data.tokens_after)} tokens` : plural(data.tokens_before, "token");
    this.element = h(
      "section",
      { class: `block ${data.action}` },
      h(
        "div",
        { class: "about" },
        h("span", { class: "kind" }, label),
        changed ? h("span", { class: `badge ${data.action}` }, ACTIONS[data.action]) : null,
        h("span", { class: "quiet" }, sizes),
        h("span", { class: "refs" }, data.refs.slice(0, 6).map((ref) => h("span", { class: "ref" }, "ref ", copier(ref)))),
        h("span", { class: "grow" }),
        this.modes,
      ),
      data.reason ? h("p", { class: "why" }, data.reason) : null,
      this.problem,
      this.text,
    );
    this.draw();
  }

  draw() {
    const { parts, sent } = this.data;
    if (this.other) this.text.replaceChildren(sent);
    else this.text.replaceChildren(...parts.map((part) => (part.kind === "dropped" ? this.chip(part) : span(part))));
    if (!this.text.textContent) this.text.replaceChildren(h("span", { class: "quiet" }, "(empty)"));
  }

  chip(part) {
    const label = `${plural(part.tokens, "token")} dropped${part.reason ? `: ${part.reason}` : ""}`;
    return h(
      "button",
      { type: "button", class: "chip", title: "Show the original", "aria-label": `${label}. Show the original`, click: () => this.mode("original", part) },
      h("span", { class: "hatch", "aria-hidden": "true" }),
      label,
    );
  }

  async mode(name, from) {
    const on = this.now !== name;
    this.now = on ? name : undefined;
    for (const button of this.modes) button.setAttribute("aria-pressed", String(button.dataset.mode === this.now));
    this.text.classList.remove("original");
    this.problem.hidden = true;
    if (!on) return this.draw();
    if (name === "sent") return this.text.replaceChildren(this.data.sent);
    try {
      const whole = (await this.message.ask(true)).blocks[this.data.block];
      if (this.now !== "original") return undefined;
      this.text.replaceChildren(...whole.parts.map((part) => span(part)));
      this.text.classList.add("original");
      if (from) this.text.children[this.data.parts.indexOf(from)]?.scrollIntoView({ block: "nearest" });
    } catch (error) {
      this.problem.textContent = error.message;
      this.problem.hidden = false;
    }
    return undefined;
  }
}

/** A cell: how many things of a kind are in view, of all there were. */
function kept(tally) {
  const all = tally.in_view + tally.behind_ref + tally.archived;
  const title = `${count(tally.in_view)} in view, ${count(tally.behind_ref)} behind a ref, ${count(tally.archived)} archived`;
  return h("td", { class: tally.in_view < all ? "lost" : null, title }, all ? `${count(tally.in_view)}/${count(all)}` : "–");
}

function span(part) {
  if (part.kind === "dropped") return h("del", { title: `${plural(part.tokens, "token")} dropped${part.reason ? `: ${part.reason}` : ""}` }, part.text);
  return h("span", { class: part.kind }, part.text ?? "");
}
