// One message of a session: its blocks, which parts are kept, compressed losslessly or dropped, why, and the original.

import { ACTIONS } from "./actions.js";
import { copier, count, get, h, plural } from "./dom.js";
import { ImageBlock, loadThumbnails } from "./pictures.js";

const TITLES = { folded: "said in another form: nothing of it is lost" };

export class Message {
  constructor(session, data) {
    Object.assign(this, { session, data });
    this.path = `${session.path}/${data.number}`;
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
      h("span", { class: "preview" }, data.name ? h("b", {}, `${data.name} `) : null, data.images ? h("span", { class: "badge" }, plural(data.images, "image")) : null, data.images ? " " : null, data.preview || "(no text)"),
      h("span", { class: `badge ${data.action}` }, ACTIONS[data.action]),
      h("span", { class: "sizes" }, sizes, h("span", { class: "track" }, full)),
    );
    this.body = h("div", { class: "body", id, hidden: true });
    this.element = h("div", { class: `message ${data.action}`, role: "listitem", "data-number": data.number }, this.button, this.body);
  }

  async toggle() {
    const open = this.body.hidden;
    this.button.setAttribute("aria-expanded", String(open));
    this.body.hidden = !open;
    if (!open || this.body.childElementCount) return;
    this.body.append(h("p", { class: "quiet" }, "Loading…"));
    try {
      const made = await this.ask(false);
      const parts = made.blocks.map((block) => (block.image ? new ImageBlock(this, block) : new Block(this, block)));
      const blocks = parts.map((block) => block.element);
      const why = made.reason && !made.blocks.some((block) => block.reason === made.reason) ? [h("p", { class: "why" }, made.reason)] : [];
      this.body.replaceChildren(...why, ...(blocks.length ? blocks : [h("p", { class: "quiet" }, "This message has no text.")]));
      await loadThumbnails(this, parts.filter((block) => block instanceof ImageBlock));
    } catch (error) {
      this.body.replaceChildren(h("p", { class: "note warn" }, error.message));
    }
  }

  /** Requests the message; with its whole original text if asked for. */
  ask(original) {
    if (!original) return get(this.path);
    this.original ??= get(`${this.path}?original=true`).catch((error) => {
      this.original = undefined;
      throw error;
    });
    return this.original;
  }
}

class Block {
  constructor(message, data) {
    Object.assign(this, { message, data });
    this.text = h("pre", { class: "text", tabindex: 0, role: "group", "aria-label": "The text in the view, with the dropped parts" });
    this.problem = h("p", { class: "note warn", hidden: true });
    const changed = data.action !== "kept";
    const unmarked = data.parts.find((part) => part.kind === "unmarked"); // its dropped parts are not known
    // The text that is sent is a different one, so it is shown instead.
    this.other = data.action === "lossless" || data.action === "index" || Boolean(unmarked);
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
      [data.reason, unmarked?.reason].filter(Boolean).map((reason) => h("p", { class: "why" }, reason)),
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

function span(part) {
  if (part.kind === "dropped") return h("del", { title: `${plural(part.tokens, "token")} dropped${part.reason ? `: ${part.reason}` : ""}` }, part.text);
  return h("span", { class: part.kind, title: TITLES[part.kind] }, part.text ?? "");
}
