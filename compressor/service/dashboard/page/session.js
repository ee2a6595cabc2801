// One session: every message, what is kept, folded and dropped of it, why, and the original on click.

import { brief, copier, count, dollars, get, h, percent, plural } from "./dom.js";

const ACTIONS = {
  kept: "kept",
  folded: "folded",
  excerpt: "excerpt",
  dropped: "dropped",
  index: "index",
  gone: "left the view",
};
const SHOWN = { all: () => true, changed: (m) => m.action !== "kept", gone: (m) => m.action === "gone" || m.action === "dropped" };
const PAGE = 500;

export class Session {
  constructor(id) {
    this.id = id;
    this.path = `v1/sessions/${encodeURIComponent(id)}/messages`;
    this.shown = "all";
    this.rows = [];
    this.head = h("div", { class: "head" });
    this.list = h("div", { class: "messages", role: "list" });
    this.fresh = h("button", { type: "button", class: "fresh", hidden: true, click: () => this.reload() });
    this.more = h("button", { type: "button", class: "more", hidden: true, click: () => this.load() }, "Show more messages");
    this.element = h(
      "div",
      { class: "view" },
      h("nav", { class: "crumbs", "aria-label": "Breadcrumbs" }, h("a", { href: "#/" }, "← Overview")),
      h("h1", { class: "title" }, copier(id)),
      this.head,
      this.fresh,
      this.list,
      this.more,
    );
    this.head.append(h("p", { class: "quiet loading" }, "Loading…"));
  }

  /** What the poll does: says that there is more, and moves nothing. */
  async refresh(signal) {
    if (this.calls === undefined) return this.load(signal);
    const { balance } = await get(`${this.path}?after=${Number.MAX_SAFE_INTEGER}`, signal);
    const more = balance.calls - this.calls;
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
    const told = await get(`${this.path}?limit=${PAGE}${after}`, signal);
    if (!after) {
      this.calls = told.balance.calls;
      this.describe(told);
    }
    this.most = Math.max(this.most ?? 1, ...told.messages.map((m) => Math.max(m.tokens_before, m.tokens_after)));
    const rows = told.messages.map((m) => new Message(this, m));
    this.rows.push(...told.messages);
    this.list.append(...rows.map((row) => row.element));
    this.more.hidden = !told.more;
    this.filter();
    return null;
  }

  describe(told) {
    const b = told.balance;
    const facts = [
      ["model", b.model],
      ["calls", count(b.calls)],
      ["tokens", `${brief(b.baseline_tokens)} → ${brief(b.actual_tokens)}`],
      ["saved", `${dollars(b.saved_cost)}${b.baseline_cost ? ` (${percent(b.saved_cost / b.baseline_cost)})` : ""}`],
      ["provider cache", percent(b.cached_fraction)],
      ["view now", `${count(b.view)} tokens`],
      ["compactions", count(b.compactions)],
      ["expansions", count(b.expansions)],
    ];
    this.strip = h("div", { class: "strip", "aria-hidden": "true" });
    const choices = Object.keys(SHOWN).map((name) =>
      h("button", { type: "button", role: "radio", "aria-checked": String(name === this.shown), "data-shown": name, click: () => this.choose(name) }, { all: "All", changed: "Changed", gone: "Gone" }[name]),
    );
    this.choices = h("div", { class: "segments", role: "radiogroup", "aria-label": "Messages shown" }, choices);
    this.counted = h("span", { class: "quiet" });
    const keys = Object.entries(ACTIONS).map(([action, label]) => h("span", {}, h("i", { class: `swatch ${action}` }), label));
    const missing = told.missing.length
      ? h("p", { class: "note warn" }, `${plural(told.missing.length, "message")} left the view and ${told.missing.length === 1 ? "is" : "are"} no longer stored.`)
      : null;
    this.head.replaceChildren(
      h("dl", { class: "card facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      ...(told.warnings.length ? [h("ul", { class: "warnings" }, told.warnings.map((text) => h("li", {}, text)))] : []),
      h("div", { class: "bar" }, this.choices, this.counted, h("span", { class: "grow" }), h("span", { class: "keys" }, keys)),
      this.strip,
      ...(missing ? [missing] : []),
    );
  }

  choose(name) {
    this.shown = name;
    for (const button of this.choices.children) button.setAttribute("aria-checked", button.dataset.shown === name);
    this.filter();
  }

  filter() {
    const fits = SHOWN[this.shown];
    let left = 0;
    this.rows.forEach((m, i) => {
      this.list.children[i].hidden = !fits(m);
      left += fits(m);
    });
    this.counted.textContent = left === this.rows.length ? plural(left, "message") : `${count(left)} of ${plural(this.rows.length, "message")}`;
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
  constructor(session, told) {
    Object.assign(this, { session, told });
    const id = `m${told.number}`;
    const share = told.tokens_before / session.most;
    const full = h("span", { class: "size", "aria-hidden": "true" }, h("i", { class: `swatch ${told.action}` }));
    full.style.width = `${Math.max(2, 100 * share)}%`;
    full.firstChild.style.width = `${Math.min(100, (100 * told.tokens_after) / Math.max(1, told.tokens_before))}%`;
    const sizes = told.tokens_before === told.tokens_after ? count(told.tokens_before) : `${count(told.tokens_before)} → ${count(told.tokens_after)}`;
    this.button = h(
      "button",
      { type: "button", class: "fold", "aria-expanded": "false", "aria-controls": id, click: () => this.toggle() },
      h("span", { class: "number" }, told.number < 0 ? "·" : String(told.number)),
      h("span", { class: `role ${told.role}` }, told.role),
      h("span", { class: "preview" }, told.name ? h("b", {}, `${told.name} `) : null, told.preview || "(no text)"),
      h("span", { class: `badge ${told.action}` }, ACTIONS[told.action]),
      h("span", { class: "sizes" }, sizes, h("span", { class: "track" }, full)),
    );
    this.body = h("div", { class: "body", id, hidden: true });
    this.element = h("article", { class: `message ${told.action}`, role: "listitem", "data-number": told.number }, this.button, this.body);
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

  /** The message; with all its original text once somebody wants that. */
  ask(original) {
    const path = `${this.session.path}/${this.told.number}`;
    if (!original) return get(path);
    this.original ??= get(`${path}?original=true`).catch((error) => {
      this.original = undefined;
      throw error;
    });
    return this.original;
  }
}

class Block {
  constructor(message, told) {
    Object.assign(this, { message, told });
    this.text = h("pre", { class: "text", tabindex: 0, "aria-label": "As it stands in the view, with what was dropped" });
    this.problem = h("p", { class: "note warn", hidden: true });
    const changed = told.action !== "kept";
    this.other = told.action === "folded" || told.action === "index"; // what is sent is another text
    const modes = [changed && told.parts.length ? ["original", "Original"] : null, told.sent && !this.other ? ["sent", "As sent"] : null].filter(Boolean);
    this.modes = modes.map(([name, label]) => h("button", { type: "button", class: "mode", "aria-pressed": "false", "data-mode": name, click: () => this.mode(name) }, label));
    const label = told.name ? `${told.kind.replace("_", " ")} · ${told.name}` : told.kind.replace("_", " ");
    const sizes = changed ? `${count(told.tokens_before)} → ${count(told.tokens_after)} tokens` : plural(told.tokens_before, "token");
    this.element = h(
      "section",
      { class: `block ${told.action}` },
      h(
        "div",
        { class: "about" },
        h("span", { class: "kind" }, label),
        changed ? h("span", { class: `badge ${told.action}` }, ACTIONS[told.action]) : null,
        h("span", { class: "quiet" }, sizes),
        h("span", { class: "refs" }, told.refs.slice(0, 6).map((ref) => h("span", { class: "ref" }, "ref ", copier(ref)))),
        h("span", { class: "grow" }),
        this.modes,
      ),
      told.reason ? h("p", { class: "why" }, told.reason) : null,
      this.problem,
      this.text,
    );
    this.draw();
  }

  draw() {
    const { parts, sent } = this.told;
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
    if (name === "sent") return this.text.replaceChildren(this.told.sent);
    try {
      const whole = (await this.message.ask(true)).blocks[this.told.block];
      if (this.now !== "original") return undefined;
      this.text.replaceChildren(...whole.parts.map((part) => span(part)));
      this.text.classList.add("original");
      if (from) this.text.children[this.told.parts.indexOf(from)]?.scrollIntoView({ block: "nearest" });
    } catch (error) {
      this.problem.textContent = error.message;
      this.problem.hidden = false;
    }
    return undefined;
  }
}

function span(part) {
  if (part.kind === "dropped") return h("del", { title: `${plural(part.tokens, "token")} dropped${part.reason ? `: ${part.reason}` : ""}` }, part.text);
  return h("span", { class: part.kind }, part.text ?? "");
}
